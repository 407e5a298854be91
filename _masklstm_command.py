"""The command `masklstm`.

It stands beside the package, whose import loads TensorFlow: the help and the version are there at
once, and a command can tell TensorFlow to keep its start-up notes to itself.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn

# For each command its module, which has `add_arguments` and `run`, and what it does.
COMMANDS = {
    "demo": ("masklstm.commands.demo.command", "train an LSTM on real labels with gaps"),
    "inspect": ("masklstm.commands.inspect", "count missing labels, and draw the gaps"),
    "info": ("masklstm.commands.info", "say what was built and what runs here"),
}


class _Parser(argparse.ArgumentParser):
    """Shows what was typed in one line, whatever it holds."""

    def error(self, message: str) -> NoReturn:
        escaped = (c if c.isprintable() else ascii(c)[1:-1] for c in message)
        super().error("".join(escaped))


def load_tensorflow() -> None:
    """Without its start-up notes, unless TF_CPP_MIN_LOG_LEVEL asks for them."""
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ and os.environ["TF_CPP_MIN_LOG_LEVEL"] < "2":
        return
    # Level 3 leaves out even the errors that some builds log on machines without a GPU. What goes
    # wrong in earnest is an exception.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _native_notes_held_back():
        import tensorflow

        tensorflow.config.list_logical_devices()  # prints the last of them


@contextlib.contextmanager
def _native_notes_held_back() -> Iterator[None]:
    """What native code prints to the standard error is printed after an exception alone: versions
    of TensorFlow log before they look at their log level.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name; the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _Parser(
        prog="masklstm",
        description="Keras losses for labels with gaps, on one fused TensorFlow op.",
    )
    parser.add_argument("--version", action="version", version=f"masklstm {version('masklstm')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, description) in COMMANDS.items():
        command = commands.add_parser(name, help=description)
        if name in arguments:  # the modules of the others are not loaded
            load_tensorflow()
            loaded = import_module(module)
            loaded.add_arguments(command)
            command.set_defaults(run=loaded.run)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except KeyboardInterrupt:
        print(f"masklstm {parsed.command}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # as by `| head`; what Python would still print finds nobody, either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
