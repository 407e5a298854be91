"""How losses, metrics and layers show themselves: by their arguments, save for defaults."""

import inspect
import reprlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import keras

_ANY = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


class ShowsArguments:
    """Mixed into a Keras class: its repr has the arguments of the config."""

    default_dtype: str | None = None
    """The type that `dtype=None` stands for; None for that of Keras."""

    def __repr__(self) -> str:
        arguments = _arguments_of(self)
        if isinstance(self, keras.Layer):  # Keras's own repr has name and state
            return ", ".join(filter(None, [super().__repr__().removesuffix(">"), arguments])) + ">"
        return f"{type(self).__name__}({arguments})"


def _arguments_of(thing: Any) -> str:
    try:
        with warnings.catch_warnings():  # of lambdas, which are not saved here
            warnings.simplefilter("ignore")
            config = thing.get_config()
    except (NotImplementedError, TypeError, ValueError):
        return "..."
    return _shown_arguments(type(thing), config)


def _shown_arguments(cls: type, config: dict[str, Any]) -> str:
    wrapped: dict[str, Any] = {}
    for value in config.values():
        if _is_serialized(value) and isinstance(value["config"], dict):
            wrapped = value["config"]  # whose name, reduction and dtype are the defaults
    shown = []
    for name, parameter in _parameters(cls).items():
        if name not in config:
            continue
        value, default = config[name], parameter.default
        if name == "dtype" and default is None:
            default = getattr(cls, "default_dtype", None) or keras.config.floatx()
        is_inherited = name in wrapped and name != "missing" and wrapped[name] == value
        if not (is_inherited or _is_same(value, default)):
            shown.append(f"{name}={_shown(value)}")
    return ", ".join(shown)


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    """Those of the class; before Python 3.11 a `__new__` hides them, as Keras's layers have it."""
    parameters = inspect.signature(cls).parameters
    if all(each.kind in _ANY for each in parameters.values()):
        return inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return parameters


def _is_serialized(value: Any) -> bool:
    return isinstance(value, dict) and {"class_name", "config"} <= value.keys()


def _is_same(value: Any, default: Any) -> bool:
    if isinstance(default, str) and _is_serialized(value):  # an initializer by its name
        default = keras.initializers.serialize(keras.initializers.get(default))
    if isinstance(value, bool) or isinstance(default, bool):
        return value is default
    return bool(value == default) or (value != value and default != default)


def _shown(value: Any) -> str:
    if _is_serialized(value):
        return _shown_object(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)) and any(isinstance(entry, dict) for entry in value):
        return "(" + ", ".join(map(_shown, value)) + ")"
    return reprlib.repr(value) if isinstance(value, (list, tuple)) else repr(value)


def _shown_object(serialized: dict[str, Any]) -> str:
    """As its own repr would be."""
    name, config = serialized["class_name"], serialized["config"]
    if not isinstance(config, dict):
        return str(config)  # the name of a function
    cls = getattr(sys.modules.get(serialized.get("module") or ""), name, None)
    cls = cls or keras.saving.get_registered_object(serialized.get("registered_name") or "")
    if not isinstance(cls, type):
        return str(name).strip("_")  # a lambda
    return f"{name}({_shown_arguments(cls, config)})"
