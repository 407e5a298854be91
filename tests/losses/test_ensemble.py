"""The CRPS of ensembles as a loss: values, slopes, gaps, and the whole contract of the others."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import losses, metrics
from masklstm._core import library

NAN = float("nan")
SHAPE, MEMBERS = (5, 4, 3), 6


def scores_and_slopes(t, x):
    """The definition, by pairs; and its slopes by the members."""
    errors, pairs = x - t[..., None], x[..., :, None] - x[..., None, :]
    scores = np.abs(errors).mean(-1) - np.abs(pairs).mean((-2, -1)) / 2
    return scores, (np.sign(errors) - np.sign(pairs).mean(-1)) / x.shape[-1]


def data(rng, dtype="float64"):
    y_true, members = rng.normal(size=SHAPE), rng.normal(size=(*SHAPE, MEMBERS))
    members[..., 1] = members[..., 3]  # equal members, as at the beginning of a training
    members[0, 0] = 0.5
    members[0, 1, 0, 2] = y_true[0, 1, 0]
    return y_true.astype(dtype), members.astype(dtype)


def value_and_gradients(loss, y_true, members, weight):
    with tf.GradientTape() as tape:
        tape.watch([members, weight])
        value = loss(y_true, members, weight)
        total = tf.reduce_sum(value)
    return [value, *tape.gradient(total, [members, weight])]


FORMS = [
    {},
    {"reduction": "sum"},
    {"reduction": "mean_with_sample_weight"},
    {"reduction": None},
    {"balance": "timestep"},
    {"balance": "sample", "reduction": "sum"},
    {"normalizer": 7.0},
]


def all_forms(y_true, members, weight):
    """In one graph."""
    made = [
        losses.CRPS("ensemble", **form, missing=-9.5, dtype=members.dtype.name) for form in FORMS
    ]
    return [value_and_gradients(loss, y_true, members, weight) for loss in made]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_the_definition_for_every_reduction_and_mode(run, dtype, rng):
    y_true, members = data(rng, dtype)
    weight = rng.random(SHAPE[:2]).astype(dtype)
    scores, slopes = scores_and_slopes(y_true, members)
    is_gap = rng.random(SHAPE) < 0.4
    y_true[is_gap] = rng.choice([NAN, -9.5], is_gap.sum())
    members[is_gap] = rng.choice([NAN, np.inf, 3.0], members[is_gap].shape)
    results = run(all_forms, *map(tf.constant, (y_true, members, weight)))
    # The native losses of the same numbers, as absolute errors, are what all forms are built on.
    labels = tf.constant(np.where(is_gap, NAN, 0).astype(dtype))
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    for form, (value, by_members, by_weight) in zip(FORMS, results, strict=True):
        like = losses.MeanAbsoluteError(**form, dtype=dtype)
        expected, by_score, like_by_weight = value_and_gradients(
            like, labels, tf.constant(scores), tf.constant(weight)
        )
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
        expected = by_score.numpy()[..., None] * slopes
        np.testing.assert_allclose(by_members, expected, atol=tolerance)
        np.testing.assert_allclose(by_weight, like_by_weight, atol=tolerance)
        assert np.all(by_members.numpy()[is_gap] == 0)
        assert not np.any(np.signbit(by_members.numpy()[is_gap]))


def test_a_keras_mask_half_types_and_a_single_axis(rng):
    y_true, members = data(rng, "float16")
    scores, _ = scores_and_slopes(y_true.astype("float64"), members.astype("float64"))
    kept = rng.random(SHAPE[:2]) < 0.6
    for dtype in (tf.float16, tf.bfloat16):
        masked = tf.cast(members, dtype)
        if dtype == tf.bfloat16:
            scores, _ = scores_and_slopes(
                y_true.astype("float64"), tf.cast(masked, tf.float64).numpy()
            )
        masked._keras_mask = tf.constant(kept)
        value = losses.CRPS("ensemble")(y_true, masked)
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, scores[kept].mean(), rtol=1e-6)
        with tf.GradientTape() as tape:
            tape.watch(masked)
            value = losses.CRPS("ensemble", dtype="float32")(y_true, masked)
        gradient = tape.gradient(value, masked)
        assert gradient.dtype == dtype
        assert np.all(np.isfinite(tf.cast(gradient, tf.float32)))
    value = losses.CRPS("ensemble", dtype="float64")(y_true[..., 0], members[..., :1, :])
    scores, _ = scores_and_slopes(y_true.astype("float64"), members.astype("float64"))
    np.testing.assert_allclose(value, scores[..., 0].mean(), rtol=1e-12)


def test_nothing_valid_and_divergence():
    members = tf.fill([2, 3, 4], NAN)
    for jit_compile in {False, library.build["xla"]}:
        function = tf.function(value_and_gradients, autograph=False, jit_compile=jit_compile)
        y_true, weight = tf.fill([2, 3], NAN), tf.fill([2, 3], NAN)
        for result in function(losses.CRPS("ensemble"), y_true, members, weight):
            assert np.all(result.numpy() == 0)
    for y_pred in ([[[NAN, 1.0]], [[0.0, 2.0]]], [[[0.0, 1.0]], [[0.0, np.inf]]]):
        assert not np.isfinite(losses.CRPS("ensemble")([[1.0], [2.0]], y_pred))


def test_many_members_far_from_0(rng):
    """No digits are lost to the place of the ensemble."""
    y_true, members = 1e6 + rng.normal(size=3), 1e6 + rng.normal(size=(3, 500))
    expected, _ = scores_and_slopes(y_true, members)
    value = losses.CRPS("ensemble", dtype="float64")(y_true, members)
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-9)


def test_as_a_metric_and_saved(rng):
    y_true, members = data(rng)
    y_true[rng.random(SHAPE) < 0.4] = NAN
    loss = losses.CRPS("ensemble", missing=-1, balance="feature", name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    metric = metrics.Loss(again)
    for part in (slice(0, 1), slice(1, 5)):
        metric.update_state(y_true[part], members[part])
    whole = losses.CRPS("ensemble", missing=-1, balance="feature", dtype="float64")(y_true, members)
    np.testing.assert_allclose(metric.result(), whole, rtol=1e-12)
    counted = loss.counted(y_true, members)
    np.testing.assert_array_equal(counted, ~np.isnan(y_true))
    with pytest.raises(ValueError, match=r"\d predictions? for each label"):
        loss(y_true, members[..., 0])
