"""`daskgmm predict`: one result per row in a Zarr array, whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from daskgmm import load

RESULTS = {"labels": "predict", "proba": "predict_proba", "log-density": "score_samples"}


@pytest.mark.parametrize("what", RESULTS)
def test_each_kind_of_result_is_that_of_the_python_interface(what, invoke, model, store, rows, tmp_path):
    result = invoke("predict", model, store, "-o", tmp_path / "out.zarr", "--what", what)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"{tmp_path / 'out.zarr'}: {what} of 2000 rows"]
    expected = getattr(load(model), RESULTS[what])(rows)
    written = zarr.open_array(tmp_path / "out.zarr", mode="r")[:]
    assert written.dtype == expected.dtype
    np.testing.assert_allclose(written, expected, rtol=1e-12, atol=1e-12)


def test_two_workers_write_the_same_labels(shell, model, store, rows, tmp_path):
    run = shell("daskgmm", "predict", model, store, "-o", tmp_path / "out.zarr", "--n-workers", "2")
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 1
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[:], load(model).predict(rows))


def test_a_running_scheduler_writes_the_same_labels(invoke, cluster, model, store, rows, tmp_path):
    result = invoke("predict", model, store, "-o", tmp_path / "out.zarr", "--scheduler", cluster.scheduler_address)
    assert result.exit_code == 0
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[:], load(model).predict(rows))


def test_missing_chunks_may_be_accepted(invoke, model, store_with_gap, tmp_path):
    arguments = ("predict", model, store_with_gap, "-o", tmp_path / "out.zarr")
    refused = invoke(*arguments)
    assert refused.exit_code == 4
    assert "--missing-chunks fill" in refused.stderr
    assert not (tmp_path / "out.zarr").exists()
    assert invoke(*arguments, "--missing-chunks", "fill").exit_code == 0


def test_an_output_that_exists_is_refused_before_anything_is_read(invoke, tmp_path):
    output = tmp_path / "out.zarr"
    output.mkdir()
    (output / "mine").touch()
    result = invoke("predict", tmp_path / "no-such.gmm", tmp_path / "no-such.zarr", "-o", output)
    assert result.exit_code == 2
    assert str(output) in result.stderr
    assert [path.name for path in output.iterdir()] == ["mine"]


def test_a_bad_row_leaves_nothing_half_written(invoke, model, store_with_nan, tmp_path):
    before = set(tmp_path.iterdir())
    result = invoke("predict", model, store_with_nan, "-o", tmp_path / "out.zarr")
    assert result.exit_code == 4
    assert "row 1700" in result.stderr
    assert set(tmp_path.iterdir()) == before


def test_rows_of_other_features_are_bad_input(invoke, model, tmp_path):
    zarr.create_array(tmp_path / "wide.zarr", data=np.ones((10, 3)))
    result = invoke("predict", model, tmp_path / "wide.zarr", "-o", tmp_path / "out.zarr")
    assert result.exit_code == 4
    assert "3 features" in result.stderr
    assert not (tmp_path / "out.zarr").exists()


def test_a_file_that_is_no_model_is_bad_input(invoke, store, tmp_path):
    (tmp_path / "text.gmm").write_text("not a model")
    result = invoke("predict", tmp_path / "text.gmm", store, "-o", tmp_path / "out.zarr")
    assert result.exit_code == 4
    assert "text.gmm" in result.stderr
    assert not (tmp_path / "out.zarr").exists()
