"""`masklstm.sample_weights`: with these weights a Keras loss is masklstm's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import masklstm

NAN = np.nan
# Keras's elementwise losses that have a counterpart here.
LOSSES = [
    name for name in masklstm.losses.__all__ if name != "Masked" and hasattr(keras.losses, name)
]


def loss_and_gradient(loss, y_true, y_pred, sample_weight=None):
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred, sample_weight=sample_weight)
    return value, tape.gradient(value, y_pred)


def probabilities(rng, shape, missing_rows=False):
    """Labels and predictions where every loss is defined, 40% of the labels missing."""
    gaps = rng.random((*shape[:-1], 1) if missing_rows else shape) < 0.4
    y_true = np.where(gaps, NAN, 0.1 + 0.8 * rng.random(shape))
    return y_true.astype("float32"), (0.1 + 0.8 * rng.random(shape)).astype("float32")


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("shape", "missing_rows"), [((6, 1), False), ((6, 5, 1), False), ((6, 5, 3), True)]
)
def test_a_keras_loss_becomes_the_masked_one(name, shape, missing_rows, rng):
    y_true, y_pred = probabilities(rng, shape, missing_rows)
    labels, weights = masklstm.sample_weights(y_true)
    assert weights.shape == shape[:-1]
    loss = getattr(keras.losses, name)(reduction="mean_with_sample_weight")
    actual = loss_and_gradient(loss, labels, y_pred, weights)
    expected = loss_and_gradient(getattr(masklstm.losses, name)(), y_true, y_pred)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_single_labels_of_several_features(rng):
    """With one more axis every label is a row, and no label is lost."""
    y_true, y_pred = probabilities(rng, (6, 5, 3))
    labels, weights = masklstm.sample_weights(y_true[..., None], per="element")
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    actual = loss_and_gradient(loss, labels, y_pred[..., None], weights)
    value, gradient = loss_and_gradient(masklstm.losses.MeanSquaredError(), y_true, y_pred)
    np.testing.assert_allclose(actual[0], value, rtol=1e-6)
    np.testing.assert_allclose(actual[1][..., 0], gradient, rtol=1e-5, atol=1e-7)


def test_a_keras_mean_is_too_small_by_the_share_of_the_rows_left_out(rng):
    y_true, y_pred = probabilities(rng, (6, 5, 1))
    labels, weights = masklstm.sample_weights(y_true)
    value = keras.losses.MeanSquaredError()(labels, y_pred, weights)
    masked = masklstm.losses.MeanSquaredError()(y_true, y_pred)
    np.testing.assert_allclose(value, masked * weights.mean(), rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_within_a_dataset_is_the_masked_training(jit_compile, rng):
    """Two of the batches have no label at all."""
    x = rng.normal(size=(40, 6, 2)).astype("float32")
    y = np.where(rng.random((40, 6, 1)) < 0.4, NAN, x.sum(-1, keepdims=True)).astype("float32")
    y[8:24] = NAN
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    weighted = dataset.map(lambda x, y: (x, *masklstm.sample_weights(y)))
    losses = (
        (weighted, keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")),
        (dataset, masklstm.losses.MeanSquaredError()),
    )
    results = []
    for data, loss in losses:
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=jit_compile)
        history = model.fit(data, epochs=3, shuffle=False, verbose=0).history["loss"]
        results.append([history, *model.get_weights()])
    for weighted_result, masked_result in zip(*results, strict=True):
        np.testing.assert_allclose(weighted_result, masked_result, rtol=1e-4, atol=1e-6)


def test_class_labels():
    y = np.array([[0, -1], [1, 1]])
    labels, weights = masklstm.sample_weights(y, missing=-1, per="element")
    assert labels.dtype == y.dtype
    np.testing.assert_array_equal(labels, [[0, 0], [1, 1]])
    np.testing.assert_array_equal(weights, [[1, 0], [1, 1]])
    predictions = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]]], "float32")
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    masked = masklstm.losses.Masked("SparseCategoricalCrossentropy")
    np.testing.assert_allclose(loss(labels, predictions, weights), masked(y, predictions), 1e-6)


class TestSeveralOutputs:
    A = np.array([[[1], [NAN]], [[NAN], [4]], [[5], [6]]], "float32")
    B = np.array([[0, 1], [1, -1], [1, 1]])

    @pytest.mark.parametrize("convert", [np.asarray, tf.constant])
    @pytest.mark.parametrize(
        "structure",
        [
            lambda a, b: (a, b),
            lambda a, b: [a, b],
            lambda a, b: {"a": a, "b": b},
            lambda a, b: {"a": (a, {"c": b}), "b": [b, a]},
            lambda a, b: (a, a),
        ],
    )
    def test_labels_and_weights_have_the_structure(self, structure, convert):
        y = structure(convert(self.A), convert(self.B))
        labels, weights = masklstm.sample_weights(y, missing=-1, per="element")
        tf.nest.assert_same_structure(labels, y)
        tf.nest.assert_same_structure(weights, y)
        for part, own, weight in zip(*map(tf.nest.flatten, (y, labels, weights)), strict=True):
            alone = masklstm.sample_weights(part, missing=-1, per="element")
            np.testing.assert_array_equal(own, alone[0])
            np.testing.assert_array_equal(weight, alone[1])
            assert tf.is_tensor(own) == tf.is_tensor(part)

    @pytest.mark.parametrize("batched", [True, False])
    @pytest.mark.parametrize("names", [("a", "b"), None])
    def test_within_a_dataset(self, names, batched):
        """Unbatched labels of one number are tensors without axes."""
        y = (self.A[:, :, 0], self.A[:, 0, 0])
        y = dict(zip(names, y, strict=True)) if names else y
        dataset = tf.data.Dataset.from_tensor_slices((np.zeros((3, 1)), y))
        dataset = dataset.batch(3) if batched else dataset
        mapped = dataset.map(lambda x, y: (x, *masklstm.sample_weights(y, per="element")))
        (mapped,) = mapped if batched else mapped.batch(3)
        _, labels, weights = mapped
        labels, weights = tf.nest.flatten(labels), tf.nest.flatten(weights)
        assert [part.shape.as_list() for part in labels] == [[3, 2], [3]]
        np.testing.assert_array_equal(labels[0], np.nan_to_num(self.A[:, :, 0]))
        np.testing.assert_array_equal(weights[0], [[1, 0], [0, 1], [1, 1]])
        np.testing.assert_array_equal(weights[1], [1, 0, 1])

    def test_a_model_of_two_outputs_takes_them(self):
        inputs = keras.Input((2, 1))
        outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
        model = keras.Model(inputs, outputs)
        loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
        model.compile(loss={"a": loss, "b": loss})
        y = {"a": self.A, "b": self.A[::-1]}
        dataset = tf.data.Dataset.from_tensor_slices((np.ones((3, 2, 1), "float32"), y)).batch(3)
        dataset = dataset.map(lambda x, y: (x, *masklstm.sample_weights(y)))
        value = model.evaluate(dataset, verbose=0)
        predictions = model.predict(np.ones((3, 2, 1)), verbose=0)
        masked = masklstm.losses.MeanSquaredError()
        expected = sum(float(masked(y[name], predictions[name])) for name in y)
        np.testing.assert_allclose(value if np.ndim(value) == 0 else value[0], expected, 1e-5)


def test_what_numpy_masks_is_filled():
    y = np.ma.array([[3, 99], [4, 5]], "int8", mask=[[False, True], [False, False]])
    labels, weights = masklstm.sample_weights(y, fill=7, per="element")
    assert (labels.tolist(), labels.dtype) == ([[3, 7], [4, 5]], np.int8)
    assert weights.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("y", "arguments", "labels", "weights"),
    [
        ([1.0, NAN], {}, [1, 0], [1, 0]),
        ([[1.0, NAN], [2.0, 3.0]], {}, [[1, 0], [2, 3]], [0, 1]),
        ([[1.0, NAN], [2.0, 3.0]], {"per": "element"}, [[1, 0], [2, 3]], [[1, 0], [1, 1]]),
        ([1.0, -999.0, NAN], {"missing": -999, "fill": 7}, [1, 7, 7], [1, 0, 0]),
        ([1.0, np.inf], {"missing": "nonfinite"}, [1, 0], [1, 0]),
        ([1, None, 3], {}, [1, 0, 3], [1, 0, 1]),
        ([[True, None]], {"per": "element"}, [[1, 0]], [[1, 0]]),
        ([1.0, np.inf], {}, [1, np.inf], [1, 1]),
        ([[True, False]], {}, [[True, False]], [1]),
        (NAN, {}, 0, 0),
    ],
)
def test_literals(y, arguments, labels, weights):
    actual_labels, actual_weights = masklstm.sample_weights(y, **arguments)
    np.testing.assert_array_equal(actual_labels, labels)
    np.testing.assert_array_equal(actual_weights, weights)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
def test_types_stay_and_tensors_stay_tensors(dtype):
    y = tf.cast([[1, -1]], dtype)
    labels, weights = masklstm.sample_weights(y, missing=-1)
    assert tf.is_tensor(labels)
    assert labels.dtype == y.dtype
    assert weights.dtype == tf.float32
    arrays = masklstm.sample_weights(y.numpy(), missing=-1)
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert arrays[0].dtype == y.numpy().dtype


def test_the_labels_given_are_left_as_they_are():
    y = np.array([1.0, NAN])
    masklstm.sample_weights(y)
    np.testing.assert_array_equal(y, [1.0, NAN])


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        ([1.0], {"per": "sample"}, "'per'.*'sample'"),
        ([1.0], {"per": ["row"]}, "'per'"),
        ([1.0], {"fill": NAN}, "'fill'"),
        ([1.0], {"fill": "0"}, "'fill'"),
        (np.float16([1.0]), {"fill": 1e5}, "'fill'.*float16"),
        ([1.0], {"fill": -1, "missing": -1}, "'fill'.*fill=-1, missing=-1"),
        ([1.0], {"fill": np.inf, "missing": "nonfinite"}, "'fill'"),
        (np.array([1], "int32"), {"fill": 0.5}, "'fill'.*int32"),
        (np.array([1], "uint8"), {"fill": 256}, "'fill'.*uint8"),
        ([1.0], {"missing": "none"}, "'missing'"),
        (None, {}, "'y' to hold numbers.*None"),
        ({"a": [1.0], "b": (np.ones(2), ["x"])}, {}, r"'y\['b'\]\[1\]'.*dtype string"),
        (["a"], {}, "dtype string"),
    ],
)
def test_errors(y, arguments, message):
    with pytest.raises(ValueError, match=message):
        masklstm.sample_weights(y, **arguments)


def test_bool_labels_and_sentinels_of_narrow_types():
    labels, weights = masklstm.sample_weights(np.array([True, False]))
    assert labels.tolist() == [True, False]
    assert weights.tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"'fill'"):
        masklstm.sample_weights(np.array([1, -999.9], "float32"), missing=-999.9, fill=-999.9)
    with pytest.raises(ValueError, match=r"'fill'"):
        masklstm.sample_weights(np.array([1.0]), fill=np.inf)
