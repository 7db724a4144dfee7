from __future__ import annotations

from numpy.testing import assert_allclose
from sklearn.mixture import GaussianMixture

from daskgmm.kernels.likelihood import log_likelihood
from daskgmm.mixture.criteria import akaike_information_criterion, bayesian_information_criterion
from daskgmm.mixture.parameters import MixtureParameters


def test_criteria_are_scikit_learns(drawn):
    model = GaussianMixture(3, covariance_type=drawn.covariance_type, random_state=0).fit(drawn.rows)
    parameters = MixtureParameters.from_covariances(
        weights=model.weights_,
        means=model.means_,
        covariances=model.covariances_,
        covariance_type=drawn.covariance_type,
    )
    score = log_likelihood(drawn.rows, None, parameters)
    assert_allclose(bayesian_information_criterion(score, parameters), model.bic(drawn.rows), rtol=1e-12)
    assert_allclose(akaike_information_criterion(score, parameters), model.aic(drawn.rows), rtol=1e-12)
