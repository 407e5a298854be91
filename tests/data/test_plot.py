"""The picture of forecasts."""

import numpy as np
import pytest

from masklstm import data

pandas = pytest.importorskip("pandas")


def windows(groups=3, **options):
    rng = np.random.default_rng(0)
    hours = np.datetime64("2020-01-01T00") + np.arange(200)
    frame = pandas.concat(
        [
            pandas.DataFrame({"time": hours, "y": rng.random(200), "site": f"s{k}"})
            for k in range(groups)
        ],
        ignore_index=True,
    )
    frame.loc[frame.time.between("2020-01-03", "2020-01-04"), "y"] = np.nan
    options = {"skip_unlabelled": False, **options}
    return data.windows(frame, "y", "y", 10, time="time", group="site", **options)


def test_a_panel_for_each_series_on_real_times(tmp_path):
    found = windows()
    figure = found.plot(np.zeros_like(found.labels()), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["s0", "s1", "s2"]
    assert figure._repr_png_().startswith(b"\x89PNG")
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["no label", "observed", "forecast"]
    left, right = figure.axes[0].get_xlim()
    assert right - left == pytest.approx(189 / 24)


def test_left_out_windows_are_holes_and_no_lines():
    found = windows(1, skip_unlabelled=True)
    line = windows(1).plot(windows(1).labels()).axes[0].lines[1].get_ydata()
    assert np.isnan(found.plot(found.labels()).axes[0].lines[1].get_ydata()).sum() == 25
    assert len(line) == 190


def test_chosen_series_and_times():
    found = windows(12)
    figure = found.plot(found.labels())
    assert len(figure.axes) == 8
    assert figure.get_suptitle() == "y; 4 more series"
    assert windows(9).plot(windows(9).labels()).get_suptitle() == "y; 1 more series"
    assert windows(8).plot(windows(8).labels()).get_suptitle() == "y"
    figure = found.plot(found.labels(), groups=["s9"], between=("2020-01-02", "2020-01-03"))
    assert len(figure.axes[0].lines[0].get_xdata()) == 24
    with pytest.raises(ValueError, match="'s99'"):
        found.plot(found.labels(), groups=["s99"])
    with pytest.raises(ValueError, match=r"\.xyz"):
        found.plot(found.labels(), "picture.xyz")


@pytest.mark.parametrize("options", [{"horizon": [1, 5]}, {"return_sequences": True}], ids=str)
def test_several_labels_of_a_window(options):
    found = windows(2, **options)
    labels = found.labels()
    figure = found.plot(labels)
    assert len(figure.axes) == 2
    (drawn,) = (line for line in figure.axes[0].lines if line.get_label() == "forecast")
    shown = drawn.get_ydata()
    step = -1 if "return_sequences" in options else 0
    expected = labels[found.groups == "s0", step, 0]
    np.testing.assert_array_equal(shown[~np.isnan(shown)], expected[~np.isnan(expected)])
