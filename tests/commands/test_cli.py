"""The command `masklstm`, apart from what its commands do."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

import masklstm as package
from masklstm._core import library

COMMAND = "import sys, _masklstm_command; sys.exit(_masklstm_command.main())"


def masklstm(*arguments, program=COMMAND, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
    )


def test_info():
    process = masklstm("info")
    assert process.returncode == 0
    lines = dict(line.split(None, 1) for line in process.stdout.splitlines())
    assert lines["tensorflow"] == tf.__version__
    assert lines["backend"] == library.backend
    if library.backend == "native":
        cuda = library.build["cuda_version"] if library.build["cuda"] else "no"
        assert lines["cuda"].startswith(cuda)


def test_commands_print_nothing_of_tensorflow_s():
    """It has notes at its start, and more of them before its log level counts."""
    process = masklstm("inspect", PYTHONWARNINGS="ignore")
    assert process.returncode == 0
    assert process.stderr == ""


def test_tensorflow_s_notes_can_be_asked_for():
    process = masklstm("info", TF_CPP_MIN_LOG_LEVEL="0", PYTHONWARNINGS="ignore")
    assert process.returncode == 0
    assert process.stderr != ""


def test_native_notes_are_printed_with_an_exception():
    program = """
import os, _masklstm_command
for fails in (False, True):
    with _masklstm_command._native_notes_held_back():
        os.write(2, b"fails\\n" if fails else b"works\\n")
        if fails:
            raise ImportError("no TensorFlow")
"""
    process = masklstm(program=program)
    assert "works" not in process.stderr
    assert process.stderr.startswith("fails\n")
    assert process.stderr.endswith("ImportError: no TensorFlow\n")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), (), ("nonsense",)])
def test_what_needs_no_tensorflow_does_without(arguments):
    program = f"""
import sys, _masklstm_command
try:
    _masklstm_command.main({list(arguments)})
finally:
    assert not {{"tensorflow", "keras", "numpy", "masklstm"}} & set(sys.modules)
"""
    process = masklstm(program=program)
    assert "AssertionError" not in process.stderr
    assert process.returncode == (0 if "--" in str(arguments) else 2)


def test_help_names_the_commands():
    process = masklstm("--help")
    assert process.returncode == 0
    assert process.stderr == ""
    for name in ("demo", "inspect", "info"):
        assert name in process.stdout


def test_version():
    assert masklstm("--version").stdout == f"masklstm {package.__version__}\n"


def test_the_module_is_the_same_command():
    process = subprocess.run(
        [sys.executable, "-m", "masklstm", "--version"], capture_output=True, text=True
    )
    assert process.stdout == f"masklstm {package.__version__}\n"


def test_no_command_is_an_error():
    process = masklstm()
    assert process.returncode == 2
    assert "COMMAND" in process.stderr


def test_what_is_typed_cannot_control_the_terminal():
    process = masklstm("\x1b[31m")
    assert process.returncode == 2
    assert "\x1b" not in process.stderr
