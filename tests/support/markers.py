"""Marks for tests that need what not every installation has."""

import pytest

from masklstm._core import library

needs_native = pytest.mark.skipif(
    library.backend != "native", reason="masklstm is here without its native part"
)
