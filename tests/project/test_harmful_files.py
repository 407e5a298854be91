"""`.keras` files and config values that do harm are refused with an error (SECURITY.md)."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest

from masklstm import layers, losses, metrics

HUGE = [1e400, -1e400, float("nan"), 10**400, -(10**400), 2**63, "9" * 10_000, [0.5] * 100_000]


def saved(tmp_path, loss):
    inputs = keras.Input((4, 3))
    hidden = layers.GRUD(2, mean=0.0, return_sequences=True)(inputs)
    hidden = layers.LSTM(2, return_sequences=True)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    model.compile("sgd", loss, metrics=[metrics.MeanAbsoluteError()])
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def edited(file, edit):
    """The file with another config."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = parts["config.json"].decode()
    parts["config.json"] = edit(text).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    file.write_bytes(made.getvalue())
    return file


def of_class(node, name):
    """The configs of a class in a config, however deep."""
    if isinstance(node, dict):
        if node.get("class_name") == name:
            yield node
        for each in node.values():
            yield from of_class(each, name)
    elif isinstance(node, list):
        for each in node:
            yield from of_class(each, name)


REFUSED = (ValueError, TypeError, OverflowError, RecursionError, MemoryError, AttributeError)


@pytest.mark.parametrize(
    "loss",
    [
        losses.Huber(delta=0.5),
        losses.Pinball(quantile=0.2),
        losses.BinaryFocalCrossentropy(),
        losses.MeanSquaredError(normalizer=3.0),
    ],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize("value", HUGE, ids=lambda value: repr(value)[:12])
def test_numbers_that_are_none(loss, value):
    """Each number of a config in turn: refused as an argument would be, at once or when used."""
    config = loss.get_config()
    numbers = [key for key, held in config.items() if isinstance(held, float)]
    assert numbers
    for key in numbers:
        changed = {**config, key: value}
        try:
            found = type(loss).from_config(changed)
            result = float(found(np.ones((2, 3), "float32"), np.full((2, 3), 0.5, "float32")))
        except REFUSED:
            continue
        # What is a number of the domain may be as large as it likes.
        assert isinstance(value, (int, float))
        assert not np.isnan(value), (key, value, result)


def test_nesting(tmp_path):
    """Deeper than Python's stack is an error and no crash."""
    inner = keras.losses.serialize(keras.losses.MeanSquaredError())
    for _ in range(3000):
        inner = {
            **keras.losses.serialize(losses.Masked("mean_squared_error")),
            "config": {**losses.Masked("mean_squared_error").get_config(), "loss": inner},
        }
    with pytest.raises(REFUSED):
        keras.losses.deserialize(inner)


def test_code_is_not_run(tmp_path):
    """Neither a lambda's nor that of a module that a config names."""
    ran = tmp_path / "ran"
    file = saved(tmp_path, losses.Masked("mean_squared_error"))
    code = {
        "class_name": "function",
        "module": "os",
        "config": "system",
        "registered_name": "function",
    }
    named = {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", str(ran)]}}
    made_of_lambda = keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x))
    for harmful in (code, named, made_of_lambda):

        def with_harm(text, harmful=harmful):
            config = json.loads(text)
            for node in of_class(config, "Masked"):
                node["config"]["loss"] = harmful
            return json.dumps(config)

        with pytest.raises(REFUSED):
            keras.saving.load_model(edited(file, with_harm))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LSTM", 10**12),
        *((name, value) for name in ("GRUD", "LSTM") for value in (-1, 1e400, {"a": [1]}, None)),
        ("GRUD", "x" * 10**6),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_layers(tmp_path, name, value):
    """A layer of a million million units is an error, at the latest when memory runs out."""
    file = saved(tmp_path, losses.MeanSquaredError())

    def changed(text):
        config = json.loads(text)
        (node,) = of_class(config, name)
        assert node["config"]["units"] == 2
        node["config"]["units"] = value
        return json.dumps(config)

    with pytest.raises(Exception):  # noqa: B017, PT011  # which one is Keras's affair
        keras.saving.load_model(edited(file, changed))


def test_long_texts_are_refused_as_short_ones():
    long = "x" * 10**6
    for options in ({"reduction": long}, {"missing": long}, {"balance": long}):
        with pytest.raises((ValueError, TypeError), match="Received"):
            losses.MeanSquaredError(**options)
    with pytest.raises((ValueError, TypeError)):
        losses.Masked(long)
    assert losses.MeanSquaredError(name=long).name == long


def test_damaged_files(tmp_path):
    file = saved(tmp_path, losses.Huber())
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(10):
        cut = int(rng.integers(1, len(whole)))
        file.write_bytes(whole[:cut])
        with pytest.raises(Exception):  # noqa: B017, PT011
            keras.saving.load_model(file)
