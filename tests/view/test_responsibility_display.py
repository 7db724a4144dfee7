"""Rows by their most probable component: colours, sizes and opacities."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture
from daskgmm.errors import InputDataError
from daskgmm.view.palette import COLOURS
from daskgmm.view.plots import ResponsibilityDisplay
from tests.pictures import mixture, rendered, rows_of, texts, three

CLOSE = mixture([0.5, 0.5], [[0.0, 0.0], [2.0, 0.0]], [np.eye(2), np.eye(2)])


@pytest.fixture(scope="module")
def fitted():
    return SklearnGaussianMixture(3, random_state=0).fit(rows_of(three(), 300)[0])


def test_colours_sizes_and_opacities_follow_the_probabilities(fitted):
    rows, _ = rows_of(CLOSE, 250)
    display = ResponsibilityDisplay.from_estimator(fitted, rows)
    probabilities = fitted.predict_proba(rows)
    np.testing.assert_array_equal(display.labels_, probabilities.argmax(axis=1))
    np.testing.assert_allclose(display.certainties_, probabilities.max(axis=1), rtol=1e-9)
    (drawn,) = display.points_
    assert sum(len(points.get_offsets()) for points in drawn.values()) == len(rows)
    for component, points in drawn.items():
        its = probabilities.argmax(axis=1) == component
        certainties = probabilities[its].max(axis=1)
        order = np.argsort(-(certainties**2), kind="stable")
        np.testing.assert_array_equal(points.get_offsets(), rows[its][order])
        np.testing.assert_allclose(points.get_sizes(), 50 * certainties[order] ** 2, rtol=1e-6)
        colours = points.get_facecolors()
        np.testing.assert_allclose(colours[:, :3], np.tile(to_rgb(COLOURS[component]), (its.sum(), 1)))
        # The most certain is the most opaque.
        assert (np.diff(colours[:, 3]) <= 1e-12).all()


def test_points_become_smaller_where_there_are_many_and_no_more_than_2000():
    rows, _ = rows_of(CLOSE, 5000)
    display = ResponsibilityDisplay.from_estimator(CLOSE, da.from_array(rows, chunks=1000))
    assert display.sample.rows.shape == (2000, 2)
    assert max(points.get_sizes().max() for points in display.points_[0].values()) < 50 / 4 + 0.1
    assert "2,000 of 5,000 rows" in display.ax_.get_title(loc="left")


def test_probabilities_are_those_given_all_features_whatever_is_drawn():
    given = three(4)
    rows, _ = rows_of(given, 200)
    whole = ResponsibilityDisplay.from_estimator(given, rows)
    assert len(whole.points_) == 6
    part = ResponsibilityDisplay.from_estimator(given, rows, features=[3])
    np.testing.assert_array_equal(whole.certainties_, part.certainties_)
    heights = np.concatenate([points.get_offsets()[:, 1] for points in part.points_[0].values()])
    np.testing.assert_allclose(np.sort(heights), np.sort(part.certainties_))
    rendered(whole)
    assert all(text.get_fontsize() >= 8 for text in texts(whole.figure_))


def test_components_beyond_the_colours_have_other_marks():
    means = np.stack([np.arange(8) * 10.0, np.zeros(8)], axis=1)
    (drawn,) = ResponsibilityDisplay.from_estimator(
        mixture(np.full(8, 1 / 8), means, np.ones((8, 2)), "diag"), means
    ).points_
    first, seventh = drawn[0], drawn[6]
    np.testing.assert_array_equal(first.get_facecolors()[0, :3], seventh.get_facecolors()[0, :3])
    assert len(first.get_paths()[0].vertices) != len(seventh.get_paths()[0].vertices)


@pytest.mark.parametrize("n_components", [1, 1500])
def test_one_row_and_any_number_of_components_make_a_picture(n_components):
    means = np.random.default_rng(0).normal(size=(n_components, 2)) * 100
    given = mixture(np.full(n_components, 1 / n_components), means, np.ones((n_components, 2)), "diag")
    display = ResponsibilityDisplay.from_estimator(given, means[:1])
    assert display.labels_.tolist() == [0]
    rendered(display)


def test_a_constant_feature_far_out_is_drawn_in_a_corner():
    given = mixture([0.5, 0.5], [[0, 0, 1e17], [3, 3, 1e17]], np.full((2, 3), 1e-6), "diag")
    rendered(ResponsibilityDisplay.from_estimator(given, given.means_))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(NotFittedError):
        ResponsibilityDisplay.from_estimator(GaussianMixture(2), np.zeros((3, 2)))
    with pytest.raises(InputDataError, match="3 features"):
        ResponsibilityDisplay.from_estimator(CLOSE, da.zeros((10, 3)))
