"""Prints docs/reliability.md from docs/campaign.jsonl: python docs/scripts/reliability.py"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "docs" / "campaign.jsonl"
SANITIZERS = ROOT / "docs" / "sanitizers.jsonl"
MUTANTS = ROOT / "docs" / "mutants.jsonl"
# What each part tries, and what it compares with.
PARTS = {
    "kernels": (
        "`masklstm.kernels`, element losses: labels of 13 types, predictions of 4, any shape, "
        "alignment, gaps, weights, mask, parameters, reduction, number of threads; value, "
        "gradient, sums and count",
        "NumPy and SciPy, float64",
    ),
    "processes": (
        "the same while four threads call at once, after a fork, in a thread's fork, and under "
        "10,000 signals a second",
        "the bits of an undisturbed call",
    ),
    "losses": (
        "the same through `masklstm.ops` in TensorFlow, with `balance`; value and gradient",
        "NumPy and SciPy, float64",
    ),
    "compiled": (
        "the cases of `losses` in graphs whose shapes are known or not, and compiled by XLA",
        "NumPy and SciPy, float64",
    ),
    "channels": (
        "losses of several predictions: likelihoods, mixtures, quantile sets, CRPS; value and "
        "slopes",
        "SciPy's densities, and their differences",
    ),
    "recurrent": (
        "the native LSTM and GRU forwards and backwards: sizes, masks, options, both types",
        "the definition in NumPy, float64, step by step",
    ),
    "metrics": (
        "every metric over batches of any size",
        "the same at once; eleven of them NumPy",
    ),
    "layers": (
        "layers that fill, scale, mask and average: masks, times, padding, options; values, and "
        "gradients without NaN",
        "loops in NumPy, float64",
    ),
    "op_calls": (
        "each op with attributes, types and shapes of all kinds, past Python's checks",
        "no crash",
    ),
    "graphs": (
        "graphs of losses, gradients and layers whose attributes, inputs and constants were edited",
        "no crash",
    ),
    "arrays": (
        "NumPy arrays of 21 kinds: strided, read only, of other byte orders, subclasses, objects "
        "that claim to be arrays",
        "the numbers of a plain copy, or an error; nothing is written that must not be",
    ),
    "tables": (
        "CSV files: separators, decimals, encodings, comments, quotes, groups, missing rows",
        "what was written",
    ),
    "commands": (
        "`masklstm inspect` and `demo` on CSV files that are damaged, with arguments of all kinds",
        "status 0 or 2 and a message, no traceback; missing labels counted rightly",
    ),
}


FOUND = (
    "`masklstm inspect` and `read_table`: a `sep` that is no regular expression, and lines shorter "
    "than the first one, ended in a traceback; the times taken as the group asked for terabytes",
    "a `sep` with groups became columns of its own, or ended in a traceback",
    "`Normalization.inverse()` of a float64 layer gave back float32",
    'mutants: `data.split(by="group")` with few groups could leave the last part empty; '
    "`data.split(at=...)` with a single time ended in an error; a list of whole numbers with "
    "2^53 + 1 became 2^53; `Masked(Dice(axis=1))` ended in an error; decimal numbers in a Parquet "
    "file were no numbers; a mixture's component of weight 0 made its samples NaN; a loss read "
    "through the mask of a masked array of predictions; `MissingLabels` changed what `evaluate` "
    "reports of a model with a `test_step` of its own, and with Keras up to 3.12 a NaN of one "
    "evaluation became 0.0 after the next; a `sep` of several characters was answered by a warning "
    "of pandas'",
)
PROMISED = (
    "the numbers are those of the stated formula, within the stated units in the last place, for "
    "every loss, type, shape, weight, mask and mode",
    "what is missing contributes exactly nothing; a prediction that is NaN is never hidden",
    "whatever an op, a kernel, a command or a reader of files is given, it ends in a result or an "
    "error that says what was expected, and never in a crash",
    "threads, forks, signals, and the number of threads change no bit",
    "a file has its name once it is whole",
)


def rows(file: Path = RECORDS) -> list[dict[str, Any]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def of_sanitizers(runs: list[dict[str, Any]]) -> list[str]:
    """The last run of each with each instruction set."""
    last = {(run["sanitizer"], run["instruction_set"]): run for run in runs}
    lines = [
        "",
        "## Sanitizers",
        "",
        "`scripts/sanitize.sh` builds the CPU kernels with gcc's sanitizers, shows each a fault "
        "that it must see (`tests/sanitizers/canary.cc`), and runs `tests/kernels` and a share of "
        "the campaign with them.",
        "",
        "| sanitizer | instruction set | tests passed | cases of the campaign | reports | run |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for (sanitizer, instruction_set), run in sorted(last.items()):
        lines.append(
            f"| {sanitizer} | {instruction_set} | {run['passed']:,} | {run['cases']:,} | "
            f"{run['reports']} | {run['date']}, {run['commit']} |"
        )
    return lines


def of_mutants(runs: list[dict[str, Any]]) -> list[str]:
    """All runs together; the survivors with what is to be said of them."""
    lines = [
        "",
        "## Mutants",
        "",
        "`scripts/mutants.py` changes one operator, number, condition or statement of `csrc/` and "
        "`masklstm/` after the other, and asks whether a test notices. A mutant that does not "
        "compile, or that compiles to the same program, does not count.",
        "",
        "| place | mutants | killed | survived |",
        "| --- | ---: | ---: | ---: |",
    ]
    areas: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for run in runs:
        for area, (killed, survived) in run["areas"].items():
            areas[area][0] += killed
            areas[area][1] += survived
    for area, (killed, survived) in sorted(areas.items()):
        lines.append(f"| `{area}` | {killed + survived} | {killed} | {survived} |")
    killed, survived = (sum(counts) for counts in zip(*areas.values(), strict=True))
    survivors = [each for run in runs for each in run["survivors"]]
    same = [each for each in survivors if each.get("same")]
    others = [each for each in survivors if not each.get("same")]
    lines += [
        f"| all | {killed + survived} | {killed} ({killed / (killed + survived):.1%}) "
        f"| {survived} |",
        "",
        f"{sum(run['killed_at_first'] for run in runs)} were killed by a share of the tests that "
        "there were; the others were looked at one by one, and tried again by all tests of their "
        "folder and by new ones.",
        "",
        f"Of those that survived, {len(same)} are another way to say the same: no input tells them "
        "from the original, and no test can fail. The mutation score leaves such *equivalent "
        "mutants* out (Jia and Harman, An analysis and survey of the development of mutation "
        f"testing, 2011): {killed} of {killed + len(others)}, "
        f"**{killed / (killed + len(others)):.1%}**.",
    ]
    for title, listed in (("no test noticed", others), ("equivalent", same)):
        lines += ["", f"| {title} | change | why |", "| --- | --- | --- |"]
        for each in listed:
            before, after = (f"`{text.replace('|', chr(92) + '|')}`" for text in each["change"])
            lines.append(f"| `{each['place']}` | {before} became {after} | {each['why']} |")
    return lines


def page(records: list[dict[str, Any]]) -> str:
    by_part: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_part[record["part"]].append(record)
    total = sum(record["cases"] for record in records)
    wrong = sum(record["wrong"] + record["crashes"] for record in records)
    lines = [
        "# What was tried",
        "",
        "Printed by `python docs/scripts/reliability.py` from the committed runs of the campaign, "
        "[campaign.jsonl](campaign.jsonl), in which each run has its seed and commit. In all "
        f"{total:,} cases, of which {wrong:,} came out wrong or crashed; what a run found, the "
        "commits behind it mend.",
        "",
        "| part | what is tried | compared with | runs | cases | wrong | crashes |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, (what, oracle) in PARTS.items():
        runs = by_part.get(name, [])
        sums = [sum(run[key] for run in runs) for key in ("cases", "wrong", "crashes")]
        numbers = " | ".join(f"{number:,}" for number in sums)
        lines.append(f"| `{name}` | {what} | {oracle} | {len(runs)} | {numbers} |")
    if SANITIZERS.exists():
        lines += of_sanitizers(rows(SANITIZERS))
    if MUTANTS.exists():
        lines += of_mutants(rows(MUTANTS))
    lines += [
        "",
        "## What it found",
        "",
        "Mended, each with a test of its own:",
        "",
        *(f"- {each}" for each in FOUND),
        "",
        "## What is promised",
        "",
        "[contract.md](contract.md) has every promise with its tests, and the exceptions; "
        "`SECURITY.md`, beside the README, what counts as a vulnerability. In short:",
        "",
        *(f"- {each}" for each in PROMISED),
        "",
        "## How to repeat it",
        "",
        "```",
        "make campaign                                     an hour on two cores; CASES=10 for more",
        "cd tests && python -m campaign losses --seed 7     one part, with a seed of your own",
        "cd tests && python -m campaign losses --seed 7 --case 12    one case, as a program",
        "scripts/sanitize.sh asan                          or ubsan, tsan",
        "python scripts/mutants.py --sample 300             the survivors are printed",
        "```",
        "",
        "A case is drawn from its part, a seed and its number alone. Cases run in processes of "
        "their own, so that a crash is found and named; a failure is made smaller, and printed as "
        "a program. The oracle (`tests/campaign/oracle.py`) shares no code with the kernels nor "
        "with `masklstm.reference`. What is promised stands in [contract.md](contract.md).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page(rows()))
