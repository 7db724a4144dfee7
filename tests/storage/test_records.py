"""Records come back with fields of the types that their classes declare, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from daskgmm.storage.records import as_records, as_tree


@dataclass(frozen=True, slots=True)
class Typed:
    count: int
    rate: float
    name: str | None
    flags: tuple[bool, ...]
    pair: tuple[int, str]
    words: dict[str, float]
    numbers: npt.NDArray[np.float64]
    anything: Any


def there_and_back(value: Any) -> Any:
    arrays: list[np.ndarray] = []
    return as_records(as_tree(value, arrays, (Typed,)), arrays, (Typed,))


SOUND = Typed(3, 0.5, None, (True, False), (1, "x"), {"a": 1.0}, np.zeros(2), (1, 2))


@pytest.mark.parametrize("change", [{}, {"name": "x"}, {"flags": ()}, {"rate": 2}, {"anything": None}, {"words": {}}])
def test_fields_of_their_declared_types_are_read(change):
    back = there_and_back(replace(SOUND, **change))
    for name, value in change.items():
        assert getattr(back, name) == value


@pytest.mark.parametrize(
    "change",
    [
        {"count": 0.5}, {"count": True}, {"count": None}, {"rate": "0.5"}, {"rate": False}, {"name": 3},
        {"flags": (1,)}, {"flags": True}, {"pair": (1,)}, {"pair": ("x", 1)}, {"words": {"a": "b"}}, {"words": 3},
        {"numbers": 0.5}, {"numbers": np.zeros(2, "f4")}, {"numbers": (0.0,)},
    ],
)  # fmt: skip
def test_fields_of_other_types_are_refused(change):
    with pytest.raises(ValueError, match=f"Typed.{next(iter(change))}: expected"):
        there_and_back(replace(SOUND, **change))


@pytest.mark.parametrize(
    "tree",
    [
        {"$float": "0x1p0", "x": 1},
        {"$tuple": [], "$float": "0x1p0"},
        {"$array": 0, "x": 1},
        {"$record": "Typed"},
        {"$float": "Infinity"},
        {"$float": "1"},
        {"$float": {}},
        {"$something": 1},
        {"$tuple": {}},
        [],
        0.5,
    ],
)
def test_trees_of_any_other_make_are_refused(tree):
    with pytest.raises(ValueError, match="expected"):
        as_records(tree, [np.zeros(1)], (Typed,))
