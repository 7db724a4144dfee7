"""Settings and records as strict JSON: infinities, NaN and NumPy values survive, and nothing else is accepted.

JSON has no infinity and no arrays. An object with the single key "$float" stands for a float without a JSON number, one
with the single key "$array" for a NumPy array.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from daskgmm.errors import ParameterError

__all__ = ["MOST_BYTES", "MOST_VALUES", "decoded", "encoded", "is_too_large", "strict_json"]

FLOAT, ARRAY = "$float", "$array"
FLOAT_NAMES = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
ARRAY_KINDS = {"<f8": float, "<i8": int, "|b1": bool}
# Settings and the record of a fit are thousands of bytes and of values. A value takes 100 bytes once it is parsed.
MOST_BYTES, MOST_VALUES = 2**24, 2**20
# No setting has more: means_init has two axes, precisions_init up to three.
MOST_AXES = 3


def encoded(value: Any, name: str) -> Any:
    """Return a value as objects that JSON can express.

    Parameters
    ----------
    value : None, bool, int, float, str, NumPy scalar, NumPy array, or lists, tuples and mappings of them
        Tuples become lists; arrays become float64, int64 or bool.
    name : str
        What the value is called in errors.

    Raises
    ------
    ParameterError
        If the value is of another kind.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return {ARRAY: _encoded_array(value, name)}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {FLOAT: str(value)}
    if isinstance(value, list | tuple):
        return [encoded(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: encoded(item, f"{name}.{key}") for key, item in value.items()}
    raise ParameterError(
        f"{name}: expected None, numbers, text, arrays, or lists and dictionaries of them; got "
        f"{type(value).__qualname__}, which a model file cannot hold"
    )


def decoded(value: Any) -> Any:
    """Return what `encoded` was given.

    Raises
    ------
    ValueError
        If an object that stands for a float or an array is not one.
    """
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if FLOAT in value:
        name = value[FLOAT]
        if len(value) > 1 or not isinstance(name, str) or name not in FLOAT_NAMES:
            raise ValueError(f"expected one of {list(FLOAT_NAMES)} under {FLOAT}")
        return FLOAT_NAMES[name]
    if ARRAY in value:
        return _decoded_array(value)
    return {key: decoded(item) for key, item in value.items()}


def is_too_large(text: bytes) -> bool:
    """Return whether JSON would take too much memory once it is parsed."""
    return len(text) > MOST_BYTES or sum(map(text.count, (b",", b":", b"[", b"{"))) > MOST_VALUES


def strict_json(text: bytes) -> Any:
    """Return what JSON text says, refusing what Python's reader tolerates: NaN, infinities and doubled keys.

    Raises
    ------
    ValueError
        If the text is not strict JSON in UTF-8.
    """
    try:
        return json.loads(
            text.decode("utf-8"), parse_float=_finite, parse_constant=_refuse, object_pairs_hook=_without_doubles
        )
    except RecursionError:
        raise ValueError("expected JSON of moderate depth; its nesting is too deep") from None


def _encoded_array(array: np.ndarray[Any, Any], name: str) -> dict[str, Any]:
    kinds = {"f": "<f8", "i": "<i8", "b": "|b1"}
    if array.dtype.kind not in kinds or array.ndim > MOST_AXES:
        raise ParameterError(
            f"{name}: expected an array of real numbers with at most {MOST_AXES} axes; got dtype {array.dtype}, shape "
            f"{array.shape}"
        )
    dtype = kinds[array.dtype.kind]
    values = [encoded(item, name) for item in array.astype(dtype).ravel().tolist()]
    return {"dtype": dtype, "shape": list(array.shape), "values": values}


def _decoded_array(value: dict[str, Any]) -> np.ndarray[Any, Any]:
    content = value[ARRAY]
    if len(value) > 1 or not isinstance(content, dict) or set(content) != {"dtype", "shape", "values"}:
        raise ValueError(f"expected dtype, shape and values under {ARRAY}")
    dtype, shape, values = content["dtype"], content["shape"], content["values"]
    if not isinstance(dtype, str) or dtype not in ARRAY_KINDS or not isinstance(values, list):
        raise ValueError(f"expected one of the dtypes {list(ARRAY_KINDS)} and a list of values under {ARRAY}")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"expected a shape of at most {MOST_AXES} lengths under {ARRAY}")
    numbers = [decoded(item) for item in values]
    if math.prod(shape) != len(numbers) or not all(type(number) is ARRAY_KINDS[dtype] for number in numbers):
        raise ValueError(f"expected values of the dtype {dtype} that fill the shape {shape}; got {len(numbers)}")
    return np.array(numbers, dtype=dtype).reshape(shape)


def _finite(text: str) -> float:
    """Return a number; 1e999 is JSON, and an infinity to Python."""
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"expected finite numbers; got {constant}")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("expected each key once; got a key twice")
    return content
