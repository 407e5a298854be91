"""The command `masklstm`."""

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from masklstm._core.terminal import shown
from masklstm.commands import info
from masklstm.commands import inspect as inspection
from masklstm.commands.demo import command as demo


class _Parser(argparse.ArgumentParser):
    """Shows what was typed in one line, whatever it holds."""

    def error(self, message: str) -> NoReturn:
        super().error(shown(message))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _Parser(
        prog="masklstm",
        description="Keras losses for labels with gaps, on one fused TensorFlow op.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo_parser = commands.add_parser("demo", help="train an LSTM on real labels with gaps")
    demo.add_arguments(demo_parser)
    demo_parser.set_defaults(run=demo.run)

    inspect_parser = commands.add_parser("inspect", help="count missing labels, and draw the gaps")
    inspection.add_arguments(inspect_parser)
    inspect_parser.set_defaults(run=inspection.run)

    info_parser = commands.add_parser("info", help="say what was built and what runs here")
    info_parser.set_defaults(run=info.run)

    parsed = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up notes among our own lines
    return int(parsed.run(parsed))
