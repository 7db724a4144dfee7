"""What a report warns of, and that it is silent where nothing is wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.drift import measure_drift
from daskgmm.view.cautions import cautions
from daskgmm.view.mixture_tables import mixture_shown
from daskgmm.view.run_tables import SelectionKept
from tests.drawn import draw


def fitted(rows, n_components=3, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(n_components, random_state=0, **{"acceleration": None, **settings}).fit(rows)


def said_of(mixture, **more):
    return " ".join(cautions(mixture, mixture_shown(mixture), **more))


@pytest.fixture(scope="module")
def rows():
    return draw("full", n_rows=2000, n_features=2, spread=6.0).rows


@pytest.fixture(scope="module")
def sound(rows):
    return fitted(rows)


def test_a_sound_mixture_needs_no_warning(sound, rows):
    assert said_of(sound, drift=measure_drift(sound, rows)) == ""


def test_a_fit_that_did_not_converge(rows):
    mixture = fitted(rows, max_iter=1, tol=0.0, init_params="random")
    assert "did not converge: iteration 1" in said_of(mixture)


def test_a_mixture_without_an_iteration(rows):
    assert "where EM would have begun" in said_of(fitted(rows, max_iter=0))


def test_few_rows_for_many_parameters(rows):
    assert "80 for 17 parameters" in said_of(fitted(rows[:80]))


def test_a_component_of_few_rows(generator):
    far = np.full((4, 2), 100.0) + generator.normal(size=(4, 2))
    mixture = fitted(np.concatenate([generator.normal(size=(400, 2)), far]), 2)
    lightest = int(mixture.weights_.argmin())
    assert f"A component with very few rows, fewer than 10: {lightest} (about 4 rows)." in said_of(mixture)


def test_a_constant_feature_is_named(rows):
    mixture = fitted(np.column_stack([rows, np.full(len(rows), 7.0)]))
    mixture.feature_names_in_ = np.array(["a", "b", "flat"], dtype=object)
    assert "A feature hardly varies in any component, as a constant does: flat. There reg_covar = 1e-06" in said_of(
        mixture
    )


def test_a_component_as_narrow_as_reg_covar_in_some_direction(generator):
    line = generator.normal(size=(300, 1)) * [1.0, 1.0] + 50.0
    mixture = fitted(np.concatenate([generator.normal(size=(600, 2)), line]), 2)
    narrow = int(mixture.weights_.argmin())
    assert f"A component hardly wider than reg_covar = 1e-06 in some direction: {narrow}." in said_of(mixture)
    assert "constant" not in said_of(mixture)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_components_that_nearly_are_one(sound, rows, kind):
    mixture = fitted(rows, covariance_type=kind)
    assert "Nearly the same" not in said_of(mixture)
    mixture.means_[2] = mixture.means_[0] + 0.01
    if kind != "tied":
        mixture.covariances_[2] = mixture.covariances_[0]
        mixture.precisions_cholesky_[2] = mixture.precisions_cholesky_[0]
    pair = " and ".join(str(k) for k in mixture.weights_.argsort(kind="stable")[::-1] if k != 1)
    assert f"Nearly the same components: {pair}." in said_of(mixture)


def test_matrices_tell_apart_what_no_single_feature_does():
    """Two ellipses across each other: every feature has one distribution, both together have two."""
    mixture = fitted(np.random.default_rng(0).normal(size=(200, 2)), 2)
    mixture.means_[:] = 0.0
    mixture.covariances_[:] = [[[1.0, 0.95], [0.95, 1.0]], [[1.0, -0.95], [-0.95, 1.0]]]
    mixture.precisions_cholesky_ = np.stack(
        [np.linalg.inv(np.linalg.cholesky(matrix)).T for matrix in mixture.covariances_]
    )
    assert "Nearly the same" not in said_of(mixture)


@pytest.mark.parametrize(("shift", "words"), [(0.6, "differ somewhat from"), (3.0, "These rows differ from")])
def test_drift(sound, rows, shift, words):
    drift = measure_drift(sound, rows + shift)
    assert (drift.psi > 0.25) == (shift > 1)
    assert words in said_of(sound, drift=drift)


def test_a_search_that_ends_at_its_largest_number(sound):
    row = {"covariance_type": "full", "criterion": 1.0, "problem": ""}
    table = [{"n_components": count, **row} for count in (1, 2, 3)]
    assert "largest number of components that was tried, 3" in said_of(
        sound, selection=SelectionKept("bic", table, 2, 5)
    )
    assert said_of(sound, selection=SelectionKept("bic", table, 1, 5)) == ""
