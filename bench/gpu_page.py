"""docs/gpu.md, of bench/results/gpu.json as `python -m bench.gpu` left it."""

from typing import Any

from bench import gpu, measure, tables

OTHERS = ("PyTorch", "torch.compile", "CuPy")
Result = dict[str, Any]


def page(result: Result) -> str:
    machine = result["machine"]
    card, _, driver = machine["gpu"].partition(", ")
    plain, general = (
        [e for e in result["experiments"] if (e["form"] == gpu.PLAIN) == is_plain]
        for is_plain in (True, False)
    )
    return f"""# The CUDA kernels, measured

{card}, driver {driver}, commit {machine["commit"]}; `python -m bench.gpu`, squared error,
{gpu.MISSING_SHARE:.0%} of the labels missing, {result["rounds"]} rounds, in each of which every
candidate ran once, in random order. "Share of copy" is what the kernel reads and writes per second
over what a copy within GPU memory does: 1 is as fast as memory goes. The other columns say how many
times as long as masklstm the others take: above 1 masklstm is faster. Wrong results would be void.

## A mean without weights and mask

Labels and predictions of one type are read 16 bytes at a time. Below 2^24 elements, which are not
in this table, a call is mostly launches.

{_table(plain)}

## With weights, and by rows of {gpu.ROW_SIZE}

With weights, a mask, rows or labels of another type, a few elements are read at a time, and the
shapes of weights and mask are examined while the kernel runs:

{_table(general)}

Losses of several predictions have kernels that were tested there and not timed; the formulas of
Gaussian and Laplace distributions and of mixtures were changed afterwards, and have run in the
emulator alone.
`bench/results/gpu-check.txt` has the results of the kernels' tests on that GPU and those of
compute-sanitizer. What a training step gains there was not measured.
"""


def _table(experiments: list[Result]) -> str:
    rows = []
    for each in experiments:
        of_others = {
            entry["provider"]: f"{measure.ratio(each, number, 0).median:.2f}"
            for number, entry in enumerate(each["entries"])
            if number in each["columns"]
        }
        rows.append(
            [
                each["name"],
                f"{1e6 * measure.median_seconds(each)[0]:.1f}",
                f"{gpu.gigabytes_per_second(each):.0f}",
                f"{gpu.share_of_copy(each).median:.2f}",
                *(of_others.get(name, "") for name in OTHERS),
            ]
        )
    return tables.markdown(["", "µs", "GB/s", "share of copy", *OTHERS], rows)
