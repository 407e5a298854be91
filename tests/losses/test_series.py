"""Losses of whole series and of several features, against NumPy over the labels that are there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import losses, metrics

NAN, INF = float("nan"), float("inf")


def known_data(dtype="float64"):
    """Four samples of twelve steps and two features, 30% of the labels missing."""
    g = np.random.default_rng(2025)
    y_true = g.standard_normal((4, 12, 2)) * 2 + 5
    y_pred = y_true + g.standard_normal(y_true.shape) * 0.7
    y_true[g.random(y_true.shape) < 0.3] = NAN
    return y_true.astype(dtype), y_pred.astype(dtype)


# Numbers of one series whose labels are all there, as its definition has them.


def nse(t, p, w, epsilon=0.0, deviation=None):
    scale = (t.std() if deviation is None else deviation) + epsilon
    return (w * (t - p) ** 2).sum() / (len(t) * scale**2)


def kge(t, p, w, modified=False):
    (mean_t, mean_p), covariance = np.average([t, p], 1, w), np.cov(t, p, ddof=0, aweights=w)
    (var_t, both), (_, var_p) = covariance
    r, beta = both / np.sqrt(var_t * var_p), mean_p / mean_t
    alpha = np.sqrt(var_p / var_t) / (beta if modified else 1)
    return np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2) * w.mean()


def ccc(t, p, w):
    (mean_t, mean_p), covariance = np.average([t, p], 1, w), np.cov(t, p, ddof=0, aweights=w)
    (var_t, both), (_, var_p) = covariance
    return (1 - 2 * both / (var_t + var_p + (mean_t - mean_p) ** 2)) * w.mean()


LOSSES = {
    "NSE": (lambda **o: losses.NashSutcliffeEfficiency(0.0, **o), nse),
    "NSE with epsilon": (
        lambda **o: losses.NashSutcliffeEfficiency(**o),
        lambda t, p, w: nse(t, p, w, 0.1),
    ),
    "NSE with deviation": (
        lambda **o: losses.NashSutcliffeEfficiency(deviation=1.7, **o),
        lambda t, p, w: nse(t, p, w, 0.1, 1.7),
    ),
    "KGE": (lambda **o: losses.KlingGuptaEfficiency(**o), kge),
    "modified KGE": (
        lambda **o: losses.KlingGuptaEfficiency(modified=True, **o),
        lambda t, p, w: kge(t, p, w, True),
    ),
    "CCC": (lambda **o: losses.ConcordanceCorrelation(**o), ccc),
}


def values_of(formula, y_true, y_pred, weight=None):
    """Of each series, with the steps along axis 1; and their weights."""
    weight = np.broadcast_to(1.0 if weight is None else weight, y_true.shape)
    values = np.zeros((len(y_true), *y_true.shape[2:]))
    weights = values.copy()
    for place in np.ndindex(values.shape):
        series = place[0], slice(None), *place[1:]
        there = ~np.isnan(y_true[series])
        if there.any():
            t, p, w = (np.float64(x[series][there]) for x in (y_true, y_pred, weight))
            values[place], weights[place] = formula(t, p, w), w.mean()
    return values, weights


def root_mean_squares(y_true, y_pred, features=(1.0, 1.0), weight=1.0, of_weights=False):
    weight = np.broadcast_to(weight, y_true.shape)
    roots = []
    for t, p, w in zip(*(np.moveaxis(x, -1, 0) for x in (y_true, y_pred, weight)), strict=True):
        there = ~np.isnan(t)
        divisor = w[there].sum() if of_weights else there.sum()
        roots.append(np.sqrt((w * (t - p) ** 2)[there].sum() / divisor))
    return np.average(roots, weights=features)


@pytest.mark.parametrize("name", LOSSES)
def test_values(name, run):
    """Also with weights, balance and a mask, of float32, and with what must not count poisoned."""
    make, formula = LOSSES[name]
    y_true, y_pred = known_data("float32")
    weight = np.linspace(0.5, 2, 12, dtype="float32")[None, :, None] * np.ones((4, 1, 1), "f4")
    made = [
        make(dtype="float64"),
        make(dtype="float64", reduction="sum"),
        make(dtype="float64", reduction="none"),
        make(dtype="float64", balance="feature", feature_weights=[2.0, 0.5]),
        make(dtype="float64", reduction="mean_with_sample_weight", step_weights=weight[0, :, 0]),
    ]

    def compute(y_true, y_pred, weight, kept):
        y_pred._keras_mask = kept
        plain = [loss(y_true, y_pred) for loss in made]
        return [*plain, made[0](y_true, y_pred, weight)]

    kept = np.ones((4, 12), bool)
    kept[1, 3:5] = False
    y_true[2, :, 1] = NAN
    there = np.where(kept[..., None], y_true, NAN)
    poisoned = np.where(np.isnan(there), INF, y_pred)
    poisoned_weight = np.where(np.isnan(there), NAN, weight)
    found = run(compute, *(tf.constant(x) for x in (y_true, poisoned, poisoned_weight, kept)))

    plain, _ = values_of(formula, there, y_pred)
    number = 7  # of series: one has no label
    features, _ = values_of(formula, there, y_pred, np.reshape([2.0, 0.5], (1, 1, 2)))
    weighted, weights = values_of(formula, there, y_pred, weight)
    expected = [
        plain.sum() / number,
        plain.sum(),
        plain,
        (features[:, 0].sum() / 4 + features[:, 1].sum() / 3) / 2,
        weighted.sum() / weights.sum(),
        weighted.sum() / number,
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_of_the_root_mean_squared_error(run):
    y_true, y_pred = known_data()
    weight = np.linspace(0.5, 2, 48).reshape(4, 12)
    features = [1.0, 0.5]
    made = [
        losses.RootMeanSquaredError(dtype="float64"),
        losses.RootMeanSquaredError(feature_weights=features, dtype="float64"),
        losses.RootMeanSquaredError(
            feature_weights=features, dtype="float64", step_weights=weight[0]
        ),
    ]
    of_weights = losses.RootMeanSquaredError(
        "mean_with_sample_weight",
        dtype="float64",
        feature_weights=features,
        step_weights=weight[0],
    )

    def compute(y_true, y_pred, weight):
        pooled = losses.RootMeanSquaredError(dtype="float64", feature_weights=features, pooled=True)
        return [
            *(loss(y_true, y_pred) for loss in made),
            pooled(y_true, y_pred, weight),
            of_weights(y_true, y_pred, weight),
            made[0](y_true[..., 0], y_pred[..., 0]),
            made[0](y_true * np.array([1, NAN]), y_pred),
            made[0](y_true[:, 0, 0], y_pred[:, 0, 0], weight[:, 0]),
        ]

    found = run(compute, tf.constant(y_true), tf.constant(y_pred), tf.constant(weight))
    steps = weight[0][:, None]
    one = np.nanmean((y_true - y_pred)[..., 0] ** 2, axis=0) ** 0.5
    vector = weight[:, 0] * (y_true - y_pred)[:, 0, 0] ** 2
    expected = [
        root_mean_squares(y_true, y_pred),
        root_mean_squares(y_true, y_pred, features),
        root_mean_squares(y_true, y_pred, features, steps),
        np.nanmean(features * weight[..., None] * (y_true - y_pred) ** 2) ** 0.5,
        root_mean_squares(y_true, y_pred, features, weight[..., None] * steps, True),
        one.mean(),  # labels (batch, features)
        root_mean_squares(y_true[..., :1], y_pred[..., :1], [1.0]),
        np.nanmean(vector) ** 0.5,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def corners():
    """Series whose gradients are easily NaN; label, prediction, and whether KGE is defined."""
    varying = np.array([1.0, 4.0, 2.0, 2.5, 3.0])
    one = np.where(np.arange(5) == 2, 3.0, NAN)
    return {
        "exact": (varying, varying, True),
        "constant predictions": (varying, np.full(5, 0.1), True),
        "predictions of 0": (varying, np.zeros(5), True),
        "predictions of mean 0": (varying, np.array([1.0, -1.0, 2.0, -2.0, 0.0]), True),
        "constant labels": (np.full(5, 0.1), varying, False),
        "constant labels met": (np.full(5, 0.1), np.full(5, 0.1), False),
        "a single label": (one, varying, False),
        "a single label met": (one, one, False),
        "no label": (np.full(5, NAN), np.full(5, NAN), False),
        "labels of mean 0": (np.array([-1.0, 1.0, NAN, -2.0, 2.0]), varying, False),
        "NaN under a gap": (np.array([NAN, 4.0, 2.0, 1.0, NAN]), varying * [NAN, 1, 1, 1, 1], True),
        "inf under a gap": (np.array([NAN, 4.0, 2.0, 1.0, NAN]), varying * [INF, 1, 1, 1, 1], True),
    }


MADE = {
    **{name: make for name, (make, _) in LOSSES.items()},
    "RMSE": losses.RootMeanSquaredError,
    "pooled RMSE": lambda **o: losses.RootMeanSquaredError(pooled=True, **o),
}


def test_gradients_at_the_corners(run):
    """Finite everywhere, 0 for invalid elements and at an exact fit."""
    cases = corners()
    made = [make(dtype="float64", reduction="none") for make, _ in LOSSES.values()]

    def compute(y_true, y_pred):
        """Of the losses' values for each series; the root has the series as features."""
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(y_pred)
            values = [loss(y_true, y_pred) for loss in made]
            labels, predictions = (tf.transpose(x[..., 0]) for x in (y_true, y_pred))
            values.append(losses.RootMeanSquaredError(dtype="float64")(labels, predictions))
            met = losses.RootMeanSquaredError(dtype="float64", pooled=True)
            values.append(met(y_true[:1], y_pred[:1]))  # exactly
        return values, [tape.gradient(value, y_pred) for value in values]

    y_true, y_pred = (np.array([case[k] for case in cases.values()]) for k in (0, 1))
    results = run(compute, tf.constant(y_true[..., None]), tf.constant(y_pred[..., None]))
    for name, values, gradients in zip(MADE, *results, strict=True):
        assert np.isfinite(values).all(), name
        assert np.isfinite(gradients).all(), name
        gradients = gradients.numpy()[..., 0]
        assert not gradients[np.isnan(y_true)].any(), name
        values = np.broadcast_to(np.ravel(values), len(cases))
        for (case, (*_, has_efficiency)), value, gradient in zip(
            cases.items(), values, gradients, strict=True
        ):
            if name == "pooled RMSE":
                continue
            is_met = case in ("exact", "no label", "constant labels met", "a single label met")
            if is_met or ("KGE" in name and not has_efficiency):
                assert not gradient.any(), (name, case)
                assert name == "RMSE" or not value, (name, case)
            elif case == "constant predictions":
                assert gradient.any(), (name, case)
        if name == "pooled RMSE":
            assert not gradients.any()
        if name == "KGE":
            constant = values[list(cases).index("constant predictions")]
            expected = np.sqrt(1 + 1 + (0.1 / 2.5 - 1) ** 2)
            np.testing.assert_allclose(constant, expected, rtol=1e-12)


def test_gradients_are_those_of_differences():
    """By predictions and by weights, numerically."""
    y_true, y_pred = known_data()
    weight = np.random.default_rng(1).random((4, 12)) + 0.5
    for name, make in MADE.items():
        loss = make(dtype="float64")
        for number, base in enumerate((y_pred, weight)):
            arguments = [tf.constant(y_pred), tf.constant(weight)]
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                value = loss(y_true, *arguments)
            gradient = tape.gradient(value, arguments[number]).numpy()
            for place in [(0, 3), (2, 7)]:
                step = np.zeros_like(base)
                step[place] = 1e-5
                ends = []
                for moved in (base + step, base - step):
                    others = [moved if n == number else x for n, x in enumerate((y_pred, weight))]
                    ends.append(float(loss(y_true, *others)))
                numeric = (ends[0] - ends[1]) / 2e-5
                np.testing.assert_allclose(
                    gradient[place].sum(), numeric, rtol=1e-6, atol=1e-9, err_msg=name
                )


def test_nothing_valid_gives_exact_zeros():
    y_true, y_pred = known_data("float32")
    for name, make in MADE.items():
        for predictions in (tf.constant(y_pred * np.inf), tf.constant(y_pred * NAN)):
            with tf.GradientTape() as tape:
                tape.watch(predictions)
                value = make()(y_true * NAN, predictions)
            assert value.numpy() == 0, name
            assert not tape.gradient(value, predictions).numpy().any(), name


def test_divergence_shows():
    """Also where the series does not count, and where its weight is 0."""
    for name, make in MADE.items():
        for case, (t, p, _) in corners().items():
            if case != "no label":
                p = np.where(np.isnan(t), p, NAN)
                for weight in ([1.0], [0.0]):
                    value = make()(t[None, :, None], p[None, :, None], weight)
                    assert np.isnan(value), (name, case)


def test_labels_far_from_0():
    """float32 ones too: against NumPy in its longest type."""
    for dtype in ("float32", "float64"):
        y_true, y_pred = (np.asarray(x + 1e5, dtype) for x in known_data())
        for name, (make, formula) in LOSSES.items():
            expected = []
            for place in np.ndindex(4, 2):
                t, p = (np.longdouble(x[place[0], :, place[1]]) for x in (y_true, y_pred))
                there = ~np.isnan(t)
                expected.append(formula(t[there], p[there], np.ones(there.sum(), "longdouble")))
            value = make(dtype="float64")(y_true, y_pred)
            np.testing.assert_allclose(value, np.mean(expected), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", MADE)
def test_an_epoch_is_one_batch_and_saving_keeps_all(name):
    y_true, y_pred = known_data()
    weight = np.linspace(0.5, 2, 48).reshape(4, 12)
    options = {"missing": -9.0, "feature_weights": [1.0, 0.5], "step_weights": [1.0] * 11 + [0.0]}
    for loss in (
        MADE[name](dtype="float64"),
        MADE[name](dtype="float64", reduction="mean_with_sample_weight", **options),
    ):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
        expected = loss(y_true, y_pred, weight)
        assert float(again(y_true, y_pred, weight)) == float(expected)
        metric = metrics.Loss(again)
        for part in (slice(0, 1), slice(1, 4)):
            metric.update_state(y_true[part], y_pred[part], weight[part])
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-12)
        assert np.isnan(metrics.Loss(loss).result())


def test_fit_under_xla_with_steps_of_unknown_number(tmp_path):
    """Half predictions too; several losses as outputs of one model."""
    names = ["NSE with epsilon", "modified KGE", "CCC", "RMSE"]
    x = np.random.default_rng(0).normal(size=(8, 6, 3)).astype("float32")
    y = x[..., :2] - x[..., 2:] + 2
    y[np.random.default_rng(1).random(y.shape) < 0.4] = NAN
    for policy in ("mixed_float16", "float32"):
        keras.config.set_dtype_policy(policy)
        try:
            inputs = keras.Input((None, 3))
            outputs = {
                name.replace(" ", "_"): keras.layers.Dense(2, bias_initializer="ones")(inputs)
                for name in names
            }
            model = keras.Model(inputs, outputs)
            model.compile(
                keras.optimizers.Adam(0.05),
                {key: MADE[name]() for key, name in zip(outputs, names, strict=True)},
                jit_compile=policy == "float32",
            )
            history = model.fit(x, dict.fromkeys(outputs, y), 2, epochs=4, verbose=0).history
        finally:
            keras.config.set_dtype_policy("float32")
        for key in outputs:
            assert history[f"{key}_loss"][-1] < history[f"{key}_loss"][0], (policy, key)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    data = x, dict.fromkeys(outputs, y)
    assert loaded.evaluate(*data, verbose=0) == model.evaluate(*data, verbose=0)


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: losses.NashSutcliffeEfficiency(-1), r"'epsilon'.*\[0, inf\)"),
            (lambda: losses.NashSutcliffeEfficiency(deviation=[1, -1]), "'deviation'.*in"),
            (lambda: losses.KlingGuptaEfficiency(balance="timestep"), "'balance'.*all of its"),
            (lambda: losses.RootMeanSquaredError(reduction="sum"), "'reduction'.*no roots"),
            (lambda: losses.RootMeanSquaredError(reduction=None), "'reduction'.*no roots"),
            (
                lambda: losses.RootMeanSquaredError(feature_weights=[0.0, 0.0]),
                "'feature_weights'.*above 0",
            ),
        ],
    )
    def test_options(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_shapes(self):
        for make, _ in LOSSES.values():
            with pytest.raises(ValueError, match=r"steps of its series along the second axis"):
                make()([1.0, 2.0], [1.0, 2.0])
        with pytest.raises(ValueError, match=r"'deviation'. Expected 2 numbers"):
            losses.NashSutcliffeEfficiency(deviation=[1.0])(*known_data())
        with pytest.raises(ValueError, match=r"'feature_weights'. Expected 2 numbers"):
            losses.RootMeanSquaredError(feature_weights=[1.0, 1.0, 2.0])(*known_data())


def test_deviations_of_basins_are_weights():
    y_true, y_pred = known_data()
    deviations = np.array([1.0, 2.0, 0.5, 3.0])
    loss = losses.NashSutcliffeEfficiency(epsilon=0.0, deviation=1.0, dtype="float64")
    squares = (y_pred - y_true) ** 2 / (deviations[:, None, None] + 0.1) ** 2
    expected = np.nanmean(squares, axis=1).mean()
    np.testing.assert_allclose(loss(y_true, y_pred, (deviations + 0.1) ** -2), expected, rtol=1e-12)
    by_feature = losses.NashSutcliffeEfficiency(0.1, [0.9, 1.9], dtype="float64")
    squares = (y_pred - y_true) ** 2 / [1.0, 4.0]
    expected = np.nanmean(squares, axis=1).mean()
    np.testing.assert_allclose(by_feature(y_true, y_pred), expected, rtol=1e-12)
