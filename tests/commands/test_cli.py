import subprocess
import sys

import tensorflow as tf

from masklstm._core import library


def masklstm(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "masklstm", *arguments], capture_output=True, text=True
    )


def test_info():
    process = masklstm("info")
    assert process.returncode == 0
    lines = dict(line.split(None, 1) for line in process.stdout.splitlines())
    assert lines["tensorflow"] == tf.__version__
    assert lines["backend"] == library.backend
    assert lines["cuda"].startswith(
        library.build["cuda_version"] if library.build["cuda"] else "no"
    )


def test_help_names_the_commands():
    process = masklstm("--help")
    assert process.returncode == 0
    assert "demo" in process.stdout
    assert "info" in process.stdout


def test_no_command_is_an_error():
    process = masklstm()
    assert process.returncode == 2
    assert "COMMAND" in process.stderr
