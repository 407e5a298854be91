"""The pages that scripts print are what the scripts print."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from masklstm._core import library

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the tests run away from the source tree")


def printed(name):
    process = subprocess.run(
        [sys.executable, DOCS / "scripts" / name], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout


def test_why():
    page = printed("why.py")
    assert page == (DOCS / "why.md").read_text(), "run `make docs`"
    assert page.count("| the code above |") == 9


@pytest.mark.skipif(not library.build["xla"], reason="built without XLA")
def test_xla():
    """But for the program, whose details are the machine's."""
    page, committed = printed("xla.py").split("```"), (DOCS / "xla.md").read_text().split("```")
    assert page[::2] == committed[::2], "run `make docs`"
    assert " reduce(" in page[1]


def with_examples():
    """A `>>>` within a line is quoted; an example begins with it."""
    example = re.compile(r"^ *>>> ", re.MULTILINE)
    return [page.name for page in sorted(DOCS.glob("*.md")) if example.search(page.read_text())]


@pytest.mark.parametrize("page", with_examples())
def test_examples_on_pages_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where examples write their files
    path = str(DOCS / page)
    failed, attempted = doctest.testfile(path, module_relative=False, encoding="utf-8")
    assert failed == 0
    assert attempted > 0


def test_reliability():
    assert printed("reliability.py") == (DOCS / "reliability.md").read_text(), (
        "run `python docs/scripts/reliability.py > docs/reliability.md`"
    )
