"""Half-precision training through gaps. Keras skips every step, without a word, once a gradient is
NaN: the loss scale falls and nothing is learnt.
"""

import keras
import numpy as np
import pytest

from losses.test_losses import lstm_data, lstm_model
from masklstm import losses


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("cls", [losses.MeanSquaredError, losses.Huber, losses.LogCosh])
def test_trains_and_the_loss_scale_never_falls(policy, cls, rng):
    x, y = lstm_data(rng, samples=128)
    y[rng.random(y.shape) < 0.2] = np.nan
    assert np.isnan(y).mean() > 0.5
    model = lstm_model(cls())
    assert model.layers[-1].compute_dtype == policy.removeprefix("mixed_")
    scales = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: scales.append(float(model.optimizer.dynamic_scale))
    )
    scaled = policy == "mixed_float16"
    history = model.fit(
        x, y, batch_size=16, epochs=4, verbose=0, callbacks=[record] if scaled else []
    ).history["loss"]
    assert np.all(np.isfinite(history))
    assert history[-1] < history[0]
    if scaled:
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert len(scales) == 32
        assert np.all(np.diff(scales) >= 0)
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())


def test_keras_own_loss_skips_every_step(rng):
    """The trap itself: the weights stay as they were, and the loss scale falls."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x, y = lstm_data(rng)
        model = lstm_model("mean_squared_error")
        before = model.get_weights()
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        assert float(model.optimizer.dynamic_scale) < model.optimizer.initial_scale
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    finally:
        keras.config.set_dtype_policy("float32")
