"""Marks for tests that need what not every installation has."""

import pytest

from masklstm._core import library

needs_native = pytest.mark.skipif(
    library.backend != "native", reason="masklstm is here without its native part"
)


def version_of(text: str) -> tuple[int, int]:
    """Major and minor version: of Keras, say, whose versions differ in what they can."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
