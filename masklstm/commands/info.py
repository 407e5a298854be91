"""`masklstm info`: what was built and what runs here."""

import argparse

from masklstm._core.terminal import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what was built and what runs here."


def run(_: argparse.Namespace) -> int:
    import masklstm

    summary = masklstm.build_summary()
    width = max(len(name) for name in summary)
    for name, value in summary.items():
        say(f"{name.replace('_', ' '):{width}}  {value}")
    return 0
