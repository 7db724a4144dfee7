from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.kernels.features import FEWEST_FEATURES, TileFeatures
from daskgmm.kernels.quadratic_form import QuadraticForm
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import draw


def form_and_rows(covariance_type: str, n_features: int) -> tuple[QuadraticForm, np.ndarray]:
    drawn = draw(covariance_type, n_rows=50, n_features=n_features)
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=covariance_type
    )
    return QuadraticForm.of(parameters), drawn.rows


@pytest.mark.parametrize("n_features", [1, 2, 3, FEWEST_FEATURES - 1, FEWEST_FEATURES, FEWEST_FEATURES + 1, 20])
def test_the_features_are_those_of_the_form_in_another_order(covariance_type, n_features):
    form, rows = form_and_rows(covariance_type, n_features)
    features = TileFeatures.of(form, len(rows), np.float64)
    phi, x = features.fill(rows)
    centred = (rows - form.centre).T
    quadratic = np.empty((form.n_quadratic, len(rows)))
    form.structure.quadratic_features(centred, out=quadratic)
    expected = np.concatenate([quadratic, centred, np.ones((1, len(rows)))])
    assert_array_equal(np.sort(features.order), np.arange(len(expected)))
    assert_allclose(phi, expected[features.order], rtol=1e-15)
    assert_array_equal(x, centred)


def test_a_shorter_tile_uses_the_same_memory():
    form, rows = form_and_rows("full", 12)
    features = TileFeatures.of(form, len(rows), np.float64)
    whole = features.fill(rows)[0].copy()
    assert_array_equal(features.fill(rows[:7])[0], whole[:, :7])


def test_float32_features_of_rows_far_away_are_rounded_once():
    form, rows = form_and_rows("full", 12)
    phi, x = TileFeatures.of(form, len(rows), np.float32).fill(rows)
    assert phi.dtype == x.dtype == np.float32
    assert_array_equal(x, (rows - form.centre).T.astype(np.float32))
