"""How EM collapses, against scikit-learn's EM from the same start, and what a spike gains, against SciPy's density."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, open_zarr
from tests.examples.scripts import script

example = script("singularities")


@pytest.fixture(scope="module")
def readings(tmp_path_factory) -> np.ndarray:
    path = tmp_path_factory.mktemp("singularities") / "readings.zarr"
    example.write_readings(path, example.NAIVE_ROWS)
    return open_zarr(path).compute()


def in_memory(n_iterations: int) -> SklearnGaussianMixture:
    return SklearnGaussianMixture(3, reg_covar=0.0, tol=0.0, max_iter=n_iterations, **example.START)


def test_naive_em_is_scikit_learns_until_both_fail(readings):
    naive = example.naive_em(readings, max_iter=50)
    assert naive.failure
    n_whole = len(naive.lower_bounds) - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = in_memory(n_whole).fit(readings)
    np.testing.assert_allclose(naive.weights_, expected.weights_, rtol=1e-9)
    np.testing.assert_allclose(naive.means_, expected.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(naive.covariances_, expected.covariances_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(naive.lower_bounds[n_whole], expected.score(readings), rtol=1e-9)
    # In the next iteration it fails as well; max_iter does not end it before, so it does not warn of that.
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        in_memory(50).fit(readings)


def test_a_spikes_gain_is_that_of_the_density_on_the_code(readings):
    assert np.mean((readings == example.ERROR_CODE).all(axis=1)) == 1 / example.ROWS_AN_ERROR
    densities = [multivariate_normal([0, 0], reg_covar * np.eye(2)).logpdf([0, 0]) for reg_covar in (1e-3, 1e-7)]
    gain = (densities[1] - densities[0]) / example.ROWS_AN_ERROR
    np.testing.assert_allclose(example.rise_of_a_spike(1e-3, 1e-7, n_rows=len(readings)), gain, rtol=1e-12)
    # Of 601 rows two are the code.
    twice = example.rise_of_a_spike(1e-3, 1e-7, n_rows=example.ROWS_AN_ERROR + 1)
    assert twice == pytest.approx(2 * gain * example.ROWS_AN_ERROR / (example.ROWS_AN_ERROR + 1))
    held = [GaussianMixture(3, reg_covar=reg_covar, **example.PLAIN).fit(readings) for reg_covar in (1e-3, 1e-7)]
    # The other two components are regularised as well, by 1e-3 at most: that is the rest.
    assert held[1].lower_bound_ - held[0].lower_bound_ == pytest.approx(gain, abs=1e-3)


def test_what_is_not_seen_ends_with_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "distance_to_states", lambda means: 1.0)
    monkeypatch.setattr("sys.argv", ["", "--picture", str(tmp_path / "picture.png")])
    assert example.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "placed anew" in line
    assert "default start" in line
