"""Columns of all kinds as numbers, and rows as steps of time."""

import numpy as np
import pytest

from masklstm import data
from masklstm.data.tables import numbers_of

NAN = np.nan


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (np.ma.masked_array([1, 2, 3], mask=[False, True, False]), "float64"),
        (np.array([1, NAN, 3]), "float64"),
        (np.array([1, NAN, 3], "float32"), "float32"),
        (np.array([1, NAN, 3], "float16"), "float16"),
        (np.array([1, NAN, 3], np.longdouble), "float64"),
        ([1, NAN, 3], "float64"),
        (np.array([1, None, 3], object), "float64"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_a_column(column, dtype):
    found = numbers_of(column, "y")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [1, NAN, 3])
    np.testing.assert_array_equal(numbers_of(column, "y", slice(1, 3)), [NAN, 3])


@pytest.mark.parametrize("column", [np.array([True, False]), np.array([1, 0], "int8"), [1, 0]])
def test_whole_numbers_and_truths_are_numbers(column):
    assert numbers_of(column, "y").tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "column", [["a", "b"], np.array(["2020", "2021"], "M8[D]"), [1j, 2], [[1], [1, 2]]], ids=str
)
def test_what_holds_no_numbers(column):
    with pytest.raises(ValueError, match="column 'y' to hold numbers"):
        numbers_of(column, "y")


def test_where_an_infinite_value_is():
    with pytest.raises(ValueError, match="an infinite value in row 7"):
        numbers_of(np.array([0.0] * 7 + [np.inf]), "y", slice(5, None))


def test_negative_times_of_several_groups():
    """Each group begins at its own first time."""
    table = {
        "time": np.array([-3.0, -2.0, -1.0, 0.0, -10.0, -9.0, -8.0, -7.0]),
        "site": np.array(list("aaaabbbb")),
        "y": np.arange(8.0),
    }
    windows = data.windows(table, "y", "y", 2, time="time", group="site")
    assert windows.times.reshape(-1).tolist() == [-1.0, 0.0, -8.0, -7.0]
    assert windows.labels().reshape(-1).tolist() == [2.0, 3.0, 6.0, 7.0]
    for kind in ("M8[h]", "m8[h]"):
        at = {"time": table["time"].astype(np.int64).astype(kind)}
        found = data.windows(table | at, "y", "y", 2, time="time", group="site")
        assert found.times.reshape(-1).astype(np.int64).tolist() == [-1, 0, -8, -7]


def test_rows_without_times_are_no_doubles():
    found = data.windows({"y": np.arange(9.0)}, "y", "y", 2)
    assert "with the time of another" not in repr(found)
    assert "0 steps have no row" in repr(found)


@pytest.mark.parametrize("day", ["2020-01-01", "2020-01-31", "2020-02-29"])
def test_one_row_has_a_time_too(day):
    table = {"time": np.array([day], "M8[D]"), "y": np.ones(1)}
    assert len(data.windows(table, "y", "y", 1, time="time", horizon=0).labels()) == 1
