"""A fit from beginning to end: first look, starts, passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.versions import warn_of_mixed_workers
from daskgmm.fitting.checkpoints import Keeper
from daskgmm.fitting.distribution import distribution_on
from daskgmm.fitting.drawing import Drawing
from daskgmm.fitting.memory import check_memory, fit_memory
from daskgmm.fitting.passes import parts_of, shared_passes
from daskgmm.fitting.result import FitResult, Start
from daskgmm.fitting.rivals import run_rivals
from daskgmm.fitting.starts import find_starts, sample_entropy
from daskgmm.fitting.time_limit import TimeIsUp, ambient_limit
from daskgmm.history import Journal
from daskgmm.mixture.distribution import DISTRIBUTION_ROWS
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from daskgmm.storage.dataset import RowBlocks

__all__ = ["fit_mixture"]


def fit_mixture(
    blocks: RowBlocks,
    settings: FitSettings,
    *,
    given: GivenStart,
    previous: Start | None,
    random_state: np.random.RandomState,
) -> FitResult:
    """Fit a mixture to rows in blocks; within `time_limit`, as far as passes that began in time get.

    Parameters
    ----------
    blocks : RowBlocks
    settings : FitSettings
    given : GivenStart
        Starting parameters from the user, as far as there are any.
    previous : Start or None
        An earlier fit to go on from; nothing else is started then.
    random_state : numpy.random.RandomState
        Where starts draw from.

    Raises
    ------
    InputDataError
        If there are fewer rows than components, no row has positive weight, or a block or row cannot be used.
    ParameterError
        If a given start is not valid.
    MemoryLimitError
        If a worker has less memory than the fit needs.
    DegenerateMixtureError
        If every component collapses.
    """
    check_memory(fit_memory(blocks, settings, has_start=previous is not None or given.is_complete))
    warn_of_mixed_workers(local=blocks.in_memory)
    journal = Journal(row_bytes=blocks.rows.dtype.itemsize * blocks.n_features, n_samples=blocks.n_samples or 0)
    keeper = Keeper(blocks, settings, given, random_state, journal, previous=previous)
    entropy = sample_entropy(random_state)
    with one_thread_per_task(), KeptParts(parts_of(blocks), settings.cache, n_bytes=blocks.n_bytes) as data:
        found = keeper.found(random_state)
        if found is None:
            beginning = find_starts(
                blocks, data, settings, given=given, previous=previous, random_state=random_state, journal=journal
            )
            starts, sample = keeper.begins(beginning, random_state), beginning.sample
        else:
            starts, sample = found
        drawing = None
        if sample is None or len(sample) < DISTRIBUTION_ROWS:
            drawing = Drawing(blocks, size=DISTRIBUTION_ROWS, entropy=entropy)
        one_pass = shared_passes(data, settings.kernel, journal, drawing=drawing)
        limit, n_before = ambient_limit(), journal.n_passes

        def kept_pass(mixtures: Sequence[MixtureParameters]) -> list[SufficientStatistics]:
            keeper.before_a_pass()
            if journal.n_passes > n_before:  # what no pass has evaluated is no result, and no progress
                limit.check()
            return one_pass(mixtures)

        try:
            runs = run_rivals(starts, sample, settings, journal, kept_pass, note=keeper.note)
        except TimeIsUp:
            runs = keeper.runs
        best = max(runs, key=lambda run: run.lower_bound)
        drawn = sample if drawing is None else drawing.rows
        # A fit that goes on from where it had ended runs no pass.
        distribution = distribution_on(drawn, best.parameters) or keeper.distribution
        keeper.ends(distribution)
    return FitResult(
        run=best,
        n_samples=journal.n_samples,
        n_passes=journal.n_passes,
        history=journal.entries,
        distribution=distribution,
        # Without a pass of EM nobody has added weights up.
        weight=float(journal.n_samples) if blocks.weights is None else journal.weight,
    )
