from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskgmm.kernels.blas import e_step
from daskgmm.mixture.em import EMState, expectation_maximization
from daskgmm.mixture.parameters import MixtureParameters
from tests import reference
from tests.drawn import Drawn, draw
from tests.strategies import COVARIANCE_TYPES


def start_of(drawn: Drawn) -> MixtureParameters:
    start = {name.removesuffix("_init"): value for name, value in drawn.start.items()}
    return MixtureParameters.from_precisions(**start, covariance_type=drawn.covariance_type)


def run(rows, start, *, reg_covar=0.0, tol=0.0, max_iter=8, weights=None, **settings) -> list[EMState]:
    sweep = partial(e_step, rows, weights)
    return list(expectation_maximization(start, sweep, reg_covar=reg_covar, tol=tol, max_iter=max_iter, **settings))


draws = st.builds(
    draw,
    st.sampled_from(COVARIANCE_TYPES),
    n_rows=st.just(200),
    n_components=st.integers(1, 3),
    n_features=st.integers(1, 3),
    spread=st.sampled_from([0.5, 2.0, 8.0]),
    seed=st.integers(0, 999),
)


@given(draws)
def test_the_bound_never_falls(drawn):
    states = run(drawn.rows, start_of(drawn), max_iter=15)
    for before, after in itertools.pairwise(states):
        # A component that is placed anew gives up what it had reached.
        if not before.reseeded:
            assert after.lower_bound >= before.lower_bound - 1e-12 * abs(before.lower_bound)


def test_iterates_are_the_references(drawn):
    states = run(drawn.rows, start_of(drawn), reg_covar=1e-6, tol=1e-4, max_iter=50)
    start = start_of(drawn)
    mixture = reference.mixture(start.weights, start.means, start.covariances, drawn.covariance_type)
    fit = reference.em(drawn.rows, mixture, drawn.covariance_type, tol=1e-4, reg_covar=1e-6, max_iter=50)
    assert len(states) == fit.n_iter
    assert states[-1].converged
    assert_allclose([state.lower_bound for state in states], np.array(fit.lower_bounds, dtype=float), rtol=1e-12)
    last = states[-1].parameters
    assert_allclose(last.weights, fit.mixture.weights.astype(float), rtol=1e-11)
    assert_allclose(last.means, fit.mixture.means.astype(float), rtol=1e-10, atol=1e-12)
    covariances = reference.compact(fit.mixture.covariances, drawn.covariance_type).astype(float)
    assert_allclose(last.covariances, covariances, rtol=1e-10, atol=1e-12)


def test_order_of_components_does_not_matter(drawn):
    start = start_of(drawn)
    order = [2, 0, 1]
    covariances = start.covariances if drawn.covariance_type == "tied" else start.covariances[order]
    permuted = MixtureParameters.from_covariances(
        weights=start.weights[order],
        means=start.means[order],
        covariances=covariances,
        covariance_type=drawn.covariance_type,
    )
    here, there = run(drawn.rows, start)[-1], run(drawn.rows, permuted)[-1]
    assert_allclose(there.lower_bound, here.lower_bound, rtol=1e-12)
    assert_allclose(there.parameters.weights, here.parameters.weights[order], rtol=1e-10)
    assert_allclose(there.parameters.means, here.parameters.means[order], rtol=1e-9, atol=1e-12)


def test_order_of_rows_does_not_matter(drawn, generator):
    here = run(drawn.rows, start_of(drawn))[-1]
    there = run(generator.permutation(drawn.rows), start_of(drawn))[-1]
    assert_allclose(there.lower_bound, here.lower_bound, rtol=1e-12)
    assert_allclose(there.parameters.covariances, here.parameters.covariances, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shift", [1.0, 1e4, 1e8])
def test_a_shift_moves_the_means_alone(drawn, shift):
    rows = np.round(drawn.rows * 1024) / 1024  # so that adding the shift rounds nothing away
    start = start_of(drawn)
    means = np.round(start.means * 1024) / 1024
    arguments = {"weights": start.weights, "covariances": start.covariances, "covariance_type": drawn.covariance_type}
    here = run(rows, MixtureParameters.from_covariances(means=means, **arguments))[-1]
    there = run(rows + shift, MixtureParameters.from_covariances(means=means + shift, **arguments))[-1]
    assert_allclose(there.lower_bound, here.lower_bound, rtol=1e-8)
    assert_allclose(there.parameters.weights, here.parameters.weights, rtol=1e-6)
    assert_allclose(there.parameters.means - shift, here.parameters.means, atol=1e-6)
    assert_allclose(there.parameters.covariances, here.parameters.covariances, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
def test_a_scale_multiplies_means_and_covariances(drawn, scale):
    start = start_of(drawn)
    scaled = MixtureParameters.from_covariances(
        weights=start.weights,
        means=start.means * scale,
        covariances=start.covariances * scale**2,
        covariance_type=drawn.covariance_type,
    )
    here, there = run(drawn.rows, start)[-1], run(drawn.rows * scale, scaled)[-1]
    assert_allclose(there.lower_bound, here.lower_bound - 3 * math.log(scale), rtol=1e-12)
    assert_allclose(there.parameters.means / scale, here.parameters.means, rtol=1e-10)
    assert_allclose(there.parameters.covariances / scale**2, here.parameters.covariances, rtol=1e-10, atol=1e-13)


def test_full_covariances_of_independent_features_are_the_diagonal_ones():
    corners = np.array(np.meshgrid([-1.0, 1.0], [-2.0, 2.0])).reshape(2, 4).T  # uncorrelated by symmetry
    arguments = {"weights": [1.0], "means": [[0.5, 0.5]]}
    full = MixtureParameters.from_covariances(covariances=[np.eye(2)], covariance_type="full", **arguments)
    diag = MixtureParameters.from_covariances(covariances=[[1.0, 1.0]], covariance_type="diag", **arguments)
    expected = run(corners, diag)[-1].parameters.covariances[0]
    assert_allclose(run(corners, full)[-1].parameters.covariances[0], np.diag(expected), atol=1e-14)


def test_one_iteration_is_one_sweep():
    drawn = draw("full")
    sweeps = []

    def sweep(parameters):
        sweeps.append(parameters)
        return e_step(drawn.rows, None, parameters)

    states = expectation_maximization(start_of(drawn), sweep, reg_covar=0.0, tol=0.0, max_iter=5)
    assert sweeps == []
    first = next(states)
    assert len(sweeps) == 1
    next(states)
    assert sweeps[1] is first.parameters


def test_it_ends_after_max_iter_without_having_converged(drawn):
    states = run(drawn.rows, start_of(drawn), max_iter=3)
    assert [state.n_iter for state in states] == [1, 2, 3]
    assert not states[-1].converged


def test_a_bound_reached_before_can_end_it_at_once(drawn):
    states = run(drawn.rows, start_of(drawn), tol=1e-3, max_iter=200)
    again = run(drawn.rows, states[-1].parameters, tol=1e-3, max_iter=200, lower_bound=states[-1].lower_bound)
    assert states[0].change == math.inf
    assert states[-1].converged
    assert len(again) == 1
    assert again[0].converged


def test_an_iteration_that_reseeds_is_told_and_does_not_end_it():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    start = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=[[0.0, 0.0], [1e6, 1e6]], covariances=[1.0, 1.0], covariance_type="spherical"
    )
    states = run(rows, start, tol=math.inf, max_iter=10)
    assert states[0].reseeded == (1,)
    assert not states[0].converged
    assert len(states) == 2
    assert states[-1].parameters.weights.min() > 0.05
