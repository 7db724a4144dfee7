"""`daskgmm export`: a mixture that other programs can use."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import load

ARRAYS = ("weights", "means", "covariances", "precisions", "precisions_cholesky")


def predicts_alike(arrays, covariance_type, mixture, rows):
    """Whether scikit-learn's estimator, given the arrays, finds the densities that the mixture finds."""
    other = SklearnGaussianMixture(len(arrays["weights"]), covariance_type=str(covariance_type))
    for name in ARRAYS:
        setattr(other, f"{name}_", np.asarray(arrays[name]))
    np.testing.assert_allclose(other.score_samples(rows), mixture.score_samples(rows), rtol=1e-12)
    return True


def test_json_holds_what_scikit_learn_needs(invoke, model, rows, tmp_path):
    assert invoke("export", model, "-o", tmp_path / "mixture.json").exit_code == 0
    found = json.loads((tmp_path / "mixture.json").read_text(), parse_constant=pytest.fail)
    assert (found["n_components"], found["n_features"], found["feature_names"]) == (3, 2, None)
    assert predicts_alike(found, found["covariance_type"], load(model), rows)


def test_npz_holds_the_same_without_pickle(invoke, model, rows, tmp_path):
    result = invoke("export", model, "-o", tmp_path / "mixture.npz", "--json")
    assert json.loads(result.stdout)["format"] == "npz"
    with np.load(tmp_path / "mixture.npz", allow_pickle=False) as found:
        arrays = dict(found)
    assert predicts_alike(arrays, arrays["covariance_type"], load(model), rows)


def test_a_file_that_exists_is_replaced_only_when_told(invoke, model, tmp_path):
    (tmp_path / "mixture.json").write_text("mine")
    assert invoke("export", model, "-o", tmp_path / "mixture.json").exit_code == 2
    assert (tmp_path / "mixture.json").read_text() == "mine"
    assert invoke("export", model, "-o", tmp_path / "mixture.json", "--overwrite").exit_code == 0
    assert json.loads((tmp_path / "mixture.json").read_text())["n_components"] == 3


@pytest.mark.parametrize(("name", "options"), [("mixture.csv", []), ("mixture.json", ["--format", "npz"])])
def test_a_format_that_nothing_or_too_much_says(name, options, invoke, model, tmp_path):
    assert invoke("export", model, "-o", tmp_path / name, *options).exit_code == 2
    assert not (tmp_path / name).exists()


def test_a_format_can_be_given_for_any_other_name(invoke, model, tmp_path):
    assert invoke("export", model, "-o", tmp_path / "mixture.txt", "--format", "json").exit_code == 0
    assert json.loads((tmp_path / "mixture.txt").read_text())["covariance_type"] == "full"
