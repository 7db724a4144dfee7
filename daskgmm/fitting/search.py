"""Candidates fitted in the same passes over the data, and judged in one more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.sample import FirstLook
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.split import RowSplit
from daskgmm.engine.together import run_together
from daskgmm.engine.versions import warn_of_mixed_workers
from daskgmm.engine.waiting import redone
from daskgmm.errors import DegenerateMixtureError, InputDataError
from daskgmm.fitting.distribution import distribution_on
from daskgmm.fitting.exploring import MOST_OPTIMA
from daskgmm.fitting.judging import Judgement, judge
from daskgmm.fitting.memory import check_memory, fit_memory
from daskgmm.fitting.passes import parts_of, shared_passes
from daskgmm.fitting.race import Criterion, Hopeless, Race, SharedPass
from daskgmm.fitting.result import FitResult, Progress, Run, Start
from daskgmm.fitting.rivals import run_rivals
from daskgmm.fitting.runs import run_from
from daskgmm.fitting.starts import (
    Sample,
    as_scikit_learn,
    copied_state,
    look_at,
    sample_entropy,
    sample_of,
    sampled_starts,
)
from daskgmm.history import Journal
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings, sample_size
from daskgmm.start import GivenStart
from daskgmm.storage.dataset import RowBlocks

__all__ = ["Candidate", "fit_candidates"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting that was tried."""

    settings: FitSettings
    fit: FitResult | None = None
    """None where it could not be fitted."""
    judgement: Judgement | None = None
    problem: str = ""
    """Why it could not be fitted, or was stopped."""


def fit_candidates(
    blocks: RowBlocks,
    candidates: Sequence[FitSettings],
    *,
    random_state: np.random.RandomState,
    held_out: float,
    criterion: Criterion | None,
) -> tuple[list[Candidate], int]:
    """Fit mixtures with different settings to the same rows, each from the starts that it would have alone.

    Parameters
    ----------
    blocks : RowBlocks
    candidates : sequence of FitSettings
        They differ in numbers of components and covariance types alone, and no two are the same.
    random_state : numpy.random.RandomState
        Of the sample, and of each candidate's starts.
    held_out : float
        Share of the rows that are judged by and not fitted to, in [0, 1).
    criterion : callable or None
        What candidates will be compared by, where each pass tells it: those that cannot become the best stop early.

    Returns
    -------
    list of Candidate, int
        In the order given; and the full passes over the data that all of them took together.

    Raises
    ------
    InputDataError
        If there are fewer rows than components, no row has positive weight or can be held out, or a block or row cannot
        be used.
    MemoryLimitError
        If a worker has less memory than one of the fits needs.
    """
    for one in candidates:
        check_memory(fit_memory(blocks, one, has_start=False))
    warn_of_mixed_workers(local=blocks.in_memory)
    journal = Journal(row_bytes=blocks.rows.dtype.itemsize * blocks.n_features, n_samples=blocks.n_samples or 0)
    sizes = [sample_size(one, _n_free(one, blocks.n_features), blocks.n_features) for one in candidates]
    split = RowSplit(held_out, sample_entropy(random_state))
    with one_thread_per_task(), KeptParts(parts_of(blocks), candidates[0].cache, n_bytes=blocks.n_bytes) as data:
        look = look_at(
            blocks,
            data,
            size=None if None in sizes else max(size for size in sizes if size is not None),
            entropy=split.entropy,
            most_components=max(one.n_components for one in candidates),
            journal=journal,
            split=split,
        )
        race = Race(shared_passes(data, candidates[0].kernel, journal, split=split), criterion)
        search = _Search(look, sample_of(look, local=data.parts.local), random_state, journal, race)
        members = [search.members(one, index) for index, one in enumerate(candidates)]
        outcomes = iter(run_together([member for own in members for member in own], race.one_pass))
        tried = [
            search.candidate(one, index, [next(outcomes) for _ in members[index]])
            for index, one in enumerate(candidates)
        ]
        mixtures = [one.fit.parameters for one in tried if one.fit is not None]
        judgements = iter(redone(lambda: judge(data.parts, mixtures, split)) if mixtures else [])
        journal.passed(look.n_samples)
    # The next search with the same generator begins elsewhere.
    random_state.randint(2)
    return [one if one.fit is None else _judged(one, next(judgements), split) for one in tried], journal.n_passes


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one run of a candidate ended, or the best of those that its sample had left undecided."""

    run: Run | None = None
    n_passes: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Search:
    """What all candidates share."""

    look: FirstLook
    sample: Sample
    random_state: np.random.RandomState
    journal: Journal
    race: Race

    def members(self, settings: FitSettings, index: int) -> list[Callable[[SharedPass], _Outcome]]:
        """Return a candidate's work, as functions of what runs a pass."""
        if settings.acceleration is not None:
            return [partial(self._accelerated, settings, index)]
        runs = self._runs(settings, index)
        try:
            starts = as_scikit_learn(self.look, GivenStart(), settings, copied_state(self.random_state))
        except DegenerateMixtureError as error:
            return [partial(_failed, str(error)) for _ in runs]
        return [partial(self._plain, settings, run, start) for run, start in zip(runs, starts, strict=True)]

    def candidate(self, settings: FitSettings, index: int, own: Sequence[_Outcome]) -> Candidate:
        """Return what came of a candidate, of whose outcomes the best counts."""
        found = [one.run for one in own if one.run is not None]
        if not found:
            return Candidate(settings, problem=own[0].problem)
        best = max(found, key=lambda run: run.lower_bound)
        n_passes = 1 + max(outcome.n_passes for outcome in own)
        history = self.journal.entries_of(self._runs(settings, index))
        distribution = distribution_on(self.sample.rows, best.parameters)
        fit = FitResult(best, self.look.n_samples, n_passes, history, self.journal.weight, distribution)
        return Candidate(settings, fit, problem=own[0].problem if len(own) == 1 else "")

    @staticmethod
    def _runs(settings: FitSettings, index: int) -> range:
        """Return the numbers that a candidate's runs may have."""
        n_runs = settings.n_init if settings.acceleration is None else MOST_OPTIMA
        return range(index * n_runs, (index + 1) * n_runs)

    def _accelerated(self, settings: FitSettings, index: int, one_pass: SharedPass) -> _Outcome:
        """Find starts on the sample and go on from them."""
        first = self._runs(settings, index).start
        try:
            starts = sampled_starts(
                self.sample,
                GivenStart(),
                settings,
                copied_state(self.random_state),
                n_free=_n_free(settings, self.look.rows.shape[1]),
                journal=self.journal,
                run=first,
            )
            runs = run_rivals(
                [Progress(start.parameters, start.lower_bound) for start in starts],
                self.sample.guide,
                settings,
                self.journal,
                self.race.watched(one_pass),
                first=first,
            )
            return _outcome(runs)
        except DegenerateMixtureError as error:
            return _Outcome(problem=str(error))
        except Hopeless as reason:
            return _outcome([self.race.stopped(settings.n_components, settings.covariance_type)], str(reason))

    def _plain(self, settings: FitSettings, run: int, start: MixtureParameters, one_pass: SharedPass) -> _Outcome:
        """Run plain EM from a start."""
        try:
            return _outcome(
                [run_from(Start(start), None, settings, self.journal, run, lambda mixture: one_pass([mixture])[0])]
            )
        except DegenerateMixtureError as error:
            return _Outcome(problem=str(error))


def _outcome(runs: Sequence[Run], problem: str = "") -> _Outcome:
    """Return the best of some runs, and the passes that they took together."""
    best = max(runs, key=lambda run: run.lower_bound)
    return _Outcome(best, max(len(run.lower_bounds) for run in runs), problem)


def _failed(problem: str, one_pass: SharedPass) -> _Outcome:
    """Ask for no pass."""
    return _Outcome(problem=problem)


def _judged(candidate: Candidate, judgement: Judgement, split: RowSplit) -> Candidate:
    """Return a candidate with what all rows say of it."""
    if split.share and not judgement.held_out.weight > 0:
        raise InputDataError(
            f"expected rows of positive weight to hold out; got none beside {judgement.fitted.n_samples} that were "
            "fitted to. Use more rows or another criterion"
        )
    return replace(candidate, judgement=judgement)


def _n_free(settings: FitSettings, n_features: int) -> int:
    """Return the free parameters of a mixture with these settings."""
    return (
        GivenStart()
        .check(n_components=settings.n_components, n_features=n_features, covariance_type=settings.covariance_type)
        .n_free
    )
