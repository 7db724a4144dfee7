"""Runs from several optima share passes until it is known which of them is the best."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting import rivals
from daskgmm.fitting.in_memory import Rows, fit_rows
from daskgmm.fitting.result import Progress
from daskgmm.fitting.rivals import Dropped, Rivals, run_rivals
from daskgmm.history import Journal
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings
from tests.watched import bits

CENTRES = np.array([[0.0, 0.0], [0.0, 3.0], [9.0, 0.0], [9.0, 3.0]])
SETTINGS = FitSettings(4, tol=1e-6)


@pytest.fixture(scope="module")
def rows() -> Rows:
    generator = np.random.default_rng(0)
    return Rows(CENTRES[generator.integers(4, size=8000)] + generator.normal(size=(8000, 2)), None)


def optimum(rows, *means) -> MixtureParameters:
    """Where EM on a sample leads to."""
    start = MixtureParameters.from_covariances(
        weights=np.full(4, 0.25), means=means, covariances=np.tile(np.eye(2), (4, 1, 1)), covariance_type="full"
    )
    return fit_rows(start, rows[:2000], SETTINGS, max_iter=300, tol_fraction=0.1)[-1].parameters


@pytest.fixture(scope="module")
def best(rows) -> MixtureParameters:
    return optimum(rows, *CENTRES)


@pytest.fixture(scope="module")
def worse(rows) -> MixtureParameters:
    """Three components on one pair of clusters, one on the other."""
    return optimum(rows, [-1.0, 0.0], [1.0, 0.0], [0.0, 3.0], [9.0, 1.5])


class Passes:
    """Shared passes over rows, which note how many mixtures each evaluates."""

    def __init__(self, rows: Rows) -> None:
        self._e_step = partial(choose_kernel("auto"), rows.values, None)
        self.sizes: list[int] = []
        self.stop = 0

    def __call__(self, mixtures):
        if self.stop and len(self.sizes) == self.stop:
            raise InterruptedError
        self.sizes.append(len(mixtures))
        return [self._e_step(mixture) for mixture in mixtures]


def run(rows, starts, *, passes=None, has_sample=True, settings=SETTINGS, **others):
    starts = [one if isinstance(one, Progress) else Progress(one, -math.inf) for one in starts]
    journal = Journal(row_bytes=16, n_samples=len(rows))
    sample = rows[:2000] if has_sample else None
    return run_rivals(starts, sample, settings, journal, passes or Passes(rows), **others)


def run_bits(run) -> bytes:
    return bits(run.parameters.means, run.parameters.covariances, np.array(run.lower_bounds))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_run_that_falls_behind_is_dropped_and_the_best_ends_as_alone(rows, best, worse, place):
    passes = Passes(rows)
    starts = [worse, worse]
    starts.insert(place, best)
    runs = run(rows, starts, passes=passes)
    (alone,) = run(rows, [best])
    assert run_bits(runs[place]) == run_bits(alone)
    assert passes.sizes[0] == 3
    assert passes.sizes[-1] == 1
    assert len(passes.sizes) == len(alone.lower_bounds)
    dropped = runs[place - 1]
    assert not dropped.converged
    assert 1 <= len(dropped.lower_bounds) <= 3 < len(run(rows, [worse])[0].lower_bounds)
    assert dropped.lower_bound == max(dropped.lower_bounds) < alone.lower_bound


def test_of_equal_runs_one_goes_on(rows, best):
    passes = Passes(rows)
    one, other = run(rows, [best, best], passes=passes)
    assert one.converged
    assert run_bits(one) == run_bits(run(rows, [best])[0])
    assert len(other.lower_bounds) <= len(one.lower_bounds) == len(passes.sizes)


def test_plain_em_runs_to_its_end_from_every_start(rows, best, worse):
    runs = run(rows, [best, worse], has_sample=False)
    for together, start in zip(runs, [best, worse], strict=True):
        (alone,) = run(rows, [start], has_sample=False)
        assert run_bits(together) == run_bits(alone)
        assert together.converged


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_whoever_was_dropped_is_dropped_again_when_runs_go_on(rows, best, worse, stop):
    whole, stopped, resumed = Passes(rows), Passes(rows), Passes(rows)
    expected = run(rows, [worse, best], passes=whole)
    noted: dict[int, Progress] = {}
    stopped.stop = stop
    with pytest.raises(InterruptedError):
        run(rows, [worse, best], passes=stopped, note=noted.__setitem__)
    runs = run(rows, [noted[0], noted[1]], passes=resumed)
    assert [run_bits(one) for one in runs] == [run_bits(one) for one in expected]
    assert stopped.sizes + resumed.sizes == whole.sizes


def test_runs_that_had_ended_ask_for_no_pass(rows, best, worse):
    noted: dict[int, Progress] = {}
    expected = run(rows, [worse, best], note=noted.__setitem__)
    passes = Passes(rows)
    runs = run(rows, [noted[0], noted[1]], passes=passes)
    assert passes.sizes == []
    assert [run_bits(one) for one in runs] == [run_bits(one) for one in expected]


def standing_at(lower_bound: float, hope: float, mixture: MixtureParameters) -> Progress:
    return Progress(mixture, lower_bound, standing=SimpleNamespace(hope=hope))


@pytest.mark.parametrize(
    ("stand", "dropped"),
    [
        ([(-2.0, 0.5), (-1.0, 0.0)], [True, False]),
        ([(-2.0, 1.5), (-1.0, 0.0)], [False, False]),
        ([(-2.0, math.inf), (-1.0, 0.0)], [False, False]),
        # It might win, by less than runs leave to be gained.
        ([(-2.0, 1.01), (-1.0, 0.0)], [True, False]),
        ([(-1.0, 0.0), (-1.0, 0.0)], [False, True]),
        ([(-1.0, 0.0), (-math.inf, math.inf)], [False, False]),
        ([(-1.5, 0.2), (-1.0, 0.0), (-3.0, 1.9)], [True, False, True]),
    ],
)
def test_a_run_is_dropped_when_what_it_hopes_for_does_not_reach_the_best(best, stand, dropped):
    asked = []

    def one_pass(mixtures):
        asked.extend(mixtures)
        return ["statistics"] * len(mixtures)

    race = Rivals(one_pass, {run: standing_at(*where, best) for run, where in enumerate(stand)}, tol=0.06)
    answers = race.one_pass([(run, best) for run in range(len(stand))])
    assert [isinstance(answer, Dropped) for answer in answers] == dropped
    assert len(asked) == dropped.count(False)


def test_with_nobody_to_evaluate_there_is_no_pass(best):
    """The best has ended and asks for nothing."""

    def no_pass(mixtures):
        raise AssertionError

    race = Rivals(no_pass, {0: standing_at(-1.0, 0.0, best), 1: standing_at(-2.0, 0.1, best)}, tol=1e-3)
    (answer,) = race.one_pass([(1, best)])
    assert isinstance(answer, Dropped)


def test_what_a_climb_hopes_for_is_more_than_it_gains(rows, best):
    """Where nothing tells, as in plain EM, it is everything."""
    noted: list[Progress] = []
    run(rows, [best], note=lambda _, progress: noted.append(progress))
    end = noted[-1].lower_bound
    for progress in noted[:-1]:
        assert progress.lower_bound + progress.hope >= end
    assert noted[0].hope < 1
    assert replace(noted[0], standing=None).hope == math.inf


def collapsing_of(run_from, runs):
    """Runs of which some collapse after their first pass."""

    def run(start, sample, settings, journal, number, sweep, *, note):
        if number in runs:
            sweep(start.parameters)
            raise DegenerateMixtureError(f"run {number} collapsed")
        return run_from(start, sample, settings, journal, number, sweep, note=note)

    return run


def test_a_run_that_collapses_leaves_the_others(rows, best, worse, monkeypatch):
    (alone,) = run(rows, [best])
    for collapse in ({0}, {0, 1}):
        with monkeypatch.context() as patched:
            patched.setattr(rivals, "run_from", collapsing_of(rivals.run_from, collapse))
            if collapse == {0}:
                (one,) = run(rows, [worse, best])
                assert run_bits(one) == run_bits(alone)
            else:
                with pytest.raises(DegenerateMixtureError, match="run 0 collapsed"):
                    run(rows, [worse, best])


def test_plain_em_that_collapses_from_one_start_is_an_error(rows, best, worse, monkeypatch):
    monkeypatch.setattr(rivals, "run_from", collapsing_of(rivals.run_from, {1}))
    with pytest.raises(DegenerateMixtureError, match="run 1 collapsed"):
        run(rows, [best, worse], has_sample=False)
