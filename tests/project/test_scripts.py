"""What is written inside of the shell scripts, where no other test looks."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / "Makefile"]
IMPORT = re.compile(r"from (masklstm[\w.]*) import (\w+)")

pytestmark = pytest.mark.skipif(not SCRIPTS[0].exists(), reason="the sources are not here")


def test_what_they_import_is_there():
    found = [pair for script in SCRIPTS for pair in IMPORT.findall(script.read_text())]
    assert found
    for module, name in found:
        package = importlib.import_module(module)
        assert hasattr(package, name) or importlib.import_module(f"{module}.{name}")


def test_the_tests_that_they_name_are_there():
    found = [
        path
        for script in SCRIPTS
        for path in re.findall(r"\btests/[\w/]+(?:\.(?:py|cc))?", script.read_text())
    ]
    assert found
    assert [path for path in found if not (ROOT / path).exists()] == []
