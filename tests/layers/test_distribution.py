"""The head of models that predict distributions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import distributions, layers, losses, metrics
from masklstm.distributions.catalogue import FAMILIES, MIXED, find_family

CASES = [(family, 1) for family in FAMILIES] + [(family, 3) for family in MIXED]
# Of standardised labels, before anything is learnt.
FIRST = {
    "gaussian": [0, 1],
    "laplace": [0, 1],
    "student_t": [0, 1, 5],
    "asymmetric_laplace": [0, 1, 0.5],
    "lognormal": [0, 1],
    "gamma": [1, 1],
    "beta": [1, 1],
    "negative_binomial": [1, 1],
    "poisson": [1],
    "bernoulli": [0],
    "tweedie": [1],
}
FIRST_OF_MIXTURES = {
    "gaussian": [0, 0, 0, -1, 0, 1, 1, 1, 1],
    "laplace": [0, 0, 0, -1, 0, 1, 1, 1, 1],
    "asymmetric_laplace": [0, 0, 0, -1, 0, 1, 1, 1, 1, 0.5, 0.5, 0.5],
}


def test_every_family_begins_near_1_and_stays_within_its_domain(rng):
    x = rng.normal(size=(4, 5, 3)).astype("float32")
    for family, components in CASES:
        first = FIRST[family] if components == 1 else FIRST_OF_MIXTURES[family]
        arguments = {"family": family, "features": 2, "components": components, "floor": 0.01}
        start = layers.Distribution(**arguments, kernel_initializer="zeros")(x)
        assert start.shape == (4, 5, 2, len(first))
        np.testing.assert_allclose(start, np.broadcast_to(first, start.shape), atol=1e-6)
        layer = layers.Distribution(**arguments)
        layer.build(x.shape)
        found = find_family(family, components)
        values = np.split(
            np.asarray(layer(1e4 * x)).reshape(-1, len(first)), len(found.parameters), axis=-1
        )
        raw = (1e4 * x @ layer.kernel.numpy() + layer.bias.numpy()).reshape(-1, len(first))
        for parameter, value, before in zip(
            found.parameters, values, np.split(raw, len(found.parameters), axis=-1), strict=True
        ):
            if parameter.domain == "(0, 1)":
                assert np.isclose(value.min(), 0.01)
                assert np.isclose(value.max(), 0.99)
            elif parameter.domain == "(0, inf)":
                least = 2.01 if parameter.name == "degrees" else 0.01
                assert np.isclose(value.min(), least)
                expected = least + np.logaddexp(before, 0)
                np.testing.assert_allclose(value, expected, rtol=1e-4, atol=0.01)
            else:
                np.testing.assert_allclose(value, before, rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64", "bfloat16"])
def test_types(policy):
    """The constraints hold in the result's type too: bfloat16 would round 0.999 to 1."""
    x = 1e3 * np.array([[1.0], [-1.0]])
    layer = layers.Distribution("asymmetric_laplace", dtype=policy, kernel_initializer="ones")
    found = layer(x)
    assert found.dtype == ("float64" if policy == "float64" else "float32")
    assert layer.compute_output_spec(keras.KerasTensor((2, 1))).dtype == found.dtype
    np.testing.assert_allclose(found[:, 0, 2], [0.999, 0.001], rtol=1e-5)
    np.testing.assert_allclose(found[:, 0, 1], [1000.54, 0.001], rtol=1e-2)


def test_in_a_model_with_gaps(tmp_path, rng):
    """Trained, saved, exported; the mask goes through, and no op is ours."""
    x = rng.normal(size=(32, 6, 2)).astype("float32")
    x[:, -2:] = np.nan  # masked
    y = np.where(rng.random((32, 6, 3)) < 0.4, np.nan, 2 + rng.normal(size=(32, 6, 3)))
    y[:, -2:] = 1e9
    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            layers.Masking(),
            layers.LSTM(4, return_sequences=True),
            layers.Distribution("gaussian", features=3),
        ]
    )
    assert model.output_shape == (None, None, 3, 2)
    judges = [metrics.Coverage(0.9, "gaussian"), metrics.CRPS("gaussian")]
    model.compile(
        keras.optimizers.Adam(0.05), loss=losses.NegativeLogLikelihood("gaussian"), metrics=judges
    )
    history = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0] < 10
    scores = model.evaluate(x, y, verbose=0, return_dict=True)
    predictions = model(x)
    np.testing.assert_array_equal(predictions._keras_mask, ~np.isnan(x).any(-1))
    seen = predictions[:, :4], y[:, :4]
    cdf = distributions.cdf("gaussian", seen[0], seen[1]).numpy()[~np.isnan(seen[1])]
    assert scores["coverage"] == pytest.approx(np.mean((cdf >= 0.05) & (cdf <= 0.95)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), predictions)
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(x), predictions, rtol=1e-5, atol=1e-6)
    graph = exported.signatures["serve"].graph.as_graph_def()
    ops = {node.op for each in (graph, *graph.library.function) for node in _nodes(each)}
    assert "Softplus" in ops
    assert not [op for op in ops if op.startswith("Masklstm")]


def _nodes(graph):
    return graph.node if hasattr(graph, "node") else graph.node_def


def test_empty_batches_and_errors():
    layer = layers.Distribution("poisson", features=2)
    assert layer(np.zeros((0, 5, 3), "float32")).shape == (0, 5, 2, 1)
    assert layer.compute_output_shape((None, 5, 3)) == (None, 5, 2, 1)
    for arguments, name in (
        ({"family": "normal"}, "family"),
        ({"family": "gamma", "components": 2}, "components"),
        ({"family": "gamma", "features": 0}, "features"),
        ({"family": "gamma", "floor": 0.0}, "floor"),
        ({"family": "gamma", "floor": 0.3}, "floor"),
    ):
        with pytest.raises(ValueError, match=f"'{name}'"):
            layers.Distribution(**arguments)
    with pytest.raises(ValueError, match="known number of entries"):
        layers.Distribution("gamma")(keras.Input((4, None)))
