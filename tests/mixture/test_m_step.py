from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.errors import DegenerateMixtureError
from daskgmm.kernels.blas import e_step
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from tests import reference


def parameters_of(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


@pytest.fixture
def statistics(drawn):
    return e_step(drawn.rows, None, parameters_of(drawn))


def emptied(statistics, component):
    """The statistics as if no row had any responsibility for the component."""
    counts, first, second = statistics.counts.copy(), statistics.first.copy(), statistics.second.copy()
    counts[component], first[component] = 0.0, 0.0
    if statistics.covariance_type != "tied":
        second[component] = 0.0
    return replace(statistics, counts=counts, first=first, second=second)


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_update_is_the_references(drawn, reg_covar, weighted):
    sample_weight = np.linspace(0.1, 3.0, len(drawn.rows)) if weighted else None
    update = m_step(e_step(drawn.rows, sample_weight, parameters_of(drawn)), reg_covar=reg_covar)
    mixture = reference.mixture(drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
    gamma = reference.responsibilities(drawn.rows, mixture)
    expected = reference.m_step(drawn.rows, gamma, drawn.covariance_type, reg_covar, sample_weight)
    assert update.reseeded == ()
    assert_allclose(update.parameters.weights, expected.weights.astype(float), rtol=1e-13)
    assert_allclose(update.parameters.means, expected.means.astype(float), rtol=1e-12)
    covariances = reference.compact(expected.covariances, drawn.covariance_type).astype(float)
    assert_allclose(update.parameters.covariances, covariances, rtol=1e-11, atol=1e-14)


def test_reg_covar_is_added_to_the_diagonals(statistics, covariance_type):
    plain = m_step(statistics, reg_covar=0.0).parameters.covariances
    regularised = m_step(statistics, reg_covar=0.25).parameters.covariances
    on_diagonals = np.eye(3) if covariance_type in ("full", "tied") else 1.0
    assert_allclose(regularised - plain, np.broadcast_to(0.25 * on_diagonals, plain.shape), atol=1e-14)


def test_update_does_not_depend_on_where_moments_are_taken(statistics):
    here = m_step(statistics, reg_covar=1e-6).parameters
    there = m_step(statistics.about(statistics.reference + 3.0), reg_covar=1e-6).parameters
    assert_allclose(there.means, here.means, rtol=1e-12)
    assert_allclose(there.covariances, here.covariances, rtol=1e-11, atol=1e-13)


def test_an_empty_component_takes_half_of_the_heaviest(statistics):
    statistics = emptied(statistics, 1)
    update = m_step(statistics, reg_covar=1e-6)
    heaviest = int(np.argmax(statistics.counts))
    weights = update.parameters.weights
    assert update.reseeded == (1,)
    assert_allclose(weights.sum(), 1.0)
    assert weights[1] == weights[heaviest]
    middle = (update.parameters.means[1] + update.parameters.means[heaviest]) / 2
    expected = statistics.reference[heaviest] + statistics.first[heaviest] / statistics.counts[heaviest]
    assert_allclose(middle, expected, rtol=1e-12)


def test_two_empty_components_end_in_different_places(statistics):
    update = m_step(emptied(emptied(statistics, 0), 1), reg_covar=1e-6)
    means = update.parameters.means
    assert update.reseeded == (0, 1)
    assert min(np.abs(means[i] - means[j]).max() for i, j in [(0, 1), (0, 2), (1, 2)]) > 0.1


def test_a_component_on_a_single_point_is_reseeded_unless_regularised():
    rows = np.concatenate([np.random.default_rng(0).normal(size=(50, 2)), np.full((5, 2), 40.0)])
    parameters = MixtureParameters.from_covariances(
        weights=[0.9, 0.1], means=[[0.0, 0.0], [40.0, 40.0]], covariances=[1.0, 1e-2], covariance_type="spherical"
    )
    statistics = e_step(rows, None, parameters)
    assert m_step(statistics, reg_covar=0.0).reseeded == (1,)
    regularised = m_step(statistics, reg_covar=1e-6)
    assert regularised.reseeded == ()
    assert_allclose(regularised.parameters.covariances[1], 1e-6)


def test_rows_on_one_point_without_regularisation_are_degenerate(covariance_type):
    drawn_rows = np.full((20, 2), 3.0)
    covariances = {"full": [np.eye(2)] * 2, "tied": np.eye(2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}
    parameters = MixtureParameters.from_covariances(
        weights=[0.5, 0.5],
        means=[[3.0, 3.0], [3.0, 3.0]],
        covariances=covariances[covariance_type],
        covariance_type=covariance_type,
    )
    with pytest.raises(DegenerateMixtureError, match=r"raise reg_covar \(now 0\)"):
        m_step(e_step(drawn_rows, None, parameters), reg_covar=0.0)
