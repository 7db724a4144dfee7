from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import DegenerateMixtureError, ParameterError
from daskgmm.mixture.parameters import MixtureParameters
from tests import reference

TWO = {
    "weights": [0.25, 0.75],
    "means": [[0.0, 1.0], [2.0, 3.0]],
    "covariances": [[[1.0, 0.5], [0.5, 2.0]], [[1.0, 0.0], [0.0, 1.0]]],
    "covariance_type": "full",
}
SHAPES = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,)}


def parameters_of(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


def test_precisions_are_the_inverse_covariances(drawn):
    parameters = parameters_of(drawn)
    assert_allclose(parameters.precisions, drawn.precisions, rtol=1e-12, atol=1e-14)
    matrices = reference.matrices(parameters.precisions, drawn.covariance_type, 3, 3)
    covariances = reference.matrices(drawn.covariances, drawn.covariance_type, 3, 3)
    assert_allclose(matrices @ covariances, np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-13)


def test_covariances_and_precisions_lead_to_the_same_parameters(drawn):
    there = parameters_of(drawn)
    back = MixtureParameters.from_precisions(
        weights=drawn.weights, means=drawn.means, precisions=there.precisions, covariance_type=drawn.covariance_type
    )
    assert_allclose(back.covariances, drawn.covariances, rtol=1e-12, atol=1e-14)
    assert_allclose(back.precisions_cholesky, there.precisions_cholesky, rtol=1e-12, atol=1e-14)


def test_sizes_are_those_of_the_means():
    parameters = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=np.zeros((2, 5)), covariances=[1.0, 2.0], covariance_type="spherical"
    )
    assert (parameters.n_components, parameters.n_features) == (2, 5)


def test_arrays_are_private_read_only_float64_copies():
    means = np.array([[0, 1], [2, 3]])
    parameters = MixtureParameters.from_covariances(**{**TWO, "means": means})
    means[:] = 9
    assert_array_equal(parameters.means, TWO["means"])
    for name in ("weights", "means", "covariances", "precisions_cholesky"):
        array = getattr(parameters, name)
        assert array.dtype == np.float64
        assert not array.flags.writeable


def test_fields_cannot_be_replaced():
    parameters = MixtureParameters.from_covariances(**TWO)
    with pytest.raises(AttributeError):
        parameters.weights = np.array([1.0])


def test_pickle_keeps_every_bit():
    parameters = MixtureParameters.from_covariances(**TWO)
    copy = pickle.loads(pickle.dumps(parameters))
    for name in ("weights", "means", "covariances", "precisions_cholesky"):
        assert_array_equal(getattr(copy, name), getattr(parameters, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariance_type": "round"}, "expected one of full, tied, diag, spherical; got 'round'"),
        ({"weights": [0.25, 0.65]}, "weights: expected a sum of 1"),
        ({"weights": [-0.25, 1.25]}, r"weights: expected values in \[0, 1\]"),
        ({"weights": [np.nan, 0.5]}, "weights: expected finite numbers"),
        ({"weights": [[0.25, 0.75]]}, r"weights: expected shape \(n,\); got shape \(1, 2\)"),
        ({"weights": []}, "weights: expected shape"),
        ({"means": [[0.0, 1.0]]}, r"means: expected shape \(2, n\); got shape \(1, 2\)"),
        ({"means": [0.0, 1.0]}, "means: expected shape"),
        ({"means": [[0.0, np.inf], [2.0, 3.0]]}, "means: expected finite numbers"),
        ({"means": [[0.0], [2.0, 3.0]]}, "means: expected an array of real numbers"),
        ({"means": np.zeros((2, 0))}, "means: expected shape"),
        ({"covariances": [1.0, 2.0]}, r"covariances: expected shape \(2, 2, 2\); got shape \(2,\)"),
        ({"covariances": [[[1.0, 0.5], [0.4, 2.0]], np.eye(2)]}, "covariances: expected symmetric matrices"),
        ({"covariances": [[[1.0, np.nan], [np.nan, 2.0]], np.eye(2)]}, "covariances: expected finite numbers"),
    ],
)
def test_wrong_values_are_named(change, message):
    with pytest.raises(ParameterError, match=message):
        MixtureParameters.from_covariances(**{**TWO, **change})


def not_definite(covariance_type: str) -> np.ndarray:
    matrices = np.broadcast_to(np.eye(2), (3, 2, 2)).copy()
    matrices[1] = [[1.0, 2.0], [2.0, 1.0]]
    by_type = {
        "full": matrices,
        "tied": matrices[1],
        "diag": np.array([[1, 1], [1, 0], [1, 1]]),
        "spherical": [1, -1, 1],
    }
    return np.array(by_type[covariance_type], dtype=float)


def test_covariances_that_are_not_positive_definite_are_degenerate(covariance_type):
    component = 0 if covariance_type == "tied" else 1
    with pytest.raises(DegenerateMixtureError, match=f"that of component {component} is not"):
        MixtureParameters.from_covariances(
            weights=[0.2, 0.3, 0.5],
            means=np.zeros((3, 2)),
            covariances=not_definite(covariance_type),
            covariance_type=covariance_type,
        )


def test_precisions_that_are_not_positive_definite_are_a_parameter_error(covariance_type):
    with pytest.raises(ParameterError, match="precisions: expected positive definite"):
        MixtureParameters.from_precisions(
            weights=[0.2, 0.3, 0.5],
            means=np.zeros((3, 2)),
            precisions=not_definite(covariance_type),
            covariance_type=covariance_type,
        )


@pytest.mark.parametrize("name", ["covariances", "precisions_cholesky"])
def test_shapes_are_checked_for_every_type(covariance_type, name):
    shape = SHAPES[covariance_type]
    arrays = {"covariances": np.ones(shape), "precisions_cholesky": np.ones(shape), name: np.ones((*shape, 1))}
    with pytest.raises(ParameterError, match=f"{name}: expected shape"):
        MixtureParameters(covariance_type=covariance_type, weights=[0.2, 0.3, 0.5], means=np.zeros((3, 2)), **arrays)


def test_factor_with_a_diagonal_that_is_not_positive_is_refused(covariance_type):
    factors = (
        np.broadcast_to(np.eye(2), SHAPES[covariance_type]).copy() if covariance_type in ("full", "tied") else None
    )
    factors = np.ones(SHAPES[covariance_type]) if factors is None else factors
    factors.flat[-1] = 0.0
    with pytest.raises(ParameterError, match="precisions_cholesky: expected positive diagonals"):
        MixtureParameters(
            covariance_type=covariance_type,
            weights=[0.2, 0.3, 0.5],
            means=np.zeros((3, 2)),
            covariances=np.ones(SHAPES[covariance_type]),
            precisions_cholesky=factors,
        )
