"""New rows taken into a mixture: passes over them alone, old rows being what the mixture says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.versions import warn_of_mixed_workers
from daskgmm.errors import ParameterError
from daskgmm.fitting.distribution import distribution_on
from daskgmm.fitting.memory import check_memory, fit_memory
from daskgmm.fitting.passes import parts_of, shared_passes
from daskgmm.fitting.result import FitResult, Run
from daskgmm.fitting.starts import look_at, sample_of
from daskgmm.fitting.time_limit import TimeIsUp, ambient_limit
from daskgmm.history import HistoryEntry, Journal
from daskgmm.mixture.distribution import DISTRIBUTION_ROWS
from daskgmm.mixture.incremental import incremental_maximization, step_gain
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings
from daskgmm.storage.dataset import RowBlocks

__all__ = ["statistics_of_rows", "step_of", "update_mixture"]

OnePass = Callable[[MixtureParameters], SufficientStatistics]


def update_mixture(
    blocks: RowBlocks, settings: FitSettings, *, previous: MixtureParameters, weight: float
) -> FitResult:
    """Take new rows into a mixture by incremental EM; within `time_limit`, as far as passes that began in time get.

    Parameters
    ----------
    blocks : RowBlocks
        The new rows.
    settings : FitSettings
        At least one pass is made, whatever `max_iter` says.
    previous : MixtureParameters
        Of the rows so far.
    weight : float
        What these still weigh, > 0.

    Returns
    -------
    FitResult
        Of the new rows; its weight is that of all.

    Raises
    ------
    InputDataError
        If no row has positive weight, or a block or row cannot be used.
    ParameterError
        If n_components is another one than before.
    MemoryLimitError
        If a worker has less memory than this needs.
    DegenerateMixtureError
        If every component collapses.
    """
    if previous.n_components != settings.n_components:
        raise ParameterError(
            f"n_components: expected {previous.n_components}, as in the mixture that is updated; got "
            f"{settings.n_components}. Fit a new GaussianMixture instead"
        )
    bounds: list[float] = []
    limit = ambient_limit()

    def pass_in_time(parameters: MixtureParameters) -> SufficientStatistics:
        if bounds:  # before the first one the new rows are not in
            limit.check()
        return one_pass(parameters)

    with _passes(blocks, settings) as (one_pass, data, journal):
        look = look_at(blocks, data, size=DISTRIBUTION_ROWS, entropy=0, most_components=1, journal=journal)
        states = incremental_maximization(
            previous,
            pass_in_time,
            weight=weight,
            reg_covar=settings.reg_covar,
            tol=settings.tol,
            max_iter=max(1, settings.max_iter),
        )
        with suppress(TimeIsUp):
            for state in states:
                change = state.lower_bound - bounds[-1] if bounds else None
                bounds.append(state.lower_bound)
                journal.add("update", lower_bound=state.lower_bound, change=change, reseeded=state.reseeded)
    sample = sample_of(look, local=True).rows
    return FitResult(
        run=Run(state.parameters, state.converged, tuple(bounds), state.lower_bound),
        n_samples=state.n_samples,
        n_passes=journal.n_passes,
        history=journal.entries,
        weight=state.weight,
        distribution=distribution_on(sample, state.parameters),
    )


def statistics_of_rows(blocks: RowBlocks, settings: FitSettings, parameters: MixtureParameters) -> SufficientStatistics:
    """Return the sufficient statistics of rows under a mixture, in one pass; raises as `update_mixture` does."""
    with _passes(blocks, replace(settings, cache=None)) as (one_pass, *_):
        return one_pass(parameters)


def step_of(parameters: MixtureParameters, statistics: SufficientStatistics, settings: FitSettings) -> FitResult:
    """Return the result of one EM step, given the statistics of all rows under the parameters before it.

    It has converged if the step gained less than `tol`. Raises DegenerateMixtureError if every component collapses.
    """
    update = m_step(statistics, reg_covar=settings.reg_covar)
    gain = step_gain(parameters, update.parameters, statistics, reg_covar=settings.reg_covar)
    bound, n_samples = statistics.lower_bound, statistics.n_samples
    return FitResult(
        run=Run(update.parameters, abs(gain) < settings.tol and not update.reseeded, (bound,), bound),
        n_samples=n_samples,
        n_passes=1,
        # Others have read the rows.
        history=(HistoryEntry(1, "em", bound, None, 0.0, n_samples, 0, update.reseeded),),
        weight=statistics.weight,
    )


@contextmanager
def _passes(blocks: RowBlocks, settings: FitSettings) -> Iterator[tuple[OnePass, KeptParts, Journal]]:
    """Provide the E-step over the rows, what keeps decoded blocks between passes, and the journal."""
    # Without starts and a sample: they are what acceleration needs memory for.
    check_memory(fit_memory(blocks, replace(settings, acceleration=None), has_start=True))
    warn_of_mixed_workers(local=blocks.in_memory)
    journal = Journal(row_bytes=blocks.rows.dtype.itemsize * blocks.n_features, n_samples=blocks.n_samples or 0)
    with one_thread_per_task(), KeptParts(parts_of(blocks), settings.cache, n_bytes=blocks.n_bytes) as data:
        passes = shared_passes(data, settings.kernel, journal, may_be_few=True)
        yield (lambda parameters: passes([parameters])[0]), data, journal
