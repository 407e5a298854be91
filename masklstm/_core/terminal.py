"""What the commands print: one way for lines, and one for what the user can put right."""

import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

_MOST_NAMES = 50


def shown(text: object) -> str:
    r"""The text in one line, with what would control a terminal as an escape such as `\x1b`."""
    return "".join(map(_shown, str(text)))


def listed(names: Iterable[object]) -> str:
    """The names as one text, the first ones if there are many."""
    all_names = list(names)
    text = ", ".join(map(shown, all_names[:_MOST_NAMES]))
    rest = len(all_names) - _MOST_NAMES
    return f"{text} and {rest:,} more" if rest > 0 else text


def counted(number: int, name: str) -> str:
    """A number of things, as in "1 step" and "1,000 steps"."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def time_text(time: Any) -> str:
    """A time without what is zero at its end: 2020-01-31, 2020-01-31 17:00."""
    if isinstance(time, np.datetime64):
        for unit in ("D", "m", "s"):
            if time == time.astype(f"M8[{unit}]"):
                return str(time.astype(f"M8[{unit}]")).replace("T", " ")
    return str(time).replace("T", " ")


def say(text: str) -> None:
    # A column's name or a unit may hold what the terminal cannot show.
    encoding = sys.stdout.encoding or "utf-8"
    lines = "\n".join(map(shown, text.split("\n")))
    print(lines.encode(encoding, "replace").decode(encoding), flush=True)


def warn(text: str) -> None:
    """Prints a warning in one line."""
    print("warning:", shown(" ".join(text.split())), file=sys.stderr, flush=True)


def complain(command: str, error: Exception) -> int:
    """Prints an error as one line; returns the exit status."""
    # A column's name may hold a line break.
    print(f"masklstm {command}: error:", shown(" ".join(str(error).split())), file=sys.stderr)
    return 2


def _shown(character: str) -> str:
    # Controls, formats that turn the direction of the text, halves of a pair, separators of lines.
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character
