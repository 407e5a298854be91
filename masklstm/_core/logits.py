"""Losses of probabilities, computed from the logits where a sigmoid made the probabilities of them.

A probability near 0 or 1 is rounded or has to be clipped, and then has no gradient: a model that is
sure and wrong would stay so. Keras's cross-entropies look behind the sigmoid, and so do these.
"""

import warnings
from typing import Any

from masklstm._core.keras_compat import find_logits

_ENDING = "_from_logits"
_OF_PROBABILITIES = ("binary_crossentropy", "binary_focal_crossentropy")
_OF_LOGITS = tuple(loss + _ENDING for loss in _OF_PROBABILITIES)


def from_logits_if_known(loss: str, y_pred: Any) -> tuple[str, Any]:
    """The loss and the predictions, or the loss from logits and the logits.

    The mask that Keras puts on predictions is not on the logits.
    """
    if loss not in _OF_PROBABILITIES and loss not in _OF_LOGITS:
        return loss, y_pred
    found = find_logits(y_pred)
    if found is None or found[0] != "Sigmoid":
        return loss, y_pred
    if loss in _OF_LOGITS:
        warnings.warn(
            "Expected 'y_pred' to be logits, as from_logits=True says. Received: what a sigmoid "
            "made of them. The loss is computed from the logits behind it, as in Keras: take one "
            "of the two away",
            stacklevel=4,
        )
        return loss, found[1]
    return loss + _ENDING, found[1]
