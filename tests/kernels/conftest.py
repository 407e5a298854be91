"""The kernels on NumPy arrays. These tests need no TensorFlow: where the environment variable
MASKLSTM_KERNELS names a build of `kernels`, it is taken instead of masklstm's own, and

    python -m pytest --confcutdir=tests/kernels tests/kernels

tests it anywhere.
"""

from support.fixtures import dtype, loss_case, rng  # noqa: F401
