"""Prints what some extras of masklstm require, a line each: python requirements.py dev

So that it can be installed before masklstm itself is built.
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib  # type: ignore[no-redef]

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
_OWN = re.compile(r"masklstm\[([\w,]+)\]")


def requirements(*extras: str) -> list[str]:
    """Those of the extras, and of the extras that these name."""
    found: dict[str, None] = {}
    for extra in extras:
        for requirement in PROJECT["project"]["optional-dependencies"][extra]:
            own = _OWN.fullmatch(requirement)
            found |= dict.fromkeys(requirements(*own[1].split(",")) if own else [requirement])
    return list(found)


if __name__ == "__main__":
    print("\n".join(each.replace(" ", "") for each in requirements(*sys.argv[1:])))
