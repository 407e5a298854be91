"""`masklstm.scores`: values against SciPy and scikit-learn, groups, tables, files, pictures."""

import csv
import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm import metrics
from masklstm.scoring import FlowDurationBias
from masklstm.scoring.measures import MEASURES

NAN = float("nan")


def river(rng, number=400):
    """Flows, forecasts and stations in any order, with 40% of the labels missing."""
    stations = rng.choice(["Ems", "Oder", "Rhein"], number)
    flow = np.exp(rng.normal(size=number)) * np.where(stations == "Rhein", 50.0, 1.0)
    forecast = flow * np.exp(0.3 * rng.normal(size=number))
    labels = np.where(rng.random(number) < 0.4, NAN, flow)
    forecast[np.isnan(labels)] = rng.choice([NAN, np.inf], np.isnan(labels).sum())
    return labels, forecast, stations


def flow_duration(t, p, name):
    """As in Yilmaz 2008, in order of exceedance."""
    t, p = np.sort(t)[::-1], np.sort(p)[::-1]
    if name == "fhv":
        n = max(1, round(0.02 * len(t)))
        return 100 * (p[:n].sum() - t[:n].sum()) / t[:n].sum()
    n = max(1, round(0.3 * len(t)))
    logs = [np.log(x[-n:]) - np.log(x[-1]) for x in (t, p)]
    return -100 * (logs[1].sum() - logs[0].sum()) / logs[0].sum()


def expected(name, t, p):
    """By other libraries, where they have it."""
    stats = pytest.importorskip("scipy.stats")
    scores = pytest.importorskip("sklearn.metrics")
    name = {"pbias": "percent_bias"}.get(name, name)
    r = stats.pearsonr(t, p).statistic
    level = p.mean() / t.mean()
    if name in ("fhv", "flv"):
        return flow_duration(t, p, name)
    return {
        "nse": scores.r2_score(t, p),
        "kge": 1 - math.hypot(r - 1, p.std() / t.std() - 1, level - 1),
        "kge_modified": 1
        - math.hypot(r - 1, stats.variation(p) / stats.variation(t) - 1, level - 1),
        "pearson": r,
        "concordance": 2
        * np.cov(t, p, ddof=0)[0, 1]
        / (t.var() + p.var() + (t.mean() - p.mean()) ** 2),
        "rmse": scores.root_mean_squared_error(t, p),
        "mse": scores.mean_squared_error(t, p),
        "mae": scores.mean_absolute_error(t, p),
        "bias": p.mean() - t.mean(),
        "percent_bias": 100 * (p.sum() / t.sum() - 1),
        "wape": scores.mean_absolute_error(t, p) / np.abs(t).mean(),
    }[name]


class TestValues:
    def test_every_name_in_every_group(self, rng):
        y, p, stations = river(rng)
        found = masklstm.scores(y, p, list(MEASURES), groups=stations)
        assert found.groups == list(dict.fromkeys(stations.tolist()))
        for group in (*found.groups, "all"):
            own = ~np.isnan(y) & ((stations == group) | (group == "all"))
            assert found.labels[group] == own.sum()
            for name in MEASURES:
                np.testing.assert_allclose(
                    found[group][name], expected(name, y[own], p[own]), rtol=1e-9, err_msg=name
                )

    def test_short_names_are_the_streaming_metrics(self, rng):
        y, p, stations = river(rng)
        pairs = {
            "nse": "NashSutcliffeEfficiency",
            "kge": "KlingGuptaEfficiency",
            "pearson": "PearsonCorrelation",
            "concordance": "ConcordanceCorrelation",
            "rmse": "RootMeanSquaredError",
            "mse": "MeanSquaredError",
            "mae": "MeanAbsoluteError",
            "bias": "Bias",
            "percent_bias": "PercentBias",
            "wape": "WeightedAbsolutePercentageError",
        }
        found = masklstm.scores(y, p, [*pairs, *pairs.values()], groups=stations)
        np.testing.assert_allclose(found.values[:, :10], found.values[:, 10:], rtol=1e-9)

    def test_metrics_and_functions(self, rng):
        y, p = np.round(rng.random(60)), rng.random(60)
        y[::7] = NAN
        kge = metrics.KlingGuptaEfficiency(modified=True)
        kge.update_state([[1.0]], [[2.0]])
        before = [variable.numpy() for variable in kge.variables]
        found = masklstm.scores(
            y,
            p,
            {
                "auc": metrics.Masked("AUC"),
                "worst": lambda t, p: np.max(np.abs(t - p)),
                "kge": kge,
                "mse": keras.metrics.MeanSquaredError(),
            },
        )
        valid = ~np.isnan(y)
        auc = pytest.importorskip("sklearn.metrics").roc_auc_score(y[valid], p[valid])
        assert abs(found["all"]["auc"] - auc) < 0.01
        assert found["all"]["worst"] == np.abs(y - p)[valid].max()
        np.testing.assert_allclose(
            found["all"]["kge"], expected("kge_modified", y[valid], p[valid]), rtol=1e-9
        )
        np.testing.assert_allclose(found["all"]["mse"], np.mean((y - p)[valid] ** 2), rtol=1e-6)
        for variable, value in zip(kge.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
        with pytest.raises(ValueError, match="whose result is one number"):
            masklstm.scores(y, p, [keras.metrics.AUC(multi_label=True, name="a"), _Two()])

    def test_far_from_0(self, rng):
        t = rng.normal(size=500)
        p = t + 0.3 * rng.normal(size=500)
        found = masklstm.scores(1e5 + t, 1e5 + p, ["nse", "pearson", "concordance"])["all"]
        for name, value in found.items():
            np.testing.assert_allclose(value, expected(name, t, p), rtol=1e-9)

    def test_what_is_not_defined(self, rng):
        """NaN, and out of the averages; a NaN prediction shows."""
        y = np.abs(rng.normal(size=(20, 6))) + 0.1
        p = y * rng.uniform(0.5, 1.5, y.shape)
        y[:, 1] = NAN  # no label
        y[:, 2] = 0.0  # a dry river
        p[:, 2] = 0.0
        p[:, 3] = 2.0  # predictions that do not vary
        p[3, 4] = NAN
        found = masklstm.scores(y, p, list(MEASURES), groups="feature")
        assert np.isfinite(list(found[0].values())).all()
        assert np.isnan(list(found[1].values())).all()
        assert np.isnan(list(found[4].values())).all()
        assert np.isfinite(list(found[5].values())).all()
        defined = {name for name, value in found[2].items() if not np.isnan(value)}
        assert defined == {"rmse", "mse", "mae", "bias"}
        assert {name for name, value in found[3].items() if np.isnan(value)} == {"pearson"}
        level, spread = 2.0 / y[:, 3].mean(), 0.0
        kge = 1 - math.hypot(-1, spread - 1, level - 1)
        np.testing.assert_allclose(found[3]["kge"], kge, rtol=1e-12)
        for name in ("nse", "mae"):
            column = list(found.of(name).values())
            np.testing.assert_allclose(found.mean()[name], np.nanmean(column))
            np.testing.assert_allclose(found.median()[name], np.nanmedian(column))
        nothing = masklstm.scores(y * NAN, p, "nse", groups="feature")
        assert np.isnan([nothing.mean()["nse"], nothing["all"]["nse"]]).all()


class _Two(keras.metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        return tf.zeros([2])


class TestChoice:
    def test_quantiles_are_those_of_each_group(self, rng):
        y, p, stations = river(rng)
        high = masklstm.scores(y, p, "mae", groups=stations, above=0.9)
        low = masklstm.scores(y, p, "mae", groups=stations, below=0.1)
        middle = masklstm.scores(y, p, "mae", groups=stations, above=0.1, below=0.9)
        for group in high.groups:
            own = ~np.isnan(y) & (stations == group)
            t, f = y[own], p[own]
            q10, q90 = np.quantile(t, [0.1, 0.9])
            for found, chosen in (
                (high, t > q90),
                (low, t < q10),
                (middle, (t > q10) & (t < q90)),
            ):
                assert found.labels[group] == chosen.sum()
                mae = np.abs(t - f)[chosen].mean()
                np.testing.assert_allclose(found[group]["mae"], mae, rtol=1e-12)
        assert high.labels["all"] == sum(high.labels[group] for group in high.groups)

    def test_log(self, rng):
        y, p, stations = river(rng)
        y[np.flatnonzero(stations == "Ems")[:3]] = [0.0, -5.0, -6.0]
        p[np.flatnonzero(stations == "Ems")[:3]] = 1.0
        found = masklstm.scores(y, p, "nse", groups=stations, transform="log")
        for group in found.groups:
            own = ~np.isnan(y) & (stations == group)
            epsilon = y[own].mean() / 100
            kept = own & (y + epsilon > 0)
            assert found.left_out[group] == (own & ~kept).sum() == 2 * (group == "Ems")
            t, f = np.log(y[kept] + epsilon), np.log(p[kept] + epsilon)
            np.testing.assert_allclose(found[group]["nse"], expected("nse", t, f), rtol=1e-9)
        assert found.left_out["all"] == 2
        assert "left out" in str(found)

    def test_a_function(self, rng):
        y, p, _ = river(rng)
        found = masklstm.scores(y, p, "rmse", transform=np.sqrt)
        valid = ~np.isnan(y)
        rmse = np.sqrt(np.mean((np.sqrt(y) - np.sqrt(p))[valid] ** 2))
        np.testing.assert_allclose(found["all"]["rmse"], rmse, rtol=1e-12)
        p[np.flatnonzero(valid)[:2]] = -1.0
        with pytest.warns(UserWarning, match=r"2 predictions are not finite once transformed.*all"):
            assert np.isnan(masklstm.scores(y, p, "rmse", transform=np.sqrt)["all"]["rmse"])
        p[np.flatnonzero(valid)[:2]] = NAN  # of the model's own: not the transformation's
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isnan(masklstm.scores(y, p, "rmse", transform=np.sqrt)["all"]["rmse"])


class TestLabelsAndGroups:
    def test_windows_sentinels_and_masks(self, rng):
        """Ids of the samples, a Keras mask, and every mark of what is missing."""
        y, p = rng.normal(size=(2, 8, 5, 2))
        ids = np.array([3, 1, 3, 1, 1, 2, 2, 3])
        y[rng.random(y.shape) < 0.3] = -999.0
        mask = rng.random((8, 5)) < 0.7
        masked = tf.constant(p)
        masked._keras_mask = tf.constant(mask)
        found = masklstm.scores(y, masked, "mae", groups=ids, missing=-999)
        assert found.groups == [3, 1, 2]
        valid = (y != -999) & mask[..., None]
        for group in found.groups:
            own = valid & (ids == group)[:, None, None]
            np.testing.assert_allclose(found[group]["mae"], np.abs(y - p)[own].mean(), rtol=1e-12)
        plain = masklstm.scores(np.where(y == -999, NAN, y), p, "mae", groups=ids[:, None])
        masked = masklstm.scores(np.ma.masked_equal(y, -999), p, "mae", groups=ids.tolist())
        np.testing.assert_array_equal(plain.values, masked.values)

    def test_axes(self, rng):
        y, p = rng.normal(size=(2, 8, 5, 2))
        steps = masklstm.scores(y, p, "mae", groups="timestep")
        features = masklstm.scores(y, p, "mae", groups="feature")
        np.testing.assert_allclose(steps.values[:, 0], np.abs(y - p).mean((0, 2)))
        np.testing.assert_allclose(features.values[:, 0], np.abs(y - p).mean((0, 1)))
        assert steps["all"] == pytest.approx(features["all"])
        one = masklstm.scores(y[..., 0], p[..., :1], "mae")
        assert one.groups == []
        assert one["all"]["mae"] == pytest.approx(np.abs(y - p)[..., 0].mean())

    def test_an_id_for_each_sample_in_a_column(self, rng):
        y, p = rng.normal(size=(2, 6, 2))
        ids = np.array(list("aabbbc"))
        expected = masklstm.scores(y, p, "mae", groups=ids)
        for shape in ((6, 1), (6, 1, 1)):
            assert str(masklstm.scores(y, p, "mae", groups=ids.reshape(shape))) == str(expected)

    def test_tables(self):
        """Whatever has columns and becomes an array, as pandas' frames and series do."""

        class Table:
            columns = ("flow", "level")

            def __init__(self, rows):
                self.rows = rows

            def __array__(self, dtype=None, copy=None):
                return np.array(self.rows, dtype)

        y = Table([[1.0, 5.0], [2.0, None], [3.0, 7.0]])
        found = masklstm.scores(y, Table([[2.0, 5.0]] * 3), "bias", groups="feature")
        assert found.of("bias") == pytest.approx({"flow": 0.0, "level": -1.0})
        ids = Table(["a", "b", None, "a", "b", NAN])
        flow = Table([1.0, 2.0, None, 4.0, 5.0, NAN])
        found = masklstm.scores(flow, np.zeros(6), "mae", groups=ids)
        assert found.of("mae") == {"a": 2.5, "b": 3.5}

    def test_errors(self):
        y = np.ones((4, 3))
        for arguments, text in (
            ({"y_pred": np.ones((4, 2))}, "same shape.*(4, 3).*(4, 2)"),
            ({"y_pred": [["a"] * 3] * 4}, "'y_pred' to be an array of numbers"),
            ({"groups": ["a", "b"]}, "'groups' to have the axes of y_true"),
            ({"groups": ["a", None, "a", "a"]}, "name the group of every label.*3 labels"),
            ({"groups": ["all", "a", "a", "a"]}, "another name than 'all'"),
            ({"groups": "station"}, "'groups' to be 'feature'"),
            ({"metrics": "nes"}, "Unknown name.*'nse', 'kge'.*Received: 'nes'"),
            ({"metrics": []}, "'metrics' to hold a metric"),
            ({"metrics": [3]}, "names, metrics or functions.*3 of type int"),
            ({"metrics": ["mae", "mae"]}, "'mae' twice"),
            ({"above": 1.5}, r"'above'. Expected a number in \(0, 1\)"),
            ({"above": 0.9, "below": 0.1}, "'above' to be less than 'below'"),
            ({"transform": "ln"}, "'transform'. Expected one of"),
            ({"transform": np.sum}, "'transform' to return an array"),
        ):
            text = text.replace("(4, 3)", r"\(4, 3\)").replace("(4, 2)", r"\(4, 2\)")
            with pytest.raises(ValueError, match=text):
                masklstm.scores(**{"y_true": y, "y_pred": y, **arguments})


def test_flow_duration_bias():
    """By hand, in any order; what has no logarithm, and its floor."""
    t, p = np.array([1.0, 8.0, 2.0, 4.0]), np.array([6.0, 1.0, 2.0, 4.0])
    assert FlowDurationBias(share=0.5)(t, p) == pytest.approx(100 * (10 - 12) / 12)
    assert FlowDurationBias(share=0.01)(t, p) == pytest.approx(-25.0)  # one at least
    low = FlowDurationBias(share=0.75, part="low")
    slopes = math.log(2) + math.log(4)
    assert low(t, 2 * p) == pytest.approx(0.0, abs=1e-12)  # the slope is the same
    assert low(t, p**2) == pytest.approx(-100.0)
    assert math.isnan(low(np.array([0.0, 1.0, 2.0]), np.ones(3)))
    raised = FlowDurationBias(share=1.0, part="low", floor=1.0)
    assert raised(np.array([0.0, 2.0, 4.0]), np.array([-1.0, 1.0, 1.0])) == pytest.approx(100.0)
    assert raised(np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0])) == 0.0
    assert slopes > 0
    assert repr(raised) == "FlowDurationBias(share=1.0, part='low', floor=1.0)"
    for arguments in ({"share": 0.0}, {"part": "middle"}, {"floor": 1.0}, {"share": 2}):
        with pytest.raises(ValueError, match=f"'{next(iter(arguments))}'. Expected"):
            FlowDurationBias(**arguments)


@pytest.mark.parametrize("shape", [(6, 5), (6, 1), (6,)])
def test_an_axis_of_length_one_may_be_left_out(shape, rng):
    y, p = rng.normal(size=(2, *shape))
    expected = masklstm.scores(y, p, ["rmse"])
    for labels, predictions in ((y[..., None], p), (y, p[..., None])):
        assert masklstm.scores(labels, predictions, ["rmse"])["all"] == expected["all"]


class TestTable:
    def found(self, rng, groups=3):
        y, p = rng.uniform(1, 2, (2, 10, groups))
        y[:, 0] = NAN
        names = np.array([f"<{n}|\n" for n in range(groups)])
        ids = np.broadcast_to(names, y.shape)
        return masklstm.scores(y, p, ["nse", "rmse"], groups=ids)

    def test_csv(self, rng, tmp_path):
        found = self.found(rng)
        found.to_csv(tmp_path / "scores.csv")
        with open(tmp_path / "scores.csv", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["group", "labels", "left_out", "nse", "rmse"]
        assert [row[0] for row in rows] == [*found.groups, "all"]
        for row in rows:
            assert int(row[1]) == found.labels[row[0]]
            np.testing.assert_array_equal([float(x) for x in row[3:]], [*found[row[0]].values()])

    def test_text(self, rng):
        found = self.found(rng)
        lines = str(found).splitlines()
        assert [line.split()[0] for line in lines if line] == [
            "group",
            "<0|\\n",
            "<1|\\n",
            "<2|\\n",
            "median",
            "mean",
            "all",
        ]
        assert [number for number, line in enumerate(lines) if not line] == [4]
        assert len({len(line) for line in lines if line}) == 1
        numbers = {name: getattr(found, name)().values() for name in ("median", "mean")}
        numbers |= {"all": found["all"].values(), "<1|\\n": found["<1|\n"].values()}
        for line in filter(None, lines[1:]):
            name, *cells = line.split()
            expected = numbers.get(name, [NAN, NAN])
            if name in numbers or name == "<0|\\n":
                shown = ["NaN" if np.isnan(value) else f"{value:.4g}" for value in expected]
                assert cells[-2:] == shown
        markdown = found.to_markdown().splitlines()
        assert len(markdown) == 8
        assert {line.replace("\\|", "").count("|") for line in markdown} == {5}
        page = found._repr_html_()
        assert page.count("<tr>") == 7
        assert "&lt;0|" in page
        many = self.found(rng, 50)
        assert "and 10 more groups" in str(many)
        assert "and 10 more groups" in many._repr_html_()
        assert len(many.to_markdown().splitlines()) == 55

    def test_as_a_dict(self, rng):
        found = self.found(rng)
        assert list(found) == [*found.groups, "all"]
        assert len(found) == 4
        assert found[found.groups[1]]["nse"] == found.values[1, 0] == found.of("nse")["<1|\n"]
        with pytest.raises(KeyError, match=r"no group 'x'. Expected 'all' or one of"):
            found["x"]
        with pytest.raises(KeyError, match=r"no metric 'kge'. Expected one of: nse, rmse"):
            found.of("kge")

    def test_picture(self, rng, tmp_path):
        """A step for each group with a score; the median; what is not shown is said."""
        pytest.importorskip("matplotlib")
        found = self.found(rng, 60)
        found.values[5, 0] = -1e6
        figure = found.plot(tmp_path / "scores.png")
        assert (tmp_path / "scores.png").read_bytes()[:4] == b"\x89PNG"
        nse, rmse = figure.axes
        assert nse.get_title() == "nse, 59 groups; 1 without a score"
        scores = np.sort(found.values[1:, 1])
        x, y = rmse.lines[0].get_data()
        np.testing.assert_allclose(x, scores)
        np.testing.assert_allclose(y, np.arange(1, 60) / 59)
        assert "outside" in nse.get_xlabel()
        assert nse.get_xlim()[0] > -1e3
        alone = masklstm.scores([1.0, 2.0], [1.0, 3.0], ["mae", "nse", "kge", "bias"])
        assert len(alone.plot().axes) == 4
        with pytest.raises(ValueError, match="'path'"):
            found.plot(tmp_path / "scores.txt2")
