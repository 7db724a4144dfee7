"""Moves of components take a mixture to better optima of a sample, and never to worse ones."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting import exploring, relocating
from daskgmm.fitting.in_memory import Rows, fit_rows, scored
from daskgmm.fitting.relocating import Ground, with_components_relocated
from daskgmm.mixture.density import log_density
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from tests.watched import bits

CENTRES = np.array([[0.0, 0.0], [0.0, 6.0], [20.0, 0.0], [20.0, 6.0]])
SETTINGS = FitSettings(4, tol=1e-3)


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Four clusters, two and two near each other."""
    generator = np.random.default_rng(0)
    values = CENTRES[np.arange(800) % 4] + generator.normal(size=(800, 2))
    return Rows(generator.permutation(values), None)


@pytest.fixture(scope="module")
def stuck(rows) -> MixtureParameters:
    """The optimum that EM ends at with three components on one pair of clusters and one on the other."""
    start = MixtureParameters.from_covariances(
        weights=np.full(4, 0.25),
        means=[[-1.0, 0.0], [1.0, 0.0], [0.0, 6.0], [20.0, 3.0]],
        covariances=np.tile(np.eye(2) * 4, (4, 1, 1)),
        covariance_type="full",
    )
    return fit_rows(start, rows, SETTINGS, max_iter=200, tol_fraction=0.1)[-1].parameters


def visit(start, rows, *, judged_on=None, seed=0, local=True):
    """Return all ends, the first one included."""
    judged_on = rows if judged_on is None else judged_on
    ground = Ground(rows, rows, judged_on, SETTINGS, 0.1)
    start = scored(start, judged_on, SETTINGS)
    return with_components_relocated([start], ground, np.random.RandomState(seed), local=local)


def relocate(start, rows, **others) -> MixtureParameters:
    return max(visit(start, rows, **others), key=lambda end: end.lower_bound).parameters


def bound(parameters, rows) -> float:
    return float(log_density(rows.values, parameters).mean())


def mixture_bits(mixture) -> bytes:
    return bits(mixture.weights, mixture.means, mixture.covariances)


def test_a_component_too_many_here_goes_where_one_is_missing(rows, stuck):
    better = relocate(stuck, rows)
    assert bound(better, rows) > bound(stuck, rows) + 0.2
    nearest = np.abs(better.means[:, None] - CENTRES).sum(axis=2).min(axis=0)
    assert nearest.max() < 0.3


def test_weights_of_0_hide_rows(rows, stuck):
    weights = (rows.values[:, 0] < 10).astype(float)
    better = relocate(stuck, Rows(rows.values, weights))
    assert better.means[better.weights > 0.01, 0].max() < 10


def test_an_optimum_without_a_better_one_stays_as_it_is(rows, stuck):
    best = relocate(stuck, rows)
    assert bound(relocate(best, rows, seed=1), rows) < bound(best, rows) + 1e-3 * 0.1


def test_what_gains_on_fitted_rows_alone_is_not_taken(rows, stuck):
    """The rows that judge are those of the pair that has three components already."""
    here = Rows(rows.values[rows.values[:, 0] < 10], None)
    assert bound(relocate(stuck, rows, judged_on=here), here) >= bound(stuck, here)


def test_one_component_has_nowhere_to_go(rows):
    one = MixtureParameters.from_covariances(
        weights=[1.0], means=[[0.0, 0.0]], covariances=[np.eye(2)], covariance_type="full"
    )
    assert relocate(one, rows) is one


def test_moves_that_all_collapse_leave_the_mixture(rows, stuck, monkeypatch):
    def collapsing(*args, **kwargs):
        raise DegenerateMixtureError("every component collapsed")

    monkeypatch.setattr(relocating, "fit_rows", collapsing)
    with dask.config.set(scheduler="synchronous"):
        assert relocate(stuck, rows) is stuck


def test_a_seed_decides_the_bits_on_every_scheduler(rows, stuck, client):
    expected = [mixture_bits(end.parameters) for end in visit(stuck, rows)]
    assert [mixture_bits(end.parameters) for end in visit(stuck, rows, local=False)] == expected


def test_all_ends_are_told_with_their_bounds_the_worse_ones_too(rows, stuck):
    ends = visit(stuck, rows)
    assert ends[0].parameters is stuck
    assert len(ends) > 2
    for end in ends:
        assert end.lower_bound == pytest.approx(bound(end.parameters, rows), rel=1e-9)


def test_moves_that_fail_from_the_best_start_from_others(rows, stuck, monkeypatch):
    best = relocate(stuck, rows)
    bases = []
    moves_of = relocating._moves
    monkeypatch.setattr(
        relocating, "_moves", lambda parameters, *args: bases.append(parameters) or moves_of(parameters, *args)
    )
    ground = Ground(rows, rows, rows, SETTINGS, 0.1)
    ends = [scored(one, rows, SETTINGS) for one in (stuck, best)]
    with_components_relocated(ends, ground, np.random.RandomState(0), local=True)
    assert bases[0] is best
    assert any(base is stuck for base in bases)


def test_a_move_that_leads_back_is_not_followed_where_another_leads_elsewhere(rows, stuck, monkeypatch):
    best = relocate(stuck, rows)
    monkeypatch.setattr(relocating, "_moves", lambda *args: iter([best, stuck]))
    first, second, third, *_ = visit(best, rows)
    assert second.lower_bound == pytest.approx(bound(stuck, rows), abs=1e-3)
    # Now both are known, and the better one is followed.
    assert third.lower_bound == pytest.approx(first.lower_bound, abs=1e-3)


@pytest.mark.parametrize(
    ("n_rows", "given", "is_tried"),
    [
        (10_000, GivenStart(), True),
        (9_999, GivenStart(), False),
        (10_000, GivenStart(means=CENTRES), False),
    ],
)
def test_moves_are_tried_where_rows_can_judge_them_and_nothing_was_given(rows, monkeypatch, n_rows, given, is_tried):
    calls = []
    monkeypatch.setattr(
        exploring, "with_components_relocated", lambda ends, *args, **kwargs: calls.append(ends) or ends
    )
    exploring.best_on_sample(
        Rows(np.resize(rows.values, (n_rows, 2)), None),
        given,
        SETTINGS,
        np.random.RandomState(0),
        is_complete=True,
        n_free=23,
        local=True,
    )
    assert bool(calls) is is_tried
