"""`python -m bench.import_time`: what `import masklstm` adds to `import tensorflow`."""

import statistics
import subprocess
import sys

CODE = """
import time, tensorflow
begin = time.perf_counter()
import masklstm
print(time.perf_counter() - begin)
"""


def main() -> None:
    milliseconds = []
    for _ in range(7):
        process = subprocess.run(
            [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
        )
        milliseconds.append(1e3 * float(process.stdout))
    print(
        f"import masklstm after import tensorflow: median {statistics.median(milliseconds):.0f} ms, "
        f"{min(milliseconds):.0f} to {max(milliseconds):.0f} ms"
    )


if __name__ == "__main__":
    main()
