"""Passes over all rows: the E-step, and the likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.parts import Parts, parts_of_blocks, parts_of_reader
from daskgmm.engine.sample import FirstLook, LookRequest, sample_of_block
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.split import NOTHING_HELD_OUT, RowSplit
from daskgmm.engine.sweep import sweep
from daskgmm.engine.waiting import redone
from daskgmm.errors import ClusterError, InputDataError
from daskgmm.fitting.drawing import Drawing
from daskgmm.history import Journal
from daskgmm.kernels import Kernel, choose_kernel
from daskgmm.kernels.likelihood import log_likelihood
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.score import LogLikelihood
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.storage.dataset import RowBlocks

__all__ = ["check_enough", "check_weight", "parts_of", "score_rows", "shared_passes"]


def parts_of(blocks: RowBlocks) -> Parts:
    """Return what the tasks of a pass work on."""
    stored = blocks.stored
    if stored is not None:
        return parts_of_reader(stored)
    return parts_of_blocks(blocks.rows, blocks.weights, local=blocks.in_memory)


def shared_passes(
    data: KeptParts,
    kernel_name: str,
    journal: Journal,
    *,
    split: RowSplit = NOTHING_HELD_OUT,
    may_be_few: bool = False,
    drawing: Drawing | None = None,
) -> Callable[[Sequence[MixtureParameters]], list[SufficientStatistics]]:
    """Return the E-step over all blocks, of several mixtures in one pass; there may be fewer rows than components.

    The first of these passes draws the rows of `drawing`, if there is one.
    """
    kernel = choose_kernel(kernel_name)

    def one_pass(mixtures: Sequence[MixtureParameters]) -> list[SufficientStatistics]:
        task = _BlockTask(kernel, tuple(mixtures), split, None if drawing is None else drawing.request)
        found = redone(lambda: sweep(data.parts, _e_steps_of_block, task))
        if split is NOTHING_HELD_OUT:
            _check_same_rows(journal.n_samples, found.each[0].n_samples)
        journal.passed(found.each[0].n_samples, found.each[0].weight)
        for statistics in found.each:
            check_weight(statistics.weight, statistics.n_samples)
            if not may_be_few:
                check_enough(statistics.n_samples, len(statistics.counts))
        if drawing is not None and found.look is not None:
            drawing.take(found.look)
        return list(found.each)

    return one_pass


def score_rows(blocks: RowBlocks, parameters: MixtureParameters) -> LogLikelihood:
    """Return the likelihood of all rows, in one pass; raises InputDataError when no row has positive weight."""
    with one_thread_per_task():
        score: LogLikelihood = redone(lambda: sweep(parts_of(blocks), _score_block, parameters))
    check_weight(score.weight, score.n_samples)
    return score


def _check_same_rows(expected: int, found: int) -> None:
    """Raise ClusterError unless a pass has seen each row once; 0 are expected when nobody knows how many there are."""
    if expected not in (0, found):
        raise ClusterError(
            f"expected a pass over {expected} rows; {found} were counted: blocks were lost or came twice. Start again, "
            "from the checkpoint if there is one; if it happens again, please report it"
        )


def check_weight(weight: float, n_samples: int) -> None:
    """Raise when there is nothing to fit: no rows, or none that counts."""
    if n_samples == 0:
        raise InputDataError("expected at least one row; got 0 rows (n_samples = 0)")
    if not weight > 0:
        raise InputDataError(f"sample_weight: expected rows of positive weight; all {n_samples} weights are zero")


def check_enough(n_samples: int | None, n_components: int) -> None:
    """Raise when there are known to be fewer rows than components."""
    if n_samples is not None and n_samples < n_components:
        raise InputDataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, "
            f"n_samples = {n_samples} (rows of weight 0 not counted). Use fewer components or more rows"
        )


@dataclass(frozen=True, slots=True)
class _BlockTask:
    """What every block needs for its E-steps."""

    kernel: Kernel
    mixtures: tuple[MixtureParameters, ...]
    split: RowSplit
    look: LookRequest | None
    """What to draw of the rows in passing."""


@dataclass(frozen=True, slots=True)
class _EachStatistics:
    """The statistics of the same rows under several mixtures, and some of these rows if they were asked for."""

    each: tuple[SufficientStatistics, ...]
    look: FirstLook | None = None

    def merge(self, other: _EachStatistics) -> _EachStatistics:
        """Return those of both sets of rows."""
        look = None if self.look is None or other.look is None else self.look.merge(other.look)
        return _EachStatistics(tuple(one.merge(two) for one, two in zip(self.each, other.each, strict=True)), look)


def _e_steps_of_block(
    rows: NDArray[Any], weights: NDArray[Any] | None, task: _BlockTask, block: int
) -> _EachStatistics:
    rows, weights = task.split.fitted(rows, weights, block)
    # The kernel first: it is who refuses rows that cannot be used.
    each = tuple(task.kernel(rows, weights, mixture) for mixture in task.mixtures)
    return _EachStatistics(each, None if task.look is None else sample_of_block(rows, weights, task.look, block))


def _score_block(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters, block: int
) -> LogLikelihood:
    return log_likelihood(rows, weights, parameters)
