"""How candidates did, all in one pass: their likelihood, how surely rows belong to components, and rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from scipy.special import entr

from daskgmm.engine.parts import Parts
from daskgmm.engine.split import RowSplit
from daskgmm.engine.sweep import sweep
from daskgmm.kernels.likelihood import log_likelihood
from daskgmm.kernels.per_row import responsibilities
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import checked_weights
from daskgmm.mixture.score import LogLikelihood

__all__ = ["Judgement", "judge"]

# Rows whose responsibilities are held at once: with a thousand components 128 MB.
SLICE_ROWS = 2**14


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all rows say of one mixture."""

    fitted: LogLikelihood
    """Of the rows that it was fitted to."""
    held_out: LogLikelihood
    """Of those that it was not."""
    entropy: float
    """Of the responsibilities of the rows that it was fitted to, summed with their weights, in nats."""

    def merge(self, other: Judgement) -> Judgement:
        """Return that of both sets of rows."""
        return Judgement(
            self.fitted.merge(other.fitted), self.held_out.merge(other.held_out), self.entropy + other.entropy
        )


@dataclass(frozen=True, slots=True)
class _Judgements:
    """What the same rows say of several mixtures."""

    each: tuple[Judgement, ...]

    def merge(self, other: _Judgements) -> _Judgements:
        """Return that of both sets of rows."""
        return _Judgements(tuple(one.merge(two) for one, two in zip(self.each, other.each, strict=True)))


@dataclass(frozen=True, slots=True)
class _Request:
    mixtures: tuple[MixtureParameters, ...]
    split: RowSplit


def judge(parts: Parts, mixtures: Sequence[MixtureParameters], split: RowSplit) -> list[Judgement]:
    """Return what all rows say of each mixture, in one pass."""
    return list(sweep(parts, _judge_block, _Request(tuple(mixtures), split)).each)


def _judge_block(rows: NDArray[Any], weights: NDArray[Any] | None, request: _Request, block: int) -> _Judgements:
    fitted = request.split.fitted(rows, weights, block)
    held_out = request.split.held_out(rows, weights, block)
    return _Judgements(
        tuple(
            Judgement(log_likelihood(*fitted, mixture), log_likelihood(*held_out, mixture), _entropy(*fitted, mixture))
            for mixture in request.mixtures
        )
    )


def _entropy(rows: NDArray[Any], weights: NDArray[Any] | None, mixture: MixtureParameters) -> float:
    """Return the entropy of the responsibilities of rows of positive weight, summed with their weights."""
    if weights is not None:
        weights = checked_weights(weights, len(rows))
        rows, weights = rows[weights > 0], weights[weights > 0]
    total = 0.0
    for start in range(0, len(rows), SLICE_ROWS):
        part = slice(start, start + SLICE_ROWS)
        entropies = entr(responsibilities(rows[part], mixture)).sum(axis=1)
        total += float(entropies.sum() if weights is None else entropies @ weights[part])
    return total
