"""The native LSTM and GRU on NumPy arrays, against the definition in float64.

`make fuzz` draws many more cases: a tenth of MASKLSTM_FUZZ_CASES.
"""

import os

import numpy as np
import pytest
from support import recurrent_in_numpy as definition
from support.native import kernels

CASES = int(os.environ.get("MASKLSTM_FUZZ_CASES", "1000")) // 10  # of each cell and dtype
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@pytest.fixture(params=definition.CELLS)
def cell(request):
    return request.param


def results_of(case, threads=1):
    """All results of the kernels by name."""
    gradients = {name: getattr(case, name) for name in ("output_gradient", "state_gradients")}
    return definition.named(
        *kernels.recurrent(**case.arguments(), threads=threads),
        kernels.recurrent_gradients(**case.arguments(), **gradients, threads=threads),
    )


def assert_near(actual, expected, dtype):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == dtype
        largest = np.max(np.abs(array), initial=0.0)
        np.testing.assert_allclose(
            actual[name], array, rtol=0, atol=TOLERANCE[dtype] * largest, err_msg=name
        )


@pytest.mark.parametrize("number", range(4))
def test_equals_the_definition(cell, dtype, number):
    """Sizes of all kinds, masks of all kinds with NaN under them, all options."""
    rng = np.random.default_rng([number, len(cell)])
    for _ in range(CASES // 4):
        case = definition.random_case(rng, cell, dtype, largest_time=9)
        expected = definition.named(*definition.results_of(case))
        assert_near(results_of(case), expected, dtype)


def test_same_bits_for_every_number_of_threads(cell, dtype, rng):
    for _ in range(6):
        case = definition.random_case(rng, cell, dtype)
        expected = results_of(case)
        for threads in (1, 2, 3, 8):
            for name, array in results_of(case, threads).items():
                np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_a_row_does_not_depend_on_the_others(cell, dtype, rng):
    case = definition.random_case(rng, cell, dtype)
    outputs, states = kernels.recurrent(**case.arguments())
    for row in range(len(outputs)):
        one = case._replace(
            sequences=case.sequences[row : row + 1],
            initial_states=[state[row : row + 1] for state in case.initial_states],
            mask=None if case.mask is None else case.mask[row : row + 1],
        )
        alone, alone_states = kernels.recurrent(**one.arguments())
        np.testing.assert_array_equal(alone[0], outputs[row])
        for alone_state, state in zip(alone_states, states, strict=True):
            np.testing.assert_array_equal(alone_state[0], state[row])


@pytest.mark.parametrize(("batch", "time"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_compute(cell, dtype, batch, time, rng):
    case = definition.random_case(rng, cell, dtype, largest=9)._replace(mask=None)
    units = len(case.recurrent_kernel)
    states = [np.ones((batch, units), dtype) for _ in case.initial_states]
    case = case._replace(
        sequences=np.zeros((batch, time, len(case.kernel)), dtype),
        initial_states=states,
        output_gradient=np.zeros((batch, time, units), dtype),
        state_gradients=[2 * state for state in states],
    )
    for with_mask in (False, True):
        mask = np.ones((batch, time), bool) if with_mask else None
        found = results_of(case._replace(mask=mask))
        assert_near(found, definition.named(*definition.results_of(case)), dtype)
        assert not np.any(found["gradient of kernel"])


def test_options_that_are_left_out(cell, rng):
    case = definition.random_case(rng, cell, "float32")
    case = case._replace(
        bias=None,
        initial_states=[np.zeros_like(state) for state in case.initial_states],
        go_backwards=False,
        zero_output_for_mask=False,
        output_gradient=np.zeros_like(case.output_gradient),
        mask=None,
        sequences=np.nan_to_num(case.sequences),
    )
    weights = (case.sequences, case.kernel, case.recurrent_kernel)
    outputs, states = kernels.recurrent(cell, *weights)
    gradients = kernels.recurrent_gradients(cell, *weights, state_gradients=case.state_gradients)
    expected = results_of(case)
    for name, array in definition.named(outputs, states, gradients).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    without = kernels.recurrent_gradients(cell, *weights, of_sequences=False)
    assert without["sequences"] is None
    assert without["bias"] is None
    assert not np.any(without["kernel"])


def test_a_nan_that_is_kept_stays_in_its_row(cell, rng):
    case = definition.random_case(rng, cell, "float32")
    case = case._replace(mask=None, sequences=np.ones((4, 5, len(case.kernel)), "float32"))
    case = case._replace(initial_states=[])
    clean, _ = kernels.recurrent(**case.arguments())
    case.sequences[2, 3, 0] = np.nan
    outputs, _ = kernels.recurrent(**case.arguments())
    at = 1 if case.go_backwards else 3
    assert np.all(np.isnan(outputs[2, at:]))
    assert np.all(np.isfinite(outputs[2, :at]))
    np.testing.assert_array_equal(np.delete(outputs, 2, 0), np.delete(clean, 2, 0))


@pytest.mark.parametrize("size", [1e3, 1e30, np.inf])
def test_gates_that_are_saturated(cell, dtype, size):
    """Huge inputs open and close gates: no NaN, nor a gradient that is one."""
    gates = definition.CELLS[cell].gates
    biases = *definition.CELLS[cell].biases, gates
    sequences = np.full((3, 4, 1), size, dtype)
    sequences[1] *= -1
    weights = np.ones((1, gates), dtype), np.ones((1, gates), dtype), np.zeros(biases, dtype)
    outputs, _ = kernels.recurrent(cell, sequences, *weights)
    assert np.all(np.abs(outputs) <= 1)
    if np.isfinite(size):
        gradients = kernels.recurrent_gradients(
            cell, sequences, *weights, output_gradient=np.ones_like(outputs)
        )
        assert np.all(np.isfinite(gradients["sequences"]))
        assert np.all(np.isfinite(gradients["kernel"]))


class TestRefused:
    def arguments(self, cell):
        rng = np.random.default_rng(3)
        case = definition.random_case(rng, cell, "float32", largest=5)
        gates = definition.CELLS[cell].gates
        columns = gates * len(case.recurrent_kernel)
        bias = np.ones((*definition.CELLS[cell].biases, columns), "float32")
        return case._replace(bias=bias, mask=np.ones(case.sequences.shape[:2], bool)).arguments()

    @pytest.mark.parametrize(
        ("name", "change", "text"),
        [
            ("cell", lambda _: "rnn", "'gru', 'gru_reset_before'}. Received: cell='rnn'"),
            ("sequences", lambda x: x[0], r"\(batch, time, features\). Received: \("),
            ("sequences", lambda x: x.astype("float16"), "float32 or float64. Received: float16"),
            ("kernel", lambda x: x.astype("float64"), "'kernel' to have dtype float32"),
            ("kernel", lambda x: x[:, 1:].copy(), "'kernel' to have the shape"),
            ("recurrent_kernel", lambda x: x[:, 1:].copy(), "'recurrent_kernel' to have the shape"),
            ("recurrent_kernel", lambda x: x[:0], "a row for each unit"),
            ("bias", lambda x: x[..., 1:].copy(), "'bias' to have the shape"),
            ("initial_states", lambda x: [*x, x[0]], "or none. Received: "),
            ("initial_states", lambda x: [x[0][:, :0]] * len(x), "'initial_states' to have"),
            ("mask", lambda x: x.astype("int32"), "'mask' to have dtype bool"),
            ("mask", lambda x: x[:, :-1].copy(), "'mask' to have the shape"),
            ("kernel", lambda x: np.repeat(x, 2, axis=1)[:, ::2], "C-contiguous"),
        ],
    )
    def test_with_what_was_expected(self, cell, name, change, text):
        arguments = self.arguments(cell)
        kernels.recurrent(**arguments)
        changed = {**arguments, name: change(arguments[name])}
        for function in (kernels.recurrent, kernels.recurrent_gradients):
            with pytest.raises((ValueError, TypeError), match=text):
                function(**changed)

    def test_no_thread(self, cell):
        with pytest.raises(ValueError, match=r"'threads'. Expected at least 1. Received: 0"):
            kernels.recurrent(**self.arguments(cell), threads=0)
