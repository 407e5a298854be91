"""Results are saved as a whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """A name beside `file`, which gets its own once all is written; masklstm's own, which writes
    links and rights as well, would import TensorFlow.
    """
    beside = file.with_name(f".{secrets.token_hex(8)}{file.suffix}")
    try:
        yield beside
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def save_text(file: Path, text: str) -> None:
    with written_whole(file) as beside:
        beside.write_text(text, "utf-8")
