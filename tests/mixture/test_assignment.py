from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.mixture.assignment import assigned_statistics
from daskgmm.mixture.m_step import m_step
from tests import reference


@pytest.fixture
def assigned(generator):
    return generator.dirichlet([1.0, 1.0, 1.0], size=300)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_m_step_of_given_responsibilities_is_the_references(drawn, assigned, weighted, shift):
    weights = np.linspace(0.0, 2.0, 300) if weighted else None
    rows = drawn.rows + shift
    update = m_step(assigned_statistics(rows, weights, assigned, drawn.covariance_type), reg_covar=1e-6)
    expected = reference.m_step(rows, assigned, drawn.covariance_type, 1e-6, weights)
    covariances = reference.compact(expected.covariances, drawn.covariance_type).astype(float)
    assert_allclose(update.parameters.weights, expected.weights.astype(float), rtol=1e-13)
    assert_allclose(update.parameters.means, expected.means.astype(float), rtol=1e-12)
    assert_allclose(update.parameters.covariances, covariances, rtol=1e-11, atol=1e-13)


def test_a_component_without_rows_has_no_moments(drawn, assigned):
    assigned = assigned.copy()
    assigned[:, 1] = 0.0
    statistics = assigned_statistics(drawn.rows, None, assigned, drawn.covariance_type)
    assert statistics.counts[1] == 0.0
    assert_array_equal(statistics.first[1], np.zeros(3))
    assert m_step(statistics, reg_covar=1e-6).reseeded == (1,)


def test_rows_of_zeros_belong_to_no_component(drawn, assigned):
    left_out = assigned.copy()
    left_out[200:] = 0.0
    statistics = assigned_statistics(drawn.rows, None, left_out, drawn.covariance_type)
    expected = assigned_statistics(drawn.rows[:200], None, assigned[:200], drawn.covariance_type)
    assert_allclose(statistics.weight, 200.0)
    assert_allclose(statistics.reference, expected.reference, rtol=1e-12, atol=1e-14)
    assert_allclose(statistics.second, expected.second, rtol=1e-11, atol=1e-12)
