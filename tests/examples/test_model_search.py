"""The search's criteria and passes, against scikit-learn's BIC and fits of single mixtures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, SelectionResult, open_zarr, select_components
from tests.examples.scripts import script

example = script("model_search")


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> np.ndarray:
    path = tmp_path_factory.mktemp("model_search") / "rows.zarr"
    example.write_rows_of_known_mixture(path, 4_000)
    return open_zarr(path).compute()


@pytest.fixture(scope="module")
def result(rows) -> SelectionResult:
    kinds = example.COVARIANCE_TYPES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example, "MOST_COMPONENTS", 5)
        found = example.search(rows)
    assert [row["covariance_type"] for row in found.table] == [kind for kind in kinds for _ in range(5)]
    return found


def test_the_rows_are_those_of_the_known_mixture(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "CHUNK_ROWS", 30_000)
    example.write_rows_of_known_mixture(tmp_path / "rows.zarr", 200_000)
    rows = open_zarr(tmp_path / "rows.zarr").compute()
    mean = example.SHARES @ example.MEANS
    offsets = example.MEANS - mean
    # Four standard errors, of rows that spread by 3.6.
    np.testing.assert_allclose(rows.mean(axis=0), mean, atol=0.035)
    within_and_between = example.COVARIANCE + (example.SHARES[:, None] * offsets).T @ offsets
    np.testing.assert_allclose(np.cov(rows.T), within_and_between, atol=0.12)


def test_criteria_are_scikit_learns(rows, result):
    for row, model in zip(result.table, result.models, strict=True):
        assert row["criterion"] == pytest.approx(model.to_sklearn().bic(rows), rel=1e-9)
    assert result.best.n_components == 5
    assert result.best.covariance_type == "tied"


def test_passes_apart_are_those_of_single_fits(rows, result):
    for row in result.table[5:10]:
        single = GaussianMixture(row["n_components"], covariance_type="tied", random_state=0, **example.PLAIN).fit(rows)
        assert row["covariance_type"] == "tied"
        assert row["n_passes"] == single.n_passes_
    assert example.passes_apart(result) == sum(row["n_passes"] for row in result.table) > result.n_passes


def test_errors_do_not_depend_on_the_order_of_components(result):
    expected = example.errors_of_best(result)
    best = result.best
    assert expected["share"] < 0.03
    best.weights_, best.means_ = best.weights_[::-1].copy(), best.means_[::-1].copy()
    assert example.errors_of_best(result) == expected


def test_a_search_that_finds_something_else_ends_with_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "search", lambda X: select_components(X, [2, 3], max_iter=1, acceleration=None))
    monkeypatch.setattr("sys.argv", ["", "--rows", "1000", "--picture", str(tmp_path / "picture.png")])
    with pytest.warns(ConvergenceWarning):
        assert example.main() == 1
    assert "five tied components" in capsys.readouterr().err
