"""The three blobs, against SciPy's densities, the covariances of what is drawn, and scikit-learn."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.examples.scripts import script

example = script("three_blobs")


def test_points_are_drawn_with_the_blobs_covariances(monkeypatch):
    # Not round ones, so that a factor used the wrong way round, or a covariance used as a deviation, would show.
    covariances = np.array([[[4.0, 1.5], [1.5, 1.0]], [[1.0, -0.5], [-0.5, 2.0]], [[0.2, 0.0], [0.0, 0.2]]])
    monkeypatch.setattr(example, "COVARIANCES", covariances)
    monkeypatch.setattr(example, "MEANS", 100 * example.MEANS)
    drawn = example.draw_points(np.random.default_rng(2), 60_000)
    nearest = np.linalg.norm(drawn[:, None] - example.MEANS, axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(nearest) / len(drawn), example.SHARES, atol=0.01)
    for blob, covariance in enumerate(covariances):
        # A variance of 4 seen in 15,000 points is off by 0.05.
        np.testing.assert_allclose(np.cov(drawn[nearest == blob].T), covariance, atol=0.15)


def test_the_share_of_sure_points_is_that_of_bayes_theorem():
    X = example.points(2000, None)
    densities = [
        share * multivariate_normal(mean, covariance).pdf(X)
        for share, mean, covariance in zip(example.SHARES, example.MEANS, example.COVARIANCES, strict=True)
    ]
    largest = np.max(densities, axis=0) / np.sum(densities, axis=0)
    expected = np.mean(largest >= example.SURE)
    assert example.sure_share(example.true_mixture(), X) == expected
    assert example.sure_share(example.true_mixture(), da.from_array(X, chunks=(300, 2))) == expected


def test_scikit_learn_finds_other_probabilities_from_another_start():
    X = example.points(500, None)
    start = example.kmeans_start(X)
    mixture = example.GaussianMixture(3, acceleration=None, **start).fit(X)
    assert example.difference_from_sklearn(mixture, X, start) <= example.MEMBERSHIP_TOLERANCE
    # The comparison would tell: components in another order are as good, but not the same.
    turned = {name: values[::-1] for name, values in start.items()}
    assert example.difference_from_sklearn(mixture, X, turned) == pytest.approx(1, abs=0.01)
