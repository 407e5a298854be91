"""The command `masklstm`: one file or folder for each of its commands."""
