"""`masklstm.data.on_disk`: the same windows as of a table in memory."""

import datetime
from decimal import Decimal

import numpy as np
import pytest

import masklstm
from masklstm import data

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow", exc_type=ImportError)


def table(rows=2500):
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "site": np.repeat(["A", "B", "C", "D", "E"], rows // 5),
            "when": np.tile(np.datetime64("2020-01-01T00") + np.arange(rows // 5), 5),
            "rain": rng.random(rows).astype("float32"),
            "flow": rng.random(rows).astype("float32"),
            "count": np.arange(rows),
            "note": "x",
        }
    )
    frame.loc[::7, "flow"] = np.nan
    frame.loc[3::11, "flow"] = -999
    return frame.drop(index=range(40, 60)).reset_index(drop=True)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr("masklstm.data.storing.CHUNK", 300)
    frame = table()
    for place, start in enumerate(range(0, len(frame), 1000)):
        frame[start : start + 1000].to_parquet(tmp_path / f"part{place}.parquet", index=False)
    return data.on_disk(
        tmp_path, tmp_path / "columns", time="when", group="site", missing=-999, verbose=False
    )


def windows(columns, **options):
    return data.windows(columns, ["rain", "flow"], "flow", 20, time="when", group="site", **options)


def test_the_same_windows_as_in_memory(stored):
    frame = table().replace(-999, np.nan)
    expected, found = windows(frame), windows(stored)
    assert repr(found) == repr(expected)
    for place in range(len(expected)):
        for ours, theirs in zip(found[place], expected[place], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.times, expected.times)
    assert found.groups.tolist() == expected.groups.tolist()
    part = data.split(frame, time="when", group="site", by="both", shares=(0.6, 0.4))[1]
    np.testing.assert_array_equal(
        windows(stored, part=part).labels(), windows(frame, part=part).labels()
    )


def test_columns_stay_on_the_disk(stored):
    assert list(stored) == ["site", "when", "rain", "flow", "count"]
    assert all(isinstance(stored[name], np.memmap) for name in ("when", "rain", "flow", "count"))
    assert stored["flow"].dtype == np.float32
    assert "2,480 rows of site, when, rain, flow, count" in repr(stored)
    again = data.OnDisk(stored.folder)
    np.testing.assert_array_equal(again["flow"], stored["flow"])
    assert again["site"].categories == list("ABCDE")


def test_a_layer_adapts_to_a_part(stored):
    frame = table().replace(-999, np.nan)
    train, _ = data.split(frame, (0.7, 0.3), time="when", group="site", by="both")
    scale = masklstm.layers.Normalization()
    scale.adapt(stored.batches(["rain", "flow"], train))
    rows = train.of(frame)[["rain", "flow"]]
    np.testing.assert_allclose(scale.mean, rows.mean(), rtol=1e-6)
    np.testing.assert_allclose(scale.variance, rows.var(ddof=0), rtol=1e-6)


def test_nothing_is_left_of_what_failed(tmp_path):
    frame = table()
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"column 'note' to hold numbers"):
        data.on_disk(tmp_path / "a.parquet", tmp_path / "new", columns=["note"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="there"):
        data.on_disk(tmp_path / "a.parquet", tmp_path / "there")
    with pytest.raises(ValueError, match=r"Received: 'x'"):
        data.on_disk(tmp_path / "a.parquet", tmp_path / "new", time="x")
    with pytest.raises(FileNotFoundError, match=r"\*\.parquet"):
        data.on_disk(tmp_path / "there", tmp_path / "new")


def test_it_says_what_was_stored_in_folders_that_it_makes(tmp_path, capsys):
    table().to_parquet(tmp_path / "table.parquet", index=False)
    folder = tmp_path / "new" / "nested" / "columns"
    data.on_disk(tmp_path / "table.parquet", folder, time="when", group="site", missing=-999)
    assert "columns: 2,480 rows of site, when, rain, flow, count" in capsys.readouterr().out
    again = folder.with_name("quiet")
    data.on_disk(tmp_path / "table.parquet", again, time="when", group="site", verbose=False)
    assert capsys.readouterr().out == ""


def test_decimal_numbers_are_numbers(tmp_path):
    prices = [Decimal("1.5"), None, Decimal(2)]
    frame = pandas.DataFrame({"when": range(3), "price": prices, "note": ["a", "b", "c"]})
    frame.to_parquet(tmp_path / "prices.parquet")
    found = data.on_disk(tmp_path / "prices.parquet", tmp_path / "columns", verbose=False)
    assert list(found) == ["when", "price"]
    np.testing.assert_array_equal(found["price"], np.float32([1.5, np.nan, 2]))


def test_the_types_of_groups(tmp_path):
    number = 2**53
    frame = pandas.DataFrame({"t": [0, 0], "y": [1.0, 2.0], "number": [2, 1]})
    frame["id"] = [Decimal(number), Decimal(number + 1)]
    frame["share"] = [Decimal("0.5"), Decimal(1)]
    frame["day"] = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]
    frame.to_parquet(tmp_path / "groups.parquet")

    def categories(group):
        options = {"time": "t", "group": group, "columns": ["y"], "verbose": False}
        found = data.on_disk(tmp_path / "groups.parquet", tmp_path / group, **options)
        return found[group].categories

    assert categories("number") == [2, 1]
    assert categories("id") == [number, number + 1]
    for group in ("share", "day"):
        with pytest.raises(ValueError, match=f"groups in '{group}' to be texts or numbers"):
            categories(group)
