"""`losses.Sum`: weighted losses of one output, with their parts in the logs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import callbacks, losses, metrics

NAN = float("nan")
SHAPE = (6, 5, 4)


def data(rng, shape=SHAPE):
    """Labels with gaps, predictions that are not finite under them, weights of the steps."""
    y_true, y_pred = rng.normal(size=(2, *shape)).astype("float32")
    y_true[rng.random(shape) < 0.3] = NAN
    y_pred[np.isnan(y_true)] = NAN
    return y_true, y_pred, rng.random(shape[:2]).astype("float32")


def l1_and_l2(**options):
    return losses.Sum(
        {
            "l1": (losses.MeanAbsoluteError(**options), 1.0, slice(0, 2)),
            "l2": (losses.MeanSquaredError(**options), 0.5, [2, 3]),
        }
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "mean_with_sample_weight", "sum", "none"])
def test_is_the_sum_of_its_parts(reduction, weighted, run, rng):
    y_true, y_pred, weight = data(rng)
    weight = weight if weighted else None
    loss = l1_and_l2(reduction=reduction)
    first = losses.MeanAbsoluteError(reduction)(y_true[..., :2], y_pred[..., :2], weight)
    second = losses.MeanSquaredError(reduction)(y_true[..., 2:], y_pred[..., 2:], weight)
    actual = run(loss, *map(tf.constant, (y_true, y_pred)), weight)
    np.testing.assert_allclose(actual, first + 0.5 * second, rtol=1e-5)


def test_gradients_skip_gaps(rng):
    y_true, y_pred, _ = data(rng)
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = l1_and_l2()(y_true, y_pred)
    gradient = tape.gradient(value, y_pred).numpy()
    valid = ~np.isnan(y_true)
    error = np.where(valid, y_pred - y_true, 0)
    expected = np.concatenate(
        [
            np.sign(error[..., :2]) / valid[..., :2].sum(),
            error[..., 2:] / valid[..., 2:].sum(),
        ],
        axis=-1,
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("columns", "kept"),
    [
        ([0], [0]),
        ([-1, 1], [3, 1]),
        (np.array([2, 0]), [2, 0]),
        (range(3), [0, 1, 2]),
        (slice(1, None), [1, 2, 3]),
        (slice(None, None, 2), [0, 2]),
        (slice(-2, None), [2, 3]),
        (None, [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_columns(columns, kept, rng):
    y_true, y_pred, _ = data(rng)
    weight = rng.random(SHAPE).astype("float32")
    mask = rng.random(SHAPE) < 0.6
    loss = losses.Sum([(losses.Huber(), 2.0, columns)])
    part = losses.Huber()
    for full, w in ((mask, weight), (mask[..., :1], weight[..., :1]), (mask[..., 0], weight[0, 0])):
        w = w if w.shape != (4,) else 0.7
        predictions, expected = tf.constant(y_pred), tf.constant(y_pred[..., kept])
        predictions._keras_mask = tf.constant(full)
        is_full = full.shape[2:] == (4,)
        expected._keras_mask = tf.constant(full[..., kept] if is_full else full)
        w_kept = w[..., kept] if np.shape(w)[2:] == (4,) else w
        np.testing.assert_allclose(
            loss(y_true, predictions, w), 2 * part(y_true[..., kept], expected, w_kept), rtol=1e-6
        )
        np.testing.assert_array_equal(
            loss.counted(y_true, predictions),
            np.ravel(part.counted(y_true[..., kept], expected)),
        )


def test_a_list_is_named_after_its_losses():
    loss = losses.Sum([losses.Huber(), (losses.MeanSquaredError(), 3)])
    assert list(loss.parts) == ["huber_loss", "mean_squared_error"]
    assert [metric.name for metric in loss.metrics()] == list(loss.parts)
    y_true, y_pred = [[1.0, NAN]], [[2.0, 5.0]]
    assert float(loss(y_true, y_pred)) == 0.5 + 3
    assert float(losses.Sum([losses.Masked("hinge"), loss])([[1.0]], [[0.5]])) == 0.5 + 0.125 + 0.75


def test_rows_of_other_losses(rng):
    y_true, y_pred = rng.random((2, 6, 4)).astype("float32")
    y_true[::2, 1] = NAN
    cosine = losses.Masked("cosine_similarity")
    loss = losses.Sum({"a": cosine, "b": (losses.MeanSquaredError(), 0.1)})
    expected = cosine(y_true, y_pred) + 0.1 * losses.MeanSquaredError()(y_true, y_pred)
    np.testing.assert_allclose(loss(y_true, y_pred), expected, rtol=1e-6)
    assert loss.counted(y_true, y_pred).shape == (6 + 24,)


class TestInTheLogs:
    @pytest.mark.parametrize("size", [2, 6])
    @pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}, {"jit_compile": True}], ids=str)
    def test_of_fit_and_evaluate(self, mode, size, rng):
        x, _, _ = data(rng)
        x = np.nan_to_num(x)
        y = np.where(rng.random(SHAPE) < 0.3, NAN, x + 1)
        y[:3, :, 2:] = NAN  # a part without a label in some batches
        loss = l1_and_l2()
        model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(4)])
        model.compile("sgd", loss, metrics=[*loss.metrics(), metrics.Loss(loss, "all")], **mode)
        logs = model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True)
        error = model.predict(x, verbose=0) - y
        parts = np.nanmean(np.abs(error[..., :2])), np.nanmean(error[..., 2:] ** 2)
        np.testing.assert_allclose([logs["l1"], logs["l2"]], parts, rtol=1e-5)
        np.testing.assert_allclose(logs["all"], parts[0] + 0.5 * parts[1], rtol=1e-5)
        if size == 6:
            np.testing.assert_allclose(logs["loss"], logs["all"], rtol=1e-5)
        watch = callbacks.MissingLabels()
        history = model.fit(
            x, y, validation_data=(x, y), epochs=2, batch_size=size, verbose=0, callbacks=[watch]
        ).history
        assert {"loss", "l1", "l2", "all", "val_l1", "val_l2"} <= history.keys()
        assert all(np.all(np.isfinite(values)) for values in history.values())
        assert history["all"][1] < history["all"][0]

    @pytest.mark.parametrize("balance", [None, "sample", "timestep", "feature"])
    def test_metrics_are_the_parts_of_the_whole(self, balance, rng):
        y_true, y_pred, weight = data(rng)
        loss = l1_and_l2(balance=balance)
        for metric, part, columns in zip(
            loss.metrics(),
            (losses.MeanAbsoluteError, losses.MeanSquaredError),
            (slice(0, 2), slice(2, 4)),
            strict=True,
        ):
            for rows in (slice(0, 2), slice(2, 6)):
                metric.update_state(y_true[rows], y_pred[rows], weight[rows])
            expected = part(balance=balance, dtype="float64")(
                y_true[..., columns], y_pred[..., columns], weight
            )
            np.testing.assert_allclose(metric.result(), expected, rtol=1e-12)

    def test_a_part_without_labels_is_nan_alone(self, rng):
        y_true, y_pred, _ = data(rng)
        y_true[..., 2:] = NAN
        loss = l1_and_l2()
        made = [*loss.metrics(), metrics.Loss(loss)]
        for metric in made:
            metric.update_state(y_true, y_pred)
        l1, l2, whole = (float(metric.result()) for metric in made)
        assert l1 == whole > 0
        assert np.isnan(l2)


def test_replicas_add_up_each_part(rng):
    """Each part asks for its own sums over all replicas, in one replica too."""
    y_true, y_pred, _ = data(rng)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    loss = l1_and_l2()
    value = strategy.run(lambda: loss(tf.constant(y_true), tf.constant(y_pred)))
    np.testing.assert_allclose(value, loss(y_true, y_pred), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:losses.Masked")  # of rows that gaps cross
def test_saving(tmp_path, rng):
    y_true, y_pred, _ = data(rng)
    loss = losses.Sum(
        {
            "a": (losses.Huber(0.3, missing=-5, balance="sample"), 0.25, slice(1, None, 2)),
            "b": losses.Masked(keras.losses.CosineSimilarity(axis=1)),
            "c": (losses.Poisson(normalizer=3.0), -1.0, [0, -1]),
        },
        name="mine",
        dtype="float64",
    )
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    y_pred = np.abs(np.nan_to_num(y_pred))
    np.testing.assert_array_equal(again(y_true, y_pred), loss(y_true, y_pred))
    assert again(y_true, y_pred).dtype == "float64"
    model = keras.Sequential([keras.Input(SHAPE[1:]), keras.layers.Dense(4)])
    model.compile("sgd", loss, metrics=loss.metrics())
    model.fit(y_pred, y_true, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    np.testing.assert_allclose(
        loaded.evaluate(y_pred, y_true, verbose=0), model.evaluate(y_pred, y_true, verbose=0)
    )


class TestErrors:
    @pytest.mark.parametrize(
        "parts",
        [
            None,
            "mse",
            [],
            {},
            ["mse"],
            [keras.losses.MeanSquaredError()],
            {"a": losses.MeanSquaredError},
            {"a": None},
            {1: losses.MeanSquaredError()},
            {"": losses.MeanSquaredError()},
            [(losses.MeanSquaredError(), 1.0, [0], 2)],
            [()],
            losses.MeanSquaredError(),
        ],
    )
    def test_what_is_no_loss_of_ours(self, parts):
        with pytest.raises(ValueError, match="'parts'"):
            losses.Sum(parts)

    @pytest.mark.parametrize("weight", [NAN, float("inf"), "1", True, None, [1.0, 2.0]], ids=repr)
    def test_weights(self, weight):
        with pytest.raises(ValueError, match="'weight'"):
            losses.Sum([(losses.MeanSquaredError(), weight)])

    @pytest.mark.parametrize("columns", [1.5, "a", [0.5], [True], 1], ids=repr)
    def test_columns_that_are_none(self, columns):
        with pytest.raises(ValueError, match="'columns'"):
            losses.Sum([(losses.MeanSquaredError(), 1.0, columns)])

    @pytest.mark.parametrize("columns", [[4], [-5], [0, 9], [], slice(4, 9), slice(0, 0)], ids=repr)
    def test_columns_that_are_not_there(self, columns, rng):
        loss = losses.Sum([(losses.MeanSquaredError(), 1.0, columns)])
        with pytest.raises(ValueError, match="some of the 4 of the last axis"):
            loss(*data(rng)[:2])

    def test_labels_of_another_width_are_not_cut_to_fit(self, rng):
        y_true, y_pred, _ = data(rng)
        with pytest.raises(ValueError, match=r"\(6, 5, 4\).*\(6, 5, 3\)"):
            l1_and_l2()(y_true, y_pred[..., :3])
        with pytest.raises(ValueError, match="one shape with a known last axis"):
            l1_and_l2()(y_true[..., 0], y_pred)
        unknown = [tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None, 4])]
        call = tf.function(l1_and_l2(), input_signature=unknown)
        assert np.isfinite(call(y_true, y_pred))
        with pytest.raises(tf.errors.InvalidArgumentError):
            call(np.ones((6, 5, 5), "float32"), y_pred)

    def test_names_that_are_the_same(self):
        with pytest.raises(ValueError, match=r"different names.*mean_squared_error"):
            losses.Sum([losses.MeanSquaredError(), losses.MeanSquaredError()])

    def test_rows_and_numbers(self):
        with pytest.raises(ValueError, match="reductions"):
            losses.Sum({"a": losses.Huber(), "b": losses.Poisson(reduction="none")})

    def test_a_figure_of_groups_is_that_of_each_part(self, rng):
        metric = metrics.Loss(l1_and_l2(balance="timestep"))
        with pytest.raises(ValueError, match=r"part 'l1'.*metrics\(\)"):
            metric.update_state(*data(rng))

    def test_an_own_class_made_of_our_losses_is_no_loss_of_ours(self):
        class Both(keras.losses.Loss):
            def call(self, y_true, y_pred):
                return losses.Huber()(y_true, y_pred) + losses.Poisson()(y_true, y_pred)

        with pytest.raises(ValueError, match=r"'loss'.*masklstm.losses.Sum\(parts\)"):
            metrics.Loss(Both())


def test_the_balance_is_that_of_a_single_part():
    one = losses.Huber(balance="feature")
    assert losses.Sum([one]).balance == "feature"
    assert losses.Sum([losses.Huber()]).balance is None
    assert losses.Sum([one, losses.MeanSquaredError(balance="feature")]).balance is None
