"""The rows that are written out, against scikit-learn's densities of all rows in memory."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from daskgmm import GaussianMixture, open_zarr
from daskgmm.writing import write_results
from tests.examples.scripts import script

example = script("outliers")


def test_the_rows_written_are_those_that_scikit_learn_finds_least_likely(tmp_path, monkeypatch):
    # Five blocks, of which the last is shorter; one of every three densities tells the quantile.
    monkeypatch.setattr(example, "CHUNK_ROWS", 4_500)
    monkeypatch.setattr(example, "QUANTILE_ROWS", 6_000)
    example.plant(tmp_path, 20_000)
    X = open_zarr(tmp_path / "rows.zarr", chunks=4_500)
    assert X.numblocks[0] == 5
    rows = X.compute()
    mixture = GaussianMixture(3, init_size=2_000, random_state=0).fit(X)
    write_results(mixture, X, tmp_path / "log-density.zarr", what="log-density")
    log_density = da.from_zarr(tmp_path / "log-density.zarr", chunks=X.chunks[0])
    threshold = example.quantile(log_density, 0.01)
    example.write_below(X, log_density, threshold, folder=tmp_path)

    expected = mixture.to_sklearn().score_samples(rows)
    assert threshold == pytest.approx(np.quantile(expected[::3], 0.01), rel=1e-9)
    numbers = da.from_zarr(tmp_path / "outlier-numbers.zarr").compute()
    np.testing.assert_array_equal(numbers, np.flatnonzero(expected < threshold))
    np.testing.assert_array_equal(da.from_zarr(tmp_path / "outliers.zarr").compute(), rows[numbers])

    planted = da.from_zarr(tmp_path / "planted.zarr").compute()
    # Only outliers can be far from all three means.
    distances = np.abs((rows[:, None] - example.MEANS) / example.SCALES).max(axis=2).min(axis=1)
    assert planted[distances > 5].all()
    assert planted.mean() == pytest.approx(example.PLANTED, rel=0.4)
    counts = example.count(tmp_path)
    assert counts == {"planted": planted.sum(), "flagged": len(numbers), "caught": planted[numbers].sum()}


def test_a_threshold_that_finds_other_rows_ends_with_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "quantile", lambda log_density, share: float(np.median(log_density.compute())))
    # Which mixture it is does not matter here.
    mixture = GaussianMixture(3, init_size=500, max_iter=20, tol=0.01, random_state=0)
    monkeypatch.setattr(example, "GaussianMixture", lambda n_components, **settings: mixture)
    monkeypatch.setattr("sys.argv", ["", "--rows", "10000", "--picture", str(tmp_path / "picture.png")])
    assert example.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "as many rows" in line
    assert "nine in ten of the rows written" in line
