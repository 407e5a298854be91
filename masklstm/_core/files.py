"""Files that are written as a whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_file(path: Path) -> None:
    """Finds out before the work whether a file of that name can be written.

    Raises:
        OSError: Where a folder or a device has that name, the file may not be changed, or there is
            no folder for it, or one that cannot be written to.
    """
    if path.exists() and not path.is_file():
        raise IsADirectoryError(f"{path} is a folder or a device, not a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} may not be changed")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {path.parent} cannot be written to")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A name beside `path`, with its suffix, for what is to stand there. It is renamed once all of
    it is on the disk; after an error nothing is left of it, and what had the name before remains.
    """
    check_file(path)
    path = path.resolve()  # of a link the file that it leads to
    beside = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
