"""`masklstm.inspect` and the command of that name."""

import gzip
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm import cli
from masklstm._gaps import find_runs
from masklstm._inspection import Gap
from masklstm.demo.options import SHIPPED_DATA, SHIPPED_TARGET
from masklstm.demo.table import read_table

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
        ([1.0, None], {}, "Expected 'y' to be a tensor, an array or numbers"),
        (np.array([1.0, None], object), {}, "na_value"),
        (np.ma.array([1.0]), {}, "masked array"),
        ({"a": [1.0], "b": [2.0]}, {}, r"y\['a'\].*keys \['a', 'b'\]"),
        (np.zeros((0, 3)), {}, r"shape \(0, 3\)"),
        (np.zeros((1, 2, 3, 4)), {}, "4 axes"),
        (1.0, {}, "0 axes"),
        ([[1.0]], {"axes": ("sample", "step")}, "'axes'.*timestep.*'step'"),
        ([[1.0]], {"axes": "sample"}, "each of the 2 axes"),
        ([[1.0]], {"axes": ("sample", "sample")}, "none of them twice"),
        ([1.0], {"missing": "none"}, "'missing'"),
        (tf.data.Dataset.range(3).batch(1).repeat(), {}, "repeats for ever"),
        (tf.data.Dataset.range(3), {}, r"batch\(n\) makes batches.*shape \(\)"),
        (dataset_of((2, 3), (2, 4)), {}, r"\(2, 3\) and \(2, 4\)"),
        (tf.data.Dataset.from_tensors(([1.0], {"a": [1.0]})), {}, "one output"),
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


@pytest.mark.parametrize("blocks", [(1, 1), (3, 4), (6, 10), (100, 100)])
def test_shares_of_blocks_are_means(blocks, rng):
    missing = rng.random((6, 10)) < 0.5
    shares = shares_of_blocks(missing, *blocks)
    assert shares.shape == tuple(np.minimum(blocks, missing.shape))
    if blocks == (3, 4):
        assert shares[0, 0] == missing[:2, :2].mean()
    if blocks == (100, 100):
        np.testing.assert_array_equal(shares, missing)
    if blocks == (1, 1):
        assert shares[0, 0] == missing.mean()


class TestCommand:
    def test_the_shipped_data(self, capsys, tmp_path):
        assert cli.main(["inspect", "--out", str(tmp_path / "gaps.png")]) == 0
        printed = capsys.readouterr().out
        assert "2,067 (4.7%)" in printed
        assert "155 steps long" in printed
        assert (tmp_path / "gaps.png").exists()

    def test_a_file(self, capsys, tmp_path):
        file = tmp_path / "river.csv.gz"
        file.write_bytes(gzip.compress(b"day,level\nmon,-999\ntue,2\nwed,NA\n"))
        assert cli.main(["inspect", "--csv", str(file)]) == 0
        assert "missing  1 (33.3%)" in capsys.readouterr().out
        assert cli.main(["inspect", "--csv", str(file), "--missing", "-999"]) == 0
        assert "missing  2 (66.7%)" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--csv", "no-such-file.csv"], "no-such-file.csv"),
            (["--target", "pm25"], "Did you mean 'pm2.5'?"),
            (["--missing", "NONE"], "--missing"),
            (["--out", "no-such-folder/gaps.png"], "--out"),
            (["--out", "gaps.xyz"], "--out"),
        ],
    )
    def test_errors(self, arguments, message, capsys):
        assert cli.main(["inspect", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("masklstm inspect: error:")
        assert error.count("\n") == 1
        assert message in error

    def test_help(self, capsys):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["inspect", "--help"])
        assert exit_.value.code == 0
        assert "--csv" in capsys.readouterr().out


def test_importing_masklstm_needs_nothing_that_only_pictures_need():
    code = "import sys; sys.modules.update(matplotlib=None, sklearn=None); import masklstm"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_without_matplotlib_the_picture_says_what_it_needs(monkeypatch):
    monkeypatch.delitem(sys.modules, "masklstm._inspection_picture", raising=False)
    monkeypatch.delattr(masklstm, "_inspection_picture", raising=False)
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
