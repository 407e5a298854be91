"""Masking, Impute and MaskedLoss; models of all layers saved and exported."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm.layers.impute import STRATEGIES

NAN = float("nan")
BATCH, TIME, FEATURES = 4, 6, 3


def inputs_with_gaps(rng, dtype="float32"):
    x = np.where(rng.random((BATCH, TIME, FEATURES)) < 0.5, NAN, rng.normal(size=FEATURES))
    x += np.arange(TIME)[:, None]
    x[0] = NAN  # nothing at all
    x[1, :2] = NAN  # nothing at first
    x[2] = 1.0  # nothing missing
    return x.astype(dtype)


class TestMasking:
    def test_masks_steps_without_any_feature_and_fills_the_rest_by_zero(self, rng):
        x = inputs_with_gaps(rng)
        layer = masklstm.layers.Masking()
        outputs = layer(x)
        np.testing.assert_array_equal(outputs, np.nan_to_num(x, nan=0.0))
        np.testing.assert_array_equal(outputs._keras_mask, ~np.isnan(x).all(axis=-1))
        assert 0 < np.mean(outputs._keras_mask) < 1

    def test_is_keras_layer_for_a_number(self, rng):
        x = np.where(np.isnan(inputs_with_gaps(rng)), -1, 2.0).astype("float32")
        outputs = masklstm.layers.Masking(mask_value=-1)(x)
        expected = keras.layers.Masking(mask_value=-1)(x)
        np.testing.assert_array_equal(outputs._keras_mask, expected._keras_mask)
        np.testing.assert_array_equal(outputs, np.where(x == -1, 0, x))

    def test_keras_layer_masks_no_nan(self, rng):
        x = inputs_with_gaps(rng)
        outputs = keras.layers.Masking(mask_value=NAN)(x)
        assert np.all(outputs._keras_mask)
        assert np.any(np.isnan(outputs))

    def test_with_a_number_nan_is_left_as_it_is(self):
        x = np.array([[[-1.0, -1.0], [NAN, 2.0], [-1.0, 3.0]]])
        outputs = masklstm.layers.Masking(mask_value=-1)(x)
        np.testing.assert_array_equal(outputs, [[[0.0, 0.0], [NAN, 2.0], [0.0, 3.0]]])
        np.testing.assert_array_equal(outputs._keras_mask, [[False, True, True]])

    def test_what_is_masked_before_stays_masked(self):
        padded = keras.layers.Masking(mask_value=0.0)(np.array([[[0.0], [1.0], [NAN]]]))
        outputs = masklstm.layers.Masking()(padded)
        np.testing.assert_array_equal(outputs._keras_mask, [[False, True, False]])

    def test_the_value_is_looked_for_before_the_cast(self):
        """-999 is -1000 in bfloat16, and so are its neighbours."""
        x = np.array([[[-999.0], [-1000.0], [-998.0]]], "float32")
        outputs = masklstm.layers.Masking(mask_value=-999, dtype="mixed_bfloat16")(x)
        np.testing.assert_array_equal(outputs._keras_mask, [[False, True, True]])
        assert outputs.dtype == tf.bfloat16

    @pytest.mark.parametrize(
        ("dtype", "mask_value", "value"),
        [("int8", -999, 25), ("int32", 0.5, 0), ("uint8", 300, 44), ("float16", 1e6, np.inf)],
    )
    def test_a_number_that_the_type_does_not_have_marks_nothing(self, dtype, mask_value, value):
        x = np.array([[[value], [3]]], dtype)
        outputs = masklstm.layers.Masking(mask_value)(x)
        assert np.all(outputs._keras_mask)
        assert outputs[0, 0, 0] == value
        impute = masklstm.layers.Impute("last", mask_value=mask_value)
        assert impute(x)[0, 0].numpy().tolist() == [value, 0.0]

    def test_integers(self):
        outputs = masklstm.layers.Masking(mask_value=-1)(np.array([[[-1], [3]]]))
        assert outputs.numpy().tolist() == [[[0.0], [3.0]]]
        assert outputs.dtype == tf.float32


def impute_step_by_step(x, strategy, fill, decay=(0, 0)):
    """The fills and the elapsed steps as a program would write them down."""
    filled, elapsed = x.copy(), np.zeros_like(x)
    for row in range(len(x)):
        for feature in range(x.shape[-1]):
            last, since = fill[feature] if strategy == "decay" else 0.0, 0
            for step in range(x.shape[1]):
                since += 1
                if np.isnan(x[row, step, feature]):
                    filled[row, step, feature] = last if strategy == "last" else fill[feature]
                    if strategy == "decay":
                        share = np.exp(-max(0, decay[0][feature] * since + decay[1][feature]))
                        filled[row, step, feature] += share * (last - fill[feature])
                else:
                    last, since = x[row, step, feature], 0
                elapsed[row, step, feature] = since
    return filled, elapsed


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.dense = layer, keras.layers.Dense(2)

    def call(self, x):
        return self.dense(self.layer(x))


class TestImpute:
    @pytest.mark.parametrize("jit_compile", [None, False, True])
    @pytest.mark.parametrize("elapsed", [False, True])
    @pytest.mark.parametrize("indicator", [False, True])
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_equal_to_steps_by_hand(self, strategy, indicator, elapsed, jit_compile, rng):
        x = inputs_with_gaps(rng)
        layer = masklstm.layers.Impute(strategy, indicator=indicator, elapsed=elapsed)
        fill, decay = np.zeros(FEATURES), None
        if strategy in ("mean", "decay"):
            layer.adapt(x)
            fill = np.nanmean(x.astype("float64"), axis=(0, 1))
        if strategy == "decay":
            decay = rng.normal(size=(2, FEATURES)).astype("float32")
            layer.set_weights([*decay, layer.fill])
        if strategy == "learned":
            layer.build(x.shape)
            fill = rng.normal(size=FEATURES).astype("float32")
            layer.set_weights([fill])
        call = layer if jit_compile is None else tf.function(layer, jit_compile=jit_compile)
        outputs = call(tf.constant(x))
        filled, since = impute_step_by_step(x, strategy, fill, decay)
        expected = [filled, np.isnan(x), since]
        kept = [True, indicator, elapsed]
        expected = np.concatenate([e for e, k in zip(expected, kept, strict=True) if k], axis=-1)
        np.testing.assert_allclose(outputs, expected, rtol=1e-6)
        assert tuple(outputs.shape) == layer.compute_output_shape(x.shape)

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_no_nan_reaches_a_gradient(self, strategy, rng):
        x = tf.constant(inputs_with_gaps(rng))
        layer = masklstm.layers.Impute(strategy, elapsed=True)
        if strategy in ("mean", "decay"):
            layer.adapt(x)
        dense = keras.layers.Dense(2)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(dense(layer(x)) ** 2)
        gradients = tape.gradient(loss, [x, *dense.variables, *layer.trainable_variables])
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
        if strategy == "learned":
            assert np.all(gradients[-1].numpy() != 0)
        if strategy == "decay":
            assert all(np.any(gradient.numpy() != 0) for gradient in gradients[-2:])

    def test_masked_steps_are_no_observations(self):
        x = np.array([[[1.0], [-1.0], [NAN], [4.0]]], "float32")
        masked = masklstm.layers.Masking(mask_value=-1)(x)
        outputs = masklstm.layers.Impute("last", elapsed=True)(masked)
        assert outputs[0, 2].numpy().tolist() == [1.0, 1.0, 2.0]
        np.testing.assert_array_equal(outputs._keras_mask, [[True, False, True, True]])

    def test_adapt_reads_datasets_and_batches(self, rng):
        x = 1e4 + rng.normal(size=(50, TIME, FEATURES))
        x[rng.random(x.shape) < 0.3] = NAN
        expected = np.nanmean(x, axis=(0, 1)).astype("float32")
        batched = tf.data.Dataset.from_tensor_slices(x).batch(7)
        for data in (x, tf.constant(x), batched, batched.map(lambda x: (x, x)), np.split(x, 5)):
            layer = masklstm.layers.Impute("mean")
            layer.adapt(data)
            np.testing.assert_array_equal(layer.fill, expected)

    def test_means_may_be_given(self):
        x = np.array([[[NAN, 1.0]]])
        outputs = masklstm.layers.Impute("mean", mean=[3.0, 4.0], indicator=False)(x)
        assert outputs.numpy().tolist() == [[[3.0, 1.0]]]
        outputs = masklstm.layers.Impute("mean", mean=5, indicator=False)(x)
        assert outputs.numpy().tolist() == [[[5.0, 1.0]]]

    def test_means_that_nobody_gave_are_nan(self):
        outputs = masklstm.layers.Impute("mean", indicator=False)(np.array([[[NAN], [1.0]]]))
        np.testing.assert_array_equal(outputs, [[[NAN], [1.0]]])

    @pytest.mark.parametrize("build", ["fit", "subclass", "dataset"])
    @pytest.mark.parametrize("mean", [None, [3.0, 4.0]])
    def test_means_of_a_layer_that_a_model_builds(self, build, mean):
        layer = masklstm.layers.Impute("mean", mean=mean, indicator=False)
        x = np.full((2, 3, 2), NAN, "float32")
        if build == "dataset":
            list(tf.data.Dataset.from_tensors(x).map(layer))
        else:
            dense = keras.layers.Dense(2)
            model = keras.Sequential([layer, dense]) if build == "fit" else Subclassed(layer)
            model.compile("sgd", loss=masklstm.losses.MeanSquaredError())
            model.fit(x, x, verbose=0)
        np.testing.assert_array_equal(layer.fill, np.broadcast_to(np.float32(mean or NAN), [2]))

    def test_adapt_passes_over_masked_steps(self):
        x = np.array([[[1.0], [NAN], [3.0], [-999.0]]], "float32")
        masking, layer = masklstm.layers.Masking(mask_value=-999), masklstm.layers.Impute("mean")
        layer.adapt(masking(x))
        assert layer.fill.numpy().tolist() == [2.0]

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_what_is_masked_is_filled(self, strategy):
        x = np.array([[[1.0], [NAN], [7.0]]], "float32")
        mean = 5.0 if strategy in ("mean", "decay") else None
        layer = masklstm.layers.Impute(strategy, mask_value=-1, mean=mean)
        outputs = layer(x, mask=np.array([[True, False, False]]))
        fill = {"mean": 5.0, "last": 1.0}.get(strategy, 0.0)
        fills = [5 - 4 * np.exp(-0.1 * k) for k in (1, 2)] if strategy == "decay" else [fill] * 2
        np.testing.assert_allclose(outputs[0], [[1.0, 0.0], *([x, 1.0] for x in fills)], rtol=1e-6)

    @pytest.mark.parametrize("jit_compile", [None, True])
    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("between", [(2,), (2, 3), (1, 2, 2)])
    def test_places_between_time_and_features_are_series(self, between, strategy, jit_compile, rng):
        """What the layer makes of maps is what it makes of each place alone."""
        x = rng.normal(size=(BATCH, TIME, *between, FEATURES)).astype("float32")
        x[rng.random(x.shape) < 0.4] = NAN
        layer = masklstm.layers.Impute(strategy, elapsed=True)
        layer.build(x.shape)
        if strategy == "mean":
            layer.adapt(x)
            np.testing.assert_allclose(
                layer.fill, np.nanmean(x.reshape(-1, FEATURES), axis=0), rtol=1e-5
            )
        if strategy == "learned":
            layer.set_weights([np.arange(FEATURES, dtype="float32")])
        call = layer if jit_compile is None else tf.function(layer, jit_compile=jit_compile)
        mask = rng.random((BATCH, TIME)) < 0.7
        for own_mask in (None, mask):
            arguments = {} if own_mask is None else {"mask": tf.constant(own_mask)}
            outputs = call(tf.constant(x), **arguments).numpy()
            assert outputs.shape == layer.compute_output_shape(x.shape)
            for place in np.ndindex(between):
                own = (slice(None), slice(None), *place)
                np.testing.assert_allclose(outputs[own], layer(x[own], **arguments), rtol=1e-6)

    def test_a_mask_by_place(self):
        x = np.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])
        mask = np.array([[[True, True], [False, True]]])
        outputs = masklstm.layers.Impute("last", indicator=False)(x, mask=mask)
        assert outputs[0, :, :, 0].numpy().tolist() == [[1.0, 2.0], [1.0, 4.0]]
        masked = masklstm.layers.Masking()(np.where(mask[..., None], x, NAN))
        outputs = masklstm.layers.Impute("last", indicator=False)(masked)
        assert outputs[0, :, :, 0].numpy().tolist() == [[1.0, 2.0], [1.0, 4.0]]

    def test_a_model_of_maps(self, rng, tmp_path):
        x = np.where(rng.random((2, 3, 4, 4, 2)) < 0.3, NAN, 1.0).astype("float32")
        model = keras.Sequential(
            [
                keras.Input((None, 4, 4, 2)),
                masklstm.layers.Impute("last", elapsed=True),
                keras.layers.ConvLSTM2D(2, 3, padding="same"),
            ]
        )
        y = model.predict(x, verbose=0)
        assert np.all(np.isfinite(y))
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(loaded.predict(x, verbose=0), y, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("shape", [(2, 1), (1, 3), (3, 3), (2,), (2, 3, 4, 1), (2, 3, 5)])
    def test_a_mask_that_does_not_fit_is_refused(self, shape):
        x = np.ones((2, 3, 4, 1), "float32")
        with pytest.raises(ValueError, match=r"'mask'.*\(2, 3\).*\(2, 3, 4, 1\)"):
            masklstm.layers.Impute("last")(x, mask=np.ones(shape, bool))

    def test_a_number_as_mask_value(self):
        x = np.array([[[-999.0], [2.0]]])
        layer = masklstm.layers.Impute("mean", mask_value=-999)
        layer.adapt(x)
        assert layer(x).numpy().tolist() == [[[2.0, 1.0], [2.0, 0.0]]]

    def test_a_number_as_mask_value_is_looked_for_before_numbers_are_rounded(self):
        """-999 and -999.2 are one number in half precision."""
        x = np.array([[[1.0], [-999.0], [-999.2]]])
        layer = masklstm.layers.Impute("last", mask_value=-999, dtype="float16")
        values, indicator = np.moveaxis(layer(x).numpy()[0], -1, 0)
        assert indicator.tolist() == [0, 1, 0]
        assert values.tolist() == [1, 1, np.float16(-999.2)]

    def test_errors(self):
        impute = masklstm.layers.Impute
        with pytest.raises(ValueError, match=r"'strategy'. Expected one of .*median"):
            impute("median")
        with pytest.raises(
            ValueError, match="Argument 'mean' is for strategies 'mean' and 'decay' alone"
        ):
            impute("last", mean=1.0)
        with pytest.raises(ValueError, match=r"'mean'. Expected a number for each .*'a'"):
            impute("mean", mean="a")
        with pytest.raises(ValueError, match="number for each of the 2 features"):
            impute("mean", mean=[1.0, 2.0, 3.0])(np.zeros((1, 2, 2)))
        with pytest.raises(ValueError, match=r"\(batch, time, features\)"):
            impute()(np.zeros((3, 2)))
        with pytest.raises(ValueError, match="Only strategies 'mean' and 'decay' are adapted"):
            impute("last").adapt(np.zeros((1, 2, 2)))
        with pytest.raises(ValueError, match=r"at least one observation of each .*none of \[1\]"):
            impute("mean").adapt(np.array([[[1.0, NAN]]]))
        with pytest.raises(ValueError, match="none of any"):
            impute("mean").adapt([])
        with pytest.raises(ValueError, match=r"\(batch, time, 1\).*\(1, 1, 2\)"):
            impute("mean").adapt([np.zeros((1, 1, 1)), np.zeros((1, 1, 2))])


class TestMaskedLoss:
    def test_trains_as_compile_with_the_loss_does(self, rng):
        x = rng.normal(size=(16, TIME, 2)).astype("float32")
        y = np.where(rng.random((16, TIME, 1)) < 0.5, NAN, x[..., :1]).astype("float32")
        weights = rng.random((16, TIME)).astype("float32")
        loss = masklstm.losses.Huber(delta=0.5)

        def make():
            keras.utils.set_random_seed(3)
            inputs = keras.Input((TIME, 2))
            return inputs, keras.layers.LSTM(1, return_sequences=True)(inputs)

        inputs, y_pred = make()
        compiled = keras.Model(inputs, y_pred)
        compiled.compile("sgd", loss=loss)
        expected = compiled.fit(x, y, sample_weight=weights, epochs=2, shuffle=False, verbose=0)

        inputs, y_pred = make()
        labels, weight = keras.Input((TIME, 1)), keras.Input((TIME,))
        outputs = masklstm.layers.MaskedLoss(loss)(y_pred, labels, sample_weight=weight)
        model = keras.Model([inputs, labels, weight], outputs)
        model.compile("sgd")
        actual = model.fit([x, y, weights], epochs=2, shuffle=False, verbose=0)
        np.testing.assert_allclose(actual.history["loss"], expected.history["loss"], rtol=1e-6)
        for ours, theirs in zip(model.get_weights(), compiled.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        forecaster = keras.Model(inputs, y_pred)
        np.testing.assert_array_equal(forecaster(x), model([x, y, weights]))

    def test_a_mask_of_the_predictions_counts(self):
        layer = masklstm.layers.MaskedLoss(masklstm.losses.MeanSquaredError())
        y_pred = keras.layers.Masking()(np.array([[[0.0], [3.0]]], "float32"))
        outputs = layer(y_pred, np.ones((1, 2, 1)))
        assert [float(loss) for loss in layer.losses] == [4.0]
        np.testing.assert_array_equal(outputs._keras_mask, y_pred._keras_mask)

    def test_without_labels_nothing_is_added(self):
        layer = masklstm.layers.MaskedLoss(masklstm.losses.MeanSquaredError())
        np.testing.assert_array_equal(layer(np.array([[1.0], [2.0]])), [[1.0], [2.0]])
        assert layer.losses == []

    def model(self, **arguments):
        inputs, labels, weight = (
            keras.Input((TIME, 2)),
            keras.Input((TIME, 1)),
            keras.Input((TIME,)),
        )
        layer = masklstm.layers.MaskedLoss(masklstm.losses.MeanSquaredError(), **arguments)
        outputs = layer(keras.layers.Dense(1)(inputs), labels, sample_weight=weight)
        return keras.Model([inputs, labels, weight], outputs)

    def data(self, rng):
        x = rng.normal(size=(16, TIME, 2)).astype("float32")
        y = np.where(rng.random((16, TIME, 1)) < 0.5, NAN, x[..., :1]).astype("float32")
        return x, y, rng.random((16, TIME)).astype("float32")

    @pytest.mark.parametrize("eager", [False, True])
    def test_metrics_appear_in_the_logs(self, eager, rng, tmp_path):
        """Of the labels that are there, weighted, anew in each epoch; after loading too."""
        x, y, weight = self.data(rng)
        metrics = [
            masklstm.metrics.MeanAbsoluteError(name="mae"),
            masklstm.metrics.Masked("RootMeanSquaredError", name="rmse"),
        ]
        model = self.model(metrics=metrics)
        model.compile(keras.optimizers.SGD(0.0), run_eagerly=eager)
        arrays = [x, y, weight]
        history = model.fit(arrays, epochs=2, batch_size=5, validation_data=(arrays,), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        evaluated = loaded.evaluate(arrays, verbose=0, return_dict=True)
        error = np.abs(model.predict(arrays, verbose=0) - y)[..., 0]
        there = ~np.isnan(error)
        for name, power in (("mae", 1), ("rmse", 2)):
            total = (weight * error**power)[there].sum() / weight[there].sum()
            figures = [*history.history[name], *history.history[f"val_{name}"], evaluated[name]]
            np.testing.assert_allclose(figures, total ** (1 / power), rtol=1e-5)

    def test_metrics_of_compile_find_labels_that_have_no_weights(self, rng):
        x, y, weight = self.data(rng)
        inputs, labels = keras.Input((TIME, 2)), keras.Input((TIME, 1))
        layer = masklstm.layers.MaskedLoss(masklstm.losses.MeanSquaredError())
        model = keras.Model([inputs, labels], layer(keras.layers.Dense(1)(inputs), labels))
        mae = masklstm.metrics.MeanAbsoluteError(name="mae")
        model.compile(keras.optimizers.SGD(0.0), metrics=[mae])
        error = np.nanmean(np.abs(model.predict([x, y], verbose=0) - y))
        assert model.evaluate([x, y], verbose=0)[1] == pytest.approx(error, rel=1e-5)
        weighted = self.model()
        weighted.compile("sgd", metrics=[mae])
        with pytest.raises(ValueError, match="y_true"):
            weighted.evaluate([x, y, weight], verbose=0)

    def test_a_call_changes_none_of_its_attributes(self, rng):
        """From several threads every call gives what it gives alone."""
        x, y, weight = self.data(rng)
        layer = masklstm.layers.MaskedLoss(masklstm.losses.MeanSquaredError())
        layer(x[..., :1], y, weight)
        before = {name: value for name, value in vars(layer).items() if "loss" not in name[:6]}
        with ThreadPoolExecutor(8) as pool:
            given = [x[..., :1] + number for number in range(32)]
            results = list(pool.map(lambda y_pred: layer(y_pred, y, weight), given))
        for result, y_pred in zip(results, given, strict=True):
            np.testing.assert_array_equal(result, y_pred)
        assert all(vars(layer)[name] is value for name, value in before.items())

    def test_errors(self):
        for loss in ("mse", None, keras.losses.mean_squared_error):
            with pytest.raises(ValueError, match=r"'loss'. Expected a loss object"):
                masklstm.layers.MaskedLoss(loss)
        loss, mae = masklstm.losses.MeanSquaredError(), masklstm.metrics.MeanAbsoluteError
        for metrics in ("mae", ["mae"], mae(), [mae]):
            with pytest.raises(ValueError, match=r"'metrics'. Expected a list of metric objects"):
                masklstm.layers.MaskedLoss(loss, metrics=metrics)
        with pytest.raises(ValueError, match="different names"):
            masklstm.layers.MaskedLoss(loss, metrics=[mae(), mae()])


def all_layers():
    return [getattr(masklstm.layers, name) for name in masklstm.layers.__all__]


ARGUMENTS = {
    "Masking": [{}, {"mask_value": -1.0}],
    "Impute": [
        {"strategy": "last", "elapsed": True},
        {"strategy": "mean", "mean": [1.0, 2.0], "mask_value": -1.0},
    ],
    "Distribution": [
        {"family": "poisson"},
        {"family": "laplace", "features": 2, "components": 3, "floor": 0.1},
        {"family": "gamma", "kernel_initializer": "zeros", "kernel_regularizer": "l2"},
    ],
    "LSTM": [{"units": 3}],
    "GRUD": [{"units": 3}, {"units": 3, "mean": [1.0, 2.0], "return_sequences": True}],
    "MaskedMean": [{}],
    "MissingDropout": [{"step": 0.1}, {"sequence": 0.2, "products": [[0, 1], [2]], "seed": 3}],
    "Normalization": [
        {},
        {"axis": None, "mean": 1.0, "variance": 2.0},
        {"axis": (1, -1), "mean": [1.0, 2.0], "variance": [0.0, 2.0], "invert": True},
    ],
    "GRU": [{"units": 3}],
    "MaskedLoss": [
        {"loss": masklstm.losses.Huber(delta=0.3)},
        {"loss": masklstm.losses.Huber(), "metrics": [masklstm.metrics.R2Score(name="r2")]},
    ],
}


@pytest.mark.parametrize("layer", all_layers(), ids=lambda layer: layer.__name__)
def test_configs_make_the_same_layer_again(layer):
    for arguments in ARGUMENTS[layer.__name__]:
        original = layer(**arguments)
        serialized = keras.saving.serialize_keras_object(original)
        assert serialized["registered_name"] == f"masklstm>{layer.__name__}"
        copy = keras.saving.deserialize_keras_object(serialized)
        assert type(copy) is layer
        assert copy.get_config() == original.get_config()


@pytest.mark.parametrize(
    "value",
    ["none", None, 1j, [1.0, 2.0], 10**400, -(10**400), 2**53 + 1],
    ids=["text", "None", "complex", "list", "large", "negative", "inexact"],
)
def test_numbers_that_are_none_are_refused(value):
    for layer in (masklstm.layers.Masking, masklstm.layers.Impute):
        with pytest.raises(ValueError, match=r"'mask_value'. Expected a number or NaN") as error:
            layer(mask_value=value)
        assert f"mask_value={value!r}" in str(error.value)
    if value in (10**400, -(10**400), 1j):
        for mean in (value, [1.0, value]):
            with pytest.raises(ValueError, match=r"'mean'. Expected a number for each feature"):
                masklstm.layers.Impute("mean", mean=mean)


def trained_model(rng):
    """Padding of -1 is masked, NaN is filled; two recurrent layers take any mask."""
    model = keras.Sequential(
        [
            keras.Input((TIME, FEATURES)),
            masklstm.layers.Masking(mask_value=-1.0),
            masklstm.layers.Impute("mean", elapsed=True),
            masklstm.layers.LSTM(4, return_sequences=True),
            keras.layers.Bidirectional(masklstm.layers.GRU(3, return_sequences=True)),
            keras.layers.Dense(1),
        ]
    )
    x = inputs_with_gaps(rng)
    x[:, -2:] = -1.0
    model.layers[1].adapt(np.where(x == -1, NAN, x))
    y = rng.normal(size=(BATCH, TIME, 1))
    y[0] = NAN
    model.compile("adam", loss=masklstm.losses.MeanSquaredError())
    model.fit(x, y, verbose=0)
    assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())
    return model, x


def run_elsewhere(program, folder, **environment):
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-2000:]


def test_a_saved_model_runs_without_the_native_library(tmp_path, rng):
    model, x = trained_model(rng)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, y_pred=model(x))
    run_elsewhere(
        """
        import keras, masklstm, numpy as np
        assert masklstm.build_summary()["backend"] == "reference"
        data = np.load("data.npz")
        model = keras.models.load_model("model.keras")
        np.testing.assert_allclose(model(data["x"]), data["y_pred"], rtol=1e-6, atol=1e-6)
        assert "masklstm.kernels" not in __import__("sys").modules
        """,
        tmp_path,
        MASKLSTM_BACKEND="reference",
    )


def test_an_exported_model_needs_nothing_of_masklstm(tmp_path, rng):
    model, x = trained_model(rng)
    model.export(tmp_path / "exported", verbose=False)
    np.savez(tmp_path / "data.npz", x=x, y_pred=model(x))
    run_elsewhere(
        """
        import sys
        import numpy as np, tensorflow as tf
        data = np.load("data.npz")
        exported = tf.saved_model.load("exported")
        served = exported.serve(tf.constant(data["x"]))
        np.testing.assert_allclose(served, data["y_pred"], rtol=1e-6, atol=1e-6)
        assert not any(name.startswith("masklstm") for name in sys.modules)
        """,
        tmp_path,
    )
