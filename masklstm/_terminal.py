"""What the commands print: one way for lines, and one for what the user can put right."""

import sys


def say(text: str) -> None:
    # A column's name or a unit may hold what the terminal cannot show.
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def complain(command: str, error: Exception) -> int:
    """Prints an error as one line; returns the exit status."""
    # A column's name may hold a line break.
    print(f"masklstm {command}: error:", " ".join(str(error).split()), file=sys.stderr)
    return 2
