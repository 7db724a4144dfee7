"""`daskgmm inspect`: what a model file holds, for a reader and for a program."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, load


def test_the_heaviest_component_comes_first(invoke, model):
    result = invoke("inspect", model)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "3 components, 2 features, full covariances"
    assert lines[1].startswith("fitted to 2000 rows in ")
    weights = [float(line.split()[1]) for line in lines[-3:]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0, abs=1e-3)


def test_json_is_one_object_that_holds_the_parameters(invoke, model):
    facts = json.loads(invoke("inspect", model, "--json").stdout)
    fitted = load(model)
    assert facts["n_samples_seen"] == 2000
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(facts[name], getattr(fitted, f"{name}_"))


def test_large_mixtures_are_cut_to_what_reads_well(invoke, generator, tmp_path):
    fitted = SklearnGaussianMixture(25, covariance_type="spherical", random_state=0)
    GaussianMixture.from_sklearn(fitted.fit(generator.normal(size=(200, 9)))).save(tmp_path / "large.gmm")
    result = invoke("inspect", tmp_path / "large.gmm")
    lines = result.stdout.splitlines()
    assert lines[-1] == "... and 5 lighter ones"
    assert all(line.endswith("  ...") for line in lines[-21:-1])


def test_a_mixture_that_was_never_fitted_here_can_be_inspected(invoke, generator, tmp_path):
    fitted = SklearnGaussianMixture(2, random_state=0).fit(generator.normal(size=(100, 2)))
    GaussianMixture.from_sklearn(fitted).save(tmp_path / "converted.gmm")
    assert json.loads(invoke("inspect", tmp_path / "converted.gmm", "--json").stdout)["n_passes"] == 0


def test_a_truncated_model_is_bad_input(invoke, model):
    model.write_bytes(model.read_bytes()[:-40])
    result = invoke("inspect", model)
    assert result.exit_code == 4
    assert str(model) in result.stderr
    assert result.stdout == ""
