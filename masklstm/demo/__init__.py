"""The demo's data by the path that earlier versions had: it lies in `masklstm.commands` now."""

import sys

from masklstm.commands import table
from masklstm.commands.demo import options

sys.modules[f"{__name__}.table"] = table
sys.modules[f"{__name__}.options"] = options
