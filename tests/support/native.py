"""`kernels`: `masklstm.kernels`; without the native part a stand-in, by which the tests know the
list of losses all the same. A test that computes with it is skipped.

What the losses are is kept in descriptions.json, which a native build writes anew:

    python tests/support/native.py
"""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from support.loading import load

FILE = Path(__file__).with_name("descriptions.json")


class _NoKernels:
    def descriptions(self):
        return json.loads(FILE.read_text())

    def losses(self):
        return {loss: about["parameters"] for loss, about in self.descriptions().items()}

    def num_channels(self, loss, **parameters):
        from masklstm.reference import registry

        return registry.num_channels(loss, parameters)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        reason = f"kernels.{name}: masklstm is here without its native part"
        pytest.skip(reason, allow_module_level=True)


if "MASKLSTM_KERNELS" in os.environ:
    kernels = load(os.environ["MASKLSTM_KERNELS"])
elif importlib.util.find_spec("masklstm.kernels"):
    from masklstm import kernels
else:
    kernels = _NoKernels()


def descriptions_without_functions(native_kernels):
    """As they can be written into a file."""
    descriptions = native_kernels.descriptions()
    for about in descriptions.values():
        for parameter in about["parameters"]:
            parameter.pop("accepts", None)
    return descriptions


if __name__ == "__main__":
    FILE.write_text(json.dumps(descriptions_without_functions(kernels), indent=1) + "\n")
