from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance import COVARIANCE_TYPES, covariance_structure
from tests import reference
from tests.mixture.test_statistics import compact_second


@pytest.fixture
def structure(covariance_type):
    return covariance_structure(covariance_type)


@pytest.fixture
def moments(generator):
    """Responsibilities (3, 40) and rows minus each of three points, (3, 3, 40)."""
    responsibilities = generator.dirichlet([1.0, 1.0, 1.0], size=40).T.copy()
    return responsibilities, generator.normal(size=(3, 3, 40))


def second_of(structure, responsibilities, centred):
    return structure.second_moment(centred, centred * responsibilities[:, None, :])


def test_the_four_types_are_known_by_name():
    assert set(COVARIANCE_TYPES) == {"full", "tied", "diag", "spherical"}
    assert all(covariance_structure(name).name == name for name in COVARIANCE_TYPES)


@pytest.mark.parametrize("name", ["FULL", "", None, ["full"]])
def test_an_unknown_type_is_named(name):
    with pytest.raises(ParameterError, match="expected one of full, tied, diag, spherical; got"):
        covariance_structure(name)


def test_shape_and_number_of_parameters_are_scikit_learns(structure, drawn):
    model = GaussianMixture(3, covariance_type=structure.name, random_state=0).fit(drawn.rows)
    assert structure.shape(3, 3) == model.covariances_.shape
    assert structure.n_parameters(3, 3) + 3 * 3 + 3 - 1 == model._n_parameters()


def test_factors_are_scikit_learns(structure, drawn):
    expected = _compute_precision_cholesky(drawn.covariances, structure.name)
    assert_allclose(structure.precisions_cholesky(drawn.covariances, 3)[0], expected, rtol=1e-12, atol=1e-14)


def test_factors_of_covariances_and_of_their_precisions_agree(structure, drawn):
    expected, _ = structure.precisions_cholesky(drawn.covariances, 3)
    assert_allclose(structure.factor_precisions(drawn.precisions), expected, rtol=1e-12, atol=1e-14)


def test_covariances_come_back_from_their_factors(structure, drawn):
    factors, _ = structure.precisions_cholesky(drawn.covariances, 3)
    assert_allclose(structure.covariances(factors), drawn.covariances, rtol=1e-12, atol=1e-14)
    assert_allclose(structure.precisions(factors), drawn.precisions, rtol=1e-12, atol=1e-14)


def test_positive_definiteness_is_told_per_component(structure, drawn):
    assert structure.precisions_cholesky(drawn.covariances, 3)[1].tolist() == [True, True, True]
    spoilt = drawn.covariances.copy()
    spoilt[1] = -spoilt[1]
    expected = [False, False, False] if structure.name == "tied" else [True, False, True]
    factors, sound = structure.precisions_cholesky(spoilt, 3)
    assert sound.tolist() == expected
    own = np.broadcast_to(factors, (3, *factors.shape)) if structure.name == "tied" else factors
    assert [bool(np.isfinite(one).all()) for one in own] == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_positive_definite(structure, drawn, value):
    whole = np.full_like(drawn.covariances, value)
    assert not structure.precisions_cholesky(whole, 3)[1].any()
    for place in np.ndindex(drawn.covariances.shape):
        spoilt = drawn.covariances.copy()
        spoilt[place] = value
        if structure.has_matrices:
            spoilt[(*place[:-2], *place[:-3:-1])] = value
        component = slice(None) if structure.name == "tied" else place[0]
        assert not np.any(structure.precisions_cholesky(spoilt, 3)[1][component])


def test_whitened_length_and_determinant_give_the_density(structure, drawn):
    factors, _ = structure.precisions_cholesky(drawn.covariances, 3)
    centred = np.ascontiguousarray(drawn.rows.T) - drawn.means[:, :, None]
    distance = (structure.whiten(centred, factors, out=np.empty_like(centred)) ** 2).sum(axis=1)
    log_determinants = np.broadcast_to(structure.log_determinants(factors, 3), 3)
    log_prob = log_determinants[:, None] - distance / 2 - 1.5 * np.log(2 * np.pi)
    matrices = reference.matrices(drawn.covariances, structure.name, 3, 3)
    for k in range(3):
        expected = reference.log_normal(drawn.rows.astype(np.longdouble), drawn.means[k], matrices[k])
        assert_allclose(log_prob[k], expected.astype(float), rtol=1e-12)


def test_whitening_leaves_its_argument_alone(structure, drawn):
    centred = np.ascontiguousarray(drawn.rows.T) - drawn.means[:, :, None]
    before = centred.copy()
    structure.whiten(centred, structure.precisions_cholesky(drawn.covariances, 3)[0], out=np.empty_like(centred))
    assert (centred == before).all()


def test_second_moments_are_sums_of_outer_products(structure, moments):
    responsibilities, centred = moments
    outer = np.einsum("kn,kin,kjn->kij", responsibilities, centred, centred)
    assert_allclose(second_of(structure, *moments), compact_second(outer, structure.name), rtol=1e-13, atol=1e-13)


def test_translated_moments_are_those_of_moved_rows(structure, moments, generator):
    responsibilities, centred = moments
    shift = generator.normal(size=(3, 3))
    first = (responsibilities[:, None, :] * centred).sum(axis=2)
    moved = structure.translate(second_of(structure, *moments), first, responsibilities.sum(axis=1), shift)
    assert_allclose(moved, second_of(structure, responsibilities, centred + shift[:, :, None]), rtol=1e-12, atol=1e-12)


def test_estimate_is_the_restricted_weighted_covariance(structure, moments):
    responsibilities, _ = moments
    rows = np.linspace(-1, 1, 120).reshape(40, 3) ** 3 + np.sin(np.arange(120.0)).reshape(40, 3)
    centred = np.broadcast_to(rows.T, (3, 3, 40)).copy()
    estimate = structure.estimate(
        second_of(structure, responsibilities, centred),
        (responsibilities[:, None, :] * centred).sum(axis=2),
        responsibilities.sum(axis=1),
        0.01,
    )
    expected = reference.m_step(rows, responsibilities.T, structure.name, 0.01)
    assert_allclose(estimate, reference.compact(expected.covariances, structure.name).astype(float), rtol=1e-12)


def test_two_halves_have_the_moments_of_the_whole(structure, drawn):
    halves, offset = structure.split(drawn.covariances, 1, 2, 3)
    if structure.name == "tied":  # the shared matrix belongs to the others too, only the means part
        assert_allclose(halves, drawn.covariances)
        assert_allclose(offset @ drawn.precisions @ offset, 2 / np.pi)
        return
    before = reference.matrices(drawn.covariances, structure.name, 3, 3)
    after = reference.matrices(halves, structure.name, 3, 3)
    assert_allclose(after[1], after[2])
    assert_allclose(after[0], before[0])
    whole = (after[1] + np.outer(offset, offset)).astype(float)
    if structure.name == "spherical":
        assert_allclose(np.trace(whole), np.trace(before[1]).astype(float))
    else:
        assert_allclose(whole, before[1].astype(float), atol=1e-14)
    assert structure.precisions_cholesky(halves, 3)[1].all()
