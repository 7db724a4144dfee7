"""`daskgmm update`: a new night's rows go into a model."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr

from daskgmm import load


@pytest.fixture
def night(tmp_path, rows) -> Path:
    """A thousand new rows, a little aside."""
    path = tmp_path / "night.zarr"
    zarr.create_array(path, data=rows[::2] + 0.25, chunks=(500, 2))
    return path


def test_the_model_is_that_of_the_python_interface(invoke, model, night, tmp_path):
    result = invoke("update", model, night, "-o", tmp_path / "next.gmm", "--decay", "0.5")
    assert result.exit_code == 0, result.stderr
    assert "1000 new rows, 3000 in all; converged" in result.stdout
    updated, expected = load(tmp_path / "next.gmm"), load(model).update(str(night), 0.5)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(updated, name), getattr(expected, name))
    assert (updated.n_samples_seen_, updated.weight_seen_) == (3000, 2000.0)
    assert load(model).n_samples_seen_ == 2000


def test_json_is_one_object_in_a_process_of_its_own(shell, model, night, tmp_path):
    run = shell("daskgmm", "update", model, night, "-o", tmp_path / "next.gmm", "--json", "--max-iter", "7")
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert (facts["n_samples"], facts["n_new_samples"], facts["weight"]) == (3000, 1000, 3000.0)
    assert facts["converged"] is True
    assert facts["up_to_date"] is False
    # Settings of one run are not those of the model.
    assert load(tmp_path / "next.gmm").max_iter == 100


def test_a_night_that_is_run_twice_counts_once(invoke, model, night):
    first = invoke("update", model, night, "-o", model, "--overwrite", "--json")
    assert first.exit_code == 0, first.stderr
    content = model.read_bytes()
    again = invoke("update", model, night, "-o", model, "--overwrite", "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout) == {**json.loads(first.stdout), "up_to_date": True}
    assert model.read_bytes() == content


def test_the_next_night_goes_into_the_same_file(invoke, model, night, rows, tmp_path):
    assert invoke("update", model, night, "-o", model, "--overwrite").exit_code == 0
    zarr.create_array(tmp_path / "second.zarr", data=rows[:400], chunks=(500, 2))
    assert invoke("update", model, tmp_path / "second.zarr", "-o", model).exit_code == 4
    assert load(model).n_samples_seen_ == 3000
    assert invoke("update", model, tmp_path / "second.zarr", "-o", model, "--overwrite").exit_code == 0
    assert load(model).n_samples_seen_ == 3400


@pytest.mark.parametrize("decay", ["0", "1.5", "nan"])
def test_a_decay_out_of_range_is_wrong_usage(invoke, model, night, tmp_path, decay):
    result = invoke("update", model, night, "-o", tmp_path / "next.gmm", "--decay", decay)
    assert result.exit_code == 2
    assert "decay: expected a number above 0 and up to 1" in result.stderr
    assert not (tmp_path / "next.gmm").exists()


def test_rows_that_cannot_be_used_write_nothing(invoke, model, store_with_nan, tmp_path):
    before = model.read_bytes()
    result = invoke("update", model, store_with_nan, "-o", model, "--overwrite")
    assert result.exit_code == 4
    assert "row 1700" in result.stderr
    zarr.create_array(tmp_path / "wide.zarr", data=np.ones((10, 3)), chunks=(5, 3))
    result = invoke("update", model, tmp_path / "wide.zarr", "-o", model, "--overwrite")
    assert result.exit_code == 4
    assert f"wide.zarr: expected rows of 2 features, as {model} has; got 3 features" in result.stderr
    zarr.create_array(tmp_path / "empty.zarr", shape=(0, 2), dtype="f8", chunks=(5, 2))
    result = invoke("update", model, tmp_path / "empty.zarr", "-o", model, "--overwrite")
    assert result.exit_code == 4
    assert model.read_bytes() == before


@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_strict_writes_nothing_that_did_not_converge(invoke, model, night, tmp_path):
    asked = ("update", model, night, "-o", tmp_path / "next.gmm", "--tol", "1e-12", "--max-iter", "1")
    result = invoke(*asked, "--strict")
    assert result.exit_code == 3
    assert "--strict" in result.stderr
    assert not (tmp_path / "next.gmm").exists()
    assert invoke(*asked).exit_code == 0
    assert load(tmp_path / "next.gmm").converged_ is False


def test_a_model_that_is_not_there_is_bad_input(invoke, night, tmp_path):
    result = invoke("update", tmp_path / "no-such.gmm", night, "-o", tmp_path / "next.gmm")
    assert result.exit_code == 4
    assert "no-such.gmm" in result.stderr


def test_a_summary_is_the_result(invoke, model, night, tmp_path):
    result = invoke("update", model, night, "-o", tmp_path / "next.gmm", "--json", "--summary", tmp_path / "s.json")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "s.json").read_text()) == json.loads(result.stdout)


def test_an_update_that_runs_out_of_time_keeps_the_best_so_far(invoke, model, night, tmp_path, caplog):
    words = ("update", model, night, "-o", tmp_path / "next.gmm", "--tol", "0", "--max-iter", "4", "--json")
    # A warning, an error here, would say that --max-iter should be raised.
    result = json.loads(invoke(*words, "--max-time", "1ms").stdout)
    assert "stopped after --max-time 1ms: the best mixture so far is kept" in caplog.text
    assert (result["out_of_time"], result["converged"], result["n_passes"]) == (True, False, 2)
    assert result["n_new_samples"] == 1000
    assert json.loads(invoke(*words, "--max-time", "1ms").stdout)["up_to_date"]
    # More time gives another mixture.
    assert "max_time was 1ms" in invoke(*words, "--max-time", "2h").stderr
    with warnings.catch_warnings(action="ignore"):
        longer = json.loads(invoke(*words, "--max-time", "2h", "--overwrite").stdout)
    assert (longer["out_of_time"], longer["n_passes"]) == (False, 5)
    # Where it was enough, it does not count.
    assert json.loads(invoke(*words, "--max-time", "1h").stdout)["up_to_date"]


@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_a_dry_run_prints_the_plan_and_writes_nothing(invoke, model, night, tmp_path):
    words = ("update", model, night, "-o", tmp_path / "next.gmm", "--max-iter", "1")
    before = {one.name for one in tmp_path.iterdir()}
    planned = json.loads(invoke(*words, "--dry-run", "--json", "--summary", tmp_path / "s.json").stdout)
    assert (planned["n_samples"], planned["n_features"], planned["up_to_date"]) == (1000, 2, False)
    assert (planned["expected_passes"], planned["most_passes"], planned["sample_rows"]) == (2, 2, 0)
    assert invoke(*words, "--dry-run", "--decay", "3").exit_code == 2
    assert invoke(*words, "--dry-run", "--max-time", "soon").exit_code == 2
    assert {one.name for one in tmp_path.iterdir()} == before
    assert invoke(*words).exit_code == 0
    assert "up to date, there is nothing to do" in invoke(*words, "--dry-run").stdout
