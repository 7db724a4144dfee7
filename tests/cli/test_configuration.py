"""Where options come from, which place goes before which, and what is no configuration."""

from __future__ import annotations

import json

import dask
import pytest
from click.testing import CliRunner

from daskgmm import load
from daskgmm.cli import main

BEGIN = ("fit", "rows.zarr", "-o", "new.gmm", "--components", "2")


@pytest.fixture
def printed():
    """The merged options of a command: {name: {value, source}}, or the line that says what is wrong."""

    def run(*words, environment=None):
        result = CliRunner(catch_exceptions=False).invoke(
            main, [*map(str, words), "--print-config", "--json"], env=environment or {}
        )
        if result.exit_code == 0:
            return json.loads(result.stdout)
        assert result.exit_code == 2
        assert result.stdout == ""
        return result.stderr.splitlines()[-1]

    return run


@pytest.fixture
def config(tmp_path):
    """Write a configuration file."""

    def write(text, name="job.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_flag_goes_before_the_environment_a_file_dask_and_the_default(printed, config):
    file = config("timeout: 1m\nfit: {tol: 1e-4, max-iter: 7, n_init: 3}")
    environment = {"DASKGMM_FIT_MAX_ITER": "8", "DASKGMM_FIT_N_INIT": "4"}
    with dask.config.set({"daskgmm.fit": {"tol": 1e-5, "reg-covar": 1e-3}}):
        merged = printed(*BEGIN, "--config", file, "--n-init", "5", environment=environment)
    values = {name: (row["value"], row["source"]) for name, row in merged.items()}
    assert values["n-init"] == (5, "command line")
    assert values["max-iter"] == (8, "DASKGMM_FIT_MAX_ITER")
    assert values["tol"] == (1e-4, f"{file}, fit")
    assert values["timeout"] == ("1m", str(file))
    assert values["reg-covar"] == (1e-3, "dask.config daskgmm, fit")
    assert values["random-state"] == (0, "default")


def test_a_section_goes_before_what_is_for_all(printed, config):
    file = config("tol: 0.5\nselect: {tol: 0.25}\nfit: {tol: 0.125}")
    assert printed(*BEGIN, "--config", file)["tol"] == {"value": 0.125, "source": f"{file}, fit"}
    assert printed("plan", "rows.zarr", "--components", "2", "--config", file)["store"]["value"] == "rows.zarr"


def test_a_file_can_say_everything(invoke, config, store, tmp_path):
    file = config(
        f'store = "{store}"\n[fit]\noutput = "{tmp_path / "new.gmm"}"\ncomponents = 1\njson = true\ncache = "none"\n',
        "job.toml",
    )
    result = invoke("fit", "--config", file)
    assert json.loads(result.stdout)["n_components"] == 1
    assert load(tmp_path / "new.gmm").cache is None


def test_the_environment_names_the_file_and_flags(printed, config):
    environment = {"DASKGMM_FIT_CONFIG": str(config("fit: {tol: 0.5}")), "DASKGMM_FIT_STRICT": "1"}
    merged = printed(*BEGIN, environment=environment)
    assert (merged["tol"]["value"], merged["strict"]["value"]) == (0.5, True)
    run = CliRunner().invoke(main, [*BEGIN, "--print-config"], env={"DASKGMM_FIT_JSON": "true"})
    assert json.loads(run.stdout)["json"] == {"value": True, "source": "DASKGMM_FIT_JSON"}


def test_a_yaml_word_for_off_is_off(printed, config):
    assert printed(*BEGIN, "--config", config("progress: off"))["progress"]["value"] == "off"


def test_credentials_are_not_shown(printed, config):
    file = config("storage-options: {key: abc123}")
    assert printed(*BEGIN, "--config", file)["storage-options"]["value"] == "(hidden)"
    assert "abc123" not in printed(*BEGIN, "--config", config("storage-options: [abc123]"))


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("componets: 2", "job.yaml", "there is no option 'componets'; did you mean 'components'?"),
        ("fit: {max_itr: 2}", "job.yaml", "job.yaml, fit: there is no option 'max_itr'; did you mean 'max-iter'?"),
        ("score: {componnt: a}", "job.yaml", "score: there is no option 'componnt'; did you mean 'component'?"),
        ("fitt: {tol: 1}", "job.yaml", "there is no option 'fitt'; did you mean 'fit'?"),
        ("fit: {config: a}", "job.yaml", "there is no option 'config'"),
        ("tol: 1\nfit: {components: 2.5}", "job.yaml", "job.yaml, fit: components: expected an integer; got a number"),
        ("components: true", "job.yaml", "components: expected an integer; got true or false"),
        ("fit: {tol: soon}", "job.yaml", "tol: 'soon' is not a valid float"),
        ("fit: {tol: [1]}", "job.yaml", "tol: expected a number; got a list"),
        ("fit: {strict: 'yes'}", "job.yaml", "strict: expected true or false; got text"),
        ("cache: disc", "job.yaml", "cache: 'disc' is not one of 'auto', 'memory', 'disk', 'none'"),
        ("fit: {n-workers: 0}", "job.yaml", "n-workers: 0 is not in the range"),
        ("fit: 3", "job.yaml", "fit: expected options with their values; got an integer"),
        ("- tol", "job.yaml", "expected options with their values; got a list"),
        ("{max-iter: 1, max_iter: 2}", "job.yaml", "two spellings"),
        ("fit: {tol: 1", "job.yaml", "expected valid YAML"),
        ("tol: 1\nfit: {}\ntol: 2", "job.yaml", "expected valid YAML; 'tol' stands there twice"),
        ("fit: {tol: 1, tol: 1}", "job.yaml", "expected valid YAML; 'tol' stands there twice"),
        ("tol = ", "job.toml", "expected valid TOML"),
        ("tol: 1", "job.conf", "ends in .yaml, .yml or .toml"),
    ],
)
def test_what_is_no_configuration_is_named(text, name, words, printed, config):
    file = config(text, name)
    message = printed(*BEGIN, "--config", file)
    assert words in message
    assert str(file) in message


def test_a_file_that_is_not_there(printed, tmp_path):
    assert "no-such.yaml" in printed(*BEGIN, "--config", tmp_path / "no-such.yaml")


def test_a_slip_in_the_environment_is_named(printed):
    assert "did you mean 'DASKGMM_FIT_TOL'?" in printed(*BEGIN, environment={"DASKGMM_FIT_TOLL": "1"})
    # That of another command, and what an image may set, are no slips.
    assert printed(*BEGIN, environment={"DASKGMM_SCORE_TIMEOUT": "1s", "DASKGMM_VERSION": "1"})


def test_dask_names_the_scheduler_unless_something_else_does(printed, config):
    with dask.config.set({"scheduler-address": "tcp://127.0.0.1:1"}):
        named = printed(*BEGIN)["scheduler"]
        assert named == {"value": "tcp://127.0.0.1:1", "source": "dask.config scheduler-address"}
        assert printed(*BEGIN, "--scheduler", "tcp://127.0.0.1:2")["scheduler"]["value"] == "tcp://127.0.0.1:2"
        assert printed(*BEGIN, "--n-workers", "2")["scheduler"]["value"] is None
        assert printed(*BEGIN, "--config", config("n-workers: 2"))["scheduler"]["value"] is None


def test_a_flag_that_names_a_cluster_goes_before_another_way_in_a_file(printed, config):
    file = config("scheduler-file: scheduler.json")
    with dask.config.set({"daskgmm": {"n-workers": 7}}):
        merged = printed(*BEGIN, "--config", file)
        assert (merged["n-workers"]["value"], merged["scheduler-file"]["value"]) == (None, "scheduler.json")
        merged = printed(*BEGIN, "--config", file, "--n-workers", "2")
        assert (merged["n-workers"]["value"], merged["scheduler-file"]["value"]) == (2, None)


def test_the_text_has_a_line_for_each_option():
    run = CliRunner().invoke(main, [*BEGIN, "--print-config"])
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("tol ")]
    assert line.split() == ["tol", "0.001", "default"]
