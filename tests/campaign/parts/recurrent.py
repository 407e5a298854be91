"""The native LSTM and GRU on NumPy arrays, forwards and backwards, against the definition."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from support import recurrent_in_numpy as definition
from support.native import kernels

from campaign import shrinking
from campaign.parts import Disagreement

CASES = 20_000
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def draw(rng: Any) -> Any:
    cell = str(rng.choice(sorted(definition.CELLS)))
    dtype = str(rng.choice(["float32", "float64"]))
    return definition.random_case(rng, cell, dtype, largest=40, largest_time=12)


def check(case: Any) -> None:
    gradients = {name: getattr(case, name) for name in ("output_gradient", "state_gradients")}
    outputs, states = kernels.recurrent(**case.arguments(), threads=2)
    found = definition.named(
        outputs,
        states,
        kernels.recurrent_gradients(**case.arguments(), **gradients, threads=2),
    )
    dtype = case.sequences.dtype.name
    for name, expected in definition.named(*definition.results_of(case)).items():
        largest = np.max(np.abs(expected), initial=0.0)
        apart = np.max(np.abs(found[name] - expected), initial=0.0)
        if not apart <= TOLERANCE[dtype] * largest:
            raise Disagreement(f"{name}: {apart:.3g} apart, the largest is {largest:.3g}")


def smaller(case: Any) -> Iterator[Any]:
    rows, steps = case.sequences.shape[:2]
    for part in (slice(0, rows // 2), slice(rows // 2, None)):
        if rows > 1:
            yield case._replace(
                sequences=case.sequences[part],
                initial_states=[each[part] for each in case.initial_states],
                mask=None if case.mask is None else case.mask[part],
                output_gradient=case.output_gradient[part],
                state_gradients=[each[part] for each in case.state_gradients],
            )
    if steps > 1:
        yield case._replace(
            sequences=case.sequences[:, 1:],
            mask=None if case.mask is None else case.mask[:, 1:],
            output_gradient=case.output_gradient[:, 1:],
        )
    if case.mask is not None:
        filled = np.nan_to_num(case.sequences)
        yield case._replace(mask=None, sequences=filled)
    for option in ("go_backwards", "zero_output_for_mask"):
        if getattr(case, option):
            yield case._replace(**{option: False})


def program(case: Any) -> str:
    lists = {
        name: "[" + ", ".join(map(shrinking.written, getattr(case, name))) + "]"
        for name in ("initial_states", "state_gradients")
    }
    rest = ",\n    ".join(
        f"{name}={lists.get(name) or shrinking.written(value)}"
        for name, value in case._asdict().items()
    )
    return f"""import numpy as np
from support import recurrent_in_numpy as definition  # in tests/

from masklstm import kernels

case = definition.Case(
    {rest},
)
print(kernels.recurrent(**case.arguments()))
print(definition.results_of(case))
"""
