"""The first look: rows counted, checked, and a uniform sample of them drawn, in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.parts import Parts
from daskgmm.engine.split import NOTHING_HELD_OUT, RowSplit
from daskgmm.engine.sweep import sweep
from daskgmm.mixture.rows import bad_row, checked_rows, checked_weights

__all__ = ["FirstLook", "LookRequest", "first_look", "look_request", "sample_of_block"]


@dataclass(frozen=True, slots=True, eq=False)
class FirstLook:
    """Some rows of the data, drawn uniformly without replacement, and how many there are in all.

    Every row draws a random key; the rows with the smallest keys are the sample. Two such samples merge into one by the
    same rule, so that the sample is drawn in one pass, whether row counts are known before or not.
    """

    size: int
    """Most rows to keep."""
    n_samples: int
    """Rows in the data, those of weight 0 included."""
    n_present: int
    """Rows of positive weight."""
    rows: NDArray[np.float64]
    """The sample in the order of the data, shape (n_kept, n_features)."""
    weights: NDArray[np.float64] | None
    """Sample weights of the sample, shape (n_kept,), or None when all are 1."""
    keys: NDArray[np.float64]
    """The random keys of the sample, shape (n_kept,)."""

    def merge(self, other: FirstLook) -> FirstLook:
        """Return the sample of both sets of rows."""
        weights = None
        if self.weights is not None and other.weights is not None:
            weights = np.concatenate([self.weights, other.weights])
        return FirstLook(
            size=self.size,
            n_samples=self.n_samples + other.n_samples,
            n_present=self.n_present + other.n_present,
            rows=np.concatenate([self.rows, other.rows]),
            weights=weights,
            keys=np.concatenate([self.keys, other.keys]),
        ).trimmed()

    def trimmed(self) -> FirstLook:
        """Return the same look with at most `size` rows."""
        if len(self.keys) <= self.size:
            return self
        kept = np.sort(np.argpartition(self.keys, self.size)[: self.size])
        return FirstLook(
            size=self.size,
            n_samples=self.n_samples,
            n_present=self.n_present,
            rows=self.rows[kept],
            weights=None if self.weights is None else self.weights[kept],
            keys=self.keys[kept],
        )

    @property
    def is_complete(self) -> bool:
        """Whether the sample holds every row of positive weight."""
        return len(self.rows) == self.n_present


@dataclass(frozen=True, slots=True)
class LookRequest:
    """What every block needs to know to draw its part of the sample."""

    size: int
    entropy: int
    n_features: int
    largest_key: float
    """Rows with larger keys cannot be among the `size` smallest of all and need not be sent."""
    split: RowSplit


def first_look(
    parts: Parts,
    *,
    n_samples: int | None,
    n_features: int,
    size: int,
    entropy: int,
    split: RowSplit = NOTHING_HELD_OUT,
) -> FirstLook:
    """Count rows, check that they are finite, and draw a uniform sample of those with positive weight.

    Parameters
    ----------
    parts : Parts
        The data.
    n_samples : int or None
        Number of rows; None when it is unknown.
    n_features : int
    size : int
        Rows to draw; all are kept when there are no more than that.
    entropy : int
        Seed. Each block has a generator of its own, seeded with this and the block's index.
    split : RowSplit
        Rows that it holds out are checked, but neither drawn nor counted.

    Raises
    ------
    InputDataError
        If a block is not dense and real, or a row holds NaN or infinity.
    """
    request = look_request(
        n_samples=n_samples,
        n_features=n_features,
        size=size,
        entropy=entropy,
        weighted=parts.weights is not None,
        split=split,
    )
    return sweep(parts, _look, request)


def look_request(
    *,
    n_samples: int | None,
    n_features: int,
    size: int,
    entropy: int,
    weighted: bool,
    split: RowSplit = NOTHING_HELD_OUT,
) -> LookRequest:
    """Return what `sample_of_block` needs to know; arguments as `first_look`, and whether rows have weights."""
    known = not weighted and n_samples is not None and split.share == 0
    largest = _largest_key(size, n_samples) if known and n_samples is not None else 1.0
    return LookRequest(size, entropy, n_features, largest, split)


def _largest_key(size: int, n_samples: int) -> float:
    """Return a key below which enough rows lie, all but surely.

    The number of keys below t is binomial with mean and variance about t * n_samples. Six standard deviations above
    `size` leave a chance of 1e-9 that a few rows are missing from the sample, which would still be uniform.
    """
    if n_samples <= size:
        return 1.0
    return min(1.0, (size + 6 * math.sqrt(size) + 36) / n_samples)


def _look(rows: NDArray[Any], weights: NDArray[Any] | None, request: LookRequest, block: int) -> FirstLook:
    """Look at one block."""
    rows = checked_rows(rows, request.n_features)
    weights = None if weights is None else checked_weights(weights, len(rows))
    _check_finite(rows, weights)
    return sample_of_block(*request.split.fitted(rows, weights, block), request, block)


def sample_of_block(rows: NDArray[Any], weights: NDArray[Any] | None, request: LookRequest, block: int) -> FirstLook:
    """Return what a block of sound rows, without those held out, puts forward for the sample."""
    n_samples = len(rows)
    present = None if weights is None else weights > 0
    # A new generator keyed by (entropy, block) rather than one spawned in turn: blocks run in any order.
    keys = np.random.default_rng([request.entropy, block]).random(n_samples)
    kept = keys < request.largest_key if present is None else present
    return FirstLook(
        size=request.size,
        n_samples=n_samples,
        n_present=n_samples if present is None else int(present.sum()),
        rows=np.asarray(rows[kept], dtype=np.float64),
        weights=None if weights is None else np.asarray(weights[kept], dtype=np.float64),
        keys=keys[kept],
    ).trimmed()


def _check_finite(rows: NDArray[Any], weights: NDArray[Any] | None) -> None:
    """Raise RowError for a row of positive weight that holds NaN or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = rows.sum(dtype=np.float64)
    # The sum of a block is finite when all its values are, short of overflow: only then is each value looked at.
    if math.isfinite(total):
        return
    present = None if weights is None else weights > 0
    finite = np.isfinite(rows).all(axis=1)
    if not (finite if present is None else finite | ~present).all():
        raise bad_row(rows, present)
