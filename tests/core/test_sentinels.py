"""Numbers that look like a forgotten sentinel."""

import numpy as np
import pytest

from masklstm._core.sentinels import is_conventional, sentinel_text, suspected_sentinels


def with_sentinel(values, sentinel, count=5):
    values = np.array(values, copy=True)
    values[3 : 3 + count] = sentinel
    return values


MEASURED = {
    "temperature": lambda rng: rng.normal(12, 9, 1000),
    "river": lambda rng: rng.gamma(0.5, 400, 1000),
    "fine dust": lambda rng: np.round(rng.gamma(1.5, 70, 1000)),
    "probability": lambda rng: rng.random(1000),
    "count": lambda rng: rng.poisson(3, 1000).astype(float),
    "class": lambda rng: rng.integers(0, 2, 1000).astype(float),
    "standardised": lambda rng: rng.normal(size=1000),
}


@pytest.mark.parametrize("kind", MEASURED)
@pytest.mark.parametrize("sentinel", [-999, -9999, -999.9, -99999, 9.96921e36, 1e20, -32768, 99999])
def test_usual_sentinels_are_found(kind, sentinel, rng):
    values = with_sentinel(MEASURED[kind](rng), sentinel)
    assert suspected_sentinels(values) == {sentinel: 5}


@pytest.mark.parametrize("kind", MEASURED)
def test_measurements_are_not_suspected(kind, rng):
    values = MEASURED[kind](rng)
    assert suspected_sentinels(values) == {}
    assert suspected_sentinels(np.clip(values, *np.percentile(values, (5, 95)))) == {}
    assert suspected_sentinels(np.where(rng.random(1000) < 0.3, 0, np.abs(values))) == {}


def test_unusual_ones_are_found_far_outside(rng):
    """As a usual one is after scaling, or a 0 among what is never near 0."""
    scaled = with_sentinel(rng.normal(size=1000), -999)
    scaled = (scaled - scaled.mean()) / scaled.std()
    assert suspected_sentinels(scaled) == {scaled[3]: 5}
    assert suspected_sentinels(with_sentinel(rng.normal(1000, 1, 500), 0)) == {0: 5}


def test_one_that_does_not_recur_is_an_outlier(rng):
    for count in (1, 2):
        assert suspected_sentinels(with_sentinel(rng.normal(size=1000), -999, count)) == {}


def test_several(rng):
    values = with_sentinel(rng.normal(size=1000), -999)
    values[100:120], values[200:203] = -9999, 99999
    assert list(suspected_sentinels(values).items()) == [(-9999, 20), (-999, 5), (99999, 3)]


def test_columns_have_their_own_scales(rng):
    values = np.stack([with_sentinel(rng.normal(size=500), -999), rng.normal(1e5, 3e4, 500)], 1)
    assert suspected_sentinels(values) == {-999: 5}
    assert suspected_sentinels(values.reshape(10, 50, 2)) == {-999: 5}
    assert suspected_sentinels(np.tile(values[:, :1], 300)) == {-999: 1500}


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [-999.0] * 9,
        [np.nan] * 9,
        [np.nan, np.inf, -np.inf] * 9,
        [True, False] * 9,
        np.zeros((0, 3)),
        np.array(-999.0),
        [1, -1] * 9,
        [-1, 0, 1, 2] * 9,
    ],
)
def test_nothing_to_suspect(values):
    assert suspected_sentinels(values) == {}


def test_gaps_and_infinities_are_not_looked_at(rng):
    values = with_sentinel(rng.normal(size=100), -999)
    values[:3] = np.nan, np.inf, -np.inf
    assert suspected_sentinels(values) == {-999: 5}
    assert suspected_sentinels(with_sentinel(rng.integers(0, 9, 100), -999)) == {-999: 5}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("number", [-999, -999.9, 9.96921e36, 0, 2**31 - 1, 1e-7])
def test_the_text_reads_back_to_the_number_in_its_type(dtype, number):
    if np.dtype(dtype).kind == "i" and (number != int(number) or abs(number) > 2**31):
        return
    if dtype == "float16" and abs(number) > 65504:
        return
    own = np.dtype(dtype).type(number)
    text = sentinel_text(float(own), dtype)
    assert np.dtype(dtype).type(float(text)) == own
    assert len(text) <= 22


ENDS = (255, 32767, -32767, -32768, 65535, 2**31 - 1, -(2**31), -(2**31) + 1, 2**32 - 1)


@pytest.mark.parametrize("number", [*ENDS, -9.0e99, 1e20, 99, 99.9, -999])
def test_numbers_in_use(number):
    assert is_conventional(number)


@pytest.mark.parametrize("number", [9, 0, -1, 100, 254, 256, 32766, 32769, -32769, 65534, 9e19])
def test_numbers_not_in_use(number):
    assert not is_conventional(number)


def test_the_text_of_large_whole_numbers():
    assert sentinel_text(1e15, "float64") == "1000000000000000.0"
    assert sentinel_text(1e15 - 1, "float64") == "999999999999999"


def test_how_far_apart_an_unusual_number_is(rng):
    """More than twice the others' range, if they have ten values or more."""
    others = np.tile(np.arange(11.0), 20)
    for number, is_suspected in ((30.5, True), (29.5, False), (-20.5, True), (-19.5, False)):
        values = np.concatenate([others, [number] * 3])
        assert suspected_sentinels(values) == ({number: 3} if is_suspected else {})
    few = np.tile(np.arange(9.0), 20)
    assert suspected_sentinels(np.concatenate([few, [500.0] * 3])) == {}
