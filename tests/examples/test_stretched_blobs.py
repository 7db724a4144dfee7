"""Stretched blobs, against the numbers that the tutorial prints and SciPy's densities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.examples.scripts import script

example = script("stretched_blobs")


def joint_densities(mixture, X: np.ndarray) -> np.ndarray:
    """Weight times density of each component, shape (n_samples, n_components)."""
    parameters = zip(mixture.weights_, mixture.means_, mixture.covariances_, strict=True)
    return np.column_stack([weight * multivariate_normal(*rest).pdf(X) for weight, *rest in parameters])


@pytest.fixture(scope="module")
def three() -> tuple[np.ndarray, dict, object]:
    X = example.blobs(500, n_blobs=3, deviation=1.5)
    start = example.random_start(X)
    return X, start, example.fit_and_compare(X, start)


def test_the_membership_is_that_of_bayes_theorem(three):
    _, _, (mixture, off) = three
    joint = joint_densities(mixture, np.repeat(example.NEW_POINT, 2, axis=0))[:1]
    np.testing.assert_allclose(mixture.predict_proba(example.NEW_POINT), joint / joint.sum(), atol=1e-12)
    assert off <= example.MEMBERSHIP_TOLERANCE


def test_without_the_weights_it_is_what_the_tutorial_prints(three):
    _, _, (mixture, _) = three
    densities = joint_densities(mixture, np.repeat(example.NEW_POINT, 2, axis=0))[0] / mixture.weights_
    # The order of the components is that of the start, which the tutorial draws anew in each run; it stops earlier.
    printed = [3.5799079955839772e-06, 0.00013180910068621356, 0.9998646109913182]
    np.testing.assert_allclose(np.sort(densities / densities.sum()), printed, atol=2e-6)


def test_the_five_blobs_have_the_membership_that_the_tutorial_prints():
    X = example.blobs(1000, n_blobs=5, deviation=0.5)
    mixture, off = example.fit_and_compare(X, example.kmeans_start(X))
    printed = np.array([9.36305075e-82, 1.94756664e-93, 4.00098007e-33, 5.02664415e-44, 1.0])
    found = np.sort(mixture.predict_proba(example.NEW_POINT)[0])
    np.testing.assert_allclose(found, np.sort(printed), atol=1e-12)
    assert off <= example.MEMBERSHIP_TOLERANCE


def test_the_likelihood_rises_where_the_tutorials_number_falls(three, capsys):
    X, start, _ = three
    example.print_likelihoods(X, start)
    table = np.array([line.split() for line in capsys.readouterr().out.splitlines()[1:]], dtype=float)
    for iterations, log_likelihood, of_sum in table:
        densities = joint_densities(example.state(X, start, iterations=int(iterations)), X).sum(axis=1)
        assert log_likelihood == pytest.approx(np.log(densities).sum(), abs=1e-3)
        assert of_sum == pytest.approx(np.log(densities.sum()), abs=1e-6)
    assert np.all(np.diff(table[:, 1]) > 0)
    assert np.any(np.diff(table[:, 2]) < 0)


def test_points_from_disk_have_the_covariance_of_the_blobs():
    drawn = example.draw_blobs(np.random.default_rng(4), 20_000, np.zeros((1, 2)))
    np.testing.assert_allclose(np.cov(drawn.T), 1.5**2 * example.STRETCH.T @ example.STRETCH, rtol=0.05)


def test_rows_need_a_store(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["stretched_blobs.py", "--rows", "100"])
    with pytest.raises(SystemExit, match="2"):
        example.main()
    assert "expected both or neither" in capsys.readouterr().err
