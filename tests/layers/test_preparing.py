"""`Normalization`, `MissingDropout`, `MaskedMean`, and times that are given to `Impute`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm.layers import Impute, MaskedMean, Masking, MissingDropout, Normalization

NAN = float("nan")


@pytest.fixture
def x(rng):
    x = rng.normal(size=(50, 7, 3)) * [1.0, 100.0, 0.01] + [5.0, -3000.0, 0.0]
    x[rng.random(x.shape) < 0.3] = NAN
    return x


class TestNormalization:
    def test_mean_and_variance_of_what_was_observed(self, x):
        layer = Normalization()
        layer.adapt(x)
        np.testing.assert_allclose(layer.mean, np.nanmean(x, axis=(0, 1)), rtol=1e-12)
        np.testing.assert_allclose(layer.variance, np.nanvar(x, axis=(0, 1)), rtol=1e-12)
        scaled = layer(x).numpy()
        np.testing.assert_array_equal(np.isnan(scaled), np.isnan(x))
        np.testing.assert_allclose(np.nanmean(scaled, axis=(0, 1)), 0, atol=1e-6)
        np.testing.assert_allclose(np.nanstd(scaled, axis=(0, 1)), 1, rtol=1e-6)
        np.testing.assert_allclose(layer.inverse()(scaled), x, rtol=1e-6, atol=1e-6)

    def test_reads_whatever_holds_data(self, x):
        pandas = pytest.importorskip("pandas")
        rows = x.reshape(-1, 3)
        nullable = pandas.DataFrame(rows, columns=list("abc")).convert_dtypes()
        batched = tf.data.Dataset.from_tensor_slices(x).batch(7)

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 5

            def __getitem__(self, place):
                return x[10 * place : 10 * place + 10], None

        for data in (
            rows,
            pandas.DataFrame(rows),
            nullable,
            np.ma.masked_invalid(x),
            tf.constant(x),
            batched,
            batched.map(lambda x: (x, x)),
            list(np.split(x, 5)),
            Batches(),
        ):
            layer = Normalization()
            layer.adapt(data)
            np.testing.assert_allclose(layer.mean, np.nanmean(rows, axis=0), rtol=1e-12)
            np.testing.assert_allclose(layer.variance, np.nanvar(rows, axis=0), rtol=1e-12)

    def test_many_rows_and_a_mean_far_from_zero(self, rng):
        """In one pass, sums of squares would have lost all digits."""
        x = rng.normal(size=(1_500_000, 2)) + 1e9
        layer = Normalization()
        layer.adapt(x)
        np.testing.assert_allclose(layer.variance, x.var(axis=0), rtol=1e-9)
        scaled = layer(x[:1000])
        assert 0.9 < np.std(scaled) < 1.1

    def test_constant_and_never_seen_features(self):
        x = np.array([[0.1, NAN, 1.0], [0.1, NAN, 3.0], [0.1, NAN, NAN]] * 1000)
        layer = Normalization()
        layer.adapt(x)
        assert layer.mean.numpy().tolist() == pytest.approx([0.1, 0.0, 2.0])
        assert layer.variance.numpy().tolist() == pytest.approx([0.0, 0.0, 1.0])
        new = layer(np.array([[0.1, 7.0, 2.0], [1.1, 8.0, 4.0]])).numpy()
        np.testing.assert_allclose(new, [[0.0, 7.0, 0.0], [1.0, 8.0, 2.0]], atol=1e-6)

    @pytest.mark.parametrize("axis", [-1, 2, None, (1, 2), (-2, -1), 0])
    def test_axes(self, axis, x):
        places = () if axis is None else axis if isinstance(axis, tuple) else (axis,)
        others = tuple(k for k in range(3) if k not in [place % 3 for place in places])
        layer = Normalization(axis=axis)
        layer.adapt(x)
        expected = x - np.nanmean(x, axis=others, keepdims=True)
        expected /= np.nanstd(x, axis=others, keepdims=True)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)

    def test_rows_of_a_table_fit_windows_and_maps(self, x):
        layer = Normalization()
        layer.adapt(x.reshape(-1, 3))
        np.testing.assert_array_equal(layer(x)[3, 4], layer(x[3, 4][None])[0])
        assert layer(np.zeros((2, 7, 4, 5, 3))).shape == (2, 7, 4, 5, 3)

    def test_what_was_not_adapted_is_noticed(self):
        assert np.all(np.isnan(Normalization()(np.ones((2, 3)))))

    def test_in_a_model_that_is_saved(self, x, tmp_path):
        y = x[:, -1:, 0] * 2
        scale, of_target = Normalization(), Normalization()
        scale.adapt(x)
        of_target.adapt(y)
        model = keras.Sequential(
            [
                keras.Input((7, 3)),
                scale,
                Impute("zero"),
                masklstm.layers.LSTM(4),
                keras.layers.Dense(1),
                of_target.inverse(),
            ]
        )
        model.compile("adam", masklstm.losses.MeanSquaredError())
        model.fit(x, y, verbose=0)
        predicted = model.predict(x, verbose=0)
        assert 5 < np.mean(predicted) < 15
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(again.predict(x, verbose=0), predicted)

    @pytest.mark.parametrize("policy", ["float64", "float32", "mixed_float16"])
    def test_scales_back_without_loss_of_digits(self, x, policy):
        scale = Normalization(dtype=policy)
        scale.adapt(x)
        back = scale.inverse()(np.where(np.isnan(x), np.nan, 0.1))
        kept = "float64" if policy == "float64" else "float32"
        assert back.dtype == kept
        mean, variance = np.array(scale.mean), np.array(scale.variance)
        expected = np.where(np.isnan(x), np.nan, mean + 0.1 * np.sqrt(variance))
        np.testing.assert_allclose(back, expected, rtol=4 * np.finfo(kept).eps)

    @pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
    def test_large_means_in_half_precision(self, precision):
        x = np.array([[100_000.0], [100_002.0]], "float32")
        layer = Normalization(dtype=precision)
        layer.adapt(x)
        np.testing.assert_array_equal(tf.cast(layer(x), "float32"), [[-1.0], [1.0]])

    def test_masked_steps_do_not_count(self):
        padded = np.array([[[1.0], [3.0], [-9.0]]], "float32")
        layer = Normalization()
        layer.adapt(Masking(mask_value=-9)(padded))
        assert layer.mean.numpy().tolist() == [2.0]
        assert layer(Masking(mask_value=-9)(padded))._keras_mask.numpy().tolist() == [
            [True, True, False]
        ]

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_in_graphs(self, x, jit_compile):
        layer = Normalization()
        layer.adapt(x)
        compiled = tf.function(layer, jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(tf.constant(x)), layer(x), rtol=1e-6)

    def test_refused(self, x):
        with pytest.raises(ValueError, match="together"):
            Normalization(mean=1.0)
        with pytest.raises(ValueError, match=r"'variance'. Expected numbers from 0"):
            Normalization(mean=1.0, variance=-1.0)
        with pytest.raises(ValueError, match=r"'mean'. Expected a number"):
            Normalization(mean="x", variance=1.0)
        with pytest.raises(ValueError, match="'mean' to have a number for each feature"):
            Normalization(mean=[1.0, 2.0], variance=1.0)(x)
        with pytest.raises(ValueError, match="axis=3"):
            Normalization(axis=3)(x)
        with pytest.raises(ValueError, match=r"table\[\['flow'\]\]"):
            Normalization().adapt(x[0, :, 0])
        with pytest.raises(ValueError, match="a batch or more"):
            Normalization().adapt([])
        with pytest.raises(ValueError, match="not adapted to data"):
            Normalization(mean=0.0, variance=1.0).adapt(x)
        with pytest.raises(ValueError, match="repeats for ever"):
            Normalization().adapt(tf.data.Dataset.from_tensors(x).repeat())
        layer = Normalization()
        layer.adapt(x)
        with pytest.raises(ValueError, match="3,"):
            layer.adapt(x[..., :2])
        with pytest.raises(ValueError, match="adapted"):
            Normalization().inverse()


class TestMissingDropout:
    def test_shares(self):
        layer = MissingDropout(step=0.2, sequence=0.3, seed=0)
        x = layer(np.zeros((2000, 30, 2), "float32"), training=True).numpy()
        is_gone = np.isnan(x)
        whole = is_gone.all(axis=1)
        assert whole.mean() == pytest.approx(0.3, abs=0.02)
        assert is_gone.transpose(0, 2, 1)[~whole].mean() == pytest.approx(0.2, abs=0.01)
        assert not np.array_equal(is_gone[..., 0], is_gone[..., 1])

    def test_products_fail_together(self):
        layer = MissingDropout(step=0.5, products=[[0, 2], [3]], seed=0)
        is_gone = np.isnan(layer(np.zeros((50, 20, 5), "float32"), training=True).numpy())
        np.testing.assert_array_equal(is_gone[..., 0], is_gone[..., 2])
        assert np.any(is_gone[..., 0] != is_gone[..., 3])
        assert not is_gone[..., [1, 4]].any()

    def test_in_training_alone(self):
        x = np.ones((4, 5, 2), "float32")
        layer = MissingDropout(step=1.0)
        np.testing.assert_array_equal(layer(x), x)
        np.testing.assert_array_equal(layer(x, training=False), x)
        assert np.all(np.isnan(layer(x, training=True)))
        np.testing.assert_array_equal(MissingDropout()(x, training=True), x)

    def test_a_seed_makes_it_the_same_again_and_each_batch_another(self):
        x = np.ones((4, 50, 2), "float32")
        first, second = (MissingDropout(0.3, 0.1, seed=7) for _ in range(2))
        a, b = first(x, training=True), first(x, training=True)
        np.testing.assert_array_equal(second(x, training=True), a)
        assert np.any(np.isnan(a) != np.isnan(b))

    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_a_model_trains(self, jit_compile):
        x = np.random.default_rng(0).normal(size=(64, 10, 2)).astype("float32")
        model = keras.Sequential(
            [
                keras.Input((None, 2)),
                MissingDropout(0.3, 0.1),
                Impute("last"),
                masklstm.layers.LSTM(4),
                keras.layers.Dense(1),
            ]
        )
        model.compile("adam", masklstm.losses.MeanSquaredError(), jit_compile=jit_compile)
        losses = model.fit(x, x[:, -1, :1], epochs=3, verbose=0).history["loss"]
        assert np.all(np.isfinite(losses))

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"step": 1.1}, r"'step'. Expected a number in \[0, 1\]"),
            ({"sequence": -0.1}, "'sequence'"),
            ({"step": "x"}, "'step'"),
            ({"products": [[0, 1], [1]]}, "share no feature"),
            ({"products": [[2]]}, "from 0 to 1"),
        ],
    )
    def test_refused(self, arguments, words):
        with pytest.raises(ValueError, match=words):
            MissingDropout(**{"step": 0.5, **arguments})(np.zeros((2, 3, 2)))


class TestMaskedMean:
    def test_over_those_that_are_there(self, rng):
        x = [rng.normal(size=(6, 9, 2)).astype("float32") for _ in range(3)]
        for own in x:
            own[rng.random(own.shape[:2]) < 0.4] = NAN
        is_there = ~np.isnan(np.stack(x))
        expected = np.nansum(np.stack(x), axis=0) / np.maximum(is_there.sum(axis=0), 1)
        masked = [Masking()(own) for own in x]
        outputs = MaskedMean()(masked)
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(outputs._keras_mask, is_there[..., 0].any(axis=0))
        np.testing.assert_allclose(MaskedMean()(x), expected, rtol=1e-5, atol=1e-6)

    def test_a_model_of_products_has_finite_gradients(self, rng):
        inputs = [keras.Input((9, features)) for features in (2, 3)]
        embedded = [keras.layers.Dense(4)(Masking()(own)) for own in inputs]
        hidden = masklstm.layers.LSTM(4)(MaskedMean()(embedded))
        model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
        x = [rng.normal(size=(8, 9, features)).astype("float32") for features in (2, 3)]
        for own in x:
            own[rng.random(own.shape[:2]) < 0.4] = NAN
        model.compile("sgd", masklstm.losses.MeanSquaredError())
        model.fit(x, rng.normal(size=(8, 1)), verbose=0)
        assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())

    @pytest.mark.parametrize("shapes", [[(2, 3, 4)], [(2, 3, 4), (2, 3, 5)]])
    def test_refused(self, shapes):
        with pytest.raises(ValueError, match="two or more embeddings of one shape"):
            MaskedMean()([np.zeros(shape) for shape in shapes])


class TestTimesOfImpute:
    def test_elapsed_time(self):
        x = np.array([[[NAN], [1.0], [NAN], [NAN], [2.0]]], "float32")
        times = np.array([[10.0, 12.0, 15.0, 19.0, 20.0]])
        layer = Impute("last", indicator=False, elapsed=True)
        outputs = layer(x, times=times).numpy()[0].tolist()
        assert outputs == [[0, 0], [1, 0], [1, 3], [1, 7], [2, 0]]
        np.testing.assert_array_equal(layer(x, times=times[..., None])[0], outputs)

    def test_decay_to_the_mean(self):
        x = np.array([[[NAN], [4.0], [NAN], [NAN]]], "float32")
        layer = Impute("decay", indicator=False, mean=1.0)
        steps = layer(x).numpy()[0, :, 0]
        np.testing.assert_allclose(
            steps, [1, 4, 1 + 3 * np.exp(-0.1), 1 + 3 * np.exp(-0.2)], rtol=1e-6
        )
        times = np.array([[0.0, 1.0, 11.0, 1e6]])
        outputs = layer(x, times=times).numpy()[0, :, 0]
        np.testing.assert_allclose(outputs, [1, 4, 1 + 3 * np.exp(-1.0), 1], rtol=1e-6)

    def test_adapts_to_the_rows_of_a_frame(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"a": [1.0, NAN, 3.0], "b": [NAN, 5.0, 5.0]})
        layer = Impute("mean")
        layer.adapt(frame)
        assert layer.fill.numpy().tolist() == [2.0, 5.0]


def test_a_model_of_all_of_them_is_saved_and_exported(rng, tmp_path):
    x = rng.normal(size=(6, 9, 3)).astype("float32")
    x[rng.random(x.shape) < 0.4] = NAN
    times = np.cumsum(rng.uniform(0.5, 2, x.shape[:2]), axis=1).astype("float32")
    scale = Normalization()
    scale.adapt(x)
    inputs, at = keras.Input((9, 3), name="x"), keras.Input((9,), name="times")
    scaled = MissingDropout(0.2)(scale(inputs))
    filled = Impute("decay", elapsed=True, mean=0.0)(scaled, times=at)
    products = [masklstm.layers.GRUD(4, return_sequences=True, mean=0.0)(scaled, times=at)]
    products.append(keras.layers.Dense(4)(filled))
    hidden = masklstm.layers.LSTM(4)(MaskedMean()(products))
    model = keras.Model([inputs, at], keras.layers.Dense(1)(hidden))
    expected = model([x, times]).numpy()
    assert np.all(np.isfinite(expected))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again([x, times]), expected, rtol=1e-5, atol=1e-6)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(loaded.serve([x, times]), expected, rtol=1e-5, atol=1e-6)
    graph = loaded.signatures["serving_default"].graph.as_graph_def()
    nodes = [
        *graph.node,
        *(node for function in graph.library.function for node in function.node_def),
    ]
    assert not [node.op for node in nodes if node.op.startswith("Masklstm")]
