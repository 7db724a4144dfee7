from __future__ import annotations

import numpy as np
import pytest

from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.moments import Moments
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import tile_rows
from tests import reference
from tests.drawn import draw
from tests.mixture.test_statistics import compact_second


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
def test_clusters_far_apart_keep_their_digits(covariance_type, offset, weighted, assert_close):
    drawn = draw(covariance_type, n_rows=400)
    offsets = offset * np.array([[-1.0], [0.0], [1.0]])
    rows = np.concatenate([drawn.rows[:200] + offsets[0], drawn.rows[200:] + offsets[2]])
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights,
        means=drawn.means + offsets,
        covariances=drawn.covariances,
        covariance_type=covariance_type,
    )
    weights = np.linspace(0.5, 2.0, 400) if weighted else None
    assert_close(centred_moments(rows, weights, parameters), reference_moments(rows, weights, parameters), rtol=1e-12)


@pytest.mark.parametrize("n_rows", [0, 1, tile_rows(3, 3) + 1])
def test_tiles_may_be_empty_short_or_full(covariance_type, n_rows, assert_close):
    drawn = draw(covariance_type, n_rows=n_rows)
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=covariance_type
    )
    assert_close(
        centred_moments(drawn.rows, None, parameters), reference_moments(drawn.rows, None, parameters), rtol=1e-12
    )


def reference_moments(rows: np.ndarray, weights: np.ndarray | None, parameters: MixtureParameters) -> Moments:
    """The oracle's moments, as a record to compare with."""
    mixture = reference.mixture(
        parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type
    )
    counts, first, second = reference.moments(rows, mixture, parameters.means, weights)
    log_likelihood = reference.weigh(reference.log_density(rows, mixture), weights).sum()
    return Moments(
        float(log_likelihood),
        np.asarray(counts, dtype=float),
        np.asarray(first, dtype=float),
        np.asarray(compact_second(second, parameters.covariance_type), dtype=float),
    )
