import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="the tests run away from the source tree")
def test_the_ten_lines_train():
    (code,) = re.findall(r"## Ten lines\n\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    variables = {}
    exec(code, variables)
    assert np.isnan(variables["y"]).any()
    assert all(np.all(np.isfinite(w)) for w in variables["model"].get_weights())
