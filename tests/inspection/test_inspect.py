"""`masklstm.inspect` and the command of that name."""

import copy
import io
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm.commands.demo.options import SHIPPED_DATA, SHIPPED_TARGET
from masklstm.commands.table import read_table
from masklstm.inspection.numbers import Gap, Inspection
from masklstm.inspection.picture import condense
from masklstm.inspection.runs import find_runs

NAN = np.nan
WINDOWS = np.array(  # (sample, timestep, feature) = (2, 3, 2)
    [[[1, NAN], [2, NAN], [3, 4]], [[NAN, NAN], [NAN, NAN], [NAN, NAN]]], "float32"
)


@pytest.fixture(scope="module")
def beijing():
    return masklstm.inspect(read_table(SHIPPED_DATA).target(SHIPPED_TARGET))


class FrameLike:
    """What `inspect` uses of a pandas.DataFrame, which is not among the tests' packages."""

    columns = ("a", "b")

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, NAN], [2.0, NAN], [NAN, 3.0]], dtype)


def test_the_shipped_data(beijing):
    assert (beijing.labels, beijing.missing, len(beijing.gap_lengths)) == (43_824, 2_067, 214)
    assert beijing.longest_gaps(1) == [Gap(length=155, sample=0, feature=0, start=6_317)]
    text = str(beijing)
    assert "43,824 steps" in text
    assert "2,067 (4.7%)" in text
    assert "214; the longest is 155 steps long" in text


def test_the_picture_of_the_shipped_data(beijing, tmp_path):
    figure = beijing.plot(tmp_path / "gaps.png")
    assert (tmp_path / "gaps.png").read_bytes().startswith(b"\x89PNG")
    panels = {panel.get_title("left"): panel for panel in figure.axes}
    bars = panels["Lengths of the 214 gaps"].patches
    assert sum(bar.get_height() for bar in bars) == 214
    (image,) = panels["Where labels are missing"].images
    assert 0 < image.get_array().mean() < 0.1


def test_every_number_of_windows():
    found = masklstm.inspect(WINDOWS)
    assert (found.shape, found.labels, found.missing) == ((2, 3, 2), 12, 8)
    assert found.share == 8 / 12
    np.testing.assert_allclose(found.share_by_sample, [2 / 6, 1])
    np.testing.assert_allclose(found.share_by_timestep, [3 / 4, 3 / 4, 2 / 4])
    np.testing.assert_allclose(found.share_by_feature, [3 / 6, 5 / 6])
    np.testing.assert_array_equal(found.samples_without_label, [1])
    np.testing.assert_array_equal(found.gap_lengths, [2, 3, 3])
    np.testing.assert_array_equal(found.longest_gap_by_feature, [3, 3])
    assert found.longest_gaps(2) == [Gap(3, 1, 0, 0), Gap(3, 1, 1, 0)]
    assert found.longest_gaps()[-1] == Gap(2, 0, 1, 0)


def test_the_table_of_windows():
    assert str(masklstm.inspect(WINDOWS)).splitlines() == [
        "labels     2 samples x 3 steps x 2 features = 12",
        "missing    8 (66.7%)",
        "gaps       3; the longest is 3 steps long",
        "no label   1 of 2 samples",
        "by sample  33.3% (sample 0) to 100.0% (sample 1) missing",
        "by step    50.0% (step 2) to 75.0% (step 0) missing",
        "",
        "feature  missing  share  longest gap",
        "1              5  83.3%            3",
        "0              3  50.0%            3",
        "",
        "longest gaps",
        "  length  first step  last step  feature  sample",
        "       3           0          2        0       1",
        "       3           0          2        1       1",
        "       2           0          1        1       0",
    ]


def test_without_a_gap():
    found = masklstm.inspect(np.ones(5))
    assert found.longest_gaps() == []
    assert str(found).splitlines() == ["labels   5 steps", "missing  0 (0.0%)", "gaps     0"]
    assert found.plot().axes


def test_one_label_and_many_features():
    assert str(masklstm.inspect([NAN])).splitlines() == ["labels   1", "missing  1 (100.0%)"]
    assert "and 12 more, with no greater share" in str(masklstm.inspect(np.ones((3, 20))))


@pytest.mark.parametrize("shape", [(1,), (7,), (5, 3), (4, 5), (300, 12, 5), (1000, 1, 1)])
def test_every_shape_is_drawn(shape, rng, tmp_path):
    y = np.where(rng.random(shape) < 0.3, NAN, 1.0)
    masklstm.inspect(y).plot(tmp_path / "gaps.svg")
    assert b"<svg" in (tmp_path / "gaps.svg").read_bytes()


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y,
        lambda y: y.tolist(),
        lambda y: y.astype("float16"),
        tf.constant,
        lambda y: tf.cast(y, tf.bfloat16),
        tf.Variable,
        lambda y: tf.data.Dataset.from_tensor_slices(y).batch(1),
        lambda y: tf.data.Dataset.from_tensor_slices((y[:, 0], y)).batch(2),
        lambda y: tf.data.Dataset.from_tensor_slices((y, y, y)).batch(5),
    ],
)
def test_every_kind_of_labels_is_the_same(convert):
    assert str(masklstm.inspect(convert(WINDOWS))) == str(masklstm.inspect(WINDOWS))


def test_gaps_go_on_from_batch_to_batch():
    y = np.array([1.0, NAN, NAN, NAN, 2.0])
    found = masklstm.inspect(tf.data.Dataset.from_tensor_slices(y).batch(2))
    assert found.longest_gaps() == [Gap(length=3, sample=0, feature=0, start=1)]


def test_a_data_frame_names_the_features():
    found = masklstm.inspect(FrameLike())
    assert found.features == ["a", "b"]
    assert found.shape == (1, 3, 2)
    assert "b              2  66.7%            2" in str(found)


@pytest.mark.parametrize(
    ("y", "missing", "count"),
    [
        ([1, -999, 2], -999, 1),
        ([1.0, -999.0, NAN], -999, 2),
        (np.array([0, -1, 1], "int8"), -1, 1),
        (np.array([0, 1], "uint8"), -1, 0),
        ([1.0, np.inf, NAN], "nonfinite", 2),
        ([1.0, np.inf, NAN], NAN, 1),
        ([True, False], NAN, 0),
    ],
)
def test_what_is_missing(y, missing, count):
    assert masklstm.inspect(y, missing).missing == count


def test_axes_may_be_said():
    y = WINDOWS[..., 1]
    assert masklstm.inspect(y).shape == (1, 2, 3)
    assert masklstm.inspect(y, axes=("sample", "timestep")).shape == (2, 3, 1)
    assert masklstm.inspect(y, axes=("feature", "timestep")).shape == (1, 3, 2)
    swapped = masklstm.inspect(WINDOWS.swapaxes(0, 1), axes=("timestep", "sample", "feature"))
    assert str(swapped) == str(masklstm.inspect(WINDOWS))


def dataset_of(*shapes):
    return tf.data.Dataset.from_generator(
        lambda: iter([np.zeros(shape) for shape in shapes]),
        output_signature=tf.TensorSpec(None, tf.float64),
    )


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        ("text", {}, "dtype string"),
        ([1.0, "dry"], {}, "dtype string"),
        ([1.0, None, "dry"], {}, r"'y' to hold numbers.*'dry' at \(2,\)"),
        ([1.0, None, 2**53 + 1], {}, r"'y' to hold numbers.*9007199254740993"),
        (np.array([1.0, 1j, None], object), {}, "'y' to hold numbers.*1j"),
        (None, {}, "'y' to hold numbers.*None"),
        ({}, {}, "an empty dict"),
        ({"a": [1.0], "b": [[1.0], ["x"]]}, {}, r"'y\['b'\]'.*dtype string"),
        ({"a": [1.0], "b": (np.ones(2), None)}, {}, r"'y\['b'\]\[1\]' to hold numbers.*None"),
        ({"a": [1.0]}, {"axes": ("sample", "timestep")}, r"1 axes of 'y\['a'\]'"),
        (np.zeros((0, 3)), {}, r"shape \(0, 3\)"),
        (np.zeros((1, 2, 3, 4)), {"axes": ("sample", "timestep", "feature")}, "4 axes"),
        (1.0, {}, "0 axes"),
        ([[1.0]], {"axes": ("sample", "step")}, "'axes'.*timestep.*'step'"),
        ([[1.0]], {"axes": "sample"}, "each of the 2 axes"),
        ([[1.0]], {"axes": ("sample", "sample")}, "none of them twice but 'feature'"),
        ([1.0], {"missing": "none"}, "'missing'"),
        (tf.data.Dataset.range(3).batch(1).repeat(), {}, "repeats for ever"),
        (tf.data.Dataset.range(3), {}, r"batch\(n\) makes batches.*shape \(\)"),
        (dataset_of((2, 3), (2, 4)), {}, r"\(2, 3\) and \(2, 4\)"),
        (
            tf.data.Dataset.from_tensors(([1.0], {"a": ([1.0], "text")})).batch(2),
            {},
            r"'y\['a'\]\[1\]'.*dtype string",
        ),
        (tf.data.Dataset.from_tensors(([1.0],)), {}, "tuples of 1"),
        (dataset_of(), {}, "to hold a label"),
    ],
)
def test_errors(y, arguments, message):
    with pytest.raises(ValueError, match=message):
        masklstm.inspect(y, **arguments)


def test_runs(rng):
    """Compared with a walk along every row."""
    missing = rng.random((20, 13)) < 0.5
    expected = []
    for row, values in enumerate(missing):
        start = None
        for step, value in enumerate([*values, False]):
            if value and start is None:
                start = step
            elif not value and start is not None:
                expected.append((row, start, step))
                start = None
    np.testing.assert_array_equal(find_runs(missing), expected)


class NAType:
    """As pandas' NA is called, which refuses to become a number or a truth."""

    def __float__(self):
        raise TypeError

    def __bool__(self):
        raise TypeError

    def __eq__(self, other):
        return self

    __hash__ = None


class Nullable:
    """What `inspect` uses of a data frame or a series of nullable numbers."""

    dtype = "Int64"
    columns = ("a", "b")

    def __init__(self, values):
        self.values = np.array(values, object)
        self.ndim = self.values.ndim

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize(
    "y",
    [
        [[1.0, None], [None, 4.0], [5, 6]],
        ((1, None), (None, 4), (5, 6)),
        [[True, None], [None, False], [True, True]],
        np.array([[1.0, None], [None, 4.0], [5, 6]], object),
        np.array([[Decimal("0.1"), NAN], [Fraction(1, 3), None], [5, 2**53]], object),
        Nullable([[1, NAType()], [NAType(), 4], [5, 6]]),
        np.ma.array([[1.0, 9e36], [9e36, 4.0], [5.0, 6.0]], mask=[[0, 1], [1, 0], [0, 0]]),
        np.ma.array([[1, 0], [0, 4], [5, 6]], "int8", mask=[[0, 1], [1, 0], [0, 0]]),
        np.ma.array([[True] * 2] * 3, mask=[[0, 1], [1, 0], [0, 0]]),
        np.ma.array([[1.0, NAN], [2.0, 4.0], [5.0, 6.0]], mask=[[0, 0], [1, 0], [0, 0]]),
        np.ma.array([[1, "x"], [None, 4], [5, 6]], object, mask=[[0, 1], [0, 0], [0, 0]]),
    ],
)
def test_whatever_marks_a_label_as_missing(y):
    found = masklstm.inspect(y)
    assert found.shape == (1, 3, 2)
    assert found.missing == 2
    labels, weights = masklstm.sample_weights(y, per="element")
    assert np.count_nonzero(weights == 0) == 2
    assert np.all(labels[weights == 0] == 0)
    assert not isinstance(labels, np.ma.MaskedArray)
    if isinstance(y, np.ma.MaskedArray) and y.dtype != object:
        assert labels.dtype == y.dtype


def test_a_masked_array_without_a_mask_and_a_masked_sentinel():
    assert masklstm.inspect(np.ma.array([1.0, NAN])).missing == 1
    masked = np.ma.array([1, -1, -1, 2], mask=[0, 1, 0, 0])
    assert masklstm.inspect(masked).missing == 1
    assert masklstm.inspect(masked, missing=-1).missing == 2


@pytest.mark.parametrize(
    "y", [[[1.0, 2.0], [3.0]], [[1, 2], [3]], [[True], [False, True]], [[1, None], [2]]]
)
def test_the_advice_for_ragged_labels_can_be_followed(y):
    with pytest.raises(ValueError, match=r"pad_sequences\(y, dtype='float64'") as error:
        masklstm.inspect(y)
    advice = re.search(r"keras\.utils\.pad_sequences\(.*?\)\)", str(error.value)).group()
    padded = eval(advice, {"keras": keras, "y": y})
    assert masklstm.inspect(padded).missing == (2 if None in y[0] else 1)


@pytest.mark.parametrize("y", [[[1.0, 2.0], [3.0]], [[1, 2], [3]], [[True], [False, True]]])
def test_the_advice_for_ragged_tensors_can_be_followed(y):
    ragged = tf.ragged.constant(y)
    for read in (masklstm.inspect, masklstm.sample_weights):
        with pytest.raises(ValueError, match=r"tf\.cast\(y, 'float64'\)\.to_tensor"):
            read(ragged)
    padded = tf.cast(ragged, "float64").to_tensor(float("nan"))
    assert masklstm.inspect(padded).missing == 1
    dataset = tf.data.Dataset.from_tensors((y[0][0], {"a": ragged}))
    with pytest.raises(ValueError, match=r"tf\.cast\(y\['a'\], 'float64'\)"):
        masklstm.inspect(dataset)


class TestSeveralOutputs:
    A = np.array([[1, NAN, 3, 4], [NAN, NAN, 7, 8]], "float32")
    B = np.array([[0], [-1]])

    @pytest.mark.parametrize("container", [tuple, list])
    @pytest.mark.parametrize("convert", [np.asarray, tf.constant])
    def test_of_a_tuple_or_list(self, container, convert):
        found = masklstm.inspect(container([convert(self.A), convert(self.B)]), missing=-1)
        assert list(found) == [0, 1]
        assert str(found[0]) == str(masklstm.inspect(self.A))
        assert str(found[1]) == str(masklstm.inspect(self.B, missing=-1))

    def test_equal_shapes_are_several_outputs_too(self):
        """As `model.fit` reads them; `numpy.stack` makes them one table."""
        found = masklstm.inspect([self.A[0], self.A[1]])
        assert [found[key].missing for key in found] == [1, 2]
        assert masklstm.inspect(np.stack([self.A[0], self.A[1]])).missing == 3

    @pytest.mark.parametrize(
        "y", [(1.0, NAN), [[1.0, NAN], [2.0, 3.0]], [(1.0, NAN)], [np.float32(1), NAN], ((1, 2),)]
    )
    def test_numbers_and_rows_of_numbers_are_one_table(self, y):
        assert isinstance(masklstm.inspect(y), Inspection)

    @pytest.mark.parametrize("batch", [1, 2])
    def test_of_a_dataset(self, batch):
        x = np.zeros((2, 5))
        for y in ((self.A, self.A), {"a": self.A, "b": {"c": self.B, "d": (self.A[:, 0], self.B)}}):
            expected = str(masklstm.inspect(y))
            slices = tf.data.Dataset.from_tensor_slices
            datasets = [slices((x, y)), slices((x, y, np.ones(2)))]
            if isinstance(y, dict):
                datasets.append(slices(y))
            for dataset in datasets:
                assert str(masklstm.inspect(dataset.batch(batch))) == expected

    def test_what_is_nested_stays_nested(self):
        found = masklstm.inspect({"a": self.A, "b": {"c": self.B, "d": (self.A[:, 0],)}})
        assert found["b"]["d"][0].missing == 1
        reports = str(found).split("\n\n")
        assert reports[0].startswith("output a\nlabels   2 steps x 4 features = 8\n")
        assert [line for line in str(found).splitlines() if line.startswith("output")] == [
            "output a",
            "output b / c",
            "output b / d / 0",
        ]

    def test_a_number_of_all_is_refused(self):
        found = masklstm.inspect((self.A, self.A))
        for error in (ValueError, AttributeError):
            with pytest.raises(error, match=r"as by: found\[0\]\.missing.*keys \[0, 1\]"):
                _ = found.missing
        with pytest.raises(AttributeError, match="no attribute 'colour'"):
            _ = found.colour
        assert not hasattr(found, "shape")
        assert copy.copy(found) == found

    def test_axes_hold_for_each(self):
        found = masklstm.inspect((self.A, self.B), axes=("sample", "timestep"))
        assert found[0].shape == (2, 4, 1)
        assert found[1].shape == (2, 1, 1)


class TestMaps:
    Y = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)

    def test_features_are_the_places(self):
        y = self.Y.copy()
        y[1, :, 2, 3] = NAN
        found = masklstm.inspect(y)
        assert found.shape == (2, 3, 20)
        assert found.features[:6] == ["0,0", "0,1", "0,2", "0,3", "0,4", "1,0"]
        assert found.longest_gaps() == [Gap(3, 1, found.features.index("2,3"), 0)]
        assert "2,3" in str(found)
        five = masklstm.inspect(y[..., None])
        assert five.features[13] == "2,3,0"
        assert five.missing == 3
        found.plot()

    def test_axes_name_them(self):
        y = np.moveaxis(self.Y, 1, -1).copy()
        y[1, 2, 3, :] = NAN
        found = masklstm.inspect(y, axes=("sample", "feature", "feature", "timestep"))
        assert found.shape == (2, 3, 20)
        assert found.longest_gaps() == [Gap(3, 1, found.features.index("2,3"), 0)]
        one = masklstm.inspect(y[1], axes=("feature", "feature", "timestep"))
        assert one.shape == (1, 3, 20)
        assert one.longest_gaps() == [Gap(3, 0, found.features.index("2,3"), 0)]


def test_a_forgotten_sentinel_is_named():
    y = np.sin(np.arange(300.0)).reshape(100, 3)
    y[10:40, 1] = -999
    line = "suspect  -999 occurs 30 times: missing=-999?"
    assert line in str(masklstm.inspect(y)).splitlines()
    assert masklstm.inspect(y).suspects == {"-999": 30}
    assert masklstm.inspect(tf.data.Dataset.from_tensor_slices(y).batch(7)).suspects == {"-999": 30}
    assert "suspect" not in str(masklstm.inspect(y, missing=-999))
    assert masklstm.inspect(y > 0).suspects == {}
    fill = np.where(y == -999, 9.96921e36, y).astype("float32")
    found = masklstm.inspect(fill)
    assert found.suspects == {"9.96921e+36": 30}
    assert masklstm.inspect(fill, missing=float(*found.suspects)).missing == 30


def test_a_share_that_is_nearly_none_is_not_called_none():
    y = np.zeros(10_000)
    y[5] = NAN
    assert "missing  1 (<0.1%)" in str(masklstm.inspect(y))
    y = np.where(np.isnan(y), 1, NAN)
    assert "missing  9,999 (>99.9%)" in str(masklstm.inspect(y))


def image_of(figure):
    (image,) = figure.axes[0].images
    return np.asarray(image.get_array())


def colors_of(figure):
    """The colours of the map's image."""
    (image,) = figure.axes[0].images
    return image.cmap(image.norm(image.get_array()))


class TestPicture:
    def test_nothing_is_averaged_over_features_or_samples(self):
        y = np.zeros((2000, 48, 2))
        y[500:1000, :, 0] = NAN
        y[1503, :, 1] = NAN
        drawn = image_of(masklstm.inspect(y).plot())
        assert len(drawn) < 400  # so that each row has a pixel
        first, second = np.split(drawn, 2)
        assert set(np.unique(drawn)) == {0, 1}
        assert first.mean() == pytest.approx(0.25, abs=0.01)
        assert np.count_nonzero(second.all(axis=1)) == 1

    def test_a_row_for_each_series_and_feature(self, rng):
        y = np.where(rng.random((5, 7, 3)) < 0.3, NAN, 1.0)
        drawn = image_of(masklstm.inspect(y).plot())
        np.testing.assert_array_equal(drawn, np.isnan(y).transpose(2, 0, 1).reshape(15, 7))

    def test_steps_that_share_a_column_show_their_share(self, rng):
        missing = rng.random((3, 40, 4)) < 0.3
        bands = condense(missing, rows=4, columns=10)
        expected = missing.reshape(3, 10, 4, 4).mean(axis=2).max(axis=0).T
        np.testing.assert_allclose(bands.shares, expected)

    def test_more_features_than_rows(self):
        missing = np.zeros((2, 4, 1000), bool)
        missing[1, :, 123] = True
        bands = condense(missing)
        assert len(bands.shares) < 400
        assert bands.shares.max() == 1
        assert np.count_nonzero(bands.shares.any(axis=1)) == 1

    def test_a_single_missing_label_is_seen(self):
        y = np.zeros(1_000_000)
        y[123_456] = NAN
        colors = colors_of(masklstm.inspect(y).plot())
        white = (colors == 1).all(axis=-1)
        assert np.count_nonzero(~white) == 1
        assert np.abs(1 - colors[~white]).max() > 0.2

    def test_names_are_not_lost(self):
        frame = Nullable(np.ones((9, 40)))
        frame.columns = [f"column {index}" for index in range(40)]
        figure = masklstm.inspect(frame).plot()
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == frame.columns
        few = masklstm.inspect(np.ones((9, 4))).plot()
        many = masklstm.inspect(np.ones((9, 4000))).plot()
        heights = [each.get_size_inches()[1] for each in (few, figure, many)]
        assert heights[0] < heights[1] < heights[2] < 30
        assert 30 < len(many.axes[0].get_yticklabels()) <= 100

    def test_no_panel_is_empty(self):
        figure = masklstm.inspect(np.ones((9, 4))).plot()
        (panel,) = figure.axes
        assert [text.get_text() for text in panel.texts] == ["no label is missing"]
        (panel, _) = masklstm.inspect([NAN]).plot().axes  # the map and its colours
        assert panel.images
        everything = masklstm.inspect(np.full((3, 4), NAN)).plot()
        assert image_of(everything).min() == 1
        titles = [panel.get_title("left") for panel in everything.axes[1:3]]
        assert titles == ["Share that is missing of all 4 series, by step", "Lengths of the 4 gaps"]

    def test_what_shares_a_row_or_column_is_told(self):
        def told(y):
            return masklstm.inspect(y).plot().axes[0].get_title("right")

        assert told(np.ones(5)) == ""
        assert told(np.ones((5, 3))) == "each row is a feature"
        assert told(np.ones((2, 5, 3))) == "each band is a feature; each row is a sample"
        assert told(np.ones((640, 1600, 1))) == (
            "each row is the worst of 2 samples, step by step; each column is the share of 2 steps"
        )

    def test_a_notebook_shows_it_once(self):
        """By its own method; pyplot, which would show it once more, does not know of it."""
        before = plt.get_fignums()
        figure = masklstm.inspect([1.0, NAN]).plot()
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert plt.get_fignums() == before

    def test_a_notebook_shows_the_table_and_the_picture(self, monkeypatch):
        found = masklstm.inspect({"a<b": [1.0, NAN], "c": [2.0]})
        shown = found._repr_html_()
        assert shown.count("<img ") == 2
        assert "output a&lt;b" in shown
        assert "missing  1 (50.0%)" in shown
        monkeypatch.delitem(sys.modules, "masklstm.inspection.picture", raising=False)
        monkeypatch.delattr(masklstm.inspection, "picture", raising=False)
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert found["c"]._repr_html_().startswith("<pre ")
        assert "<img" not in found["c"]._repr_html_()


class TestSavingThePicture:
    def test_the_suffix_is_the_format(self, tmp_path):
        found = masklstm.inspect([1.0, NAN])
        found.plot(tmp_path / "gaps")
        assert (tmp_path / "gaps.png").read_bytes().startswith(b"\x89PNG")
        with pytest.raises(ValueError, match=r"'path'.*\.png.*\.svg.*gaps\.xyz"):
            found.plot(tmp_path / "gaps.xyz")
        with pytest.raises(IsADirectoryError, match="is a folder"):
            found.plot(tmp_path)
        (tmp_path / "taken.png").mkdir()
        with pytest.raises(IsADirectoryError, match="is a folder"):
            found.plot(tmp_path / "taken")
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            found.plot(tmp_path / "no" / "gaps.png")
        content = io.BytesIO()
        found.plot(content)
        assert content.getvalue().startswith(b"\x89PNG")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gaps.png", "taken.png"]

    def test_a_full_disk_leaves_nothing_under_its_name(self, tmp_path, full_disk):
        found = masklstm.inspect([1.0, NAN])
        (tmp_path / "old.png").write_bytes(b"old")
        with full_disk(), pytest.raises(OSError, match="File too large"):
            found.plot(tmp_path / "new.png")
        with full_disk(), pytest.raises(OSError, match="File too large"):
            found.plot(tmp_path / "old.png")
        assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
        assert (tmp_path / "old.png").read_bytes() == b"old"


def test_importing_masklstm_needs_nothing_that_only_pictures_need():
    code = "import sys; sys.modules.update(matplotlib=None, sklearn=None); import masklstm"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_without_matplotlib_the_picture_says_what_it_needs(monkeypatch):
    monkeypatch.delitem(sys.modules, "masklstm.inspection.picture", raising=False)
    monkeypatch.delattr(masklstm.inspection, "picture", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"masklstm\[demo\]"):
        masklstm.inspect([1.0]).plot()


def test_columns_are_names_of_features_alone():
    class Frame:
        columns = ("a", "b")

        def __array__(self, dtype=None, copy=None):
            return np.array([[1, np.nan], [2, np.nan], [3, 4]])

    assert masklstm.inspect(Frame()).features == ["a", "b"]
    found = masklstm.inspect(Frame(), axes=("timestep", "sample"))
    assert found.features == ["0"]
    assert found.longest_gaps() == [
        masklstm.inspect(Frame()).longest_gaps()[0].__class__(2, 1, 0, 0)
    ]
    assert "features" in str(masklstm.inspect(Frame(), axes=("feature", "timestep")))


def test_the_longest_gaps_are_eight_unless_more_are_asked_for():
    found = masklstm.inspect(np.array([1.0, np.nan] * 20))
    assert len(found.longest_gaps()) == 8
    assert len(found.longest_gaps(20)) == 20


def test_gaps_are_named_by_times():
    times = np.datetime64("2020-01-31T22") + np.arange(5)
    found = masklstm.inspect([1.0, np.nan, np.nan, 4.0, np.nan], times=times)
    assert "2  2020-01-31 23:00        2020-02-01" in str(found)
    with pytest.raises(ValueError, match=r"each of the 5 steps"):
        masklstm.inspect(np.zeros(5), times=times[:4])
    labels = [label.get_text() for label in found.plot().axes[0].get_xticklabels()]
    assert any("Feb" in label or "00:00" in label for label in labels)
    by_number = masklstm.inspect([1.0, np.nan, 4.0], times=[10, 20, 30]).plot()
    assert [label.get_text() for label in by_number.axes[0].get_xticklabels()][1] in ("10", "20")
    pandas = pytest.importorskip("pandas")
    index = pandas.to_datetime(["2020-01-01", "2020-01-02"])
    frame = pandas.DataFrame({"a": [1.0, np.nan]}, index=index)
    assert "1  2020-01-02  2020-01-02" in str(masklstm.inspect(frame))
    for axes in (("sample", "timestep"), ("feature", "timestep"), ("sample", "feature")):
        assert masklstm.inspect(frame, axes=axes).times is None
    assert masklstm.inspect(frame.reset_index(drop=True)).times is None  # numbers of rows
