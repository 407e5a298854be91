"""Packages that only some parts need."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(what: str, package: str, extra: str) -> Iterator[None]:
    """Says which extra of masklstm installs a package that an import within did not find."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{what} needs {package}. Expected it to be installed, as by: "
            f'pip install "masklstm[{extra}]". Received: {error}'
        ) from error
