"""Labels from a few labelled points, against arithmetic by hand and the classifier that knows the blobs."""

from __future__ import annotations

from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.examples.scripts import script

example = script("few_labels")


def names_of(memberships: list[list[float]], labels: list[int]) -> np.ndarray:
    mixture = SimpleNamespace(predict_proba=lambda _: np.array(memberships))
    return example.cluster_names(mixture, None, np.array(labels))


def test_clusters_are_named_as_their_labelled_points(monkeypatch):
    monkeypatch.setattr(example, "N_LABELS", 2)
    # Each point belongs to one cluster, so the names are fractions: two of three points, and one of one.
    names = names_of([[1, 0], [1, 0], [1, 0], [0, 1]], [0, 0, 1, 1])
    np.testing.assert_allclose(names, [[2 / 3, 1 / 3], [0, 1]], atol=1e-8)
    mixture = SimpleNamespace(predict_proba=lambda _: np.array([[0.75, 0.25]]))
    np.testing.assert_allclose(example.label_probabilities(mixture, None, names), [[0.5, 0.5]], atol=1e-8)


def test_a_labelled_point_between_clusters_counts_for_the_one_with_its_name(monkeypatch):
    monkeypatch.setattr(example, "N_LABELS", 2)
    # With names (1 - a, a) of label 0 the likelihood is that of the first point, 1 - a', times that of the second,
    # 1 - a, times 0.7 (1 - a') + 0.3 a: it is largest without any doubt, at a = a' = 0.
    names = names_of([[1, 0], [0, 1], [0.7, 0.3]], [0, 1, 0])
    np.testing.assert_allclose(names, np.eye(2), atol=1e-6)


def test_a_cluster_without_labelled_points_may_have_any_name(monkeypatch):
    monkeypatch.setattr(example, "N_LABELS", 2)
    names = names_of([[1, 0, 0], [0, 1, 0]], [0, 1])
    np.testing.assert_allclose(names, [[1, 0], [0, 1], [0.5, 0.5]], atol=1e-8)


def test_points_are_counted_by_certainty(generator):
    probabilities = generator.dirichlet(np.full(5, 0.1), size=3000)
    # Ones, as separated clusters give them, belong to the last class; so does what rounding makes of them.
    probabilities[0] = [1 + 1e-15, 0, 0, 0, 0]
    truth = generator.integers(5, size=3000)
    counted = example.count(da.from_array(probabilities, chunks=(700, 5)), da.from_array(truth, chunks=700))
    certainty, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    for position, threshold in enumerate(example.THRESHOLDS):
        kept = certainty >= threshold
        assert counted.shares[position] == pytest.approx(kept.mean())
        assert counted.accuracies[position] == pytest.approx(right[kept].mean())


def test_labels_are_nearly_as_good_as_those_of_somebody_who_knows_the_blobs():
    table = example.points(2000, None)
    rows = table.compute()
    X, truth = rows[:, :2], rows[:, 2].astype(int)
    covariance = example.DEVIATION**2 * example.STRETCH.T @ example.STRETCH
    densities = [multivariate_normal(centre @ example.STRETCH, covariance).pdf(X) for centre in example.CENTRES]
    best = np.mean(np.argmax(densities, axis=0) == truth)
    mixture = example.GaussianMixture(5, random_state=0).fit(X)
    few = example.few_labelled(table)
    assert np.bincount(few[:, 2].astype(int)).tolist() == [example.LABELLED_EACH] * 5
    names = example.cluster_names(mixture, few[:, :2], few[:, 2].astype(int))
    labels = example.label_probabilities(mixture, X, names).argmax(axis=1)
    assert np.mean(labels == truth) >= best - 0.01
