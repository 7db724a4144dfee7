"""Readers of rows that know themselves, for tests of passes that stream blocks."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Numbers:
    """Rows that are their own numbers. Notes which blocks were read, and how many are held at a time."""

    n_rows: int
    step: int
    is_dear: bool = False
    reads: list[int] = field(default_factory=list)
    most_alive: list[int] = field(default_factory=lambda: [0])
    _alive: list[int] = field(default_factory=lambda: [0])
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def n_blocks(self) -> int:
        return -(-self.n_rows // self.step)

    @property
    def block_bytes(self) -> int:
        return self.step * 8

    def check_unchanged(self) -> None:
        pass

    def start(self, block: int) -> int:
        return block * self.step

    def read(self, block: int) -> np.ndarray:
        stop = min(self.start(block + 1), self.n_rows)
        rows = np.arange(self.start(block), stop, dtype=float)[:, None]
        with self._lock:
            self.reads.append(block)
            self._alive[0] += 1
            self.most_alive[0] = max(self.most_alive[0], self._alive[0])
        weakref.finalize(rows, self._freed)
        return rows

    def _freed(self) -> None:
        with self._lock:
            self._alive[0] -= 1

    def __reduce__(self) -> tuple[Any, ...]:
        # A lock does not travel; a copy counts for itself.
        return Numbers, (self.n_rows, self.step, self.is_dear)


class Thirds(float):
    """A sum whose rounding shows in which order it was added."""

    def merge(self, other: float) -> Thirds:
        return Thirds(self + other)


def thirds(rows: np.ndarray, weights: np.ndarray | None, argument: object, block: int) -> Thirds:
    return Thirds(float((rows / 3.0).sum()))
