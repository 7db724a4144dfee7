"""`daskgmm score`: the mean log-likelihood per row."""

from __future__ import annotations

import json

import pytest

from daskgmm import load


def test_the_score_is_that_of_the_python_interface(invoke, model, store, rows):
    result = invoke("score", model, store)
    assert result.exit_code == 0
    assert result.stdout == f"mean log-likelihood {load(model).score(rows):.6g} over 2000 rows\n"


def test_json_is_one_object(shell, model, store, rows):
    run = shell("daskgmm", "score", model, store, "--json")
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)
    assert (facts["model"], facts["n_samples"]) == (str(model), 2000)
    assert facts["mean_log_likelihood"] == pytest.approx(load(model).score(rows), rel=1e-12)


def test_a_row_with_nan_is_named(invoke, model, store_with_nan):
    result = invoke("score", model, store_with_nan)
    assert result.exit_code == 4
    assert "row 1700" in result.stderr
    assert result.stdout == ""


def test_a_model_that_is_not_there_is_bad_input(invoke, store, tmp_path):
    result = invoke("score", tmp_path / "no-such.gmm", store)
    assert result.exit_code == 4
    assert "no-such.gmm" in result.stderr


def test_missing_chunks_may_be_accepted(invoke, model, store_with_gap):
    assert invoke("score", model, store_with_gap).exit_code == 4
    assert "over 2000 rows" in invoke("score", model, store_with_gap, "--missing-chunks", "fill").stdout
