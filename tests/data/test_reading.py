"""`masklstm.data.read_table`: files that are easily misread, each right, warned of or refused."""

import datetime
import gzip
import re
import sys
import warnings
from decimal import Decimal

import numpy as np
import pytest

from masklstm import data
from masklstm.data import reading

from . import traps

pandas = pytest.importorskip("pandas")
TIMES = np.array([traps.hour(k) for k in range(traps.HOURS)], "M8[h]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traps")
    traps.write_all(folder)
    return folder


def read(path, capsys=None, **options):
    """The table, what was printed, and the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = data.read_table(path, **options)
    said = capsys.readouterr().out if capsys else ""
    return table, said, [str(warning.message) for warning in caught]


# For each file how pandas reads it rightly, what is said, and what is warned of.
RIGHT = {
    "plain.csv": ({}, "every 1 hour", []),
    "holes.csv": ({}, "200 steps without a row: missing", []),
    "twice.csv": ({}, "", [r"200 rows with the time of another one.*duplicates=.*group="]),
    "shuffled.csv": ({}, "", [r"not in the order of 'time'.*table.sort_values\('time'\)"]),
    "irregular.csv": ({}, "", [r"1 of 1,000 rows between the steps.*step='1min'"]),
    "stations.csv": ({}, "", ["several series in one table.*group='station'"]),
    "sentinel.csv": ({}, "", [r"'y' holds -999 100 times.*missing=-999"]),
    "two_sentinels.csv": ({}, "", ["missing=-999", "missing=9999"]),
    "german.csv": ({"sep": ";", "decimal": ","}, "semicolon; decimal comma", []),
    "thousands.csv": (
        {"sep": ";", "decimal": ",", "thousands": "."},
        "a point between thousands",
        [],
    ),
    "tab.tsv": ({"sep": "\t"}, "separated by tab", []),
    "bar.csv": ({"sep": "|"}, "separated by bar", []),
    "blanks.txt": ({"sep": r"\s+"}, "separated by blanks", []),
    "comment.csv": ({"skiprows": 2}, "2 lines before the header left out", []),
    "units.csv": ({"skiprows": [1]}, "line 2 left out, as units: , m3/s", []),
    "dot.csv": ({"na_values": ["."]}, "every 1 hour", []),
    "infinite.csv": ({}, "", []),
    "text.csv": ({}, "", [r"'y' is text.*'<0.5' in line 9.*missing='<0.5'"]),
    # The first row is one of the data, not of units.
    "first_text.csv": ({}, "", [r"'y' is text.*'<0.5' in line 2"]),
    "quoted.csv": ({}, "every 1 hour", []),
    "utf16.csv": ({"encoding": "utf-16"}, "encoded in utf-16", []),
    "bom.csv": ({}, "every 1 hour", []),
    "windows.csv": ({}, "every 1 hour", []),
    "packed.csv.gz": ({}, "every 1 hour", []),
}


@pytest.mark.parametrize("name", RIGHT)
def test_as_pandas_reads_it_with_the_right_options(name, folder, capsys):
    options, said, warned = RIGHT[name]
    table, printed, messages = read(folder / name, capsys)
    expected = pandas.read_csv(folder / name, **options)
    if "time" in expected:
        expected["time"] = pandas.to_datetime(expected["time"], format="ISO8601")
    pandas.testing.assert_frame_equal(table, expected, check_dtype=False)
    assert said in printed
    assert len(messages) == len(warned), messages
    for message, words in zip(messages, warned, strict=True):
        assert re.search(words, message)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latin.csv", r"no text in utf-8.*encoding='latin-1'.*line 1"),
        ("ambiguous.csv", r"day and month could be exchanged.*dayfirst=True.*'02/03/2020'.*line 2"),
        ("short.csv", r"2 cells in every line.*sep=.*1 in line 9"),
        ("long.csv", r"2 cells in every line.*sep=.*3 in line 9"),
        ("no_header.csv", r"no header.*1, 2 in line 1"),
        ("same_names.csv", r"more than once in line 1: 'y'"),
        ("not_a_time.csv", r"'time' holds what is no time.*'soon' in line 9"),
        ("empty.csv", "no table"),
        ("damaged.csv.gz", "damaged"),
        ("table.xlsx", r"pandas.read_excel"),
    ],
)
def test_refused(name, words, folder):
    options = {"time": "time"} if name == "not_a_time.csv" else {}
    with pytest.raises(ValueError, match=words):
        data.read_table(folder / name, **options)


@pytest.mark.parametrize("sep", ["((", "*[", "\n", r"(\|)|(x)", r"(\|)"])
def test_a_separator_that_is_none(sep, folder):
    with pytest.raises(ValueError, match=r"a regular expression .* sep="):
        data.read_table(folder / "bar.csv", sep=sep)


def test_a_text_of_another_encoding_has_lines_of_any_length(folder, tmp_path):
    file = tmp_path / "utf16.csv"
    file.write_bytes("time|flow\n".encode("utf-16") + "2020-01-01|1\n".encode("utf-16-le") * 4)
    with pytest.raises(ValueError, match="no table"):
        data.read_table(file, encoding="latin-1")


@pytest.mark.parametrize(
    ("name", "options", "missing"),
    [
        ("sentinel.csv", {"missing": -999}, range(300, 400)),
        ("two_sentinels.csv", {"missing": [-999, 9999]}, [*range(300, 400), *range(500, 510)]),
        (
            "two_sentinels.csv",
            {"missing": ["-999.00", 9999.0]},
            [*range(300, 400), *range(500, 510)],
        ),
        ("text.csv", {"missing": "<0.5"}, [7]),
    ],
)
def test_what_means_missing(name, options, missing, folder):
    table, _, messages = read(folder / name, **options)
    assert not messages
    assert np.flatnonzero(np.isnan(table["y"])).tolist() == list(missing)


def test_what_was_warned_of_is_mended_by_the_option_that_was_named(folder):
    table, _, messages = read(folder / "stations.csv", group="station")
    assert not messages
    assert table.groupby("station").size().tolist() == [1000] * 3
    table, _, messages = read(folder / "latin.csv", encoding="latin-1")
    assert not messages
    assert table.columns.tolist() == ["time", "größe"]
    for dayfirst, month in ((True, 3), (False, 2)):
        table, _, _ = read(folder / "ambiguous.csv", dayfirst=dayfirst)
        assert table["time"].dt.month[0] == month
    table = read(folder / "twice.csv")[0]
    found = data.windows(table, "y", "y", 10, time="time", duplicates="mean")
    assert len(found.labels()) == 990


def test_the_name_of_a_group_is_never_missing(folder):
    table, _, messages = read(folder / "namibia.csv", group="station")
    assert not messages
    assert table["station"].unique().tolist() == ["NA", "B", "C"]


def test_a_group_of_digits_keeps_its_zeros(tmp_path):
    file = tmp_path / "basins.csv"
    file.write_text("basin,y\n01013500,1\n01013500,2\n02,3\n")
    assert read(file, group="basin")[0]["basin"].tolist() == ["01013500", "01013500", "02"]


def test_dates_are_read_but_for_those_that_name_groups(tmp_path):
    path = tmp_path / "a.csv"
    rows = "".join(f"2020-01-0{k},2020-01-0{1 + k // 4},2019-05-0{k}\n" for k in range(1, 8))
    path.write_text("time,run,installed\n" + rows)
    table = data.read_table(path, time="time", group="run", verbose=False)
    assert table["installed"].dtype.kind == table["time"].dtype.kind == "M"
    assert table["installed"][6] == pandas.Timestamp("2019-05-07")
    assert table["run"].tolist() == ["2020-01-01"] * 3 + ["2020-01-02"] * 4


def test_the_column_with_the_fewest_values_tells_series_apart(tmp_path):
    path = tmp_path / "a.csv"
    rows = [
        f"2020-01-{day:02},{place}-{sensor},{place},{day / 7:.3f}\n"
        for place in ("Ems", "Oder")
        for day in range(1, 25)
        for sensor in [day % 2]
    ]
    path.write_text("time,gauge,river,flow\n" + "".join(rows))
    _, _, texts = read(path, verbose=False)
    assert "Name their column: group='river'" in "".join(texts)


@pytest.mark.parametrize(
    ("sep", "mark"),
    [(r"\|", "|"), ("::", "::"), (" *; *", " ;"), (r"\s+", "  "), ("¦", "¦"), ("[,¦]", "¦")],
)
def test_separators_that_are_more_than_a_character(sep, mark, tmp_path):
    """And nothing is said of how pandas reads them."""
    path = tmp_path / "a.txt"
    path.write_text(f"time{mark}flow\n2020-01-01{mark}1.5\n2020-01-02{mark}2.5\n", "utf-8")
    table, _, texts = read(path, sep=sep, verbose=False)
    assert table["flow"].tolist() == [1.5, 2.5]
    assert table["time"].dtype.kind == "M"
    assert texts == []


class TestTimes:
    def test_of_several_columns(self, folder, capsys):
        for time in (None, ["year", "month", "day", "hour"]):
            table, said, _ = read(folder / "parts.csv", capsys, time=time)
            np.testing.assert_array_equal(table["time"], TIMES)
            assert "times made of year, month, day, hour" in said

    def test_the_day_first_where_only_that_can_be(self, folder, capsys):
        table, said, _ = read(folder / "dayfirst.csv", capsys)
        assert table["time"].dt.day.tolist() == list(range(1, 29))
        assert "dates with the day before month" in said

    def test_the_order_in_which_they_rise(self, tmp_path, capsys):
        file = tmp_path / "rising.csv"
        file.write_text("time,y\n" + "".join(f"{k:02}/01/2020,1\n" for k in range(1, 13)))
        # Twelve days of January, or the first days of twelve months: both rise.
        with pytest.raises(ValueError, match="dayfirst"):
            read(file)
        file.write_text(
            "time,y\n" + "".join(f"{d:02}/{m:02}/2020,1\n" for m in (1, 2) for d in range(1, 13))
        )
        table, said, _ = read(file, capsys)
        assert "day before month" in said
        assert table["time"].dt.month.tolist() == [1] * 12 + [2] * 12

    def test_summer_time_becomes_utc(self, tmp_path):
        file = tmp_path / "zones.csv"
        file.write_text(
            "time,y\n2020-03-29T01:00+01:00,1\n2020-03-29T03:00+02:00,2\n2020-03-29T04:00+02:00,3\n"
        )
        table, _, messages = read(file)
        assert not messages
        assert table["time"].dt.hour.tolist() == [0, 1, 2]

    def test_numbers_stay_numbers(self, tmp_path, capsys):
        file = tmp_path / "seconds.csv"
        file.write_text("s,y\n0,1\n10,2\n20,3\n")
        table, said, _ = read(file, capsys, time="s")
        assert table["s"].tolist() == [0, 10, 20]
        assert "every 10" in said


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "latin-1", "cp1252", "ascii"])
def test_a_given_encoding(encoding, folder):
    assert len(read(folder / "plain.csv", encoding=encoding)[0]) == traps.HOURS


def test_an_unknown_encoding(folder):
    with pytest.raises(ValueError, match="encoding='klingon'"):
        data.read_table(folder / "plain.csv", encoding="klingon")


def test_text_far_below_numbers_is_text_as_a_whole(tmp_path):
    file = tmp_path / "long.csv"
    file.write_text("a,b\n" + "1,2\n" * 300_000 + "x,2\n")
    table, _, messages = read(file)
    assert re.search(
        r"'a' is text.*'x' in line 300002|'a' is text.*'x' in line 300,002", messages[0]
    )
    assert set(map(type, table["a"])) == {str}


class TestColumns:
    def test_chosen(self, folder):
        table, _, _ = read(folder / "stations.csv", columns=["y"], group="station")
        assert table.columns.tolist() == ["station", "time", "y"]

    @pytest.mark.parametrize(
        "options", [{"time": "x"}, {"group": "x"}, {"columns": ["x"]}], ids=str
    )
    def test_unknown(self, options, folder):
        with pytest.raises(ValueError, match=r"one of: .*time, y. Received: 'x'"):
            data.read_table(folder / "plain.csv", **options)


def test_an_empty_line_of_one_column_is_a_missing_value(tmp_path):
    file = tmp_path / "one.csv"
    file.write_text("y\n1\n\n3\n")
    np.testing.assert_array_equal(read(file)[0]["y"], [1, np.nan, 3])


def test_a_header_alone(tmp_path):
    file = tmp_path / "header.csv"
    file.write_text("time,y\n")
    table, _, _ = read(file)
    assert table.shape == (0, 2)


def test_parquet(folder, tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    table = read(folder / "plain.csv")[0]
    table.to_parquet(tmp_path / "plain.parquet")
    pandas.testing.assert_frame_equal(read(tmp_path / "plain.parquet")[0], table)


def test_types_that_only_parquet_has(tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    table = pandas.DataFrame(
        {
            "day": pandas.date_range("2020-01-01", periods=3),
            "price": [Decimal("1.5"), None, Decimal(2)],
            "count": pandas.array([1, None, 3], "Int64"),
            "since": [datetime.date(2019, 1, day) for day in (1, 2, 3)],
        }
    )
    table.to_parquet(tmp_path / "types.parquet")
    found, _, warned = read(tmp_path / "types.parquet")
    assert warned == []
    assert found["price"].dtype == "float64"
    np.testing.assert_array_equal(found["price"], [1.5, np.nan, 2])
    assert found["count"].sum() == 4
    assert found["since"].tolist() == table["since"].tolist()
    options = dict.fromkeys(("time", "group", "missing", "columns", "dayfirst"))
    assert reading.read(tmp_path / "types.parquet", **options).text_columns == {}


def test_groups_that_are_large_decimal_numbers_stay_apart(tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    ids = [Decimal(2**53), Decimal(2**53 + 1)]
    table = pandas.DataFrame({"t": [0, 0], "id": ids, "y": [1.0, 2.0]})
    table.to_parquet(tmp_path / "ids.parquet")
    found, _, warned = read(tmp_path / "ids.parquet", group="id", time="t")
    assert warned == []
    assert found["id"].tolist() == ids


@pytest.mark.parametrize(("odd", "numbers"), [("n.v.", "1,5 2,5 3,5"), ("c", "a b 1,5")])
def test_a_text_among_german_numbers(odd, numbers, tmp_path):
    file = tmp_path / "odd.csv"
    rows = [f"{day};{cell}" for day, cell in enumerate([*numbers.split(), odd], 1)]
    file.write_text("\n".join(["tag;wert", *rows]))
    warned = read(file, decimal=",")[2]
    expected = [] if odd == "c" else [f"missing={odd!r}"]
    assert [text.rpartition(": ")[2] for text in warned] == expected


def test_quiet(folder, capsys):
    read(folder / "german.csv", verbose=False)
    assert not capsys.readouterr().out


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        data.read_table(tmp_path / "none.csv")


def test_without_pandas(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"masklstm\[data\]"):
        data.read_table(folder / "plain.csv")


def test_gzip_by_its_first_bytes(folder, tmp_path):
    file = tmp_path / "packed.csv"
    file.write_bytes(gzip.compress((folder / "plain.csv").read_bytes()))
    assert len(read(file)[0]) == traps.HOURS


@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_lines_before_the_header(lines, tmp_path, capsys):
    file = tmp_path / "comments.csv"
    file.write_text("# a comment\n" * lines + "day,flow\n1,2\n2,3\n")
    table, said, warned = read(file, capsys)
    assert table.columns.tolist() == ["day", "flow"]
    assert table["flow"].tolist() == [2, 3]
    assert (f"{lines} line" in said) is (lines > 0)
    assert warned == []


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands", "numbers"),
    [
        ("1;2;3", False, False, [1, 2, 3]),
        ("1,5;2;3", True, False, [1.5, 2, 3]),
        ("1.5;2;3", False, False, [1.5, 2, 3]),
        ("1.250,5;2;3", True, True, [1250.5, 2, 3]),
    ],
)
def test_decimal_commas(cells, decimal, thousands, numbers, tmp_path, capsys):
    file = tmp_path / "numbers.csv"
    file.write_text(f"a;b;c\n{cells}\n{cells}\n")
    table, said, _ = read(file, capsys)
    assert table.iloc[0].tolist() == numbers
    assert ("decimal comma" in said) is decimal
    assert ("between thousands" in said) is thousands


@pytest.mark.parametrize("group", [None, "site"])
def test_rows_out_of_order(group, tmp_path):
    file = tmp_path / "shuffled.csv"
    days = [f"2020-01-0{day}" for day in (1, 3, 2, 4)]
    file.write_text("site,time,y\n" + "".join(f"A,{day},1\n" for day in days))
    options = {} if group is None else {"group": group}
    _, _, (text,) = read(file, **options)
    by = "'time'" if group is None else "['site', 'time']"
    assert f"table.sort_values({by})" in text


@pytest.mark.parametrize(
    ("rows", "units"),
    [
        (["m3/s;mm", "1;2", "3;4", "5;6"], True),
        (["m3/s;mm", "1;", "3;4", "5;6"], True),  # with a gap
        (["m3/s;mm", "1;", "3;4", ";6"], True),
        (["m3/s;mm", "1,5;2", "3,5;4", "5,5;6"], True),
        ([";mm", "1;2", "3;4", "5;6"], True),
        (["m3/s;", "1;2", "3;4", "5;6"], True),
        (["m3/s;7", "1;2", "3;4", "5;6"], False),  # a row like the others
        (["m3/s;mm", "1;2"], False),  # too few to tell
        (["m3/s;a", "1;a", "3;b", "5;a"], False),  # a text like those below
        (["m3/s;2020-01-01", "1;2020-01-02", "3;2020-01-03", "5;2020-01-04"], False),
        (["m3/s;day", "1;2020-01-02", "3;2020-01-03", "5;2020-01-04"], True),
        (["m3/s;text", "1;a", "3;b", "5;a"], True),
        ([";", "1;2", "3;4", "5;6"], False),  # a row of gaps
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_units_below_the_header(rows, units, tmp_path, capsys):
    file = tmp_path / "units.csv"
    file.write_text("\n".join(["flow;other", *rows, ""]))
    table, said, _ = read(file, capsys)
    assert ("left out, as units" in said) is units
    assert len(table) == len(rows) - units


@pytest.mark.parametrize("kind", ["numbers", "times", "truths"])
def test_columns_that_are_no_text(kind, tmp_path):
    cells = {"numbers": "1.5", "times": "2020-01-01", "truths": "True"}[kind]
    file = tmp_path / "table.csv"
    file.write_text(f"a,y\n{cells},1\n{cells},2\n{cells},3\n")
    _, _, warned = read(file)
    assert not any("is text" in text for text in warned)
