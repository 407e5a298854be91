"""One change of one place."""

import difflib
from pathlib import Path
from typing import NamedTuple

TIMEOUT = "timeout"


class Mutant(NamedTuple):
    file: str
    """Relative to the root of the sources."""

    start: int
    end: int
    replacement: str
    rule: str

    def changed(self, text: str) -> str:
        return text[: self.start] + self.replacement + text[self.end :]

    def line(self, text: str) -> int:
        return text.count("\n", 0, self.start) + 1

    def change(self, text: str) -> tuple[str, str]:
        """The first line that differs, before and after."""
        pairs = zip(text.splitlines(), self.changed(text).splitlines(), strict=False)
        return next((old.strip(), new.strip()) for old, new in pairs if old != new)

    def shown(self, root: Path) -> str:
        """The lines before and after."""
        text = (root / self.file).read_text()
        lines = difflib.unified_diff(
            text.splitlines(), self.changed(text).splitlines(), lineterm="", n=0
        )
        changes = "\n".join(line for line in lines if line[:3] not in ("---", "+++", "@@ "))
        return f"{self.file}:{self.line(text)} ({self.rule})\n{changes}"
