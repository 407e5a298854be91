"""The names of the modules: what `dir` shows of them, and what is said of names that they lack."""

import inspect
import sys
from types import ModuleType

import keras

# Other names for what Keras or masklstm has under its own.
_SHORT = {
    "acc": "accuracy",
    "bce": "BinaryCrossentropy",
    "ce": "crossentropy",
    "kld": "KLDivergence",
    "logcosh": "LogCoshError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
    "rmse": "RootMeanSquaredError",
}
_CHOSEN_BY_SHAPE = ("accuracy", "crossentropy")
# Bases, metrics of plain values, which have no labels, and functions that are no losses.
_NOT_FOR_LABELS = {"Loss", "Metric", "MeanMetricWrapper", "Mean", "Sum"}
_NOT_FOR_LABELS |= {"get", "serialize", "deserialize"}
# Keras has them, but its `get` does not know them by these names.
_NOT_BY_NAME = {
    "losses": {"CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"},
    "metrics": {"binary_focal_crossentropy", "categorical_focal_crossentropy", "huber"},
}


def show_public(*modules: ModuleType) -> None:
    """Lets `dir`, and the completion of editors, show what `__all__` has.

    Classes are of the module that they are public in, whatever file they stand in: so say their
    reprs, and so it is written into files by Keras and by pickle.
    """
    for module in modules:
        names = sorted(module.__all__)
        vars(module)["__dir__"] = names.copy
        for name in names:
            if isinstance(vars(module)[name], type):
                vars(module)[name].__module__ = module.__name__


def unknown_name(module: str, name: str) -> AttributeError:
    """The error of a module for losses or metrics that has no such name."""
    message = f"module {module!r} has no attribute {name!r}"
    advice = None if name.startswith("_") else _advice(module, name)
    return AttributeError(f"{message}. {advice}" if advice else message, name=name)


def _advice(module: str, name: str) -> str | None:
    kind = module.rpartition(".")[2]
    names = name, _SHORT.get(_plain(name), name)
    ours = {_plain(known): known for known in sys.modules[module].__all__}
    for candidate in map(_plain, names):
        if candidate in ours:
            return f"Expected {module}.{ours[candidate]}(...)"
    theirs = _names_of_keras(kind)
    alike = {_plain(known): known for known in theirs}
    for candidate in names:
        found = candidate if candidate in theirs else alike.get(_plain(candidate))
        if found is not None:
            return f"Expected {module}.Masked({_argument(kind, found)}), which skips missing labels"
    return None


def _plain(name: str) -> str:
    """The same for a class and the function of its name."""
    return name.replace("_", "").lower()


def _argument(kind: str, name: str) -> str:
    """How to hand it to `Masked`."""
    cls = getattr(getattr(keras, kind), name, None)
    if isinstance(cls, type) and _has_arguments(cls):
        return f"keras.{kind}.{name}(...)"
    if name in _NOT_BY_NAME[kind]:
        return f"keras.{kind}.{name}" + "()" * isinstance(cls, type)
    return f'"{name}"'


def _names_of_keras(kind: str) -> list[str]:
    """What it has for labels; the classes after the functions, so that they are preferred."""
    names = {*dir(getattr(keras, kind)), *(_CHOSEN_BY_SHAPE if kind == "metrics" else ())}
    public = (name for name in names - _NOT_FOR_LABELS if not name.startswith("_"))
    return sorted(public, key=str.swapcase)


def _has_arguments(cls: type) -> bool:
    """Whether it cannot be made without any."""
    parameters = inspect.signature(cls).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in kinds for p in parameters)
