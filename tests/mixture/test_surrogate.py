from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.kernels.blas import e_step
from daskgmm.mixture.fisher import FisherCoordinates
from daskgmm.mixture.m_step import m_step, regularization_cost
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.secants import Curvature, fit_secants
from daskgmm.mixture.surrogate import Surrogate
from daskgmm.mixture.trust import TrustRegion
from tests.mixture.test_fisher import parameters_of

N_SAMPLE = 120


def surrogate_of(drawn, *, sample=None, secants=(), reg_covar=0.0) -> Surrogate:
    base = parameters_of(drawn, shift=0.1)
    rows = drawn.rows[:N_SAMPLE] if sample is None else sample
    coordinates = FisherCoordinates.about(base)
    full, of_sample = (e_step(part, None, base) for part in (drawn.rows, rows))
    defect = coordinates.of_statistics(full) - coordinates.of_statistics(of_sample)
    steps = [coordinates.of_parameters(other) for other in secants]
    changes = [np.linspace(-0.1, 0.1, len(defect)) * step for step in steps]
    return Surrogate(
        coordinates=coordinates,
        sample_sweep=partial(e_step, rows, None),
        reg_covar=reg_covar,
        sample_bound=of_sample.lower_bound,
        counts=full.counts / full.weight,
        full=coordinates.of_statistics(full),
        defect=defect,
        curvature=fit_secants(steps, changes, n_coordinates=len(defect)),
    )


def test_at_the_base_it_has_the_statistics_of_all_rows(drawn):
    surrogate = surrogate_of(drawn, secants=[parameters_of(drawn)])
    gain, statistics = surrogate.evaluate(surrogate.coordinates.origin)
    assert_allclose(gain, 0, atol=1e-12)
    assert_allclose(statistics, surrogate.full, atol=1e-12)


def test_with_all_rows_as_its_sample_it_is_the_likelihood(drawn):
    surrogate = surrogate_of(drawn, sample=drawn.rows)
    there = parameters_of(drawn, shift=0.4, scale=1.2)
    bounds = [e_step(drawn.rows, None, p).lower_bound for p in (surrogate.coordinates.origin, there)]
    assert_allclose(surrogate.evaluate(there)[0], bounds[1] - bounds[0], rtol=1e-10)


@pytest.mark.parametrize("reg_covar", [0.0, 0.3])
def test_an_em_step_on_its_statistics_climbs_it(drawn, reg_covar):
    """Its statistics are its gradient: with a curvature that is convex, EM on it ascends as EM does."""
    surrogate = surrogate_of(drawn, reg_covar=reg_covar)
    update = m_step(surrogate.coordinates.statistics(surrogate.full), reg_covar=reg_covar)
    before, statistics = surrogate.evaluate(update.parameters)
    again = m_step(surrogate.coordinates.statistics(statistics), reg_covar=reg_covar)
    after, _ = surrogate.evaluate(again.parameters)
    assert before > 0
    assert after > (before if reg_covar == 0 else before - 0.02)


def test_its_statistics_are_its_gradient(drawn):
    """Along natural parameters the gain changes by statistics minus those that the parameters expect of themselves."""
    surrogate = surrogate_of(drawn, secants=[parameters_of(drawn), parameters_of(drawn, shift=0.3)])
    step = 1e-5
    path = [parameters_of(drawn, shift=0.2 + side * step, scale=1 + side * step) for side in (-1, 0, 1)]
    gains = [surrogate.evaluate(parameters)[0] for parameters in path]
    # About the middle of the path, so that what it expects of itself is plain: its weights, no first moments.
    middle = FisherCoordinates.about(path[1])
    statistics = middle.of_statistics(surrogate.coordinates.statistics(surrogate.evaluate(path[1])[1]))
    expected = np.concatenate([np.sqrt(path[1].weights), np.zeros(len(statistics) - len(path[1].weights))])
    direction = (middle.of_parameters(path[2]) - middle.of_parameters(path[0])) / (2 * step)
    assert_allclose((gains[2] - gains[0]) / (2 * step), direction @ (statistics - expected), rtol=1e-5)


def test_a_proposal_gains_what_it_says_and_keeps_within_the_region(drawn):
    surrogate = surrogate_of(drawn)
    proposal = surrogate.maximize(TrustRegion(cap=1.0, n_steps=10), enough=0.0)
    assert proposal is not None
    assert_allclose(surrogate.evaluate(proposal.parameters)[0], proposal.gain, rtol=1e-10)
    assert 0 < proposal.distance <= 1.0
    one = surrogate.maximize(TrustRegion(cap=1.0, n_steps=1), enough=0.0)
    assert one is not None
    assert proposal.gain > one.gain
    assert one.cut_short


def test_its_first_step_is_ems_own(drawn):
    surrogate = surrogate_of(drawn)
    one = surrogate.maximize(TrustRegion(cap=0.0, n_steps=1), enough=0.0)
    expected = m_step(e_step(drawn.rows, None, surrogate.coordinates.origin), reg_covar=0.0).parameters
    assert one is not None
    assert_allclose(one.parameters.means, expected.means, rtol=1e-10, atol=1e-12)
    assert_allclose(one.parameters.covariances, expected.covariances, rtol=1e-9, atol=1e-12)


def test_at_its_maximum_it_proposes_nothing_that_matters(drawn):
    base = parameters_of(drawn)
    for _ in range(400):
        base = m_step(e_step(drawn.rows, None, base), reg_covar=0.0).parameters
    coordinates = FisherCoordinates.about(base)
    full = e_step(drawn.rows, None, base)
    statistics = coordinates.of_statistics(full)
    n = len(statistics)
    surrogate = Surrogate(
        coordinates=coordinates,
        sample_sweep=partial(e_step, drawn.rows, None),
        reg_covar=0.0,
        sample_bound=full.lower_bound,
        counts=full.counts / full.weight,
        full=statistics,
        defect=np.zeros(n),
        curvature=Curvature(np.zeros((n, 0)), np.zeros(0)),
    )
    proposal = surrogate.maximize(TrustRegion(), enough=0.0)
    assert proposal is None or proposal.gain < 1e-7


def test_the_cost_of_reg_covar_is_half_the_trace_of_the_precisions(covariance_type):
    shape = {"full": [np.eye(2) / 2, np.eye(2)], "tied": np.eye(2), "diag": [[0.5, 0.5], [1, 1]], "spherical": [0.5, 1]}
    parameters = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=np.zeros((2, 2)), covariances=shape[covariance_type], covariance_type=covariance_type
    )
    expected = 0.01 / 2 * (0.3 * (2 if covariance_type == "tied" else 4) + 0.7 * 2)
    assert_allclose(regularization_cost(parameters, np.array([0.3, 0.7]), reg_covar=0.01), expected)
