"""`LSTM` and `GRU` against Keras's own with the same mask."""

import importlib
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.markers import needs_native

import masklstm
from masklstm.layers import native_recurrence

BATCH, TIME, FEATURES, UNITS = 5, 7, 3, 4
CASES = int(os.environ.get("MASKLSTM_FUZZ_CASES", "40")) // 5  # of random sizes
STATES = {"LSTM": "hc", "GRU": "h"}


def random_masks(rng, count):
    """Masks of all densities; each batch has a row that is one of the special cases."""
    masks = rng.random((count, BATCH, TIME)) < rng.random((count, BATCH, 1))
    for number, mask in enumerate(masks):
        row = mask[number % BATCH]
        row[:] = number % 3 == 1  # empty, or all steps
        if number % 3 == 2:
            row[rng.integers(TIME)] = True  # one step
    return masks


@pytest.fixture(params=STATES)
def kind(request):
    return request.param


def layer_pair(kind, shape=(BATCH, TIME, FEATURES), units=UNITS, **options):
    """Ours, and Keras's without cuDNN, with the same weights."""
    rng = np.random.default_rng(5)
    ours = getattr(masklstm.layers, kind)(units, **options)
    keras_layer = getattr(keras.layers, kind)(units, use_cudnn=False, **options)
    for layer in (ours, keras_layer):
        layer.build(shape)
    # The sums that go into a gate are of like size for all sizes.
    scale = np.sqrt((FEATURES + UNITS) / (shape[-1] + units))
    ours.set_weights([scale * rng.normal(size=weight.shape) for weight in ours.get_weights()])
    keras_layer.set_weights(ours.get_weights())
    return ours, keras_layer


def results_of(layer, **arguments):
    """A function of inputs, mask and states: outputs, states, and the gradients by everything."""

    @tf.function
    def run(x, mask, *initial_state):
        watched = [x, *initial_state]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            extra = {"initial_state": list(initial_state)} if initial_state else {}
            outputs = tf.nest.flatten(layer(x, mask=mask, **arguments, **extra))
            # Every number of the outputs has a factor of its own.
            loss = sum(tf.reduce_sum(output * factors_of(output)) for output in outputs)
        # The last step's inputs have no gradient where nothing is computed of them.
        gradients = tape.gradient(
            loss, [*watched, *layer.trainable_variables], unconnected_gradients="zero"
        )
        return [*outputs, *gradients]

    return run


def factors_of(output):
    return np.cos(np.arange(np.prod(output.shape))).reshape(output.shape).astype(output.dtype.name)


def assert_equal_to_keras(pair, masks, rng, initial_state=(), **arguments):
    ours, keras_layer = (results_of(layer, **arguments) for layer in pair)
    for mask in masks:
        x = tf.constant(rng.normal(size=(BATCH, TIME, FEATURES)), tf.float32)
        for actual, expected in zip(
            ours(x, mask, *initial_state), keras_layer(x, mask, *initial_state), strict=True
        ):
            assert_near(actual, expected)


def assert_near(actual, expected):
    """Up to rounding: numbers are sums of others as large as the largest ones."""
    expected = np.asarray(expected)
    tolerance = 1e-12 if expected.dtype == "float64" else 1e-5
    assert np.asarray(actual).dtype == expected.dtype
    largest = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


def random_mask(rng, shape):
    """None, or gaps anywhere, or padding on either side; rows may be without any step."""
    form = rng.integers(4)
    if form == 0:
        return None
    if form == 1:
        return rng.random(shape) < rng.random((shape[0], 1))
    length = rng.integers(shape[1] + 1, size=(shape[0], 1))
    places = np.arange(shape[1])
    return places < length if form == 2 else places >= length


@needs_native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "options"), [("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})], ids=str
)
def test_equal_to_keras_for_random_sizes_and_options(kind, options, dtype):
    """What is masked is NaN for ours, and 0 for Keras's."""
    rng = np.random.default_rng([len(kind), len(options)])
    names = "return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "use_bias"
    for _ in range(CASES):
        batch, features, units = (int(size) for size in rng.integers(1, 71, size=3))
        time = int(rng.integers(1, 13))
        drawn = {name: bool(rng.integers(2)) for name in names}
        pair = layer_pair(
            kind,
            (batch, time, features),
            units=units,
            dtype=keras.DTypePolicy(dtype),
            **options,
            **drawn,
        )
        mask = random_mask(rng, (batch, time))
        states = [rng.normal(size=(batch, units)).astype(dtype) for _ in STATES[kind]]
        clean = rng.normal(size=(batch, time, features)).astype(dtype)
        gaps = clean.copy()
        if mask is not None:
            gaps[~mask], clean[~mask] = np.nan, 0
        initial = states if rng.integers(2) else []
        ours, theirs = (
            results_of(layer).python_function(tf.constant(x), mask, *map(tf.constant, initial))
            for layer, x in zip(pair, (gaps, clean), strict=True)
        )
        assert pair[0].runs_on == "native"
        for actual, expected in zip(ours, theirs, strict=True):
            assert_near(actual, expected)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_equal_to_keras_over_random_masks(kind, go_backwards, rng):
    pair = layer_pair(kind, return_sequences=True, return_state=True, go_backwards=go_backwards)
    assert_equal_to_keras(pair, random_masks(rng, 200), rng)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"go_backwards": True, "return_state": True},
        {"unroll": True, "return_sequences": True},
        {"zero_output_for_mask": True, "return_sequences": True},
        {"zero_output_for_mask": True, "return_sequences": True, "go_backwards": True},
        {"zero_output_for_mask": True},
        {"zero_output_for_mask": True, "go_backwards": True},
        {"use_bias": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"dtype": "float64", "return_sequences": True},
    ],
    ids=str,
)
def test_equal_to_keras_with_options(kind, options, rng):
    if options.get("dtype"):
        options = {**options, "dtype": keras.DTypePolicy("float64")}
    assert_equal_to_keras(layer_pair(kind, **options), random_masks(rng, 12), rng)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_unrolled_it_is_keras_loop(kind, go_backwards, return_sequences, rng):
    """Keras's own unrolled layer takes the mask of backward outputs in the wrong direction."""
    options = {"zero_output_for_mask": True, "return_state": True, "go_backwards": go_backwards}
    options["return_sequences"] = return_sequences
    loop = layer_pair(kind, **options)[1]
    unrolled = layer_pair(kind, **options, unroll=True)[0]
    assert_equal_to_keras((unrolled, loop), random_masks(rng, 6), rng)
    assert unrolled.zero_output_for_mask


def test_equal_to_keras_from_an_initial_state(kind, rng):
    pair = layer_pair(kind, return_sequences=True, return_state=True)
    states = [tf.constant(rng.normal(size=(BATCH, UNITS)), tf.float32) for _ in STATES[kind]]
    assert_equal_to_keras(pair, random_masks(rng, 12), rng, initial_state=states)


def test_equal_to_keras_with_dropout(kind, rng):
    """The same seed drops the same inputs and states."""
    options = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 7, "return_sequences": True}
    pair = layer_pair(kind, **options)
    assert_equal_to_keras(pair, random_masks(rng, 6), rng, training=True)
    without = layer_pair(kind, return_sequences=True)[0]
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    assert np.any(pair[0](x, training=True) != without(x))


def test_equal_to_keras_when_stateful(kind, rng):
    pair = layer_pair(kind, stateful=True, return_sequences=True)
    assert_equal_to_keras(pair, random_masks(rng, 12), rng)
    for ours, expected in zip(pair[0].states, pair[1].states, strict=True):
        assert_near(ours, expected)
        assert np.any(ours.numpy() != 0)
    pair[0].reset_state()
    assert not np.any(pair[0].states[0].numpy())


@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_equal_to_keras_when_bidirectional(kind, merge_mode, return_sequences, rng):
    pair = [
        keras.layers.Bidirectional(layer, merge_mode=merge_mode)
        for layer in layer_pair(kind, return_sequences=return_sequences)
    ]
    for layer in pair:
        layer.build((BATCH, TIME, FEATURES))
    assert isinstance(pair[0].backward_layer, getattr(masklstm.layers, kind))
    pair[1].set_weights(pair[0].get_weights())
    assert_equal_to_keras(pair, random_masks(rng, 12), rng)


def test_without_a_mask_it_is_keras_layer(kind, rng):
    ours, keras_layer = layer_pair(kind, return_sequences=True)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    assert_near(ours(x), keras_layer(x))


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("jit_compile", [True, False])
def test_compiled_and_with_unknown_shapes(kind, jit_compile, static, rng):
    if jit_compile and not static:
        pytest.skip("XLA's shapes are known")
    ours, keras_layer = layer_pair(kind, return_sequences=True)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    (mask,) = random_masks(rng, 1)
    lengths = (BATCH, TIME) if static else (None, None)
    compiled = tf.function(
        lambda x, mask: ours(x, mask=mask),
        jit_compile=jit_compile,
        input_signature=[
            tf.TensorSpec((*lengths, FEATURES), tf.float32),
            tf.TensorSpec(lengths, tf.bool),
        ],
    )
    expected = keras_layer(x, mask=mask)
    np.testing.assert_allclose(compiled(x, mask), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(kind, policy, rng):
    ours, keras_layer = layer_pair(kind, return_sequences=True, dtype=policy)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    for mask in random_masks(rng, 3):
        outputs = ours(x, mask=mask)
        assert outputs.dtype == keras.DTypePolicy(policy).compute_dtype
        np.testing.assert_array_equal(outputs, keras_layer(x, mask=mask))


@pytest.mark.parametrize("options", [{}, {"activation": "softsign"}], ids=str)
def test_a_nan_under_a_mask_does_no_harm(kind, options, rng):
    """In Keras it leaves the outputs clean and turns every gradient into NaN."""
    ours, keras_layer = layer_pair(kind, return_sequences=True, **options)
    clean = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    (mask,) = random_masks(rng, 1)
    mask[0] = [True, False] * 3 + [True]
    x = np.where(mask[..., None], clean, np.nan).astype("float32")
    for actual, expected in zip(
        results_of(ours)(tf.constant(x), mask),
        results_of(ours)(tf.constant(clean), mask),
        strict=True,
    ):
        np.testing.assert_array_equal(actual, expected)
    outputs, *gradients = results_of(keras_layer)(tf.constant(x), mask)
    assert np.all(np.isfinite(outputs))
    assert all(np.any(np.isnan(gradient)) for gradient in gradients)


def test_a_mask_of_another_form_is_the_same_mask(kind, rng):
    ours, _ = layer_pair(kind, return_sequences=True)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    (mask,) = random_masks(rng, 1)
    expected = ours(x, mask=mask)
    for other in (mask.astype("int32"), mask[..., None]):
        np.testing.assert_array_equal(ours(x, mask=other), expected)


def test_one_row_is_the_mask_of_all_rows(kind, rng):
    pair = layer_pair(kind, return_sequences=True, return_state=True)
    assert_equal_to_keras(pair, [mask[:1] for mask in random_masks(rng, 6)], rng)


UNFIT_SHAPES = [
    (BATCH, 1),
    (BATCH, 1, 1),
    (1, 1),
    (BATCH, TIME - 1),
    (BATCH, TIME + 1),
    (BATCH + 1, TIME),
    (0, TIME),
    (TIME, BATCH),
    (TIME,),
    (BATCH,),
    (),
    (BATCH, TIME, FEATURES),
    (BATCH, TIME, 1, 1),
]


class TestMasksThatDoNotFit:
    @pytest.mark.parametrize("graph", [False, True])
    @pytest.mark.parametrize("shape", UNFIT_SHAPES, ids=str)
    def test_are_refused_with_both_shapes(self, kind, shape, graph):
        ours, _ = layer_pair(kind, return_sequences=True)
        call = tf.function(ours) if graph else ours
        with pytest.raises(ValueError, match="'mask'") as error:
            call(tf.zeros([BATCH, TIME, FEATURES]), mask=tf.ones(shape, tf.bool))
        assert f"sequences with shape {(BATCH, TIME, FEATURES)}" in str(error.value)
        assert f"mask with shape {shape}" in str(error.value)

    @pytest.mark.parametrize("rank_is_known", [False, True])
    @pytest.mark.parametrize("shape", [shape for shape in UNFIT_SHAPES if len(shape) == 2], ids=str)
    def test_are_refused_when_a_graph_of_unknown_shapes_runs(self, kind, shape, rank_is_known):
        ours, _ = layer_pair(kind, return_sequences=True)
        call = tf.function(
            lambda x, mask: ours(x, mask=mask),
            input_signature=[
                tf.TensorSpec((None, None, FEATURES)),
                tf.TensorSpec((None, None) if rank_is_known else None, tf.bool),
            ],
        )
        x = tf.zeros([BATCH, TIME, FEATURES])
        assert call(x, tf.ones([BATCH, TIME], tf.bool)).shape == (BATCH, TIME, UNITS)
        assert call(x, tf.ones([1, TIME], tf.bool)).shape == (BATCH, TIME, UNITS)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"argument .*mask") as error:
            call(x, tf.ones(shape, tf.bool))
        for lengths in ((BATCH, TIME), shape):
            assert " ".join(map(str, lengths)) in str(error.value)

    def test_a_layer_before_with_such_a_mask(self, kind):
        class Steps(keras.layers.Layer):
            def compute_mask(self, inputs, previous_mask):
                return tf.ones([BATCH, 1], tf.bool)

            def call(self, inputs):
                return inputs

        ours, _ = layer_pair(kind)
        with pytest.raises(ValueError, match=r"mask with shape \(5, 1\)"):
            ours(Steps()(tf.zeros([BATCH, TIME, FEATURES])))


def test_the_mask_of_the_layer_before_is_taken(kind, rng):
    ours, _ = layer_pair(kind, return_sequences=True)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    (mask,) = random_masks(rng, 1)
    outputs = ours(masklstm.layers.Masking()(np.where(mask[..., None], x, np.nan)))
    np.testing.assert_array_equal(outputs, ours(x, mask=mask))
    np.testing.assert_array_equal(outputs._keras_mask, mask)


def test_weights_and_configs_are_those_of_keras(kind, tmp_path, rng):
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    ours, theirs = (
        keras.Sequential([keras.Input((TIME, FEATURES)), getattr(module, kind)(UNITS)])
        for module in (masklstm.layers, keras.layers)
    )
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    assert_near(ours(x), theirs(x))
    layer = getattr(masklstm.layers, kind)(UNITS, go_backwards=True, dropout=0.1)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert type(layer).from_config(getattr(keras.layers, kind)(UNITS).get_config()).units == UNITS


class TestWithCudnn:
    """The way to cuDNN's op and back, with a stand-in for the op: it needs a GPU.

    The stand-in keeps cuDNN's contract: masks that are padding on the right, no row without a step,
    zeros as outputs of what is padding.
    """

    @pytest.fixture
    def calls(self, monkeypatch, kind):
        rnn = importlib.import_module("keras.src.backend.tensorflow.rnn")
        calls = []
        layers = {}

        def cudnn(sequences, *arguments, kernel, go_backwards, return_sequences, **_):
            mask = arguments[-1]
            rnn._assert_valid_mask(mask)
            layer = layers[id(kernel)]
            lengths = rnn._compute_sequence_length_from_mask(mask, time_major=False)
            if go_backwards:
                sequences = tf.reverse_sequence(sequences, lengths, seq_axis=1)
            outputs, *states = layer(sequences, initial_state=list(arguments[:-1]), mask=mask)
            outputs = tf.where(mask[..., None], outputs, 0)
            if go_backwards:
                outputs = tf.reverse_sequence(outputs, lengths, seq_axis=1)
                outputs = tf.reverse(outputs, [1])
            if not return_sequences:
                outputs = states[0][:, None]
            calls.append(kind)
            return states[0], outputs, states

        monkeypatch.setattr(keras.src.backend, kind.lower(), cudnn)
        monkeypatch.setattr(native_recurrence, "_reason_of_process", lambda: "there is a GPU")
        return calls, layers

    @pytest.mark.parametrize("go_backwards", [False, True])
    @pytest.mark.parametrize("return_sequences", [False, True])
    def test_equal_to_keras(self, calls, kind, go_backwards, return_sequences, rng):
        calls, layers = calls
        options = {"go_backwards": go_backwards, "return_sequences": return_sequences}
        pair = layer_pair(kind, **options, return_state=True)
        inner = layer_pair(kind, return_sequences=True, return_state=True)[1]
        inner.set_weights(pair[0].get_weights())
        layers[id(pair[0].cell.kernel)] = inner
        masks = random_masks(rng, 12)
        for mask in masks:
            x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
            for actual, expected in zip(pair[0](x, mask=mask), pair[1](x, mask=mask), strict=True):
                assert_near(actual, expected)
        assert len(calls) == len(masks)

    def test_keras_own_layer_fails_there(self, calls, kind, rng):
        calls, layers = calls
        keras_layer = getattr(keras.layers, kind)(UNITS)
        keras_layer.build((BATCH, TIME, FEATURES))
        inner = layer_pair(kind, return_sequences=True, return_state=True)[1]
        layers[id(keras_layer.cell.kernel)] = inner
        x = np.ones((BATCH, TIME, FEATURES), "float32")
        with pytest.raises(tf.errors.InvalidArgumentError, match="right-padded"):
            keras_layer(x, mask=random_masks(rng, 1)[0])
