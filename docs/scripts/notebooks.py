"""Runs the notebooks of docs/notebooks and puts what they print and draw into them.

    python docs/scripts/notebooks.py [--check] [NAME ...]

With --check they are only run: it fails where a cell does.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(path: Path) -> Any:
    """The notebook with its outputs; fails where a cell does."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    # The same whoever runs it, as far as that can be.
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as quick_start")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not arguments.names or path.stem in arguments.names:
            print(path.stem, flush=True)
            notebook = run(path)
            if not arguments.check:
                nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
