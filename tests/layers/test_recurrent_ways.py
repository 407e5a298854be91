"""When LSTM and GRU run on the native op, and that everything around a layer works with it."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import prepared
from support.markers import needs_native, version_of

import masklstm
from masklstm._core import library

BATCH, TIME, FEATURES, UNITS = 5, 7, 3, 4
# Where nothing speaks for Keras.
USUAL = "native" if library.backend == "native" else "keras: there is no native library"


@pytest.fixture(params=["LSTM", "GRU"])
def kind(request):
    return getattr(masklstm.layers, request.param)


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")


@pytest.fixture
def mask(rng):
    return rng.random((BATCH, TIME)) < 0.6


def model_of(module, is_bidirectional=False):
    """The same model, weights included, of masklstm's layers or of Keras's."""
    keras.utils.set_random_seed(4)
    first = module.GRU(3, return_sequences=True)
    inputs = keras.Input((TIME, FEATURES))
    outputs = masklstm.layers.Masking()(inputs)
    outputs = (keras.layers.Bidirectional(first) if is_bidirectional else first)(outputs)
    outputs = module.LSTM(UNITS)(outputs)
    return keras.Model(inputs, keras.layers.Dense(1)(outputs))


@pytest.fixture
def data(rng):
    x = rng.normal(size=(40, TIME, FEATURES)).astype("float32")
    x[rng.random((40, TIME)) < 0.4] = np.nan
    return x, rng.normal(size=(40, 1)).astype("float32")


@needs_native
class TestWay:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({}, None),
            ({"dropout": 0.5}, None),
            ({"go_backwards": True, "return_state": True, "use_bias": False}, None),
            ({"use_cudnn": False}, None),
            ({"dtype": "float64"}, None),
            ({"activation": "relu"}, "activation is not tanh"),
            ({"recurrent_activation": "tanh"}, "recurrent_activation is not sigmoid"),
            ({"unroll": True}, "unroll=True"),
            ({"recurrent_dropout": 0.1}, "recurrent_dropout"),
            ({"dropout": 0.1, "implementation": 1}, "dropout with implementation=1"),
            ({"dtype": "mixed_float16"}, "the computing dtype is float16"),
        ],
        ids=str,
    )
    def test_of_options(self, kind, options, reason, x):
        layer = kind(UNITS, **options)
        expected = "native" if reason is None else f"keras: {reason}"
        assert layer.runs_on == expected
        graph = tf.function(layer).get_concrete_function(x).graph
        assert ("Masklstm>Recurrent" in {op.type for op in graph.get_operations()}) == (
            reason is None
        )
        assert layer.runs_on == expected

    def test_of_a_gru_with_its_reset_before_the_product(self, x):
        layer = masklstm.layers.GRU(UNITS, reset_after=False)
        layer(x)
        assert layer.runs_on == "native"

    def test_of_a_function_that_xla_compiles(self, kind, x):
        layer = kind(UNITS)
        tf.function(layer, jit_compile=True)(x)
        assert layer.runs_on == "keras: XLA compiles it (jit_compile=True)"
        layer(x)
        assert layer.runs_on == "native"

    def test_is_no_part_of_a_config(self, kind, x):
        layer = kind(UNITS)
        layer(x)
        assert "native" not in str(layer.get_config())


def test_dropout_drops_what_keras_drops(kind, x, mask):
    def outputs(layer):
        layer.build(x.shape)
        layer.set_weights([np.full(weight.shape, 0.3) for weight in layer.get_weights()])
        results = [layer(x, mask=mask, training=training) for training in (True, True, False)]
        return np.stack(results), layer

    options = {"dropout": 0.4, "seed": 7, "return_sequences": True}
    ours, layer = outputs(kind(UNITS, **options))
    theirs, _ = outputs(getattr(keras.layers, kind.__name__)(UNITS, use_cudnn=False, **options))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert np.any(ours[0] != ours[2])
    assert layer.runs_on.startswith(USUAL)


class TestGradients:
    def test_do_not_depend_on_the_tape(self, kind, x, mask):
        """Inference keeps none, and its gradient runs the forward pass again."""
        layer = kind(UNITS)

        def gradients(training):
            with tf.GradientTape() as tape:
                inputs = tf.constant(x)
                tape.watch(inputs)
                outputs = layer(inputs, mask=mask, training=training)
            return tape.gradient(outputs, [inputs, *layer.trainable_variables])

        for with_tape, without in zip(gradients(True), gradients(False), strict=True):
            np.testing.assert_array_equal(with_tape, without)

    def test_of_a_persistent_tape_and_of_a_forward_pass_that_runs_again(self, kind, x):
        layer = kind(UNITS)
        layer(x)
        with tf.GradientTape(persistent=True) as tape:
            outputs = layer(x, training=True)
            again = tf.recompute_grad(lambda inputs: layer(inputs, training=True))(tf.constant(x))
        expected = tape.gradient(outputs, layer.trainable_variables)
        for other in (outputs, again):
            found = tape.gradient(other, layer.trainable_variables)
            for actual, gradient in zip(found, expected, strict=True):
                np.testing.assert_array_equal(actual, gradient)

    @needs_native
    def test_those_by_the_inputs_are_made_if_asked_for(self, kind, x):
        """A first layer does without."""
        layer = kind(UNITS)
        layer(x)

        def ops_of(watch):
            @tf.function
            def run(inputs):
                with tf.GradientTape() as tape:
                    if watch:
                        tape.watch(inputs)
                    outputs = layer(inputs, training=True)
                return tape.gradient(outputs, [inputs] if watch else layer.trainable_variables)

            graph = run.get_concrete_function(tf.constant(x)).graph
            return {op.type for op in graph.get_operations()}

        # A graph prunes it where nothing needs it.
        assert "Masklstm>RecurrentSequencesGrad" in ops_of(True)
        assert "Masklstm>RecurrentGrad" in ops_of(False)

    @needs_native
    def test_a_second_derivative_is_refused_with_the_way_out(self, kind, x):
        def second(layer):
            inputs = tf.constant(x)
            with tf.GradientTape() as outer:
                outer.watch(inputs)
                with tf.GradientTape() as inner:
                    inner.watch(inputs)
                    outputs = layer(inputs)
                slopes = inner.gradient(outputs, inputs)
            return outer.gradient(slopes, inputs)

        with pytest.raises(NotImplementedError, match="unroll=True"):
            second(kind(UNITS))
        assert np.any(second(kind(UNITS, unroll=True)))


def run_without_masklstm(code, *arguments):
    """What the code prints in a process that cannot import masklstm."""
    hidden = "import sys; sys.modules['masklstm'] = None; import numpy as np, tensorflow as tf\n"
    process = prepared.run(hidden + code, *map(str, arguments))
    process.check_returncode()
    return process.stdout


class TestAModel:
    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_trains_as_with_keras_layers(self, data, jit_compile):
        histories = []
        for module in (masklstm.layers, keras.layers):
            model = model_of(module)
            model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
            histories.append(model.fit(*data, 8, epochs=3, shuffle=False, verbose=0).history)
        np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)

    def test_exported_it_needs_nothing_of_masklstm(self, data, tmp_path):
        model = model_of(masklstm.layers, is_bidirectional=True)
        expected = model.predict(data[0], verbose=0)
        model.export(tmp_path / "model", verbose=False)
        np.save(tmp_path / "x.npy", data[0])
        code = """
model = tf.saved_model.load(sys.argv[1])
np.save(sys.argv[3], model.serve(np.load(sys.argv[2])))
"""
        run_without_masklstm(code, tmp_path / "model", tmp_path / "x.npy", tmp_path / "y.npy")
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-5, atol=1e-6)
        assert model.layers[-2].runs_on.startswith(USUAL)

    def test_as_a_saved_model_it_needs_nothing_of_masklstm(self, data, tmp_path):
        model = model_of(masklstm.layers)
        model.predict(data[0], verbose=0)
        tf.saved_model.save(model, tmp_path / "model")
        code = "print(list(tf.saved_model.load(sys.argv[1]).signatures))"
        assert "serving_default" in run_without_masklstm(code, tmp_path / "model")

    @pytest.mark.skipif(
        version_of(tf.__version__) < (2, 17), reason="its converter aborts for every Keras 3 model"
    )
    @pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
    def test_converted_to_tflite_it_has_builtin_ops_alone(self, data):
        model = model_of(masklstm.layers)
        model.predict(data[0], verbose=0)
        inputs = keras.Input((TIME, FEATURES), batch_size=1)
        fixed = keras.Model(inputs, model(inputs))
        converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        interpreter = tf.lite.Interpreter(model_content=converter.convert())
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], data[0][:1])
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(found, model(data[0][:1]), rtol=1e-4, atol=1e-5)

    def test_its_file_runs_without_the_native_library(self, data, tmp_path):
        model = model_of(masklstm.layers, is_bidirectional=True)
        expected = model.predict(data[0], verbose=0)
        model.save(tmp_path / "model.keras")
        np.save(tmp_path / "x.npy", data[0])
        code = """
import sys, keras, masklstm, numpy as np
model = keras.models.load_model(sys.argv[1])
assert model.layers[-2].runs_on.startswith("keras: there is no native library")
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""
        names = [tmp_path / name for name in ("model.keras", "x.npy", "y.npy")]
        environment = {**os.environ, "MASKLSTM_BACKEND": "reference"}
        prepared.run(code, *map(str, names), env=environment).check_returncode()
        np.testing.assert_allclose(np.load(names[2]), expected, rtol=1e-5, atol=1e-6)

    def test_replicas_train_as_one_device(self, data):
        """Without state of its own the op can be in any of them."""
        devices = tf.config.list_logical_devices("CPU")
        strategies = [tf.distribute.OneDeviceStrategy("CPU:0")]
        strategies.append(tf.distribute.MirroredStrategy([device.name for device in devices][:2]))
        losses = []
        for strategy in strategies:
            with strategy.scope():
                model = model_of(masklstm.layers)
                model.compile("sgd", masklstm.losses.MeanSquaredError())
            history = model.fit(*data, 8, epochs=2, shuffle=False, verbose=0)
            losses.append(history.history["loss"])
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@needs_native
class TestTheOp:
    def arguments(self, **changes):
        tensors = {
            "sequences": tf.zeros([2, 3, 4]),
            "mask": [tf.ones([2, 3], tf.bool)],
            "kernel": tf.zeros([4, 20]),
            "recurrent_kernel": tf.zeros([5, 20]),
            "bias": [tf.zeros([20])],
            "initial_states": [tf.zeros([2, 5])] * 2,
        }
        return {**tensors, **changes}

    def test_shapes_that_are_known_before_it_runs(self):
        @tf.function(input_signature=[tf.TensorSpec([None, None, 4])])
        def run(sequences):
            changes = {"sequences": sequences, "mask": []}
            changes["initial_states"] = [tf.zeros([tf.shape(sequences)[0], 5])] * 2
            outputs, states, _ = library.ops.masklstm_recurrent(
                **self.arguments(**changes), cell="lstm"
            )
            assert outputs.shape.as_list() == [None, None, 5]
            assert [state.shape.as_list() for state in states] == [[None, 5]] * 2
            return outputs

        assert run(tf.zeros([2, 3, 4])).shape == (2, 3, 5)

    @pytest.mark.parametrize(
        ("name", "tensor"),
        [
            ("sequences", tf.zeros([2, 3])),
            ("sequences", tf.zeros([2, 3, 5])),
            ("mask", [tf.ones([2, 4], tf.bool)]),
            ("mask", [tf.ones([2, 3], tf.bool)] * 2),
            ("kernel", tf.zeros([4, 15])),
            ("recurrent_kernel", tf.zeros([5, 15])),
            ("recurrent_kernel", tf.zeros([0, 20])),
            ("bias", [tf.zeros([2, 20])]),
            ("bias", [tf.zeros([20])] * 2),
            ("initial_states", [tf.zeros([2, 5])]),
            ("initial_states", [tf.zeros([3, 5])] * 2),
        ],
    )
    def test_refuses_what_does_not_fit(self, name, tensor):
        library.ops.masklstm_recurrent(**self.arguments(), cell="lstm")
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
            library.ops.masklstm_recurrent(**self.arguments(**{name: tensor}), cell="lstm")

    @pytest.mark.parametrize(
        "changes",
        [
            {"tape": tf.zeros([7])},
            {"output_gradient": tf.zeros([2, 4, 5])},
            {"state_gradients": [tf.zeros([2, 4])] * 2},
        ],
        ids=str,
    )
    def test_its_gradient_refuses_what_does_not_fit(self, changes):
        *_, tape = library.ops.masklstm_recurrent(**self.arguments(), cell="lstm")
        arguments = {
            **self.arguments(),
            "tape": tape,
            "output_gradient": tf.zeros([2, 3, 5]),
            "state_gradients": [tf.zeros([2, 5])] * 2,
        }
        *_, slopes = library.ops.masklstm_recurrent_grad(**arguments, cell="lstm")
        of_sequences = {name: arguments[name] for name in ("sequences", "mask", "kernel")}
        library.ops.masklstm_recurrent_sequences_grad(**of_sequences, slopes=slopes, cell="lstm")
        with pytest.raises(tf.errors.InvalidArgumentError, match="Expected slopes to have"):
            library.ops.masklstm_recurrent_sequences_grad(
                **of_sequences, slopes=slopes[1:], cell="lstm"
            )
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Expected .* to have the shape"):
            library.ops.masklstm_recurrent_grad(**{**arguments, **changes}, cell="lstm")
