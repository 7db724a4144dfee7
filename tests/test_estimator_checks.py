"""scikit-learn's own checks of an estimator."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskgmm import GaussianMixture

ESTIMATORS = [
    GaussianMixture(),
    GaussianMixture(2, covariance_type="diag", init_size=20),
    GaussianMixture(2, covariance_type="tied", acceleration=None, init_size=None, init_params="random"),
    GaussianMixture(1, covariance_type="spherical", init_params="k-means++"),
]


def expected_failures(estimator) -> dict[str, str]:
    if estimator.n_components == 1:
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": (
            "Starts draw rows at random, and other rows when a row is repeated instead of weighted. From one given "
            "start both lead to the same mixture: test_estimator.py, test_a_row_of_weight_two_is_that_row_twice."
        )
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_the_estimator_follows_scikit_learns_conventions(estimator, check):
    check(estimator)
