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
    low, middle, high = min(milliseconds), statistics.median(milliseconds), max(milliseconds)
    print(f"import masklstm after tensorflow: median {middle:.0f} ms ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()
