"""Every sentence of docs/contract.md names the tests that hold it, and they exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONTRACT = TESTS.parent / "docs" / "contract.md"

pytestmark = pytest.mark.skipif(
    not CONTRACT.exists(), reason="the tests run away from the source tree"
)


def rows():
    """Pairs of a sentence and the text that names its tests."""
    is_table = False
    for line in CONTRACT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("| what holds | held by |"):
            is_table = True
        elif not line.startswith("|"):
            is_table = False
        elif is_table and not line.startswith("| ---"):
            yield cells[0], " ".join(cells[1:])


def test_every_sentence_has_a_test_that_exists():
    known = {
        f"{path.stem}::{node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    sentences = list(rows())
    assert len(sentences) > 30
    for sentence, held_by in sentences:
        named = re.findall(r"`(test_\w+::\w+)`", held_by)
        assert named or " yet" in sentence, sentence
        assert set(named) <= known, set(named) - known


def test_no_sentence_stands_outside_of_the_tables():
    """Save for the introduction and for what leads to a table."""
    text = CONTRACT.read_text()
    _, *sections = re.split(r"^## .*$", text, flags=re.MULTILINE)
    loose = [line for section in sections for line in section.splitlines() if line[:1].isalpha()]
    assert loose == [
        "With element loss l and weight w (1 when none is given), over the valid elements only:"
    ]
