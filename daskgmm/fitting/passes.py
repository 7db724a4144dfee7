"""Passes over all rows: the E-step, and the likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.parts import Parts, parts_of_blocks, parts_of_reader
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.sweep import sweep
from daskgmm.errors import InputDataError
from daskgmm.kernels import Kernel, choose_kernel
from daskgmm.mixture.em import Sweep
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.score import LogLikelihood, log_likelihood
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings
from daskgmm.storage.dataset import RowBlocks

__all__ = ["check_enough", "check_weight", "data_sweep", "parts_of", "score_rows"]


def parts_of(blocks: RowBlocks) -> Parts:
    """Return what the tasks of a pass work on."""
    stored = blocks.stored
    if stored is not None:
        return parts_of_reader(stored)
    return parts_of_blocks(blocks.rows, blocks.weights, local=blocks.in_memory)


def data_sweep(data: KeptParts, settings: FitSettings) -> Sweep:
    """Return the E-step over all blocks."""
    kernel = choose_kernel(settings.kernel)

    def sweep_data(parameters: MixtureParameters) -> SufficientStatistics:
        task = _BlockTask(kernel, parameters)
        statistics = sweep(data.parts, _e_step_of_block, task)
        check_weight(statistics.weight, statistics.n_samples)
        check_enough(statistics.n_samples, settings)
        return statistics

    return sweep_data


def score_rows(blocks: RowBlocks, parameters: MixtureParameters) -> LogLikelihood:
    """Return the likelihood of all rows, in one pass; raises InputDataError when no row has positive weight."""
    with one_thread_per_task():
        score: LogLikelihood = sweep(parts_of(blocks), _score_block, parameters)
    check_weight(score.weight, score.n_samples)
    return score


def check_weight(weight: float, n_samples: int) -> None:
    """Raise when there is nothing to fit: no rows, or none that counts."""
    if n_samples == 0:
        raise InputDataError("expected at least one row; got 0 rows (n_samples = 0)")
    if not weight > 0:
        raise InputDataError(f"sample_weight: expected rows of positive weight; all {n_samples} weights are zero")


def check_enough(n_samples: int | None, settings: FitSettings) -> None:
    """Raise when there are known to be fewer rows than components."""
    if n_samples is not None and n_samples < settings.n_components:
        raise InputDataError(
            f"Expected n_samples >= n_components but got n_components = {settings.n_components}, "
            f"n_samples = {n_samples} (rows of weight 0 not counted). Use fewer components or more rows"
        )


@dataclass(frozen=True, slots=True)
class _BlockTask:
    """What every block needs for its E-step."""

    kernel: Kernel
    parameters: MixtureParameters


def _e_step_of_block(
    rows: NDArray[Any], weights: NDArray[Any] | None, task: _BlockTask, block: int
) -> SufficientStatistics:
    return task.kernel(rows, weights, task.parameters)


def _score_block(
    rows: NDArray[Any], weights: NDArray[Any] | None, parameters: MixtureParameters, block: int
) -> LogLikelihood:
    return log_likelihood(rows, weights, parameters)
