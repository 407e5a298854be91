"""The campaign finds what is wrong, and a few cases of each part of it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from campaign import __main__, oracle, parts, runner, shrinking
from gpu import formulas
from support.native import kernels

from masklstm._core import library

native = library.backend == "native"
PARTS = [
    pytest.param(
        name,
        marks=()
        if native or name in ("losses", "metrics", "layers", "tables", "commands")
        else pytest.mark.skip("masklstm is here without its native part"),
    )
    for name in parts.NAMES
]
FEW, FEWER = 25, 8


@pytest.mark.parametrize("name", PARTS)
def test_a_few_cases(name):
    part = parts.named(name)
    for number in range(FEWER if name == "processes" else FEW):  # which take longest
        case = runner.case_of(part, 0, number)
        error = shrinking.failure_of(part, case)
        assert error is None, f"{error}\n{part.program(case)}"


@pytest.mark.parametrize("name", PARTS)
def test_a_case_is_drawn_from_its_seed_alone(name):
    part = parts.named(name)
    one, again, other = (
        part.program(runner.case_of(part, *each)) for each in ((1, 2), (1, 2), (1, 3))
    )
    assert one == again != other
    compile(one, name, "exec")


def test_the_oracle_knows_every_loss():
    for loss, about in kernels.descriptions().items():
        assert callable(getattr(oracle, loss) if about["channels"] else formulas.LOSSES[loss].of)


class TestFindings:
    """A part that is wrong for some cases, and kills its process for others."""

    @pytest.fixture
    def part(self, monkeypatch):
        def check(case):
            if len(case["x"]) > 2 and case["x"].max() > 0.5:
                raise parts.Disagreement(f"the loss: {len(case['x'])}")

        made = SimpleNamespace(
            CASES=10,
            draw=lambda rng: {"x": rng.random(20), "option": 3},
            check=check,
            smaller=lambda case: [
                *shrinking.smaller_options(case, {"option": None}),
                *shrinking.smaller_arrays(case, ["x"]),
            ],
            program=lambda case: f"case = dict({shrinking.arguments(case)})",
        )
        monkeypatch.setitem(sys.modules, "campaign.parts.kernels", made)
        monkeypatch.setattr(parts, "kernels", made, raising=False)
        return made

    def test_a_failure_is_shrunk(self, part):
        case = runner.case_of(part, 0, 0)
        small = shrinking.shrunk(part, case)
        assert set(small) == {"x"}
        assert len(small["x"]) == 3
        assert shrinking.failure_of(part, small) == "Disagreement: the loss: 3"

    def test_failures_are_printed_as_programs(self, part, capsys):
        runner.chunk("kernels", 0, 0, 3)
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        assert len(lines) == 3
        assert "np.array([" in lines[0]


HOSTILE = """
import os, signal
from campaign.parts import *
CASES, MAY_CRASH = 10, True
def draw(rng): return int(rng.integers(2**30))
def check(case):
    from campaign import runner
    if case == runner.case_of(__import__(__name__, fromlist="x"), 7, 3):
        os.kill(os.getpid(), signal.SIGSEGV)
    if case == runner.case_of(__import__(__name__, fromlist="x"), 7, 5):
        raise Disagreement("wrong")
def smaller(case): return []
def program(case): return f"print({case})"
"""


def test_a_crash_is_a_finding(tmp_path, monkeypatch):
    """The case is named, the others are tried all the same."""
    folder = tmp_path / "campaign_of_tests"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import sys, types\nfrom campaign import parts\n"
        f"module = types.ModuleType('campaign.parts.tables')\n"
        f"sys.modules['campaign.parts.tables'] = module\nexec({HOSTILE!r}, vars(module))\n"
    )
    path = f"{folder}:{runner.TESTS}"
    monkeypatch.setenv("PYTHONPATH", path)
    result = runner.run("tables", 7, 8, 2, lambda done: None)
    assert result.cases == 8
    assert [crash["case"] for crash in result.crashes] == [3]
    assert result.crashes[0]["error"] == "SIGSEGV"
    assert "Segmentation fault" in result.crashes[0]["output"]
    assert [failure["case"] for failure in result.failures] == [5]
    assert not result.is_clean


def test_one_case_by_its_number(capsys):
    assert __main__.main(["tables", "--seed", "1", "--case", "2"]) == 0
    printed = capsys.readouterr().out
    assert "tables.check(case)" in printed
    assert "nothing is wrong" in printed


def test_numbers_as_they_stand_in_a_program():
    for array in (
        np.array([[1.5, np.nan], [np.inf, -0.0]], "float32"),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.array(7),
    ):
        again = eval(shrinking.written(array), {"np": np})
        np.testing.assert_array_equal(again, array)
        assert again.dtype == array.dtype
