"""Many starts on a sample: the best is found, whatever some of them do."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pytest

from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting import exploring
from daskgmm.fitting.exploring import best_on_sample
from daskgmm.fitting.in_memory import Rows, fit_rows
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.density import log_density
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart, start_parameters
from tests.drawn import draw
from tests.watched import bits

SETTINGS = FitSettings(6, init_params="random_from_data", tol=1e-4)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows(draw("full", n_rows=800, n_components=6, n_features=2, spread=4.0, seed=4).rows, None)


def all_found(rows, settings=SETTINGS, *, seed=0, is_complete=True, local=False, n_free=35):
    return best_on_sample(
        rows, GivenStart(), settings, np.random.RandomState(seed), is_complete=is_complete, n_free=n_free, local=local
    )


def found(rows, settings=SETTINGS, **others):
    return all_found(rows, settings, **others)[0]


def bound(parameters, rows) -> float:
    return float(log_density(rows.values, parameters).mean())


def mixture_bits(mixture) -> bytes:
    return bits(mixture.weights, mixture.means, mixture.covariances)


def all_bits(mixtures) -> list[bytes]:
    return [mixture_bits(mixture) for mixture in mixtures]


def alone(rows, settings, seed) -> MixtureParameters:
    """What one start leads to."""
    start = start_parameters(
        rows.values,
        None,
        GivenStart(),
        n_components=settings.n_components,
        covariance_type=settings.covariance_type,
        reg_covar=settings.reg_covar,
        init_params=settings.init_params,
        random_state=np.random.RandomState(seed),
    )
    return fit_rows(start, rows, settings, max_iter=60, tol_fraction=0.1)[-1].parameters


def test_the_best_of_many_starts_is_found(rows):
    bounds = sorted(bound(alone(rows, SETTINGS, seed), rows) for seed in range(8))
    assert bounds[-1] - bounds[0] > 0.02
    assert bound(found(rows), rows) > bounds[-1] - 1e-3


@pytest.mark.parametrize(("few_rows", "others", "rounds"), [(0, 60, (32, 16, 8, 4)), (10_000, 30, (16, 8, 4))])
def test_more_starts_may_be_asked_for(rows, monkeypatch, few_rows, others, rounds):
    calls = []
    monkeypatch.setattr(exploring, "FEW_ROWS", few_rows)
    run_tasks = exploring.run_tasks

    def counted(function, items, shared, *, local):
        calls.append(len(items))
        return run_tasks(function, items, shared, local=local)

    monkeypatch.setattr(exploring, "run_tasks", counted)
    found(rows, replace(SETTINGS, n_init=3))
    found(rows, replace(SETTINGS, n_init=20))
    starts, more = calls[: calls.index(20 + others)], calls[calls.index(20 + others) :]
    assert (starts[0], more[0]) == (4 + others, 20 + others)
    for followed in (starts[1:], more[1:]):
        assert all(1 <= number <= most for number, most in zip(followed, rounds, strict=True))


def test_a_start_that_has_fitted_single_rows_loses_on_rows_held_out(monkeypatch):
    """Of two mixtures one fits three rows of the sample exactly: better on those it saw, worse on others."""
    values = np.random.default_rng(0).normal(size=(60, 2))
    rows, fitted = Rows(values, None), values[12:]
    peaks = MixtureParameters.from_covariances(
        weights=np.array([0.94, 0.02, 0.02, 0.02]),
        means=np.concatenate([[[0.0, 0.0]], fitted[:3]]),
        covariances=np.array([1.0, 1e-9, 1e-9, 1e-9]),
        covariance_type="spherical",
    )
    smooth = replace(peaks, weights=np.full(4, 0.25), means=fitted[:4] * 0.1, covariances=np.full(4, 1.0))
    smooth = MixtureParameters.from_covariances(
        weights=smooth.weights, means=smooth.means, covariances=smooth.covariances, covariance_type="spherical"
    )
    starts = iter([peaks, *[smooth] * 63])
    monkeypatch.setattr(exploring, "start_parameters", lambda *args, **kwargs: next(starts))
    monkeypatch.setattr(exploring, "LAST_ITERATIONS", 1)
    settings = FitSettings(4, covariance_type="spherical", reg_covar=1e-9, tol=1e-3)
    assert (
        choose_kernel("auto")(fitted, None, peaks).lower_bound > choose_kernel("auto")(fitted, None, smooth).lower_bound
    )
    with dask.config.set(scheduler="synchronous"):
        best = found(rows, settings, is_complete=False)
    assert best.covariances.min() > 1e-3


def failing(n_fail):
    """A start that collapses the first times it is asked for."""
    calls = iter(range(1_000))

    def start(*args, **kwargs):
        if next(calls) < n_fail:
            raise DegenerateMixtureError("every component collapsed")
        return start_parameters(*args, **kwargs)

    return start


def test_starts_that_collapse_are_passed_over(rows, monkeypatch):
    monkeypatch.setattr(exploring, "start_parameters", failing(30))
    with dask.config.set(scheduler="synchronous"):
        assert np.isfinite(bound(found(rows), rows))


def test_all_starts_collapsing_is_an_error(rows, monkeypatch):
    monkeypatch.setattr(exploring, "start_parameters", failing(1_000))
    with pytest.raises(DegenerateMixtureError, match="every component collapsed"):
        found(rows)


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_seed_decides_the_bits_on_every_scheduler(rows, client, is_complete):
    settings = replace(SETTINGS, init_params="kmeans")
    on_cluster = all_bits(all_found(rows, settings, is_complete=is_complete))
    assert all_bits(all_found(rows, settings, is_complete=is_complete, local=True)) == on_cluster
    with dask.config.set(scheduler="synchronous"):
        assert all_bits(all_found(rows, settings, is_complete=is_complete)) == on_cluster


def test_a_sample_of_as_few_rows_as_components_is_enough(rows):
    assert found(rows[:6], is_complete=False).n_components == 6


def test_k_means_leaves_the_filters_of_warnings_alone(rows):
    import warnings

    before = list(warnings.filters)
    found(Rows(np.repeat(rows.values[:3], 20, axis=0), None), replace(SETTINGS, init_params="kmeans"), local=True)
    assert warnings.filters == before


@pytest.fixture(scope="module")
def ambiguous() -> Rows:
    """Two components for three equal clusters at the corners of a triangle: any two of them may be joined."""
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 75**0.5]])
    generator = np.random.default_rng(0)
    values = corners[np.arange(3000) % 3] + generator.normal(size=(3000, 2))
    return Rows(generator.permutation(values), None)


def test_optima_that_the_sample_cannot_tell_apart_are_all_found(ambiguous):
    settings = FitSettings(2, tol=1e-4)
    optima = all_found(ambiguous, settings, is_complete=False, n_free=11)
    assert len(optima) == 3
    # Each has another cluster to itself, and that with a third of the rows.
    alone = np.array([optimum.means[optimum.weights.argmin()] for optimum in optima])
    assert np.linalg.norm(alone[:, None] - alone, axis=2)[np.triu_indices(3, 1)].min() > 9
    assert np.ptp([bound(optimum, ambiguous) for optimum in optima]) < 0.05


def test_one_optimum_is_enough_where_the_sample_is_all_rows(ambiguous):
    assert len(all_found(ambiguous, FitSettings(2, tol=1e-4), is_complete=True, n_free=11)) == 1


def test_an_optimum_that_the_sample_tells_apart_is_left_out(rows):
    """All starts lead to one of two optima, some to the worse one."""
    (optimum,) = all_found(rows, replace(SETTINGS, n_components=1), is_complete=False)
    assert np.allclose(optimum.means, rows.values.mean(axis=0), atol=1e-3)
