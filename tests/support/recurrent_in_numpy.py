"""An LSTM and a GRU with their gradients in NumPy, float64, step by step from the definition."""

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """What a recurrent layer is given, and the gradients of what it returns."""

    cell: str
    sequences: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None
    initial_states: list[np.ndarray]
    mask: np.ndarray | None
    go_backwards: bool
    zero_output_for_mask: bool
    output_gradient: np.ndarray
    state_gradients: list[np.ndarray]

    def arguments(self):
        """Those of `kernels.recurrent`."""
        names = set(self._fields) - {"output_gradient", "state_gradients"}
        return {name: getattr(self, name) for name in names}


def random_case(rng, cell, dtype, largest=70, largest_time=20):
    batch, features, units = (int(rng.integers(1, largest + 1)) for _ in range(3))
    time = int(rng.integers(1, largest_time + 1))
    gates, num_states = CELLS[cell].gates, CELLS[cell].states

    def numbers(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(dtype)

    mask = None
    if rng.random() < 0.7:
        mask = rng.random((batch, time)) < rng.choice([0, 1, rng.random()], size=(batch, 1))
    sequences = numbers(batch, time, features)
    if mask is not None:
        sequences[~mask] = np.nan
    scale = 1 / np.sqrt(features + units)
    return Case(
        cell,
        sequences,
        numbers(features, gates * units, scale=scale),
        numbers(units, gates * units, scale=scale),
        None if rng.random() < 0.2 else numbers(*CELLS[cell].biases, gates * units),
        [numbers(batch, units) for _ in range(num_states)],
        mask,
        bool(rng.integers(2)),
        bool(rng.integers(2)),
        numbers(batch, time, units),
        [numbers(batch, units) for _ in range(num_states)],
    )


def logistic(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


class Lstm:
    gates, states, biases = 4, 2, ()

    def __init__(self, weights):
        self.kernel, self.recurrent_kernel, bias = weights
        self.bias = np.zeros(self.kernel.shape[1]) if bias is None else bias
        self.of_bias = np.zeros_like(self.bias)

    def step(self, x, h, c):
        i, f, g, o = np.split(x @ self.kernel + h @ self.recurrent_kernel + self.bias, 4)
        i, f, g, o = logistic(i), logistic(f), np.tanh(g), logistic(o)
        new_c = f * c + i * g
        return (o * np.tanh(new_c), new_c), (x, h, c, i, f, g, o, new_c)

    def back(self, kept, by_h, by_c):
        x, h, c, i, f, g, o, new_c = kept
        by_c = by_c + by_h * o * (1 - np.tanh(new_c) ** 2)
        by_o = by_h * np.tanh(new_c)
        by_gates = np.concatenate(
            [
                by_c * g * i * (1 - i),
                by_c * c * f * (1 - f),
                by_c * i * (1 - g**2),
                by_o * o * (1 - o),
            ]
        )
        self.of_bias += by_gates
        return (
            by_gates @ self.kernel.T,
            (by_gates @ self.recurrent_kernel.T, by_c * f),
            np.outer(x, by_gates),
            np.outer(h, by_gates),
        )


class Gru:
    """The reset gate acts on the product of the state with its weights."""

    gates, states, biases = 3, 1, (2,)

    def __init__(self, weights):
        self.kernel, self.recurrent_kernel, bias = weights
        self.bias = np.zeros((2, self.kernel.shape[1])) if bias is None else bias
        self.of_bias = np.zeros_like(self.bias)

    def step(self, x, h):
        of_x = np.split(x @ self.kernel + self.bias[0], 3)
        of_h = np.split(h @ self.recurrent_kernel + self.bias[1], 3)
        z, r = logistic(of_x[0] + of_h[0]), logistic(of_x[1] + of_h[1])
        g = np.tanh(of_x[2] + r * of_h[2])
        return (z * h + (1 - z) * g,), (x, h, z, r, g, of_h[2])

    def back(self, kept, by_h):
        x, h, z, r, g, of_h = kept
        by_g = by_h * (1 - z) * (1 - g**2)
        by_z = by_h * (h - g) * z * (1 - z)
        by_r = by_g * of_h * r * (1 - r)
        by_x_part = np.concatenate([by_z, by_r, by_g])
        by_h_part = np.concatenate([by_z, by_r, by_g * r])
        self.of_bias += [by_x_part, by_h_part]
        return (
            by_x_part @ self.kernel.T,
            (by_h_part @ self.recurrent_kernel.T + by_h * z,),
            np.outer(x, by_x_part),
            np.outer(h, by_h_part),
        )


class GruResetBefore:
    """The reset gate acts on the state."""

    gates, states, biases = 3, 1, ()

    def __init__(self, weights):
        self.kernel, self.recurrent_kernel, bias = weights
        self.bias = np.zeros(self.kernel.shape[1]) if bias is None else bias
        self.of_bias = np.zeros_like(self.bias)

    def step(self, x, h):
        of_x = np.split(x @ self.kernel + self.bias, 3)
        by_z, by_r, by_g = np.split(self.recurrent_kernel, 3, axis=1)
        z, r = logistic(of_x[0] + h @ by_z), logistic(of_x[1] + h @ by_r)
        g = np.tanh(of_x[2] + (r * h) @ by_g)
        return (z * h + (1 - z) * g,), (x, h, z, r, g)

    def back(self, kept, by_h):
        x, h, z, r, g = kept
        units = len(h)
        by_g = by_h * (1 - z) * (1 - g**2)
        by_z = by_h * (h - g) * z * (1 - z)
        by_q = by_g @ self.recurrent_kernel[:, 2 * units :].T
        by_r = by_q * h * r * (1 - r)
        by_gates = np.concatenate([by_z, by_r, by_g])
        self.of_bias += by_gates
        by_state = by_gates[: 2 * units] @ self.recurrent_kernel[:, : 2 * units].T
        return (
            by_gates @ self.kernel.T,
            (by_state + by_q * r + by_h * z,),
            np.outer(x, by_gates),
            np.hstack([np.outer(h, by_gates[: 2 * units]), np.outer(r * h, by_g)]),
        )


CELLS: dict[str, Any] = {"lstm": Lstm, "gru": Gru, "gru_reset_before": GruResetBefore}


def results_of(case):
    """Outputs, states, and a dict of gradients, as `kernels` returns them."""
    weights = [
        None if weight is None else weight.astype("float64")
        for weight in (case.kernel, case.recurrent_kernel, case.bias)
    ]
    cell = CELLS[case.cell](weights)
    batch, time, _ = case.sequences.shape
    units = len(case.recurrent_kernel)
    outputs = np.zeros((batch, time, units))
    last_states = [np.zeros((batch, units)) for _ in case.initial_states]
    names = ("sequences", "kernel", "recurrent_kernel")
    gradients = {name: np.zeros(getattr(case, name).shape) for name in names}
    by_initial_states = [np.zeros((batch, units)) for _ in case.initial_states]
    for row in range(batch):
        states = [state[row].astype("float64") for state in case.initial_states]
        output = np.zeros(units)
        kept_of_steps = []
        for place in range(time):
            at = time - 1 - place if case.go_backwards else place
            if case.mask is None or case.mask[row, at]:
                states, kept = cell.step(case.sequences[row, at].astype("float64"), *states)
                kept_of_steps.append((place, at, kept))
                output = states[0]
            elif case.zero_output_for_mask:
                output = np.zeros(units)
            outputs[row, place] = output
        slopes = [gradient[row].astype("float64") for gradient in case.state_gradients]
        end = time
        for number, state in enumerate(states):
            last_states[number][row] = state
        for place, at, kept in reversed(kept_of_steps):
            made = slice(place, place + 1 if case.zero_output_for_mask else end)
            slopes[0] = slopes[0] + case.output_gradient[row, made].astype("float64").sum(0)
            by_x, slopes, by_kernel, by_recurrent = cell.back(kept, *slopes)
            slopes, end = list(slopes), place
            gradients["sequences"][row, at] = by_x
            gradients["kernel"] += by_kernel
            gradients["recurrent_kernel"] += by_recurrent
        for number, slope in enumerate(slopes):
            by_initial_states[number][row] = slope
    of_bias = None if case.bias is None else cell.of_bias
    return (
        outputs,
        last_states,
        {
            **gradients,
            "bias": of_bias,
            "initial_states": by_initial_states,
        },
    )


def named(outputs, states, gradients):
    """All results by name, those that are None left out."""
    names = {"outputs": outputs}
    names |= {f"state {number}": state for number, state in enumerate(states)}
    gradients = dict(gradients)
    for number, state in enumerate(gradients.pop("initial_states")):
        names[f"gradient of initial state {number}"] = state
    for name, gradient in gradients.items():
        if gradient is not None:
            names[f"gradient of {name}"] = gradient
    return names
