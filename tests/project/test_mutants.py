"""scripts/mutants.py changes what it says, and a test that fails is seen."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
pytest.importorskip("mutants", reason="the tests run away from the source tree")

import mutants
from mutation import cpp_rules, few_cases, python_rules, trial
from mutation.mutant import TIMEOUT
from mutation.selection import Coverage, lines_of_statement, lines_that_depend
from mutation.trial import KILLED, SURVIVED, Worker

ROOT = Path(__file__).parents[2]


def changed(rules, text):
    return {mutant.changed(text) for mutant in rules.mutants("file", text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b", {"a <= b"}),
        ("a is not None", {"a is None"}),
        ("x = a + 1", {"x = a - 1", "x = a + 2"}),
        ("x = 'a' + 'b' + str(c)", {"x = 'a' + 'b' - str(c)"}),
        ("return_ = not a", {"return_ = bool(a)"}),
        ("if a and b: c = 7", {
            "if a or b: c = 7",
            "if (not (a and b)): c = 7",
            "if a and b: c = 8",
        }),
        ("if a:\n    f()", {"if (not (a)):\n    f()", "if a:\n    pass"}),
        ("def f(x: int = 3) -> int: return x", {
            "def f(x: int = 4) -> int: return x",
            "def f(x: int = 3) -> int: return None",
        }),
        ("y = tf.where(m, a, b)", {"y = tf.where(m, b, a)"}),
        ("'''Text: 1 < 2.'''", set()),
        ("x: Literal[1]", set()),
        ("raise ValueError(f'{1 + 1}')", {"pass"}),
    ],
)  # fmt: skip
def test_rules_of_python(text, expected):
    assert changed(python_rules, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  x = a < b;", {"  x = a <= b;", "  ;"}),
        ("template <typename T> f(const T* a, T&& b) {", set()),
        ("return Select(IsNaN(a), b(1), c);", {
            "return Select(IsInf(a), b(1), c);",
            "return Select(IsNaN(a), b(2), c);",
            "return Select(IsNaN(a), c, b(1));",
        }),
        ("if (a && !b) return;  // 1 < 2", {
            "if (a || !b) return;  // 1 < 2",
            "if (a && b) return;  // 1 < 2",
            "if (!(a && !b)) return;  // 1 < 2",
        }),
        ('Error("1 < 2", x2, 0.5);', {'Error("1 < 2", x2, 1.0);'}),
        ('doc = R"doc(\n>>> f(1) // "2 < 3\n)doc", 4;', {
            'doc = R"doc(\n>>> f(1) // "2 < 3\n)doc", 5;',
        }),
        ("#define A 1 < 2", set()),
        ("static_assert(1 < 2);", set()),
    ],
)  # fmt: skip
def test_rules_of_cpp(text, expected):
    assert changed(cpp_rules, text) == expected


def test_every_mutant_of_the_package_is_python():
    for mutant in mutants.all_mutants(["masklstm/losses", "masklstm/_core/backend"]):
        text = (ROOT / mutant.file).read_text()
        compile(mutant.changed(text), mutant.file, "exec")
        assert mutant.shown(ROOT).startswith(f"{mutant.file}:{mutant.line(text)} (")


def test_a_sample_is_the_seed_s(monkeypatch, capsys):
    lists = []
    for seed in ("1", "1", "2"):
        monkeypatch.setattr(sys, "argv", ["mutants.py", "--list", "--sample", "5", "--seed", seed])
        assert mutants.main() == 0
        lists.append(capsys.readouterr().out)
    assert lists[0] == lists[1] != lists[2]


class FakeTree:
    def __init__(self, path):
        self.path = path

    mutated = trial.Tree.mutated

    def environment(self):
        return trial.Tree.environment(self)


class FakeCoverage:
    def tests(self, file, first, last, seconds):
        return ["test_half.py"]


def test_a_test_that_fails_kills(tmp_path):
    """And one that waits for ever; one that passes does not."""
    text = "def half(x):\n    y = 7\n    while x > 100: x -= 1\n    return x / 2\n"
    (tmp_path / "test_half.py").write_text(
        "from code_of_test import half\ndef test_half(): assert half(6) == 3 and half(102) == 50\n"
    )
    (tmp_path / "code_of_test.py").write_text(text)
    worker = Worker(FakeTree(tmp_path), FakeCoverage(), [0.1, 0.2], patience=8.0)
    found = {}
    for mutant in python_rules.mutants("code_of_test.py", text):
        if mutant.replacement in ("*", "+", "8", "return None"):
            found[mutant.replacement] = worker.tried(mutant)
            assert (tmp_path / "code_of_test.py").read_text() == text
    worker.close()
    assert found["*"].by == found["return None"].by == "test_half.py::test_half"
    assert found["+"].by == TIMEOUT
    assert found["8"].status == SURVIVED  # nobody reads y
    assert {outcome.status for outcome in found.values()} == {KILLED, SURVIVED}


class Item:
    def __init__(self, nodeid):
        self.nodeid = nodeid


def test_a_few_cases_of_each_function():
    items = [Item(f"file::one[{number}]") for number in range(1000)]
    items += [Item(f"file::two[{number}]") for number in range(3)] + [Item("file::three")]
    deselected = []

    class Config:
        class hook:  # noqa: N801
            @staticmethod
            def pytest_deselected(items):
                deselected.extend(items)

    every = list(items)
    few_cases.pytest_collection_modifyitems(Config, items)
    names = [item.nodeid for item in items]
    assert {f"file::one[{n}]" for n in range(0, 1000, 100)} < set(names)
    assert len(names) == few_cases.MOST_CASES + 4
    assert names[few_cases.MOST_CASES :] == [item.nodeid for item in every[1000:]]
    assert set(items) | set(deselected) == set(every)


def test_a_few_cases_have_every_word():
    losses, types = [f"loss{n}" for n in range(20)], ["half", "float", "double"]
    names = [f"file::one[{loss}-{type}-{n}]" for loss in losses for type in types for n in (1, 2)]
    few = few_cases.few_of(names)
    assert len(set(few)) == len(few) == 20
    for word in [*losses, *types]:
        assert any(word in name for name in few)


def test_lines_that_are_run_at_import_have_those_that_depend_on_them():
    text = """LIMITS = [
    1,
]
class A:
    limit: int = 3
    @decorated
    def f(
        self, x=2
    ):
        x += self.limit
        return x
def g():
    return LIMITS
"""
    depending = {2: {1, 13}, 5: {5, 10}, 6: {10, 11}, 8: {10, 11}, 10: set(), 13: set()}
    assert {line: lines_that_depend(text, line) for line in depending} == depending


def test_lines_of_one_statement():
    text = """def f():
    for a in (
        1,
        2,
    ):
        g(
            a
        )
"""
    loop, call = {2, 3, 4, 5}, {6, 7, 8}
    assert [lines_of_statement(text, line) for line in (1, 3, 5, 7)] == [set(), loop, loop, call]


def test_tests_of_files_take_turns():
    coverage = Coverage.__new__(Coverage)
    coverage.seconds = {"b::x[1]": 1.0, "b::x[2]": 1.0, "a::y": 1.0, "b::z": 1.0, "c::w": 1.0}
    assert coverage.of_files(["a", "b"], 100.0) == ["a::y", "b::x[1]", "b::z", "b::x[2]"]
    assert coverage.of_files(["a", "b"], 2.5) == ["a::y", "b::x[1]"]
