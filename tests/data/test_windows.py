"""`masklstm.data.windows` against loops, and what it says."""

import tracemalloc

import keras
import numpy as np
import pytest

import masklstm
from masklstm import data
from masklstm.data.regular import on_steps

from . import brute_force

pandas = pytest.importorskip("pandas")
NAN = float("nan")


def random_table(rng):
    """A table with groups, jumps, gaps, doubled and shuffled rows, and how to cut it."""
    step = rng.choice([1, 3, 60])
    groups, times = [], []
    for group in rng.permutation(["Ems", "Oder", "Rur"])[: rng.integers(1, 4)]:
        time = int(rng.integers(0, 1000))
        for _ in range(rng.integers(1, 25)):
            groups.append(str(group))
            times.append(time)
            if rng.random() < 0.1:  # once more
                groups.append(str(group))
                times.append(time)
            # Twice the same step at least, so that it is the most frequent one.
            time += int(step * (rng.integers(2, 9) if rng.random() < 0.15 else 1))
    order = np.arange(len(times))
    if rng.random() < 0.5:
        order = rng.permutation(order)
    groups, times = [groups[k] for k in order], [times[k] for k in order]
    values = rng.normal(size=(len(times), 4)).astype("float32")
    values[rng.random(values.shape) < 0.3] = NAN
    return groups, times, values, int(step)


@pytest.mark.parametrize("seed", range(200))
def test_equal_to_loops(seed):
    rng = np.random.default_rng(seed)
    groups, times, values, step = random_table(rng)
    length = int(rng.integers(1, 8))
    sequences = bool(rng.random() < 0.3)
    horizon = int(rng.integers(0, 5))
    if not sequences and rng.random() < 0.3:
        horizon = sorted(rng.choice(6, size=rng.integers(1, 4), replace=False).tolist())
    duplicates = str(rng.choice(["first", "last", "mean"]))
    skip = bool(rng.random() < 0.7)
    expected = brute_force.windows(
        (values[:, [0, 1, 3]], values[:, [2, 3]]),
        groups,
        times,
        step,
        length,
        [horizon] if isinstance(horizon, int) else horizon,
        sequences,
        skip,
        duplicates,
    )
    as_dates = rng.random() < 0.5
    start = np.datetime64("2020-01-01T00:00", "m")
    given = start + np.array(times) if as_dates else np.array(times)
    table = pandas.DataFrame(values, columns=list("abcd")).assign(place=groups, when=given)
    if rng.random() < 0.5:
        table = {name: np.asarray(table[name]) for name in table}
    options = {
        "time": "when",
        "group": "place",
        "step": np.timedelta64(step, "m") if as_dates else step,
        "duplicates": duplicates,
        "return_sequences": sequences,
        "skip_unlabelled": skip,
        "batch_size": int(rng.integers(1, 10)),
    }
    if not expected:
        with pytest.raises(ValueError, match="a window or more"):
            data.windows(table, ["a", "b", "d"], ["c", "d"], length, horizon, **options)
        return
    found = data.windows(table, ["a", "b", "d"], ["c", "d"], length, horizon, **options)
    batches = [found[k] for k in range(len(found))]
    x, y = (np.concatenate([batch[k] for batch in batches]) for k in (0, 1))
    want = [np.stack([window[k] for window in expected]) for k in (0, 1)]
    np.testing.assert_allclose(x, want[0], rtol=1e-6)
    if np.ndim(horizon) == 0 and not sequences:
        want[1] = want[1][:, 0]
    assert y.shape == want[1].shape
    np.testing.assert_allclose(y, want[1], rtol=1e-6)
    assert found.groups.tolist() == [window[2] for window in expected]
    first = found.times if found.times.ndim == 1 else found.times[:, 0]
    if as_dates:
        first = (first - start) / np.timedelta64(1, "m")
    assert first.tolist() == [window[3] for window in expected]
    np.testing.assert_array_equal(found.labels(), y)


def hours(count, start="2020-01-01T00"):
    return np.datetime64(start, "h") + np.arange(count)


def frame(count=100, **columns):
    rng = np.random.default_rng(0)
    table = {"time": hours(count), "rain": rng.random(count), "flow": rng.random(count)}
    return pandas.DataFrame(table | columns)


def of(table, length=10, **options):
    return data.windows(table, "rain", "flow", length, time="time", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "label 1 step after each\n"),
        ({"horizon": 3}, "label 3 steps after each\n"),
        ({"horizon": [1, 4]}, "labels 1 to 4 steps after each\n"),
        ({"horizon": 2, "return_sequences": True}, "labels 2 steps after every step\n"),
    ],
    ids=str,
)
def test_the_repr_says_where_labels_lie(options, words):
    assert f"windows of 10 steps (a step is 1 hour), {words}" in repr(of(frame(), **options))


class TestSteps:
    def test_the_most_frequent_one_is_found_and_said(self):
        table = frame().drop(index=range(20, 30))
        found = of(table, skip_unlabelled=False)
        assert "a step is 1 hour" in repr(found)
        assert "10 steps have no row" in repr(found)
        assert len(found.labels()) == 90
        assert np.isnan(found.labels()).sum() == 10

    @pytest.mark.parametrize(
        ("times", "step"),
        [
            (pandas.date_range("2020-01-01", periods=100, freq="MS"), "1 month"),
            (pandas.date_range("2020-01-01", periods=100, freq="ME"), "1 month"),
            (pandas.date_range("2020-01-15", periods=100, freq="QS"), "3 months"),
            (pandas.date_range("1900-01-01", periods=100, freq="YS"), "1 year"),
            (pandas.date_range("2020-01-01", periods=100, freq="D"), "1 day"),
            (pandas.date_range("2020-01-01", periods=100, freq="15min"), "15 minutes"),
            (pandas.date_range("2020-03-28", periods=100, freq="h", tz="Europe/Berlin"), "1 hour"),
            (pandas.period_range("2020-01", periods=100, freq="M"), "1 month"),
            (np.arange(100) * 0.1, "0.1"),
            (np.arange(1900, 2000), "1"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_kinds_of_times(self, times, step):
        table = frame(time=times)
        whole = of(table)
        assert f"a step is {step}" in repr(whole)
        assert len(whole.labels()) == 90
        without = of(table.drop(index=[40, 41]), skip_unlabelled=False)
        assert len(without.labels()) == 90
        assert "2 steps have no row" in repr(without)
        np.testing.assert_array_equal(without.times, whole.times)
        given = times.to_timestamp() if hasattr(times, "to_timestamp") else times
        if getattr(given, "tz", None):
            given = given.tz_convert("UTC").tz_localize(None)
        np.testing.assert_array_equal(whole.times, given[10:])

    def test_the_index_of_a_frame(self):
        table = frame().set_index("time")
        found = data.windows(table, "rain", "flow", 10)
        np.testing.assert_array_equal(found.times, hours(100)[10:])
        np.testing.assert_array_equal(of(table).times, found.times)

    def test_between_the_steps(self):
        times = hours(100).astype("M8[m]")
        times[50] += np.timedelta64(30, "m")
        with pytest.raises(ValueError, match=r"1 of 100 rows between.*row 50 at 2020-01-03 02:30"):
            of(frame(time=times))
        found = of(frame(time=times), step="30min", skip_unlabelled=False)
        assert "a step is 30 minutes" in repr(found)

    @pytest.mark.parametrize("step", ["soon", "-1h", 0, -1, True, "2h", 2])
    def test_steps_that_do_not_fit(self, step):
        with pytest.raises(ValueError, match=r"step"):
            of(frame(), step=step)

    @pytest.mark.parametrize("step", [0, 0.0, -1, "0h", np.timedelta64(0, "h")])
    @pytest.mark.parametrize("kind", ["M8[h]", "int64", "float64"])
    def test_a_step_that_is_none(self, kind, step):
        with pytest.raises(ValueError, match=r"argument 'step'. Expected a .* above 0"):
            of(frame(time=np.arange(100).astype(kind)), step=step)

    def test_steps_between_numbers(self):
        halves = np.arange(100) * 0.5
        assert "a step is 0.5" in repr(of(frame(time=halves), step=0.5))
        assert "a step is 0.25" in repr(of(frame(time=halves), step=0.25))
        assert "a step is 1)" in repr(of(frame(time=np.arange(100)), step=1.0))
        with pytest.raises(ValueError, match=r"'step'. Expected a number above 0.*step=0.5"):
            of(frame(time=np.arange(100)), step=0.5)

    def test_a_wrong_time_asks_for_no_billions_of_steps(self):
        times = hours(100)
        times[0] = np.datetime64("0001-01-01T00")
        with pytest.raises(ValueError, match=r"Look for a wrong time.*max_gap"):
            of(frame(time=times))
        assert len(of(frame(time=times), max_gap=100).labels()) == 89

    @pytest.mark.parametrize("time", [pandas.NaT, None])
    def test_no_time(self, time):
        table = frame()
        table.loc[7, "time"] = time
        with pytest.raises(ValueError, match=r"none in 1 rows, the first of them row 7"):
            of(table)

    def test_text_is_no_time(self):
        """The first one is shown, if there is one."""
        texts = hours(100).astype(str)
        for times, shown in ((texts, "2020-01-01T00"), (texts[:0], "none")):
            with pytest.raises(ValueError, match=rf"pandas.to_datetime.*such as .*{shown}"):
                of(frame(len(times), time=times))

    def test_a_long_gap_parts_a_series_on_request(self):
        table = frame().drop(index=range(40, 60))
        assert len(of(table, skip_unlabelled=False).labels()) == 90
        assert len(of(table, skip_unlabelled=False, max_gap=19).labels()) == 60
        assert len(of(table, skip_unlabelled=False, max_gap=20).labels()) == 90


def test_doubled_times_are_refused():
    table = pandas.concat([frame(), frame().iloc[[10, 11]]], ignore_index=True)
    with pytest.raises(ValueError, match=r"2 rows.*rows 10 and 100 at 2020-01-01 10:00.*group="):
        of(table)
    assert "2 rows with the time of another one" in repr(of(table, duplicates="last"))


class TestGroups:
    def test_no_window_has_two(self):
        table = pandas.concat([frame(place="A"), frame(place="B")], ignore_index=True)
        table.loc[table.place == "B", ["rain", "flow"]] += 10
        found = of(table, group="place")
        x = np.concatenate([found[k][0] for k in range(len(found))])
        assert np.all((x.max(axis=1) - x.min(axis=1)) < 1)
        assert np.array_equal(found.groups, np.repeat(["A", "B"], 90))

    def test_a_category_without_rows(self):
        place = pandas.Categorical(["B"] * 50 + ["A"] * 50, categories=["A", "B", "C"])
        assert set(of(frame(place=place), group="place").groups) == {"A", "B"}

    def test_no_group(self):
        place = ["A"] * 99 + [None]
        with pytest.raises(ValueError, match=r"no group in 1 rows, the first of them row 99"):
            of(frame(place=place), group="place")
        floats = np.array([1.0] * 99 + [NAN])
        with pytest.raises(ValueError, match=r"no group in 1 rows, the first of them row 99"):
            of({name: np.asarray(column) for name, column in frame().items()}, group=floats)


def test_without_times_the_rows_of_a_group_follow_each_other():
    """Wherever they stand in the table."""
    table = frame(place=["A", "B"] * 50).drop(columns="time")
    options = {"group": "place", "batch_size": 100}
    found = data.windows(table, "rain", "flow", 10, **options)
    apart = [
        data.windows(table[table.place == place], "rain", "flow", 10, **options)[0]
        for place in ("A", "B")
    ]
    assert np.array_equal(found.groups, np.repeat(["A", "B"], 40))
    for actual, expected in zip(found[0], zip(*apart, strict=True), strict=True):
        np.testing.assert_array_equal(actual, np.concatenate(expected))


def test_windows_without_a_label_are_left_out_unless_asked_for():
    table = frame()
    table.loc[20:29, "flow"] = NAN
    assert len(of(table).labels()) == 80
    assert "10 windows without a label" in repr(of(table))
    assert len(of(table, skip_unlabelled=False).labels()) == 90


class TestColumns:
    def test_of_every_kind_of_table(self):
        """A mapping, an array with names and one without have what a frame has."""
        table = frame().drop(columns="time").astype("float32")
        x, y = data.windows(table, "rain", "flow", 10, batch_size=90)[0]
        arrays = {name: table[name].to_numpy() for name in table.columns}
        for other, rain, flow in (
            (arrays, "rain", "flow"),
            (table.to_records(index=False).view(np.ndarray), "rain", "flow"),
            (table.to_numpy(), 0, 1),
        ):
            other_x, other_y = data.windows(other, rain, flow, 10, batch_size=90)[0]
            np.testing.assert_array_equal(other_x, x)
            np.testing.assert_array_equal(other_y, y)

    def test_unknown(self):
        with pytest.raises(ValueError, match=r"'inputs'.*'time', 'rain', 'flow'.*inputs='wind'"):
            data.windows(frame(), ["rain", "wind"], "flow", 5)

    def test_text(self):
        with pytest.raises(ValueError, match=r"column 'rain' to hold numbers"):
            of(frame(rain=["x"] * 100))

    @pytest.mark.parametrize("dtype", ["Int64", "Float32", "boolean", "int16"])
    def test_nullable(self, dtype):
        rain = pandas.array([1, 0] * 50, dtype=dtype)
        if dtype != "int16":
            rain[3] = pandas.NA
        x, _ = of(frame(rain=rain))[0]
        assert np.isnan(x[0, 3, 0]) == (dtype != "int16")
        assert x[0, :3, 0].tolist() == [1, 0, 1]

    def test_masked_arrays(self):
        rain = np.ma.masked_greater(np.arange(100.0), 50)
        table = {"time": hours(100), "rain": rain, "flow": np.ones(100)}
        x, _ = of(table, batch_size=100)[0]
        np.testing.assert_array_equal(np.isnan(x[:, 0, 0]), np.arange(90) > 50)

    def test_infinite(self):
        table = frame()
        table.loc[5, "rain"] = np.inf
        with pytest.raises(ValueError, match=r"'rain'.*finite.*row 5"):
            of(table)
        table = table.assign(rain=0.0, wind=np.inf)
        assert len(of(table))

    def test_too_large_for_the_type(self):
        table = frame()
        table.loc[5, "rain"] = 1e39
        with pytest.raises(ValueError, match=r"range of float32.*1e\+39 in row 5"):
            of(table)
        assert of(table, dtype="float64")[0][0].max() == 1e39

    def test_forgotten_sentinels_are_hinted_at(self):
        table = frame()
        table.loc[20:40, "flow"] = -999
        with pytest.warns(UserWarning, match=r"-999 in column 'flow'.*missing=\[") as caught:
            of(table)
        assert caught[0].filename == __file__

    def test_an_array_of_rows_and_columns(self):
        values = np.random.default_rng(0).random((100, 3))
        found = data.windows(values, [0, 1], 2, 10, 1)
        np.testing.assert_array_equal(found[0][0][0], values[:10, :2].astype("float32"))
        assert found.times.tolist() == list(range(10, 100))


class TestParts:
    @pytest.mark.parametrize(
        ("horizon", "sequences"),
        [(0, False), (1, False), (24, False), ([1, 5], False), (0, True), (1, True), (24, True)],
        ids=str,
    )
    def test_no_label_is_in_two_and_none_is_lost(self, horizon, sequences):
        table = frame(300)
        parts = data.split(table, time="time")
        options = {"horizon": horizon, "return_sequences": sequences, "skip_unlabelled": False}
        times = [set(of(table, part=part, **options).times.ravel().tolist()) for part in parts]
        for place, part in enumerate(parts):
            own = part.of(table)["time"]
            assert times[place] <= set(own.to_numpy().astype("M8[h]").tolist())
            for other in range(place):
                assert not times[place] & times[other]
        if horizon == 1:  # also the labels just behind a border have their window
            assert len(set.union(*times)) == 300 - (1 if sequences else 10)

    def test_shares(self):
        table = frame(100)
        parts = data.split(table, (0.5, 0.3, 0.2), time="time")
        assert [len(part.of(table)) for part in parts] == [50, 30, 20]
        assert parts[0].start is None
        assert parts[2].stop is None

    def test_given_borders(self):
        table = frame(100)
        before, behind = data.split(table, at=["2020-01-02"], time="time")
        assert len(before.of(table)) == 24
        assert before.stop == behind.start == np.datetime64("2020-01-02")
        with pytest.raises(ValueError, match=r"rows in every part.*2021"):
            data.split(table, at=["2021-01-01"], time="time")

    def test_by_group(self):
        places = [f"P{k}" for k in range(20) for _ in range(10)]
        table = frame(200, place=places, time=np.tile(hours(10), 20))
        parts = data.split(table, group="place", by="group")
        assert [len(part.groups) for part in parts] == [12, 4, 4]
        assert sorted(sum((part.groups for part in parts), ())) == sorted(set(places))
        assert parts == data.split(table, group="place", by="group", seed=0)
        assert parts != data.split(table, group="place", by="group", seed=1)
        for part in parts:
            found = of(table, 3, group="place", part=part)
            assert set(found.groups) == set(part.groups) == set(part.of(table)["place"])

    def test_by_both(self):
        places = [f"P{k}" for k in range(5) for _ in range(40)]
        table = frame(200, place=places, time=np.tile(hours(40), 5))
        train, test = data.split(table, (0.8, 0.2), time="time", group="place", by="both")
        found = of(table, 3, group="place", part=test)
        assert set(found.groups) == set(test.groups)
        assert found.times.min() >= test.start
        assert not set(train.groups) & set(test.groups)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"shares": (0.5, 0.4)}, "sum is 1"),
            ({"shares": (1.5, -0.5)}, "above 0"),
            ({"shares": (1e-9, 1 - 1e-9)}, "rows in every part"),
            ({"by": "station"}, "'time', 'group' or 'both'"),
            ({"by": "group"}, "'group' for by='group'"),
            ({"by": "group", "group": np.zeros(100)}, "a group for each part"),
            ({"time": None, "by": "time"}, "'time'"),
        ],
        ids=str,
    )
    def test_refused(self, options, words):
        table = {name: np.asarray(column) for name, column in frame().items()}
        with pytest.raises(ValueError, match=words):
            data.split(table, **{"time": "time", **options})

    def test_an_unknown_group(self):
        table = frame(place=["A"] * 100)
        with pytest.raises(ValueError, match=r"\['B'\]"):
            of(table, group="place", part=data.Part(groups=("B",)))


class TestOrder:
    def test_shards_are_all_windows_once(self):
        whole = of(frame()).times
        for count in (1, 2, 3, 7):
            shards = [of(frame(), shard=(index, count)).times for index in range(count)]
            assert max(map(len, shards)) - min(map(len, shards)) <= 1
            assert sorted(np.concatenate(shards).tolist()) == whole.tolist()

    def test_a_stride_is_counted_from_the_end(self):
        whole, found = of(frame()), of(frame(), stride=7)
        assert found.times.tolist() == whole.times[::-1][::7][::-1].tolist()

    def test_shuffled_anew_for_each_epoch_and_the_same_for_a_seed(self):
        def epochs(seed):
            found = of(frame(), shuffle=True, seed=seed, batch_size=100)
            first = found[0]
            found.on_epoch_end()
            return first[1].ravel().tolist(), found[0][1].ravel().tolist()

        first, second = epochs(1)
        assert first != second
        assert sorted(first) == sorted(second)
        assert epochs(1) == (first, second)
        assert epochs(2) != (first, second)

    def test_what_depends_on_the_order_is_refused(self):
        found = of(frame(), shuffle=True)
        for ask in (lambda: found.times, found.labels, lambda: found.frame(np.zeros((90, 1)))):
            with pytest.raises(ValueError, match="shuffle=False"):
                ask()


def test_inputs_with_too_many_gaps_are_left_out():
    table = frame()
    table.loc[30:39, "rain"] = NAN
    found = of(table, max_missing=0.5)
    assert "left out: 9 windows with over 50% missing inputs" in repr(found)
    x, _ = of(table, max_missing=0.5, batch_size=100)[0]
    assert np.isnan(x).mean(axis=(1, 2)).max() == 0.5
    assert len(of(table, max_missing=1).labels()) == 90
    assert len(of(table, max_missing=0).labels()) == 90 - 19


def test_refused_arguments():
    for options, words in (
        ({"horizon": -1}, "0 or more"),
        ({"horizon": 1.5}, "whole number"),
        ({"horizon": [2, 1]}, "rising order"),
        ({"horizon": [1, 2], "return_sequences": True}, "One 'horizon'|one 'horizon'"),
        ({"length": 0}, "'length'"),
        ({"stride": 0}, "'stride'"),
        ({"batch_size": 0}, "'batch_size'"),
        ({"shard": (2, 2)}, "'shard'"),
        ({"max_missing": 2}, "'max_missing'"),
        ({"duplicates": "sum"}, "'duplicates'"),
        ({"dtype": "int32"}, "'dtype'"),
        ({"length": 200}, "a window or more"),
    ):
        with pytest.raises(ValueError, match=words):
            of(frame(), **options)


def test_a_model_trains_on_them_and_its_predictions_have_times():
    table = pandas.concat([frame(place="A"), frame(place="B")], ignore_index=True)
    table.loc[::7, "flow"] = NAN
    train = of(table, group="place", shuffle=True, seed=0, skip_unlabelled=False)
    test = of(table, group="place", skip_unlabelled=False)
    model = keras.Sequential([masklstm.layers.LSTM(3), keras.layers.Dense(1)])
    model.compile("adam", masklstm.losses.MeanSquaredError())
    history = model.fit(train, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    predicted = model.predict(test, verbose=0)
    found = test.frame(predicted)
    assert found.columns.tolist() == ["place", "time", "flow", "flow_predicted"]
    merged = found.merge(table, on=["place", "time"], suffixes=("", "_given"))
    np.testing.assert_array_equal(merged.flow, merged.flow_given.astype("float32"))
    scores = masklstm.scores(found.flow, found.flow_predicted, "rmse", groups=found.place)
    assert scores.groups == ["A", "B"]
    with pytest.raises(ValueError, match=r"\(180, 1\)"):
        test.frame(predicted[1:])


def test_memory_is_less_than_that_of_the_table():
    """Views, not copies: windows of 365 steps of a million rows have a billion numbers."""
    rows = 1_000_000
    table = pandas.DataFrame(np.random.default_rng(0).random((rows, 6)), columns=list("abcdef"))
    table["time"] = hours(rows)
    size = table.memory_usage().sum()
    tracemalloc.start()
    found = data.windows(table, list("abcde"), "f", 365, time="time", batch_size=256)
    found[len(found) // 2]
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.labels()) == rows - 365
    assert kept < size
    assert peak < 2 * size  # the table itself not counted


def test_files_of_arrays_are_not_loaded(tmp_path):
    rows = 200_000
    rng = np.random.default_rng(0)
    for name in ("rain", "flow"):
        np.save(tmp_path / f"{name}.npy", rng.random(rows))
    table = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("rain", "flow")}
    found = data.windows(table, ["rain", "flow"], "flow", 100)
    x, y = found[len(found) - 1]
    np.testing.assert_array_equal(x[-1, :, 0], table["rain"][-101:-1].astype("float32"))
    assert y[-1, 0] == np.float32(table["flow"][-1])


@pytest.mark.parametrize(("duplicates", "first"), [("first", 1.0), ("last", 5.0), ("mean", 3.0)])
def test_series_on_common_steps(duplicates, first):
    table = pandas.DataFrame(
        {
            "time": [0, 0, 1, 3, 2, 3],
            "place": list("AAAABB"),
            "y": [1.0, 5.0, 2.0, 4.0, 7.0, 8.0],
        }
    )
    found = on_steps(table, ["y"], "time", "place", duplicates)
    expected = [[first, NAN], [2.0, NAN], [NAN, 7.0], [4.0, 8.0]]
    np.testing.assert_array_equal(found.values, expected)
    assert (found.names, found.times.tolist(), found.step) == (["A", "B"], [0, 1, 2, 3], "1")
