"""Trees of frozen records and arrays as JSON and a list of arrays, and back. Nothing but the classes named is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

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
    if RECORD in tree:
        return _record(tree, arrays, classes, depth)
    if FLOAT in tree:
        return _float(tree[FLOAT])
    if TUPLE in tree and isinstance(tree[TUPLE], list):
        return tuple(as_records(item, arrays, classes, depth=depth + 1) for item in tree[TUPLE])
    if ARRAY in tree:
        index = tree[ARRAY]
        if type(index) is not int or not 0 <= index < len(arrays):
            raise ValueError(f"expected the number of one of {len(arrays)} arrays; got {index!r}")
        return arrays[index]
    return {key: as_records(item, arrays, classes, depth=depth + 1) for key, item in tree.items()}


def _record(tree: dict[str, Any], arrays: Sequence[np.ndarray[Any, Any]], classes: Sequence[type], depth: int) -> Any:
    kind = next((kind for kind in classes if kind.__name__ == tree[RECORD]), None)
    content = tree.get("fields")
    if kind is None or not isinstance(content, dict):
        raise ValueError(f"expected a record of {_names(classes)}; got {tree[RECORD]!r}")
    expected = {field.name for field in fields(kind)}
    if set(content) != expected:
        raise ValueError(f"{kind.__name__}: expected the fields {sorted(expected)}; got {sorted(content)[:20]}")
    return kind(**{name: as_records(item, arrays, classes, depth=depth + 1) for name, item in content.items()})


def _float(text: Any) -> float:
    if not isinstance(text, str):
        raise ValueError(f"expected a number in hexadecimal digits; got {text!r}")
    return float.fromhex(text) if text != "nan" else math.nan


def _place(array: np.ndarray[Any, Any], arrays: list[np.ndarray[Any, Any]]) -> int:
    for index, other in enumerate(arrays):
        if other is array:
            return index
    arrays.append(array)
    return len(arrays) - 1


def _names(classes: Sequence[type]) -> str:
    return ", ".join(kind.__name__ for kind in classes)
