"""Candidates that share passes, and which of them may as well stop: they can no longer become the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daskgmm.fitting.result import Run
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.score import LogLikelihood
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["Criterion", "Hopeless", "Race", "SharedPass"]

Criterion = Callable[[LogLikelihood, MixtureParameters], float]
"""What candidates are compared by, known from each pass; lower is better."""

SharedPass = Callable[[Sequence[MixtureParameters]], list[SufficientStatistics]]

# What a run may still gain, in nats per row, is taken to be ten times what it gained over the data so far, and no less
# than a tenth of a nat. The best mixture of a sample of n rows lies n_free / (2 n) nats below that of all rows (Akaike
# 1974), a hundredth with the 50 rows a parameter that samples have.
TIMES_GAINED, LEAST_TO_GAIN = 10, 0.1
# The first pass over the data tells what the sample could not.
FEWEST_PASSES = 2


class Hopeless(Exception):
    """A candidate that need not go on, with the reason; not an error of anybody's."""


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """A mixture, and its likelihood over the data."""

    parameters: MixtureParameters
    score: LogLikelihood


class Race:
    """What shared passes have shown of each candidate.

    What a candidate asks is answered from passes that have ended, which all candidates have seen the end of: it does
    not depend on which thread runs first.

    Parameters
    ----------
    one_pass : callable
        The E-step of several mixtures in one pass.
    criterion : callable or None
        None lets every candidate go on to its end.
    """

    def __init__(self, one_pass: SharedPass, criterion: Criterion | None) -> None:
        self._one_pass = one_pass
        self._criterion = criterion
        self._seen: dict[tuple[int, str], list[_Evaluated]] = {}

    def one_pass(self, asked: Sequence[Sequence[MixtureParameters]]) -> list[list[SufficientStatistics]]:
        """Run the E-step of the mixtures of several candidates in one pass, and note how these do."""
        found = iter(self._one_pass([mixture for mixtures in asked for mixture in mixtures]))
        answers = []
        for mixtures in asked:
            answer = [next(found) for _ in mixtures]
            evaluated = [_evaluated(*one) for one in zip(mixtures, answer, strict=True)]
            self._seen.setdefault(_name(mixtures[0]), []).append(_best(evaluated))
            answers.append(answer)
        return answers

    def watched(self, one_pass: SharedPass) -> SharedPass:
        """Return a candidate's pass that raises Hopeless where it is not worth running."""

        def worthwhile(mixtures: Sequence[MixtureParameters]) -> list[SufficientStatistics]:
            reason = self._hopeless(_name(mixtures[0]))
            if reason:
                raise Hopeless(reason)
            return one_pass(mixtures)

        return worthwhile

    def stopped(self, n_components: int, covariance_type: str) -> Run:
        """Return the run of a candidate as far as it went."""
        seen = self._seen[n_components, covariance_type]
        best = _best(seen)
        bounds = tuple(one.score.mean for one in seen)
        return Run(best.parameters, converged=False, lower_bounds=bounds, lower_bound=best.score.mean)

    def _hopeless(self, name: tuple[int, str]) -> str:
        """Return why a candidate can no longer become the best, or nothing if it can."""
        seen = self._seen.get(name, [])
        if self._criterion is None or len(seen) < FEWEST_PASSES:
            return ""
        best = _best(seen)
        hoped_for = best.score.mean + max(LEAST_TO_GAIN, TIMES_GAINED * (best.score.mean - seen[0].score.mean))
        weight = best.score.weight
        score = LogLikelihood(best.score.n_samples, weight, hoped_for * weight)
        # Others end no higher than where they are.
        leader, lowest = min(
            ((name, self._criterion(one.score, one.parameters)) for name, one in self._leaders()),
            key=lambda one: one[1],
        )
        if self._criterion(score, best.parameters) <= lowest:
            return ""
        return (
            f"stopped after {len(seen)} passes: even at a mean log-likelihood of {hoped_for:.6g} it would lie behind "
            f"{leader[0]} {leader[1]} components"
        )

    def _leaders(self) -> list[tuple[tuple[int, str], _Evaluated]]:
        return [(name, _best(seen)) for name, seen in self._seen.items()]


def _evaluated(mixture: MixtureParameters, statistics: SufficientStatistics) -> _Evaluated:
    total = statistics.lower_bound * statistics.weight
    return _Evaluated(mixture, LogLikelihood(statistics.n_samples, statistics.weight, total))


def _best(seen: list[_Evaluated]) -> _Evaluated:
    return max(seen, key=lambda one: one.score.mean)


def _name(mixture: MixtureParameters) -> tuple[int, str]:
    return mixture.n_components, mixture.covariance_type
