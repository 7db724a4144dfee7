"""Incremental EM: kept statistics and new rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daskgmm.kernels import choose_kernel
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.incremental import incremental_maximization, remaining_gain, step_gain
from daskgmm.mixture.m_step import m_step, regularization_cost
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.mixture.stepwise import implied_statistics

REG_COVAR = 1e-6
kernel = choose_kernel("blas")


@pytest.fixture
def start(drawn) -> MixtureParameters:
    given = {name.removesuffix("_init"): value for name, value in drawn.start.items()}
    return MixtureParameters.from_precisions(covariance_type=drawn.covariance_type, **given)


def expected(parameters: MixtureParameters, statistics: SufficientStatistics, reg_covar: float) -> float:
    """The expected log-likelihood less what reg_covar costs, per unit of weight, up to a constant."""
    structure = covariance_structure(parameters.covariance_type)
    counts = statistics.counts / statistics.weight
    heights = np.log(parameters.weights) + structure.log_determinants(
        parameters.precisions_cholesky, parameters.n_features
    )
    squares = (parameters.precisions * statistics.about(parameters.means).second).sum() / statistics.weight
    return float(counts @ heights - squares / 2) - regularization_cost(parameters, counts, reg_covar=reg_covar)


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6, 0.1])
def test_the_gain_of_a_step_is_that_of_the_expected_log_likelihood(drawn, start, reg_covar):
    statistics = kernel(drawn.rows, None, start)
    after = m_step(statistics, reg_covar=reg_covar).parameters
    gain = step_gain(start, after, statistics, reg_covar=reg_covar)
    assert gain > 0
    difference = expected(after, statistics, reg_covar) - expected(start, statistics, reg_covar)
    assert gain == pytest.approx(difference, rel=1e-9)


def objective(parameters: MixtureParameters, kept: SufficientStatistics, rows: np.ndarray) -> float:
    """What incremental EM climbs, per unit of weight, up to a constant."""
    new = kernel(rows, None, parameters)
    return (kept.weight * expected(parameters, kept, 0.0) + new.log_likelihood) / (kept.weight + new.weight)


def test_every_pass_climbs_by_what_it_says_at_least(drawn, start):
    rows = drawn.rows[:100]
    kept = implied_statistics(start, reg_covar=0.0).scaled(50.0)
    before = objective(start, kept, rows)
    states = list(
        incremental_maximization(
            start, lambda q: kernel(rows, None, q), weight=50.0, reg_covar=0.0, tol=1e-10, max_iter=500
        )
    )
    assert states[-1].converged
    heights = [objective(state.parameters, kept, rows) for state in states]
    for state, height in zip(states, heights, strict=True):
        assert height - before >= state.gain - 1e-12
        before = height
    assert states[-1].weight == pytest.approx(150)
    # What was said to remain, two passes before the end, did.
    assert heights[-1] - heights[-3] <= states[-3].expected_gain


def test_kept_statistics_count_with_their_weight(drawn, start):
    """One pass is the M-step of both, by hand."""
    new = kernel(drawn.rows, None, start)
    (state,) = incremental_maximization(start, lambda _: new, weight=900.0, reg_covar=REG_COVAR, tol=0.0, max_iter=1)
    weights = (900 * start.weights + new.counts) / (900 + new.weight)
    np.testing.assert_allclose(state.parameters.weights, weights, rtol=1e-12)
    means = (900 * start.weights[:, None] * start.means + new.first + new.counts[:, None] * start.means) / (
        900 * start.weights + new.counts
    )[:, None]
    np.testing.assert_allclose(state.parameters.means, means, rtol=1e-9)
    assert not state.converged


def test_what_remains_is_less_the_fewer_the_new_rows_are():
    assert remaining_gain(1.0, share=1 / 2) == pytest.approx(1 / 2)
    assert remaining_gain(1.0, share=1 / 30) == pytest.approx(1 / 870)
    assert remaining_gain(-1.0, share=1 / 30) > 0  # a step that fell has not arrived


def test_a_component_that_is_seeded_anew_goes_on(start):
    """New rows and old ones that leave a component nothing."""
    lone = replace(SufficientStatistics.zero(start), n_samples=10, weight=10.0)
    spread = covariance_structure(start.covariance_type).scatter(start.covariances, np.ones(3), start.n_features)
    dead = start.weights.copy()
    dead[:] = 0.5, 0.5, 0.0
    begun = MixtureParameters(start.covariance_type, dead, start.means, start.covariances, start.precisions_cholesky)
    counts = 10.0 * dead
    new = replace(lone, counts=counts, second=10.0 * spread * (1 if start.covariance_type == "tied" else 0.5))
    states = list(
        incremental_maximization(begun, lambda q: new.about(q.means), weight=10.0, reg_covar=0.0, tol=1.0, max_iter=2)
    )
    assert states[0].reseeded == (2,)
    assert not states[0].converged
