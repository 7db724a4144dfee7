from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskgmm.kernels.blas import e_step
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.stepwise import implied_statistics, step_size, stepwise_update
from tests import reference
from tests.drawn import Drawn, draw

REG_COVAR = 1e-3


def start_of(drawn: Drawn) -> MixtureParameters:
    start = {name.removesuffix("_init"): value for name, value in drawn.start.items()}
    return MixtureParameters.from_precisions(**start, covariance_type=drawn.covariance_type)


def stream(rows, mixture, *, block_rows, weights=None, weight_seen=0.0) -> MixtureParameters:
    for begin in range(0, len(rows), block_rows):
        part = slice(begin, begin + block_rows)
        block = e_step(rows[part], None if weights is None else weights[part], mixture)
        mixture = stepwise_update(mixture, block, weight_seen=weight_seen, reg_covar=REG_COVAR).parameters
        weight_seen += block.weight
    return mixture


def assert_same(one: MixtureParameters, other: MixtureParameters, *, rtol: float) -> None:
    assert_allclose(one.weights, other.weights, rtol=rtol)
    assert_allclose(one.means, other.means, rtol=rtol, atol=rtol)
    assert_allclose(one.covariances, other.covariances, rtol=rtol, atol=rtol)


def test_a_first_block_is_an_iteration_of_em(drawn):
    start = start_of(drawn)
    found = stream(drawn.rows, start, block_rows=len(drawn.rows))
    mixture = reference.mixture(start.weights, start.means, start.covariances, drawn.covariance_type)
    fit = reference.em(drawn.rows, mixture, drawn.covariance_type, tol=0.0, reg_covar=REG_COVAR, max_iter=1)
    assert_allclose(found.weights, fit.mixture.weights.astype(float), rtol=1e-11)
    assert_allclose(found.means, fit.mixture.means.astype(float), rtol=1e-10)


def test_a_step_is_the_m_step_of_blended_moments(drawn):
    """From the definition: moments about the origin, summed over two blocks with their responsibilities."""
    start = start_of(drawn)
    early, late = drawn.rows[:200], drawn.rows[200:]
    after = stream(early, start, block_rows=200)
    found = stream(late, after, block_rows=100, weight_seen=200.0)
    gamma = 1 - (200 / 300) ** 2
    for component in range(len(start.weights)):
        mass, total = 0.0, np.zeros(early.shape[1])
        for rows, mixture, share in ((early, start, 1 - gamma), (late, after, gamma)):
            known = reference.mixture(mixture.weights, mixture.means, mixture.covariances, drawn.covariance_type)
            owned = reference.responsibilities(rows, known)[:, component].astype(float)
            mass += share * owned.mean()
            total += share * (owned @ rows) / len(rows)
        assert found.weights[component] == pytest.approx(mass, rel=1e-10)
        assert_allclose(found.means[component], total / mass, rtol=1e-9)


def test_the_m_step_of_what_a_mixture_implies_is_that_mixture(drawn):
    mixture = start_of(drawn)
    again = m_step(implied_statistics(mixture, reg_covar=REG_COVAR), reg_covar=REG_COVAR)
    assert again.reseeded == ()
    assert_same(again.parameters, mixture, rtol=1e-12)


@given(st.floats(0.0, 1e9), st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
def test_two_blocks_take_the_part_of_one(seen, first, second):
    left = (1 - step_size(seen, first)) * (1 - step_size(seen + first, second))
    assert 1 - left == pytest.approx(step_size(seen, first + second), rel=1e-6, abs=1e-12)


def test_the_first_block_is_all_there_is_and_later_ones_are_ever_less():
    sizes = [step_size(seen, 1.0) for seen in range(10_000)]
    assert sizes[0] == 1.0
    assert all(0 < after < before for before, after in itertools.pairwise(sizes))
    assert sizes[-1] == pytest.approx(2 / 10_000, rel=1e-3)


def test_a_row_of_weight_two_is_that_row_twice(drawn):
    start = start_of(drawn)
    weighted = stream(drawn.rows, start, block_rows=100, weights=np.full(300, 2.0))
    repeated = stream(np.repeat(drawn.rows, 2, axis=0), start, block_rows=200)
    assert_same(weighted, repeated, rtol=1e-9)


def test_the_unit_of_weight_does_not_matter(drawn):
    start = start_of(drawn)
    one = stream(drawn.rows, start, block_rows=50)
    other = stream(drawn.rows, start, block_rows=50, weights=np.full(300, 1e6))
    assert_same(one, other, rtol=1e-9)


def test_the_place_of_the_origin_does_not_matter(drawn):
    start = start_of(drawn)
    there = MixtureParameters.from_covariances(
        weights=start.weights,
        means=start.means + 1e6,
        covariances=start.covariances,
        covariance_type=drawn.covariance_type,
    )
    here, moved = stream(drawn.rows, start, block_rows=30), stream(drawn.rows + 1e6, there, block_rows=30)
    assert_allclose(moved.means - 1e6, here.means, atol=1e-7)
    assert_allclose(moved.covariances, here.covariances, rtol=1e-6, atol=1e-7)


def test_a_component_that_collapses_is_placed_anew():
    mixture = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=[[0.0], [100.0]], covariances=[[[1.0]], [[1.0]]], covariance_type="full"
    )
    rows = np.concatenate([np.random.default_rng(0).normal(size=(50, 1)), np.full((50, 1), 100.0)])
    update = stepwise_update(mixture, e_step(rows, None, mixture), weight_seen=0.0, reg_covar=0.0)
    assert update.reseeded == (1,)
    assert np.abs(update.parameters.means).max() < 5


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_one_pass_ends_close_to_the_optimum_of_all_rows(covariance_type):
    drawn = draw(covariance_type, n_rows=30_000, spread=2.0, seed=3)
    start = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=covariance_type
    )
    early = stream(drawn.rows[:2000], start, block_rows=2000)
    found = stream(drawn.rows[2000:], early, block_rows=500, weight_seen=2000.0)
    sweep, best = partial(e_step, drawn.rows, None), start
    for _ in range(30):
        best = m_step(sweep(best), reg_covar=REG_COVAR).parameters
    gap = sweep(best).lower_bound - sweep(found).lower_bound
    assert gap < 2 * best.n_free / (2 * len(drawn.rows))  # twice what is expected of as many new rows
    assert gap < sweep(best).lower_bound - sweep(early).lower_bound
