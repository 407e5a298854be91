"""What a user of a command can put right."""


class CommandError(Exception):
    """What a user can put right; shown as one line, without a traceback."""
