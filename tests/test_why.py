import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.skipif(not DOCS.exists(), reason="the tests run away from the source tree")
def test_the_page_is_what_the_script_prints():
    process = subprocess.run([sys.executable, DOCS / "why.py"], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout == (DOCS / "why.md").read_text(), "run `make docs`"
    assert process.stdout.count("| the code above |") == 9
