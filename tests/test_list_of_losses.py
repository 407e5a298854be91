"""A loss exists in all of its places or in none: header, list, reference, Keras class, tests."""

import re
from pathlib import Path

import pytest
import test_accuracy
import test_reference

from masklstm import kernels, losses, reference

HEADERS = Path(__file__).parent.parent / "csrc" / "losses"


def places():
    """The names of the losses by place."""
    found = {
        "native list (csrc/losses/losses.h)": set(kernels.losses()),
        "reference (masklstm/reference.py)": set(reference.LOSSES),
        "Keras classes (masklstm/losses.py)": {
            loss
            for name in losses.__all__
            for key, loss in vars(getattr(losses, name)).items()
            if key in ("loss", "loss_from_logits")
        },
        "literals (tests/test_reference.py)": set(test_reference.LITERALS),
        "bounds (tests/test_accuracy.py)": set(test_accuracy.ULP),
    }
    if HEADERS.exists():  # the tests may run away from the source tree
        found["headers (csrc/losses/*.h)"] = {
            name
            for header in HEADERS.glob("*.h")
            for name in re.findall(r'kName = "(\w+)"', header.read_text())
        }
    return found


def incomplete(found):
    """What each place lacks that another has."""
    every = set().union(*found.values())
    return {place: every - names for place, names in found.items() if names != every}


def test_every_loss_is_in_every_place():
    assert incomplete(places()) == {}


@pytest.mark.parametrize("place", places())
def test_a_loss_missing_in_one_place_is_noticed(place):
    found = places()
    removed = sorted(found[place])[0]
    found[place] = found[place] - {removed}
    assert incomplete(found) == {place: {removed}}


def test_parameters_agree_with_the_reference():
    import inspect

    for name, parameters in kernels.losses().items():
        signature = inspect.signature(reference.LOSSES[name]).parameters
        expected = {p.name: p.default for p in list(signature.values())[2:]}
        assert {p["name"]: p["default"] for p in parameters} == expected
        for p in parameters:
            assert reference.DOMAINS[p["name"]] == p["domain"]


def test_every_keras_class_has_a_registered_name():
    import keras

    for name in losses.__all__:
        assert keras.saving.get_registered_name(getattr(losses, name)) == f"masklstm>{name}"
