"""Moves of components take a mixture to better optima of a sample, and never to worse ones."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting import exploring, relocating
from daskgmm.fitting.in_memory import Rows, fit_rows
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


def relocate(start, rows, *, judged_on=None, seed=0, local=True):
    ground = Ground(rows, rows, rows if judged_on is None else judged_on, SETTINGS, 0.1)
    return with_components_relocated(start, ground, np.random.RandomState(seed), local=local)


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
    assert mixture_bits(relocate(best, rows, seed=1)) == mixture_bits(best)


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
    expected = mixture_bits(relocate(stuck, rows))
    assert mixture_bits(relocate(stuck, rows, local=False)) == expected


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
        exploring, "with_components_relocated", lambda best, *args, **kwargs: calls.append(best) or best
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
