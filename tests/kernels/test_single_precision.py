from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.kernels import blas
from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.single_precision import (
    MOST_FEATURE_TERMS,
    MOST_WHITENED_TERMS,
    deviations_fit_float32,
    feature_terms,
    features_fit_float32,
    whitened_terms,
)
from daskgmm.mixture.parameters import MixtureParameters

BOUND = 1e-5


def mixture(covariance_type, *, n_features=1, means=(0.0,), variance=1.0, correlation=0.0) -> MixtureParameters:
    """Components with means along the first feature, and features of one variance that are all as correlated."""
    matrix = variance * (correlation + (1 - correlation) * np.eye(n_features))
    places = np.zeros((len(means), n_features))
    places[:, 0] = means
    covariances = {
        "full": [matrix] * len(means),
        "tied": matrix,
        "diag": [np.diagonal(matrix)] * len(means),
        "spherical": [variance] * len(means),
    }
    return MixtureParameters.from_covariances(
        weights=np.full(len(means), 1 / len(means)),
        means=places,
        covariances=np.array(covariances[covariance_type]),
        covariance_type=covariance_type,
    )


def drawn_mixture(generator, covariance_type, *, n_features, n_components, spread, condition):
    """A mixture far from the origin whose covariances have condition numbers up to `condition`, and float32 rows."""
    shape = (n_components, n_features)
    axes = np.linalg.qr(generator.normal(size=(*shape, n_features)))[0]
    matrices = axes * (condition ** -generator.random(shape))[:, None] @ axes.transpose(0, 2, 1)
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    covariances = {"full": matrices, "tied": matrices[0], "diag": variances, "spherical": variances.mean(axis=1)}
    parameters = MixtureParameters.from_covariances(
        weights=generator.dirichlet(np.full(n_components, 2.0)),
        means=100 + spread * np.sqrt(variances.mean()) * generator.normal(size=shape),
        covariances=covariances[covariance_type].copy(),
        covariance_type=covariance_type,
    )
    labels = generator.choice(n_components, p=parameters.weights, size=4000)
    noise = np.einsum("nde,ne->nd", np.linalg.cholesky(matrices)[labels], generator.normal(size=(4000, n_features)))
    return parameters, (parameters.means[labels] + noise).astype(np.float32)


def assert_within_bound(actual, rows, parameters) -> None:
    expected = centred_moments(rows.astype(np.float64), None, parameters)
    mean = expected.log_likelihood / len(rows)
    assert_allclose(actual.log_likelihood / len(rows), mean, rtol=BOUND, atol=BOUND)
    for name, unit in (("counts", 1.0), ("second", 1.0), ("first", np.sqrt(parameters.covariances.max()))):
        value = getattr(expected, name)
        largest = unit * expected.counts.max() if name == "first" else np.abs(value).max()
        assert_allclose(getattr(actual, name), value, rtol=0, atol=BOUND * largest, err_msg=name)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("condition", [1.0, 100.0])
@pytest.mark.parametrize("spread", [0.3, 3.0, 10.0])
def test_what_fits_is_within_the_stated_bound(covariance_type, seed, spread, condition):
    pytest.importorskip("numba")
    from daskgmm.kernels.fused.formulations import centred_moments as fused_centred_moments
    from daskgmm.kernels.fused.formulations import product_moments
    from daskgmm.kernels.fused.number_formats import FLOAT32

    generator = np.random.default_rng([seed, int(10 * spread), int(condition)])
    parameters, rows = drawn_mixture(
        generator,
        covariance_type,
        n_features=int(generator.choice([1, 2, 5, 8])),
        n_components=int(generator.choice([1, 2, 6])),
        spread=spread,
        condition=condition,
    )
    slabs = [(rows, np.empty(0))]
    if features_fit_float32(parameters):
        assert_within_bound(product_moments(slabs, parameters, number_format=FLOAT32), rows, parameters)
        assert_within_bound(blas.e_step(rows, None, parameters), rows, parameters)
    if deviations_fit_float32(parameters):
        assert_within_bound(fused_centred_moments(slabs, parameters, number_format=FLOAT32), rows, parameters)


def test_beyond_the_bound_digits_are_lost():
    pytest.importorskip("numba")
    from daskgmm.kernels.fused.formulations import product_moments
    from daskgmm.kernels.fused.number_formats import FLOAT32

    parameters = mixture("full", means=[-100.0, 100.0])
    rows = np.random.default_rng(0).normal(scale=1.0, size=(4000, 1)) + np.repeat([[-100.0], [100.0]], 2000, axis=0)
    moments = product_moments([(rows.astype("f4"), np.empty(0))], parameters, number_format=FLOAT32)
    assert not features_fit_float32(parameters)
    with pytest.raises(AssertionError):
        assert_within_bound(moments, rows.astype("f4"), parameters)


def test_feature_terms_are_the_terms_of_the_log_density(covariance_type):
    # x^2 / 2 for each feature at one standard deviation, unless all components share it
    at_origin = feature_terms(mixture(covariance_type, n_features=3))
    assert at_origin == pytest.approx(0.0 if covariance_type == "tied" else 1.5)
    # with means 4 off the centre: (16 + 1) / 2 more for the square and 4 sqrt(16 + 1) for the linear term
    apart = feature_terms(mixture(covariance_type, means=[-4.0, 4.0]))
    assert apart == pytest.approx((0.0 if covariance_type == "tied" else 17 / 2) + 4 * np.sqrt(17))


def test_whitened_terms_are_those_of_a_row_at_one_standard_deviation(covariance_type):
    assert whitened_terms(mixture(covariance_type, n_features=9)) == pytest.approx(3.0)
    assert whitened_terms(mixture(covariance_type, means=[-4.0, 4.0], variance=4.0)) == pytest.approx((4 + 2) / 2)


@pytest.mark.parametrize("terms", [feature_terms, whitened_terms])
def test_terms_do_not_depend_on_the_origin_or_the_unit_and_grow_with_correlation(terms):
    plain = terms(mixture("full", n_features=4, means=[0.0, 3.0], correlation=0.5))
    assert terms(mixture("full", n_features=4, means=[2e4, 2e4 + 3], correlation=0.5)) == pytest.approx(plain)
    scaled = mixture("full", n_features=4, means=[0.0, 3e3], variance=1e6, correlation=0.5)
    assert terms(scaled) == pytest.approx(plain)
    assert terms(mixture("full", n_features=4, means=[0.0, 3.0], correlation=0.999)) > 10 * plain


def test_what_fits_is_what_is_within_the_limits(covariance_type):
    for distance in (1.0, 10.0, 100.0, 1000.0):
        parameters = mixture(covariance_type, means=[-distance, distance])
        assert features_fit_float32(parameters) == (feature_terms(parameters) <= MOST_FEATURE_TERMS)
        assert deviations_fit_float32(parameters) == (whitened_terms(parameters) <= MOST_WHITENED_TERMS)
    assert not features_fit_float32(parameters)
    assert not deviations_fit_float32(parameters)
