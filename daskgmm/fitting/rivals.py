"""Runs from several optima of a sample share passes, and those that can no longer become the best are dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from daskgmm.engine.together import run_together
from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.result import Progress, Run
from daskgmm.fitting.runs import Note, forgetting, run_from
from daskgmm.history import Journal
from daskgmm.mixture.em import Sweep
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings

__all__ = ["Dropped", "Rivals", "run_rivals"]

SharedPass = Callable[[Sequence[MixtureParameters]], list[SufficientStatistics]]
Question = tuple[int, MixtureParameters]
"""(number of the run, what it wants to know the statistics of)"""

# Runs end by themselves when a third of tol is left to gain: it is not worth a pass to win by less.
SHARE = 1 / 3


def run_rivals(
    starts: Sequence[Progress],
    sample: Rows | None,
    settings: FitSettings,
    journal: Journal,
    one_pass: SharedPass,
    *,
    first: int = 0,
    note: Note = forgetting,
) -> list[Run]:
    """Run EM over the data from several starts in shared passes; return all runs, the dropped ones as far as they went.

    With a sample, runs that collapse are left out.

    Parameters
    ----------
    starts : sequence of Progress
        Where runs begin, or where they stood when they were interrupted.
    sample, settings, journal, note
        As for `run_from`. Without a sample no run is dropped.
    one_pass : callable
        The E-step of several mixtures in one pass over the data.
    first : int
        Number of the first run in the journal.

    Raises
    ------
    DegenerateMixtureError
        If every component of every run collapses; or of one of them, without a sample.
    """
    rivals = Rivals(one_pass, dict(enumerate(starts, first)), tol=settings.tol)

    def noted(run: int, progress: Progress) -> None:
        note(run, progress)
        rivals.note(run, progress)

    outcomes = run_together(
        [
            partial(rivals.finished, run, partial(run_from, start, sample, settings, journal, run, note=noted))
            for run, start in enumerate(starts, first)
        ],
        rivals.one_pass,
    )
    runs = [outcome for outcome in outcomes if isinstance(outcome, Run)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, DegenerateMixtureError)]
    if errors and (sample is None or not runs):
        raise errors[0]
    return runs


class Dropped(Exception):
    """A run that need not go on; not an error of anybody's."""


class Rivals:
    """Where runs stand, and who of them takes part in the next pass.

    That is decided where passes are run, when every run has told where it stands and waits: it does not depend on which
    thread runs first. It follows from where they stand alone, and bounds of best mixtures never fall: whoever has been
    dropped is dropped again when a fit goes on from a checkpoint.

    Parameters
    ----------
    one_pass : callable
        The E-step of several mixtures in one pass.
    starts : mapping of int to Progress
        Where the runs begin, by their numbers.
    tol : float
        What the runs may leave to be gained, in nats per row.
    """

    def __init__(self, one_pass: SharedPass, starts: Mapping[int, Progress], *, tol: float) -> None:
        self._one_pass = one_pass
        self._progress = dict(starts)
        self._worth = SHARE * tol

    def note(self, run: int, progress: Progress) -> None:
        """Remember where a run stands after a pass."""
        self._progress[run] = progress

    def one_pass(self, asked: Sequence[Question]) -> list[SufficientStatistics | Dropped]:
        """Run the E-step of the runs that may still become the best in one pass; the others learn that they may not."""
        hopeful = [(run, mixture) for run, mixture in asked if not self._is_hopeless(run)]
        found = iter(self._one_pass([mixture for _, mixture in hopeful]) if hopeful else [])
        taking_part = {run for run, _ in hopeful}
        return [next(found) if run in taking_part else Dropped() for run, _ in asked]

    def finished(
        self, run: int, work: Callable[[Sweep], Run], ask: Callable[[Question], SufficientStatistics | Dropped]
    ) -> Run | DegenerateMixtureError:
        """Return what a run has found at its end, or when it was dropped.

        Parameters
        ----------
        run : int
            Its number.
        work : callable
            The run, as a function of the E-step over all rows.
        ask : callable
            Question -> answer of a pass that the runs share.
        """

        def sweep(parameters: MixtureParameters) -> SufficientStatistics:
            answer = ask((run, parameters))
            if isinstance(answer, Dropped):
                raise answer
            return answer

        try:
            return work(sweep)
        except Dropped:
            return self._progress[run].run
        except DegenerateMixtureError as error:
            return error

    def _is_hopeless(self, run: int) -> bool:
        """Return whether the most that a run hopes for is not worth a pass: others end no lower than where they are."""
        here = self._progress[run]
        ahead = [
            other.lower_bound
            for number, other in self._progress.items()
            if (other.lower_bound, -number) > (here.lower_bound, -run)
        ]
        return bool(ahead) and here.lower_bound + here.hope < max(ahead) + self._worth
