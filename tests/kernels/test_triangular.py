from __future__ import annotations

import numpy as np
import pytest

from daskgmm.kernels import triangular
from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, lost_digits_ratio
from daskgmm.kernels.triangular import share_kept, tile_rows, triangular_moments
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import draw

TILE_ROWS = tile_rows(50)


def case(n_rows: int, *, n_features: int = 50, spread: float = 1.0) -> tuple[np.ndarray, MixtureParameters]:
    drawn = draw("full", n_rows=n_rows, n_features=n_features, n_components=4, spread=spread)
    return drawn.rows, MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type="full"
    )


def overlapping(n_rows: int, *, n_features: int = 50, spread: float = 0.1) -> tuple[np.ndarray, MixtureParameters]:
    """Rows of four clusters with variances near 1; `case` draws covariances far narrower in some directions."""
    generator = np.random.default_rng(2)
    mixing = generator.normal(scale=0.3 / np.sqrt(n_features), size=(4, n_features, n_features))
    factors = np.eye(n_features) + mixing
    means = generator.normal(scale=spread, size=(4, n_features))
    labels = generator.integers(4, size=n_rows)
    rows = means[labels] + np.einsum("nij,nj->ni", factors[labels], generator.normal(size=(n_rows, n_features)))
    return rows, MixtureParameters.from_covariances(
        weights=[0.4, 0.3, 0.2, 0.1],
        means=means,
        covariances=factors @ factors.transpose(0, 2, 1),
        covariance_type="full",
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [0, 1, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1])
def test_the_edges_of_tiles_change_nothing(n_rows, weighted, assert_close):
    rows, parameters = case(n_rows)
    weights = np.linspace(0.5, 2.0, n_rows) if weighted else None
    assert_close(triangular_moments(rows, weights, parameters), centred_moments(rows, weights, parameters), rtol=1e-12)


@pytest.mark.parametrize("n_features", [1, 7, 8, 9, 64])
@pytest.mark.parametrize("spread", [0.05, 0.5, 30.0])
def test_any_number_of_features_and_any_overlap_give_the_same(n_features, spread, assert_close):
    rows, parameters = case(600, n_features=n_features, spread=spread)
    assert_close(triangular_moments(rows, None, parameters), centred_moments(rows, None, parameters), rtol=1e-11)


def test_what_is_left_out_changes_nothing_that_float64_shows(monkeypatch, assert_close):
    rows, parameters = case(3 * TILE_ROWS, spread=0.6)
    moments = triangular_moments(rows, None, parameters)
    n_rows = count_rows(monkeypatch)
    assert triangular_moments(rows, None, parameters).log_likelihood == moments.log_likelihood
    assert n_rows() < 3 * 4 * TILE_ROWS / 2, "most responsibilities are small enough to leave out"
    monkeypatch.setattr(triangular, "SMALL_RESPONSIBILITY", 0.0)
    assert_close(moments, triangular_moments(rows, None, parameters), rtol=4e-15)


def test_a_component_with_small_responsibilities_alone_keeps_its_moments(assert_close):
    rows = np.random.default_rng(3).normal(size=(500, 4))
    far = MixtureParameters.from_covariances(
        weights=[1e-16, 0.5, 0.5 - 1e-16],
        means=[[0.5] * 4, [0.0] * 4, [0.1] * 4],
        covariances=np.stack([np.eye(4)] * 3),
        covariance_type="full",
    )
    moments, expected = triangular_moments(rows, None, far), centred_moments(rows, None, far)
    assert 0 < expected.counts[0] < 1e-13
    assert_close(moments, expected, rtol=1e-12)
    scale = np.abs(expected.second[0]).max()
    np.testing.assert_allclose(moments.second[0], expected.second[0], rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_features", [7, 48, 50])
def test_moments_about_one_centre_are_those_about_each_mean(n_features, weighted, monkeypatch, assert_close):
    rows, parameters = overlapping(TILE_ROWS + 100, n_features=n_features)
    weights = np.linspace(0.5, 2.0, len(rows)) if weighted else None
    expected = centred_moments(rows, weights, parameters)
    for most_kept, looks_at_all in ((0.0, True), (1.0, False)):
        monkeypatch.setattr(triangular, "MOST_KEPT", most_kept)
        with monkeypatch.context() as counting:
            n_rows = count_rows(counting)
            assert_close(triangular_moments(rows, weights, parameters), expected, rtol=1e-12)
            assert (n_rows() == 0) is looks_at_all


def test_one_centre_is_not_taken_where_it_loses_digits(monkeypatch, assert_close):
    monkeypatch.setattr(triangular, "MOST_KEPT", 0.0)
    for spread, about_each_mean in ((7.0, False), (30.0, True)):
        rows, parameters = overlapping(600, spread=spread)
        assert (lost_digits_ratio(parameters) > MOST_LOST_DIGITS) is about_each_mean
        with monkeypatch.context() as counting:
            n_rows = count_rows(counting)
            moments = triangular_moments(rows, None, parameters)
            assert (n_rows() > 0) is about_each_mean
        assert_close(moments, centred_moments(rows, None, parameters), rtol=1e-12)


def test_the_share_that_matters_tells_overlap():
    assert share_kept(*overlapping(100)) > 0.9
    rows, far = overlapping(100, spread=30.0)
    assert share_kept(rows, far) == 1 / 4
    assert share_kept(rows[:0], far) == 0.0


def count_rows(monkeypatch):
    """Count the rows that enter second moments from now on."""
    kept = []
    sqrt = np.sqrt

    class Counting:
        def __getattr__(self, name):
            return getattr(np, name)

        def sqrt(self, values):
            kept.append(len(values))
            return sqrt(values)

    monkeypatch.setattr(triangular, "np", Counting())
    return lambda: sum(kept)
