"""EM pass by pass, against the numbers that the tutorial prints and scikit-learn stopped after each pass."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from tests.examples.scripts import script

example = script("one_dimension")
# What the tutorial prints for its points 0, 1, 20, 40 and 59, with clusters at 10, -10 and 0 and Gaussians at -5, 8 and
# 1.5 whose standard deviations are 5, 3 and 1.
PRINTED = {
    0: [2.97644006e-02, 9.70235407e-01, 1.91912550e-07],
    1: [3.85713024e-02, 9.61426220e-01, 2.47747304e-06],
    20: [1.00000000e00, 2.67245688e-12, 1.56443629e-57],
    40: [9.64689131e-01, 9.53405294e-03, 2.57768163e-02],
    59: [8.53513721e-02, 2.40396004e-02, 8.90609028e-01],
}


def test_the_points_have_the_memberships_that_the_tutorial_prints():
    X = example.tutorial_points() - np.repeat([5.0, -5.0, 0.0], 20)[:, None]
    precisions = np.array([5.0, 3.0, 1.0])[:, None, None] ** -2
    means = np.array([[-5.0], [8.0], [1.5]])
    mixture = example.GaussianMixture(
        3, max_iter=0, weights_init=np.full(3, 1 / 3), means_init=means, precisions_init=precisions
    ).fit(X)
    np.testing.assert_allclose(mixture.predict_proba(X)[list(PRINTED)], list(PRINTED.values()), atol=1e-8)


@pytest.mark.parametrize(
    "variances", [example.START_VARIANCES, example.START_VARIANCES**2], ids=["as-named", "squared"]
)
def test_each_pass_is_one_iteration_of_scikit_learn(variances):
    X = example.tutorial_points()
    passes = example.em_passes(X, variances)
    assert len(passes) > 5
    for number, mixture in enumerate(passes[1:], start=1):
        expected = SklearnGaussianMixture(
            3,
            tol=0,
            max_iter=number,
            weights_init=np.full(3, 1 / 3),
            means_init=example.START_MEANS[:, None],
            precisions_init=(1 / variances)[:, None, None],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            expected.fit(X)
        np.testing.assert_allclose(mixture.means_, expected.means_, rtol=1e-8)
        np.testing.assert_allclose(mixture.covariances_, expected.covariances_, rtol=1e-8)


def test_points_alike_have_the_tutorials_clusters():
    drawn = example.draw_points(np.random.default_rng(3), 30_000)
    nearest = example.CENTRES[np.abs(drawn - example.CENTRES).argmin(axis=1)]
    offsets = drawn[:, 0] - nearest
    # The product of a uniform number of variance 100 / 12 and one whose square is 1 / 3 on average.
    assert offsets.var() == pytest.approx(100 / 12 / 3, rel=0.05)
    assert np.abs(offsets).max() <= 5


def test_the_animation_has_a_frame_for_each_pass(tmp_path):
    X = example.tutorial_points()
    passes = example.em_passes(X, example.START_VARIANCES)[:3]
    example.animate(passes, X, tmp_path / "passes.gif")
    with Image.open(tmp_path / "passes.gif") as animation:
        assert animation.n_frames == 3
