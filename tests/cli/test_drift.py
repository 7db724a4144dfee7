"""`daskgmm score --against`: drift, and an exit code where there is too much of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from daskgmm import GaussianMixture, load, open_zarr
from daskgmm.drift import measure_drift
from daskgmm.engine import sweep as engine
from daskgmm.fitting import distribution, passes


@pytest.fixture
def model(tmp_path, store):
    """A mixture of three components fitted to the store, by plain EM: that is soon done."""
    path = tmp_path / "model.gmm"
    GaussianMixture(3, acceleration=None, random_state=0).fit(open_zarr(store)).save(path)
    return path


@pytest.fixture
def shifted(tmp_path, rows):
    path = tmp_path / "shifted.zarr"
    zarr.create_array(path, data=rows + 1.5, chunks=(500, 2))
    return path


@pytest.fixture
def other_model(tmp_path, store):
    path = tmp_path / "other.gmm"
    GaussianMixture(2, acceleration=None, random_state=0).fit(open_zarr(store)).save(path)
    return path


@pytest.fixture
def old_model(tmp_path, rows):
    """A model that keeps nothing of its rows, as those of before there was drift."""
    path = tmp_path / "old.gmm"
    GaussianMixture(3, random_state=0).partial_fit(rows).save(path)
    return path


def test_drift_comes_after_the_score(invoke, model, store, shifted):
    alone = invoke("score", model, shifted).stdout
    told = invoke("score", model, shifted, "--against", model)
    assert told.exit_code == 0
    assert told.stdout == f"{alone}\nAgainst {model}: {measure_drift(load(model), open_zarr(shifted))!r}\n"


def test_json_has_the_drift_beside_the_fields_there_were(invoke, model, shifted):
    alone = json.loads(invoke("score", model, shifted, "--json").stdout)
    told = json.loads(invoke("score", model, shifted, "--json", "--against", model).stdout)
    drift = told.pop("drift")
    assert told == alone
    assert drift == {"against": str(model), **measure_drift(load(model), open_zarr(shifted)).as_dict()}


def test_too_much_drift_ends_a_process_with_its_own_exit_code(shell, model, shifted):
    run = shell("daskgmm", "score", model, shifted, "--against", model, "--fail-on-drift", "0.25", "--json")
    assert run.returncode == 3
    psi = json.loads(run.stdout)["drift"]["psi"]
    assert psi > 0.25
    last = run.stderr.splitlines()[-1]
    assert last.startswith("daskgmm: error: expected a population stability index of at most 0.25")
    assert f"got {psi:.4g}" in last


def test_without_drift_and_without_another_model_it_compares_with_its_own_fit(invoke, model, store, shifted):
    sound = invoke("score", model, store, "--fail-on-drift", "0.01")
    assert sound.exit_code == 0
    assert f"Against {model}: Drift of 2000 rows from 2000" in sound.stdout
    assert invoke("score", model, shifted, "--fail-on-drift", "0.01").exit_code == 3


def test_rows_may_be_scored_under_one_model_and_compared_with_another(invoke, model, other_model, shifted):
    told = json.loads(invoke("score", model, shifted, "--against", other_model, "--json").stdout)
    assert told["mean_log_likelihood"] == load(model).score(open_zarr(shifted))
    expected = measure_drift(load(other_model), open_zarr(shifted))
    assert told["drift"] == {"against": str(other_model), **expected.as_dict()}


def test_one_pass_tells_score_and_drift_of_one_model(invoke, model, other_model, store, monkeypatch, tmp_path):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return engine.sweep(*arguments)

    monkeypatch.setattr(passes, "sweep", counted)
    monkeypatch.setattr(distribution, "sweep", counted)
    (tmp_path / "link.gmm").symlink_to(model)
    for against, n_passes in ((model, 1), (tmp_path / "link.gmm", 1), (other_model, 2)):
        calls.clear()
        assert invoke("score", model, store, "--against", against).exit_code == 0
        assert len(calls) == n_passes


def test_a_model_that_keeps_nothing_is_bad_input_before_anything_is_read(invoke, model, old_model, tmp_path):
    for arguments in (
        (model, tmp_path / "absent.zarr", "--against", old_model),
        (old_model, "x", "--fail-on-drift", 1),
    ):
        run = invoke("score", *arguments)
        assert run.exit_code == 4
        assert "old.gmm: expected a model that keeps how the rows of its fit are distributed" in run.stderr
        assert run.stdout == ""


def test_a_model_of_other_features_is_bad_input(invoke, model, store, tmp_path):
    other = tmp_path / "wide.gmm"
    GaussianMixture(1, acceleration=None).fit(np.random.default_rng(0).normal(size=(50, 3))).save(other)
    run = invoke("score", model, store, "--against", other)
    assert run.exit_code == 4
    assert "wide.gmm: expected a model of 2 features" in run.stderr


def test_a_model_that_is_not_there_is_bad_input(invoke, model, store, tmp_path):
    run = invoke("score", model, store, "--against", tmp_path / "no-such.gmm")
    assert run.exit_code == 4
    assert "no-such.gmm: there is no such model file" in run.stderr


@pytest.mark.parametrize("bound", ["-0.1", "nan", "much"])
def test_a_bound_that_is_none_is_wrong_usage(invoke, model, store, bound):
    run = invoke("score", model, store, "--fail-on-drift", bound)
    assert run.exit_code == 2
    assert "--fail-on-drift" in run.stderr


def test_inspect_tells_whether_drift_can_be_measured(invoke, model, old_model):
    assert json.loads(invoke("inspect", model, "--json").stdout)["keeps_distribution"] is True
    assert json.loads(invoke("inspect", old_model, "--json").stdout)["keeps_distribution"] is False
    assert "drift cannot be measured" in invoke("inspect", old_model).stdout
    assert "drift" not in invoke("inspect", model).stdout
