"""Trees of frozen records and arrays as JSON and a list of arrays, and back. Nothing but the classes named is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import lru_cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

__all__ = ["as_records", "as_tree"]

RECORD, ARRAY, TUPLE, FLOAT = "$record", "$array", "$tuple", "$float"
# Records within records, and what they hold; more is no checkpoint of ours.
MOST_DEPTH = 32


def as_tree(value: Any, arrays: list[np.ndarray[Any, Any]], classes: Sequence[type]) -> Any:
    """Return a value as what JSON can express, its arrays put into a list that the tree refers to.

    Parameters
    ----------
    value : None, bool, int, float, str, array, tuple, mapping with keys of text, or a record of one of the classes
    arrays : list
        An array that is there already, the very same object, is referred to once more.
    classes : sequence of types
        Dataclasses, told apart by their names.

    Raises
    ------
    TypeError
        If the value holds anything else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # Hexadecimal digits are exact, for infinities and NaN as well.
        return {FLOAT: value.hex()}
    if isinstance(value, np.ndarray):
        return {ARRAY: _place(value, arrays)}
    if isinstance(value, tuple):
        return {TUPLE: [as_tree(item, arrays, classes) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: as_tree(item, arrays, classes) for key, item in value.items()}
    if type(value) in classes:
        content = {field.name: as_tree(getattr(value, field.name), arrays, classes) for field in fields(value)}
        return {RECORD: type(value).__name__, "fields": content}
    raise TypeError(f"expected numbers, text, arrays, tuples or records of {_names(classes)}; got {type(value)!r}")


def as_records(tree: Any, arrays: Sequence[np.ndarray[Any, Any]], classes: Sequence[type], *, depth: int = 0) -> Any:
    """Return what `as_tree` was given.

    Raises
    ------
    ValueError
        If the tree is not one of these classes.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"expected at most {MOST_DEPTH} records within each other")
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if not isinstance(tree, dict):
        raise ValueError(f"expected records; got {type(tree).__name__}")
    if set(tree) == {RECORD, "fields"}:
        return _record(tree, arrays, classes, depth)
    if set(tree) == {FLOAT}:
        return _float(tree[FLOAT])
    if set(tree) == {TUPLE} and isinstance(tree[TUPLE], list):
        return tuple(as_records(item, arrays, classes, depth=depth + 1) for item in tree[TUPLE])
    if set(tree) == {ARRAY}:
        index = tree[ARRAY]
        if type(index) is not int or not 0 <= index < len(arrays):
            raise ValueError(f"expected the number of one of {len(arrays)} arrays; got {index!r}")
        return arrays[index]
    if any(key.startswith("$") for key in tree):
        raise ValueError(f"expected a number, a tuple, an array or a record; got one of {sorted(tree)[:20]}")
    return {key: as_records(item, arrays, classes, depth=depth + 1) for key, item in tree.items()}


def _record(tree: dict[str, Any], arrays: Sequence[np.ndarray[Any, Any]], classes: Sequence[type], depth: int) -> Any:
    kind = next((kind for kind in classes if kind.__name__ == tree[RECORD]), None)
    content = tree.get("fields")
    if kind is None or not isinstance(content, dict):
        raise ValueError(f"expected a record of {_names(classes)}; got {tree[RECORD]!r}")
    expected = {field.name for field in fields(kind)}
    # What was written before a field was added has the field's default.
    required = {field.name for field in fields(kind) if field.default is MISSING}
    if not required <= set(content) <= expected:
        raise ValueError(f"{kind.__name__}: expected the fields {sorted(expected)}; got {sorted(content)[:20]}")
    values = {name: as_records(item, arrays, classes, depth=depth + 1) for name, item in content.items()}
    hints = _hints(kind)
    for name, value in values.items():
        if not _is_one_of(value, hints[name]):
            raise ValueError(f"{kind.__name__}.{name}: expected {hints[name]}; got {type(value).__name__}")
    return kind(**values)


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    """Return the types that a class says its fields have."""
    return get_type_hints(kind)


def _is_one_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a declared type: what a file says of itself may be anything."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_is_one_of(value, one) for one in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(_is_one_of(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_is_one_of, value, arguments))
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(_is_one_of(item, arguments[1]) for item in value.values())
    if origin is np.ndarray:
        (number,) = get_args(arguments[1])
        return isinstance(value, np.ndarray) and (number is Any or value.dtype == np.dtype(number))
    if hint in (int, float):  # what is true or false is neither
        return isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _float(text: Any) -> float:
    if not isinstance(text, str):
        raise ValueError(f"expected a number in hexadecimal digits; got {type(text).__name__}")
    value = float.fromhex(text)
    if value.hex() != text:
        raise ValueError(f"expected a number in hexadecimal digits as Python writes them; got {text[:40]!r}")
    return value


def _place(array: np.ndarray[Any, Any], arrays: list[np.ndarray[Any, Any]]) -> int:
    for index, other in enumerate(arrays):
        if other is array:
            return index
    arrays.append(array)
    return len(arrays) - 1


def _names(classes: Sequence[type]) -> str:
    return ", ".join(kind.__name__ for kind in classes)
