"""`daskgmm predict`: one result per row in a Zarr array, whole or not at all."""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
import pytest
import zarr

from daskgmm import load
from tests.cli.conftest import SCRIPTS

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


@pytest.mark.parametrize(("what", "dtype"), [("labels", "int16"), ("proba", "float32"), ("log-density", "float32")])
def test_numbers_may_be_smaller(what, dtype, invoke, model, store, rows, tmp_path):
    arguments = ("predict", model, store, "-o", tmp_path / "out.zarr", "--what", what, "--dtype", dtype)
    assert invoke(*arguments).exit_code == 0
    written = zarr.open_array(tmp_path / "out.zarr", mode="r")[:]
    assert written.dtype == dtype
    np.testing.assert_allclose(written, getattr(load(model), RESULTS[what])(rows), rtol=1e-6)


def test_numbers_that_make_no_sense_are_wrong_usage_before_anything_is_read(invoke, model, tmp_path):
    result = invoke("predict", model, tmp_path / "no-such.zarr", "-o", tmp_path / "out.zarr", "--dtype", "float32")
    assert result.exit_code == 2
    assert "dtype: expected one of int64, int32, int16 for labels; got float32" in result.stderr


def test_an_output_may_be_replaced(invoke, model, store, rows, tmp_path):
    arguments = ("predict", model, store, "-o", tmp_path / "out.zarr")
    assert invoke(*arguments).exit_code == 0
    refused = invoke(*arguments, "--dtype", "int16")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert invoke(*arguments, "--dtype", "int16", "--overwrite").exit_code == 0
    written = zarr.open_array(tmp_path / "out.zarr", mode="r")[:]
    assert written.dtype == np.int16
    np.testing.assert_array_equal(written, load(model).predict(rows))


def test_a_store_is_not_replaced_by_its_labels(invoke, model, store):
    before = (store / "zarr.json").read_bytes()
    assert invoke("predict", model, store, "-o", store, "--overwrite").exit_code == 2
    assert (store / "zarr.json").read_bytes() == before


# The command, except that it stops once it has written some results.
STOPPED = """
import sys
from daskgmm.cli import main
from daskgmm.storage.output import OutputRows

assign = OutputRows.__setitem__

def assign_and_wait(self, key, values):
    assign(self, key, values)
    print("written", flush=True)
    sys.stdin.read()

OutputRows.__setitem__ = assign_and_wait
main(sys.argv[1:])
"""


def test_a_run_that_is_killed_leaves_no_output_and_the_next_one_cleans_up(invoke, model, store, rows, tmp_path):
    output, before = tmp_path / "out.zarr", set(tmp_path.iterdir())
    arguments = ["predict", model, store, "-o", output]
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout.readline() == b"written\n"
        second = invoke(*arguments)
        run.kill()
    assert second.exit_code == 6
    assert f"another run is writing this output (process {run.pid} on" in second.stderr
    left = set(tmp_path.iterdir()) - before
    assert len(left) == 2
    assert output not in left
    assert invoke(*arguments).exit_code == 0
    assert set(tmp_path.iterdir()) - before == {output}
    np.testing.assert_array_equal(zarr.open_array(output, mode="r")[:], load(model).predict(rows))


def test_storage_that_is_full_is_worth_a_retry_and_leaves_nothing(model, store, tmp_path):
    before = set(tmp_path.iterdir())
    run = subprocess.run(
        [SCRIPTS / "daskgmm", "predict", model, store, "-o", tmp_path / "out.zarr", "--what", "log-density"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 5
    assert "results cannot be written (OSError: [Errno 27] File too large" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before
