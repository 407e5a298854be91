"""Labels as a user hands them over: which are there, and what is an output of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm._core.arguments import to_tensor
from masklstm._core.missing import is_observed, sentinel, standardize_missing
from masklstm._core.types import LABEL_DTYPES

# How NumPy's and pandas' marks of what is missing, besides NaN, are called: pandas stays optional.
_MARKS = ("NoneType", "NAType", "NaTType", "MaskedConstant")


def read_labels(y: Any, missing: Any, name: str = "y") -> tuple[tf.Tensor, tf.Tensor]:
    """The labels of one output as a tensor in their own dtype, and where there is one (bool).

    None and pandas' NA are missing, and so is what NumPy masks. An array of objects becomes float64
    on the way, since NaN has to fit in.
    """
    text = standardize_missing(missing)
    masked = None
    if not tf.is_tensor(y) and not isinstance(y, tf.Variable):
        y = _as_array(y, name)
        if isinstance(y, np.ma.MaskedArray):
            # Whatever lies under the mask: a number that the labels' type has.
            y, masked = y.filled(0), np.ma.getmaskarray(y)
    if isinstance(y, (tf.RaggedTensor, tf.SparseTensor)):
        raise _ragged(name, type(y).__name__)
    labels = to_tensor(name, y, LABEL_DTYPES)
    observed = is_observed(labels, sentinel(text, labels.dtype))
    return labels, observed if masked is None else observed & ~masked


def outputs(y: Any) -> list[tuple[Any, Any]] | None:
    """The outputs of a structure by their keys, each again a structure or labels; None for the
    labels of one output.

    As `model.fit` reads them: a mapping, and a tuple or list that holds an array with axes, a
    tensor in a tuple, or another structure, are several outputs. Numbers, and rows of numbers in
    lists, are labels.
    """
    if isinstance(y, Mapping):
        return list(y.items())
    if isinstance(y, (tuple, list)) and any(_is_output(each, type(y)) for each in y):
        return list(enumerate(y))
    return None


def leaves(y: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The labels of each output, and the keys that lead to them: none if there is one output."""
    parts = outputs(y)
    if parts is None:
        yield keys, y
    for key, part in parts or ():
        yield from leaves(part, (*keys, key))


def rebuild(y: Any, parts: list[Any]) -> Any:
    """A structure like `y`, whose outputs are these."""
    if isinstance(y, Mapping):
        return dict(zip(y, parts, strict=True))
    if hasattr(y, "_fields"):  # a named tuple
        return type(y)(*parts)
    return type(y)(parts)


def name_of(keys: tuple[Any, ...]) -> str:
    """What an error calls an output: y, y[0], y['level'][1]."""
    return "y" + "".join(f"[{key!r}]" for key in keys)


def _is_output(each: Any, container: type) -> bool:
    if isinstance(each, Mapping):
        return True
    if tf.is_tensor(each) or isinstance(each, (tf.RaggedTensor, tf.SparseTensor, tf.Variable)):
        return each.shape.rank != 0 or issubclass(container, tuple)
    if isinstance(each, (tuple, list)):
        return outputs(each) is not None
    return hasattr(each, "__array__") and np.ndim(each) > 0


def _as_array(y: Any, name: str) -> Any:
    """A NumPy array, of numbers if it is one of objects; a list of tensors as it is."""
    if y is None:
        raise _not_numbers(name, "None")
    if isinstance(y, np.ndarray):
        array = y
    elif isinstance(y, (tuple, list)) and any(map(tf.is_tensor, y)):
        return y
    else:
        try:
            array = np.asarray(y)  # data frames, and the arrays of other libraries too
        except ValueError as error:  # rows of different lengths
            raise _ragged(name, f"{type(y).__name__} ({error})") from error
        except (TypeError, RuntimeError) as error:
            raise _not_numbers(name, f"{type(y).__name__} ({error})") from error
    if array.dtype == object:
        return _numbers(array, name)
    if not hasattr(y, "__array__") and array.dtype.kind in "biuf":
        # Python's numbers have no type of their own: float64, as long as it has them.
        floats = array.astype(np.float64)
        return floats if array.dtype.kind in "bf" or _is_exact(array) else array
    return array


def _is_exact(integers: Any) -> bool:
    return bool(np.all(np.abs(integers.astype(np.float64)) < 2.0**53))  # 2^53 may be rounded


def _numbers(array: Any, name: str) -> Any:
    """An array of objects in float64, with NaN for every mark of what is missing."""
    numbers = np.full(array.shape, np.nan)
    hidden = np.ma.getmaskarray(array)
    for index, value in np.ndenumerate(np.ma.getdata(array)):
        if hidden[index] or type(value).__name__ in _MARKS:
            continue
        if isinstance(value, (tuple, list)) or np.ndim(value):
            raise _ragged(name, "an array of objects, rows among them")
        try:
            if isinstance(value, (str, bytes)):
                raise TypeError
            number = float(value)
            if isinstance(value, int) and number != value:  # float64 does not have it
                raise OverflowError
        except (TypeError, ValueError, OverflowError):
            raise _not_numbers(name, f"{value!r} at {index}") from None
        numbers[index] = number
    return numbers


def _not_numbers(name: str, received: str) -> ValueError:
    return ValueError(
        f"Expected '{name}' to hold numbers that float64 has, and NaN, None or pandas.NA for what "
        f"is missing. Received: {received}"
    )


def _ragged(name: str, received: str) -> ValueError:
    return ValueError(
        f"Expected '{name}' to be dense. Pad what is ragged with NaN, which counts as missing, in "
        "float64, which has the numbers of all label types: a tensor by "
        f"tf.cast({name}, 'float64').to_tensor(float('nan')), lists of numbers by "
        f"keras.utils.pad_sequences({name}, dtype='float64', padding='post', value=float('nan')); "
        "a sparse tensor becomes dense by tf.sparse.to_dense. "
        f"Received: {received}"
    )
