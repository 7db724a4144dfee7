from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.errors import InputDataError, RowError
from daskgmm.kernels.likelihood import log_likelihood
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.score import LogLikelihood
from tests import reference


@pytest.fixture
def parameters(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_mean_is_the_references(parameters, drawn, weighted):
    weights = np.linspace(0.0, 2.0, len(drawn.rows)) if weighted else None
    mixture = reference.mixture(drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
    score = log_likelihood(drawn.rows, weights, parameters)
    assert score.n_samples == len(drawn.rows)
    assert_allclose(score.mean, float(reference.lower_bound(drawn.rows, mixture, weights)), rtol=1e-13)


def test_blocks_merge_to_the_whole(parameters, drawn):
    whole = log_likelihood(drawn.rows, None, parameters)
    merged = log_likelihood(drawn.rows[:70], None, parameters).merge(log_likelihood(drawn.rows[70:], None, parameters))
    assert (merged.n_samples, merged.weight) == (whole.n_samples, whole.weight)
    assert_allclose(merged.total, whole.total, rtol=1e-13)


def test_no_rows_are_neutral(parameters):
    assert log_likelihood(np.empty((0, 3)), None, parameters) == LogLikelihood(0, 0.0, 0.0)


def test_rows_of_weight_zero_are_not_looked_at(parameters, drawn):
    rows, weights = drawn.rows.copy(), np.ones(len(drawn.rows))
    rows[:5], weights[:5] = np.nan, 0.0
    score = log_likelihood(rows, weights, parameters)
    assert_allclose(score.total, log_likelihood(drawn.rows[5:], None, parameters).total, rtol=1e-13)
    assert score.weight == len(rows) - 5


def test_a_bad_row_is_named_by_its_place_among_all_rows(parameters, drawn):
    rows, weights = drawn.rows.copy(), np.ones(len(drawn.rows))
    weights[:5], rows[9] = 0.0, np.nan
    with pytest.raises(RowError) as caught:
        log_likelihood(rows, weights, parameters)
    assert caught.value.row == 9


def test_wrong_weights_are_refused(parameters, drawn):
    with pytest.raises(InputDataError, match="sample_weight: expected shape"):
        log_likelihood(drawn.rows, np.ones(4), parameters)
    with pytest.raises(RowError, match="sample_weight is -1"):
        log_likelihood(drawn.rows, np.full(len(drawn.rows), -1.0), parameters)
