"""GRU-D step by step, as its paper writes it down; float64."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_d(x, times, kept, weights, mean, state=None):
    """The states of all steps, shape `(batch, time, units)`.

    Args:
        x: Shape `(batch, time, features)`, NaN where nothing was observed.
        times: Shape `(batch, time)`.
        kept: Shape `(batch, time)`: steps that a mask keeps.
        weights: By the names that `GRUD` gives them.
        mean: Of each feature.
        state: Before the first step.
    """
    batch, time, features = x.shape
    units = weights["recurrent_kernel"].shape[0]
    states = np.zeros((batch, time, units))
    parts = [slice(k * units, (k + 1) * units) for k in range(3)]
    w, u, v, b = (
        [weights[name][..., part] for part in parts]
        for name in ("kernel", "recurrent_kernel", "mask_kernel", "bias")
    )
    for row in range(batch):
        h = np.zeros(units) if state is None else state[row]
        delta, last = np.zeros(features), np.array(mean, "float64")
        was_observed = np.zeros(features, bool)
        for t in range(time):
            m = ~np.isnan(x[row, t]) & kept[row, t]
            if t > 0:
                apart = times[row, t] - times[row, t - 1]
                delta = np.where(was_observed, apart, apart + delta)
            decay_x = np.exp(
                -np.maximum(0, weights["input_decay"] * delta + weights["input_decay_bias"])
            )
            decay_h = np.exp(
                -np.maximum(0, delta @ weights["state_decay"] + weights["state_decay_bias"])
            )
            x_hat = np.where(m, x[row, t], decay_x * last + (1 - decay_x) * mean)
            if kept[row, t]:
                h = decay_h * h
                z = sigmoid(x_hat @ w[0] + h @ u[0] + m @ v[0] + b[0])
                r = sigmoid(x_hat @ w[1] + h @ u[1] + m @ v[1] + b[1])
                g = np.tanh(x_hat @ w[2] + (r * h) @ u[2] + m @ v[2] + b[2])
                h = (1 - z) * h + z * g
            # As in Keras: a masked step has the output of the kept one before it, or 0.
            if kept[row, : t + 1].any():
                states[row, t] = h
            last = np.where(m, x[row, t], last)
            was_observed = m
    return states
