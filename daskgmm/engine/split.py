"""Rows held out from a fit: which ones is drawn again at every pass, alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING_HELD_OUT", "RowSplit"]

Rows = tuple[NDArray[Any], NDArray[Any] | None]


@dataclass(frozen=True, slots=True)
class RowSplit:
    """A uniform part of the rows, which a fit does not see and by which it is judged."""

    share: float
    """Of the rows that are held out, in (0, 1); 0 holds out none."""
    entropy: int
    """Seed. Each block has a generator of its own, seeded with this and the block's index."""

    def fitted(self, rows: NDArray[Any], weights: NDArray[Any] | None, block: int) -> Rows:
        """Return the rows of a block that a fit sees, and their weights."""
        return self._part(rows, weights, block, held_out=False)

    def held_out(self, rows: NDArray[Any], weights: NDArray[Any] | None, block: int) -> Rows:
        """Return the rows of a block that a fit does not see, and their weights."""
        return self._part(rows, weights, block, held_out=True)

    def _part(self, rows: NDArray[Any], weights: NDArray[Any] | None, block: int, *, held_out: bool) -> Rows:
        if self.share == 0:
            return (rows[:0], None if weights is None else weights[:0]) if held_out else (rows, weights)
        # The third number keeps these keys apart from those that the sample is drawn by.
        drawn = np.random.default_rng([self.entropy, block, 1]).random(len(rows)) < self.share
        kept = drawn if held_out else ~drawn
        return rows[kept], None if weights is None else weights[kept]


NOTHING_HELD_OUT = RowSplit(share=0.0, entropy=0)
