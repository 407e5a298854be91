"""What a part of the campaign is, and the list of them."""

import importlib
from collections.abc import Iterator
from typing import Any, Protocol

NAMES = (
    "kernels",
    "processes",
    "losses",
    "compiled",
    "channels",
    "recurrent",
    "metrics",
    "layers",
    "op_calls",
    "graphs",
    "arrays",
    "tables",
    "commands",
)


class Disagreement(AssertionError):  # noqa: N818  # what was found, not what went wrong
    """A result that is not what it has to be."""


class Part(Protocol):
    """A module of this package."""

    CASES: int
    """How many make up a campaign of an hour."""

    def draw(self, rng: Any) -> Any:
        """A case."""

    def check(self, case: Any) -> None:
        """Raises `Disagreement`, or whatever else must not happen."""

    def smaller(self, case: Any) -> Iterator[Any]:
        """Simpler cases that may fail for the same reason."""

    def program(self, case: Any) -> str:
        """A program that shows what is wrong."""


def named(name: str) -> Any:
    if name not in NAMES:
        raise ValueError(f"Expected a part: {', '.join(NAMES)}. Received: {name!r}")
    return importlib.import_module(f"campaign.parts.{name}")
