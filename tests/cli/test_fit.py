"""`daskgmm fit`: what it writes, what it says where, and what it leaves behind when it fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from daskgmm import GaussianMixture, load, open_zarr


def assert_same_mixture(path, expected):
    actual = load(path)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))


def test_the_result_goes_to_standard_output_and_the_log_to_standard_error(shell, store, tmp_path):
    run = shell("daskgmm", "fit", store, "-o", tmp_path / "new.gmm", "--components", "3")
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 1
    assert "3 components, 2000 rows of 2 features; converged" in run.stdout
    assert run.stderr
    assert all("daskgmm" in line for line in run.stderr.splitlines())


def test_the_model_is_that_of_the_python_interface(invoke, store, tmp_path):
    result = invoke("fit", store, "-o", tmp_path / "new.gmm", "--components", "3", "--random-state", "7")
    assert result.exit_code == 0
    assert_same_mixture(tmp_path / "new.gmm", GaussianMixture(3, random_state=7).fit(open_zarr(store)))


def test_every_setting_reaches_the_fit(invoke, store, tmp_path):
    settings = {
        "covariance_type": "diag",
        "random_state": 3,
        "tol": 1e-4,
        "reg_covar": 1e-3,
        "max_iter": 50,
        "n_init": 2,
        "init_params": "random_from_data",
        "cache": "disk",
    }
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert invoke("fit", store, "-o", tmp_path / "new.gmm", "--components", "2", *options).exit_code == 0
    fitted = load(tmp_path / "new.gmm").get_params()
    # A seed belongs to a run, not to the mixture that it found.
    del settings["random_state"]
    assert {name: fitted[name] for name in settings} == settings


def test_json_is_one_object(invoke, store, tmp_path):
    result = invoke("fit", store, "-o", tmp_path / "new.gmm", "--components", "3", "--json")
    facts = json.loads(result.stdout)
    assert facts["model"] == str(tmp_path / "new.gmm")
    assert (facts["n_samples"], facts["n_features"], facts["n_components"]) == (2000, 2, 3)
    assert facts["converged"] is True
    assert facts["lower_bound"] == load(tmp_path / "new.gmm").lower_bound_


def test_two_workers_find_the_same_bits(shell, two_blocks, tmp_path):
    run = shell("daskgmm", "fit", two_blocks, "-o", tmp_path / "new.gmm", "--components", "3", "--n-workers", "2")
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 1
    assert_same_mixture(tmp_path / "new.gmm", GaussianMixture(3, random_state=0).fit(open_zarr(two_blocks)))


def test_a_running_scheduler_finds_the_same_bits(invoke, cluster, two_blocks, tmp_path):
    result = invoke(
        "fit", two_blocks, "-o", tmp_path / "new.gmm", "--components", "3", "--scheduler", cluster.scheduler_address
    )
    assert result.exit_code == 0
    assert_same_mixture(tmp_path / "new.gmm", GaussianMixture(3, random_state=0).fit(open_zarr(two_blocks)))


def test_an_array_inside_a_group_is_named_by_component(invoke, rows, tmp_path):
    group = zarr.create_group(tmp_path / "group.zarr")
    group.create_array("deep/rows", data=rows, chunks=(500, 2))
    result = invoke(
        "fit", tmp_path / "group.zarr", "-o", tmp_path / "new.gmm", "--components", "2", "--component", "deep/rows"
    )
    assert result.exit_code == 0
    assert load(tmp_path / "new.gmm").n_features_in_ == 2


def test_a_fit_that_does_not_converge_says_so_and_is_written(shell, store, tmp_path):
    run = shell("daskgmm", "fit", store, "-o", tmp_path / "new.gmm", "--components", "3", "--max-iter", "1")
    assert run.returncode == 0, run.stderr
    assert "did not converge" in run.stdout
    assert "WARNING daskgmm: EM did not converge" in run.stderr
    assert not load(tmp_path / "new.gmm").converged_


def test_an_output_that_exists_is_refused_before_anything_is_read(invoke, tmp_path):
    output = tmp_path / "new.gmm"
    output.write_text("mine")
    result = invoke("fit", tmp_path / "no-such.zarr", "-o", output, "--components", "3")
    assert result.exit_code == 2
    assert str(output) in result.stderr
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    "options", [["--components", "0"], ["--components", "three"], [], ["--components", "3", "--tol", "-1"]]
)
def test_wrong_usage_has_its_own_exit_code(options, invoke, store, tmp_path):
    assert invoke("fit", store, "-o", tmp_path / "new.gmm", *options).exit_code == 2
    assert not (tmp_path / "new.gmm").exists()


def assert_bad_input(result, tmp_path, *words, exit_code=4):
    """One line that holds the words, and nothing new in the folder."""
    assert result.exit_code == exit_code
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("daskgmm: error: ")
    assert [word for word in words if word not in line] == []
    assert [path.name for path in tmp_path.iterdir() if "gmm" in path.name] == []


def test_a_store_that_is_not_there(invoke, tmp_path):
    result = invoke("fit", tmp_path / "no-such.zarr", "-o", tmp_path / "new.gmm", "--components", "3")
    assert_bad_input(result, tmp_path, "no-such.zarr")


def test_a_row_with_nan_is_named(invoke, store_with_nan, tmp_path):
    result = invoke("fit", store_with_nan, "-o", tmp_path / "new.gmm", "--components", "3")
    assert_bad_input(result, tmp_path, "row 1700", "NaN")


def test_missing_chunks_are_named_with_the_option_that_accepts_them(invoke, store_with_gap, tmp_path):
    arguments = ("fit", store_with_gap, "-o", tmp_path / "new.gmm", "--components", "3")
    assert_bad_input(invoke(*arguments), tmp_path, "1 of 4 chunks", "c/1/0", "--missing-chunks fill")
    assert invoke(*arguments, "--missing-chunks", "fill").exit_code == 0
    assert load(tmp_path / "new.gmm").n_samples_seen_ == 2000


def test_a_truncated_chunk_is_named(invoke, store, tmp_path):
    chunk = store / "c" / "2" / "0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    result = invoke("fit", store, "-o", tmp_path / "new.gmm", "--components", "3")
    assert_bad_input(result, tmp_path, "c/2/0")


def test_fewer_rows_than_components(invoke, tmp_path):
    zarr.create_array(tmp_path / "few.zarr", data=np.ones((3, 2)))
    result = invoke("fit", tmp_path / "few.zarr", "-o", tmp_path / "new.gmm", "--components", "5")
    assert_bad_input(result, tmp_path, "5", "3")


def test_an_output_folder_that_is_not_there_is_refused_before_anything_is_read(invoke, store_with_nan, tmp_path):
    result = invoke("fit", store_with_nan, "-o", tmp_path / "no-such-folder" / "new.gmm", "--components", "3")
    assert_bad_input(result, tmp_path, "no-such-folder")
