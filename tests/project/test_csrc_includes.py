"""The rooms of csrc/ include each other one way: a room only those below it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "csrc"
# From the ground floor up. Rooms of one floor know nothing of each other.
FLOORS = (("losses",), ("core",), ("cpu",), ("cuda", "recurrent"), ("tensorflow", "python"))
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

pytestmark = pytest.mark.skipif(not SOURCES.exists(), reason="the sources are not here")


def wrong_includes(room, text):
    """What a file of the room includes although it must not."""
    wrong = []
    for path in re.findall(r'^\s*#\s*include\s*["<](csrc/[^">]*)[">]', text, re.MULTILINE):
        included = path.split("/")[1]
        is_below = included in FLOOR and FLOOR[included] < FLOOR[room]
        if included != room and not is_below:
            wrong.append(path)
    return wrong


def sources():
    return [file for file in SOURCES.rglob("*") if file.suffix in (".h", ".cc", ".cu")]


def test_every_file_is_in_a_room():
    assert {file.relative_to(SOURCES).parts[0] for file in SOURCES.rglob("*.*")} == set(FLOOR)
    assert all(len(file.relative_to(SOURCES).parts) == 2 for file in sources())


@pytest.mark.parametrize("room", FLOOR)
def test_includes_go_one_way(room):
    files = [file for file in sources() if file.parent.name == room]
    assert files
    assert {str(f): wrong for f in files if (wrong := wrong_includes(room, f.read_text()))} == {}


def test_every_included_file_exists():
    for file in sources():
        for path in re.findall(r'#include "(csrc/[^"]*)"', file.read_text()):
            assert (ROOT / path).exists(), f"{file} includes {path}"


def test_includes_of_the_project_start_at_csrc():
    """Else the check of their direction would not see them."""
    for file in sources():
        for path in re.findall(r'#include "([^"]*)"', file.read_text()):
            assert path.startswith(("csrc/", "absl/", "tensorflow/", "xla/")), f"{file}: {path}"
            assert not (file.parent / path).exists(), f"{file}: {path}"


@pytest.mark.parametrize(
    ("room", "path"),
    [
        ("losses", "csrc/core/masked_loss.h"),
        ("core", "csrc/cpu/simd.h"),
        ("cpu", "csrc/cuda/dispatch.h"),
        ("cuda", "csrc/tensorflow/arguments.h"),
        ("python", "csrc/tensorflow/arguments.h"),
        ("tensorflow", "csrc/python/arguments.h"),
        ("python", "csrc/kernels/unknown_room.h"),
    ],
)
def test_a_wrong_include_is_noticed(room, path):
    text = f'#include <string>\n\n#include "csrc/losses/loss.h"\n#include "{path}"\n'
    assert wrong_includes(room, text) == [path]
    assert wrong_includes(room, f"  #  include <{path}>\n") == [path]
    assert wrong_includes(room, '#include "csrc/losses/loss.h"\n') == []
