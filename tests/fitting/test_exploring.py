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


def found(rows, settings=SETTINGS, *, seed=0, is_complete=True, local=False):
    return best_on_sample(
        rows, GivenStart(), settings, np.random.RandomState(seed), is_complete=is_complete, n_free=35, local=local
    )


def bound(parameters, rows) -> float:
    return float(log_density(rows.values, parameters).mean())


def mixture_bits(mixture) -> bytes:
    return bits(mixture.weights, mixture.means, mixture.covariances)


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


def test_more_starts_may_be_asked_for(rows, monkeypatch):
    calls = []
    run_tasks = exploring.run_tasks

    def counted(function, items, shared, *, local):
        calls.append(len(items))
        return run_tasks(function, items, shared, local=local)

    monkeypatch.setattr(exploring, "run_tasks", counted)
    found(rows, replace(SETTINGS, n_init=3))
    found(rows, replace(SETTINGS, n_init=20))
    assert calls == [32, 4, 48, 4]


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
    starts = iter([peaks, *[smooth] * 31])
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
    on_cluster = mixture_bits(found(rows, settings, is_complete=is_complete))
    assert mixture_bits(found(rows, settings, is_complete=is_complete, local=True)) == on_cluster
    with dask.config.set(scheduler="synchronous"):
        assert mixture_bits(found(rows, settings, is_complete=is_complete)) == on_cluster


def test_a_sample_of_as_few_rows_as_components_is_enough(rows):
    assert found(rows[:6], is_complete=False).n_components == 6


def test_k_means_leaves_the_filters_of_warnings_alone(rows):
    import warnings

    before = list(warnings.filters)
    found(Rows(np.repeat(rows.values[:3], 20, axis=0), None), replace(SETTINGS, init_params="kmeans"), local=True)
    assert warnings.filters == before
