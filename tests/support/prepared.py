"""Python processes that have imported TensorFlow and Keras already, which takes five seconds of a
processor each time: forks of one that waits. masklstm is what each of them imports itself.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
SECONDS = 600


class _Server:
    """The process that waits, begun when it is first needed."""

    process: subprocess.Popen[str] | None = None

    def answer(self, request: dict[str, Any]) -> int:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "support.prepared"],
                cwd=TESTS,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self.process.kill)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


_server = _Server()


def run(
    code: str, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `python -c code` would, with the arguments and the environment."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("stdout", "stderr")]
        request = {
            "code": code,
            "arguments": ["-c", *arguments],
            "environment": dict(os.environ if env is None else env),
            "folder": os.getcwd(),
            "files": files,
        }
        status = _server.answer(request)
        output, errors = (Path(file).read_text(errors="replace") for file in files)
    return subprocess.CompletedProcess(["python", "-c", code], status, output, errors)


def run_file(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As `python file` would, in the folder of the tests."""
    code = f"import runpy, sys; sys.path.insert(0, {str(TESTS)!r})\n"
    code += f"runpy.run_path({str(file)!r}, run_name='__main__')"
    return run(code, *arguments)


def _child(request: dict[str, Any]) -> int:
    signal.alarm(SECONDS)  # which ends it
    for number, file in enumerate(request["files"], start=1):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.path[0] = ""
    status = 0
    try:
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return status


def _serve() -> None:
    # What the forks find imported.
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_child(json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
