"""Whether masklstm's LSTM and Keras's own make the same study: one cell of it with both."""

import dataclasses
from collections.abc import Mapping

from masklstm.commands.demo.intervals import interval
from study_parts.design import FULL, MASKED, Condition, Design, Training


def jobs() -> list[tuple[Training, Design]]:
    """Masked, with no label removed: each seed with both layers."""
    return [
        (Training(Condition("", 0), seed, MASKED), dataclasses.replace(FULL, keras_layer=is_keras))
        for seed in range(FULL.seeds)
        for is_keras in (False, True)
    ]


def comparison(errors: Mapping[bool, Mapping[int, float]]) -> list[str]:
    """What the test errors say, by whether the layer is Keras's and by seed; as lines."""
    lines = []
    for is_keras, name in ((True, "keras.layers.LSTM"), (False, "masklstm.layers.LSTM")):
        found = interval(list(errors[is_keras].values()))
        lines.append(f"{name}: test RMSE {found.mean:.2f} ± {found.half_width:.2f}")
    pairs = [errors[False][seed] - error for seed, error in errors[True].items()]
    difference = interval(pairs)
    lines.append(
        f"difference, paired by seed: {difference.mean:+.3f} ± {difference.half_width:.3f} "
        f"in {len(pairs)} seeds"
    )
    return lines
