"""`daskgmm select`: the table, the model, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from daskgmm import load, open_zarr, select_components


def test_the_table_goes_to_standard_output_and_the_best_mixture_to_a_file(invoke, store, tmp_path):
    output = tmp_path / "new.gmm"
    run = invoke("select", store, "-o", output, "--components", "1:4", "--covariance-type", "full,diag")
    assert run.exit_code == 0
    lines = run.stdout.splitlines()
    assert "passes over the data for 8 mixtures" in lines[0]
    (marked,) = [line for line in lines if line.startswith("*")]
    assert lines[-1] == f"{output}: the mixture marked *"
    best = load(output)
    assert marked.split()[1:3] == [str(best.n_components), best.covariance_type]
    assert best.n_components == 3


def test_the_same_command_exists_in_dasks(shell, store, tmp_path):
    run = shell("dask", "gmm", "select", store, "-o", tmp_path / "new.gmm", "--components", "2,3")
    assert run.returncode == 0, run.stderr
    assert load(tmp_path / "new.gmm").n_components == 3
    assert all("daskgmm" in line for line in run.stderr.splitlines())


def test_json_is_one_object_and_the_python_interface_finds_the_same(invoke, store, tmp_path):
    output = tmp_path / "new.gmm"
    options = ("--components", "3,1:2", "--covariance-type", "diag,full", "--criterion", "icl", "--random-state", "7")
    facts = json.loads(invoke("select", store, "-o", output, *options, "--json").stdout)
    expected = select_components(
        open_zarr(store), [3, 1, 2], covariance_types=["diag", "full"], criterion="icl", random_state=7
    )
    assert facts["table"] == expected.table
    assert (facts["model"], facts["criterion"], facts["n_passes"]) == (str(output), "icl", expected.n_passes)
    assert (facts["n_components"], facts["n_samples"], facts["n_features"]) == (
        expected.best.n_components,
        2000,
        2,
    )
    np.testing.assert_array_equal(load(output).means_, expected.best.means_)


def test_every_setting_reaches_the_fits(invoke, store, tmp_path):
    settings = {
        "random_state": 3,
        "tol": 1e-4,
        "reg_covar": 1e-3,
        "max_iter": 50,
        "n_init": 2,
        "init_params": "random_from_data",
        "cache": "disk",
    }
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert invoke("select", store, "-o", tmp_path / "new.gmm", "--components", "2", *options).exit_code == 0
    fitted = load(tmp_path / "new.gmm").get_params()
    # A seed belongs to a run, not to the mixture that it found.
    del settings["random_state"]
    assert {name: fitted[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("components", "counts"), [("2", [2]), ("2:4", [2, 3, 4]), ("1,2,4", [1, 2, 4]), ("1,3:4", [1, 3, 4])]
)
def test_numbers_of_components_may_be_ranges_that_hold_both_ends(components, counts, invoke, store, tmp_path):
    run = invoke("select", store, "-o", tmp_path / "new.gmm", "--components", components, "--json")
    assert [row["n_components"] for row in json.loads(run.stdout)["table"]] == counts


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--components"),
        (["--components", "many"], "2:12; got 'many'"),
        (["--components", "1:2:3"], "2:12; got '1:2:3'"),
        (["--components", "1,"], "2:12; got '1,'"),
        (["--components", "4:2"], "got '4:2'"),
        (["--components", "0:3"], "got '0:3'"),
        (["--components", "2", "--covariance-type", "full,round"], "got 'round'"),
        (["--components", "2", "--criterion", "best"], "best"),
        (["--components", "2", "--tol", "-1"], "tol"),
    ],
)
def test_wrong_usage_has_its_own_exit_code_and_writes_nothing(options, words, invoke, store, tmp_path):
    result = invoke("select", store, "-o", tmp_path / "new.gmm", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "new.gmm").exists()


def test_an_output_that_exists_is_refused_before_anything_is_read(invoke, tmp_path):
    output = tmp_path / "new.gmm"
    output.write_text("mine")
    result = invoke("select", tmp_path / "no-such.zarr", "-o", output, "--components", "3")
    assert result.exit_code == 2
    assert str(output) in result.stderr
    assert output.read_text() == "mine"


def test_rows_that_cannot_be_used_are_named_and_nothing_is_written(invoke, store_with_nan, tmp_path):
    result = invoke("select", store_with_nan, "-o", tmp_path / "new.gmm", "--components", "1:3")
    assert result.exit_code == 4
    assert result.stdout == ""
    assert "row 1700" in result.stderr
    assert not (tmp_path / "new.gmm").exists()
