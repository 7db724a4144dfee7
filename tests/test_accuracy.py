"""How exact a fit is: the bars that the package promises, against scikit-learn and the oracle in `reference.py`."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture
from tests import reference
from tests.drawn import Drawn

INPUTS = pytest.mark.parametrize(
    "as_input", [np.asarray, lambda rows: da.from_array(rows, chunks=(70, -1))], ids=["numpy", "dask"]
)
# With these the iterates are plain EM's, and starts are found on all rows as scikit-learn finds them.
PLAIN = {"acceleration": None, "init_size": None}


def fit(model, rows, sample_weight=None):
    """Fit without the warning that max_iter was reached, which some of these fits are meant to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows) if sample_weight is None else model.fit(rows, sample_weight=sample_weight)


def reference_fit(rows, drawn: Drawn, *, tol, reg_covar, max_iter, sample_weight=None, **start) -> reference.Fit:
    start = {**drawn.start, **start}
    precisions = reference.matrices(start["precisions_init"], drawn.covariance_type, *drawn.means.shape)
    covariances = np.array([reference.inverse(precision) for precision in precisions])
    mixture = reference.Mixture(
        start["weights_init"].astype(np.longdouble), start["means_init"].astype(np.longdouble), covariances
    )
    return reference.em(
        rows,
        mixture,
        drawn.covariance_type,
        tol=tol,
        reg_covar=reg_covar,
        max_iter=max_iter,
        sample_weight=sample_weight,
    )


def assert_fits_agree(actual, expected, *, rtol, shift=0.0):
    """Weights to `rtol`; means and covariances to `rtol` of the largest element."""
    assert_allclose(actual.weights_, expected.weights_, rtol=rtol)
    size = np.abs(expected.means_).max()
    assert_allclose(actual.means_ - shift, expected.means_, rtol=rtol, atol=rtol * size)
    size = np.abs(expected.covariances_).max()
    assert_allclose(actual.covariances_, expected.covariances_, rtol=rtol, atol=rtol * size)


def assert_is_the_references(model, mixture: reference.Mixture, *, rtol, scale=1.0):
    """Parameters in units of `scale`, one per feature: a small feature is held to the same bar as a large one."""
    n_components, n_features = mixture.means.shape
    scales = np.broadcast_to(scale, n_features)
    matrices = reference.matrices(model.covariances_, model.covariance_type, n_components, n_features)
    assert_allclose(model.weights_, mixture.weights.astype(float), rtol=rtol)
    assert_allclose(model.means_ / scales, (mixture.means / scales).astype(float), rtol=rtol, atol=rtol)
    for matrix, expected in zip(matrices, mixture.covariances, strict=True):
        units = np.sqrt(np.diagonal(expected))
        units = np.outer(units, units)
        assert_allclose((matrix / units).astype(float), (expected / units).astype(float), rtol=rtol, atol=rtol)


@INPUTS
def test_given_starts_lead_through_scikit_learns_iterates(drawn, as_input):
    settings = {"covariance_type": drawn.covariance_type, "tol": 1e-6, "max_iter": 60, **drawn.start}
    expected = fit(SklearnGaussianMixture(3, **settings), drawn.rows)
    model = fit(GaussianMixture(3, **settings, **PLAIN), as_input(drawn.rows))
    assert model.n_iter_ == expected.n_iter_
    assert model.converged_ == expected.converged_
    assert_allclose(model.lower_bound_, expected.lower_bound_, rtol=0, atol=1e-9)
    assert_allclose(model.lower_bounds_, expected.lower_bounds_, rtol=0, atol=1e-9)
    assert_fits_agree(model, expected, rtol=1e-8)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_the_same_random_state_leads_through_scikit_learns_iterates(drawn, init_params):
    settings = {"covariance_type": drawn.covariance_type, "init_params": init_params, "random_state": 3, "max_iter": 30}
    expected = SklearnGaussianMixture(3, **settings)
    if drawn.covariance_type == "tied" and init_params in ("k-means++", "random_from_data"):
        # These starts assign one row to each component. scikit-learn's tied covariance then takes the squares of all
        # rows about the origin, divided by the few that are assigned: a start that depends on where the origin is.
        # The package's has the covariance of the assigned rows, which is none, as the other types have in both.
        expected.set_params(precisions_init=np.eye(3) / expected.reg_covar)
    fit(expected, drawn.rows)
    model = fit(GaussianMixture(3, **settings, **PLAIN), drawn.rows)
    assert model.n_iter_ == expected.n_iter_
    assert_allclose(model.lower_bound_, expected.lower_bound_, rtol=0, atol=1e-9)
    assert_fits_agree(model, expected, rtol=1e-8)


@pytest.mark.parametrize("given", ["weights_init", "means_init", "precisions_init"])
def test_a_start_given_in_part_leads_through_scikit_learns_iterates(drawn, given):
    settings = {"covariance_type": drawn.covariance_type, "random_state": 3, given: drawn.start[given]}
    expected = fit(SklearnGaussianMixture(3, **settings), drawn.rows)
    model = fit(GaussianMixture(3, **settings, **PLAIN), drawn.rows)
    assert model.n_iter_ == expected.n_iter_
    assert_allclose(model.lower_bound_, expected.lower_bound_, rtol=0, atol=1e-9)
    assert_fits_agree(model, expected, rtol=1e-8)


@INPUTS
def test_weighted_rows_lead_through_the_references_iterates(drawn, as_input, generator):
    sample_weight = generator.integers(0, 4, size=len(drawn.rows)).astype(float)
    settings = {"tol": 1e-6, "reg_covar": 1e-6, "max_iter": 60}
    expected = reference_fit(drawn.rows, drawn, sample_weight=sample_weight, **settings)
    model = GaussianMixture(3, covariance_type=drawn.covariance_type, **settings, **drawn.start, **PLAIN)
    fit(model, as_input(drawn.rows), sample_weight=sample_weight)
    assert model.n_iter_ == expected.n_iter
    assert_allclose(model.lower_bound_, float(expected.lower_bounds[-1]), rtol=0, atol=1e-9)
    assert_is_the_references(model, expected.mixture, rtol=1e-8)


@INPUTS
@pytest.mark.parametrize("given", [True, False], ids=["given start", "default start"])
def test_data_far_from_the_origin_are_fitted_as_well_as_centred_data(drawn, as_input, given):
    rows, means = (np.round(values * 2**20) / 2**20 for values in (drawn.rows, drawn.start["means_init"]))
    settings = {"covariance_type": drawn.covariance_type, "random_state": 0, "max_iter": 30, "tol": 1e-4}

    def fitted(shift):
        start = {**drawn.start, "means_init": means + shift} if given else {}
        return fit(GaussianMixture(3, **settings, **start), as_input(rows + shift))

    here, there = fitted(0.0), fitted(1e8)
    assert there.n_iter_ == here.n_iter_
    assert_fits_agree(there, here, rtol=1e-6, shift=1e8)


@INPUTS
def test_clusters_a_million_sigma_apart_keep_their_covariances(covariance_type, as_input, generator):
    labels = np.arange(400) % 2
    roots = np.array([[[1.0, 0.0], [0.6, 0.8]], [[2.0, 0.0], [-0.3, 0.5]]])
    rows = np.einsum("nij,nj->ni", roots[labels], generator.normal(size=(400, 2))) + labels[:, None] * 1e6
    model = fit(GaussianMixture(2, covariance_type=covariance_type, random_state=0), as_input(rows))
    order = np.argsort(model.means_[:, 0])
    expected = reference.m_step(rows, np.eye(2)[:, order][labels], covariance_type, reg_covar=1e-6)
    assert_is_the_references(model, expected, rtol=1e-6)


@INPUTS
def test_features_of_very_different_scales_are_fitted_equally_well(drawn, as_input):
    scale = np.array([1e-4, 1.0, 1e4])
    squared = {
        "full": scale[:, None] * scale,
        "tied": scale[:, None] * scale,
        "diag": scale**2,
        "spherical": np.mean(scale**2),
    }[drawn.covariance_type]
    start = {
        "weights_init": drawn.start["weights_init"],
        "means_init": drawn.start["means_init"] * scale,
        "precisions_init": drawn.start["precisions_init"] / squared,
    }
    settings = {"tol": 1e-6, "reg_covar": 0.0, "max_iter": 30}
    expected = reference_fit(drawn.rows * scale, drawn, **settings, **start)
    model = GaussianMixture(3, covariance_type=drawn.covariance_type, **settings, **start, **PLAIN)
    fit(model, as_input(drawn.rows * scale))
    assert model.n_iter_ == expected.n_iter
    assert_is_the_references(model, expected.mixture, rtol=1e-6, scale=scale)


@INPUTS
def test_float32_rows_are_fitted_as_float64_rows_are(drawn, as_input):
    settings = {"covariance_type": drawn.covariance_type, "max_iter": 30, **drawn.start, **PLAIN}
    wide = fit(GaussianMixture(3, **settings), as_input(drawn.rows))
    narrow = fit(GaussianMixture(3, **settings), as_input(drawn.rows.astype(np.float32)))
    assert narrow.means_.dtype == np.float64
    assert_fits_agree(narrow, wide, rtol=1e-4)


def test_float32_rows_are_summed_in_float64():
    # In float32 a sum of 2^24 + 1 is 2^24: one more row of 1 would no longer count.
    n_rows = 2**24 + 2**10
    rows = da.ones((n_rows, 1), chunks=(2**22, 1), dtype=np.float32)
    model = GaussianMixture(1, means_init=[[0.0]], weights_init=[1.0], precisions_init=[[[1.0]]], max_iter=1, **PLAIN)
    fit(model, rows)
    assert model.means_[0, 0] == 1.0
