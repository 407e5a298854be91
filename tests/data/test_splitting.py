"""Parts of tables: by time, by group, of any kind of table."""

import numpy as np
import pytest

from masklstm import data
from masklstm.data.splitting import Part


@pytest.mark.parametrize(
    "shares",
    [(0.9, 0.05, 0.05), (0.05, 0.05, 0.9), (0.05, 0.9, 0.05), (0.85, 0.05, 0.05, 0.05)],
    ids=str,
)
@pytest.mark.parametrize("more", [0, 1, 2, 20])
def test_no_part_of_the_groups_is_empty(shares, more):
    groups = 20 if more == 20 else len(shares) + more
    table = {"site": np.arange(groups).repeat(2), "y": np.zeros(2 * groups)}
    parts = data.split(table, shares, group="site", by="group")
    assert sorted(name for part in parts for name in part.groups) == list(range(groups))
    assert all(part.groups for part in parts)
    sizes = [len(part.groups) for part in parts]
    if groups == 20:
        assert sizes == [round(20 * share) for share in shares]


@pytest.mark.parametrize("shares", [(0.5, 0.0, 0.5), (1.5, -0.5), (0.5, 0.4), (), (0.5, np.nan)])
@pytest.mark.parametrize("by", ["time", "group"])
def test_shares_that_are_none(shares, by):
    table = {"time": np.arange(10), "site": np.arange(10) % 5}
    options = {"time": "time"} if by == "time" else {"group": "site", "by": "group"}
    with pytest.raises(ValueError, match=r"'shares'\. Expected numbers above 0 whose sum is 1"):
        data.split(table, shares, **options)


def test_a_part_of_a_mapping_and_of_an_array():
    table = {"time": np.arange(6), "y": np.arange(6) / 2, "site": np.array(list("ababab"))}
    part = Part(start=2, stop=5, time="time")
    found = part.of(table)
    assert list(found) == list(table)
    assert found["y"].tolist() == [1, 1.5, 2]
    assert Part(groups=("a",), group="site").of(table)["time"].tolist() == [0, 2, 4]
    rows = np.stack([table["time"], table["y"]], axis=1)
    assert Part(start=2, stop=5, time=0).of(rows)[:, 1].tolist() == [1, 1.5, 2]
    with pytest.raises(ValueError, match="Expected a part with 'group'"):
        Part(groups=("a",)).of(table)


def test_borders_that_are_given():
    times = np.array(["2014-01-01", "2015-01-01", "2016-01-01"], "M8[D]")
    table = {"t": times, "number": np.arange(3), "site": list("aab")}
    for at in ("2015-01-01", times[1], ["2015-01-01"], times[1:2]):
        first, second = data.split(table, time="t", at=at)
        assert (first.start, first.stop) == (None, times[1])
        assert (second.start, second.stop) == (times[1], None)
    assert [part.start for part in data.split(table, time="number", at=2)] == [None, 2]
    options = {"time": "t", "group": "site", "at": ["2015-01-01"]}
    with pytest.raises(ValueError, match=r"'at' is for parts by time.*with by='group'"):
        data.split(table, by="group", **options)
    with pytest.raises(ValueError, match="as many 'shares' as parts, 2"):
        data.split(table, by="both", **options)
