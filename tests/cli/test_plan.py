"""`daskgmm plan`: what a fit will read and hold, for a reader and for a program."""

from __future__ import annotations

import json

import pytest

from daskgmm.engine.workers import Worker

MIB = 2**20


def test_a_plan_is_printed(invoke, store):
    result = invoke("plan", store, "--components", "3")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["rows", "2,000", "of", "2", "features"]


def test_json_is_one_object_of_plain_numbers(invoke, store):
    facts = json.loads(
        invoke("plan", store, "--components", "3", "--cache", "none", "--max-iter", "4", "--json").stdout
    )
    assert (facts["n_samples"], facts["n_features"], facts["pass_bytes"]) == (2000, 2, 32_000)
    assert (facts["expected_passes"], facts["most_passes"], facts["cached_bytes"]) == (4, 5, 0)
    assert facts["needed_memory"] <= facts["peak_memory"]
    assert facts["timing"]["n_rows"] == 2000
    assert facts["expected_seconds"] > 0


def test_a_fit_that_needs_too_much_memory_is_bad_input_with_both_numbers(invoke, store, monkeypatch, tmp_path):
    monkeypatch.setattr("daskgmm.fitting.memory.ambient_workers", lambda: (Worker(100 * MIB, 1),))
    result = invoke("plan", store, "--components", "3", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["memory_limit"] == 100 * MIB
    assert "100 MiB are there" in result.stderr
    refused = invoke("fit", store, "-o", tmp_path / "model.gmm", "--components", "3")
    assert refused.exit_code == 4
    assert refused.stderr == result.stderr
    assert not (tmp_path / "model.gmm").exists()


@pytest.mark.parametrize(
    ("options", "code"), [(["--components", "0"], 2), (["--components", "2", "--component", "lost"], 4)]
)
def test_what_cannot_be_planned_ends_as_a_fit_would(options, code, invoke, store):
    result = invoke("plan", store, *options)
    assert result.exit_code == code
    assert result.stdout == ""
