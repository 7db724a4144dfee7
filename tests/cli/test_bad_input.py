"""Bad input through real processes: an exit code and one clear line each, and nothing changed on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from daskgmm import GaussianMixture

HOLD = """
import sys, time
from pathlib import Path
from daskgmm.storage.lock import hold
with hold(Path(sys.argv[1]), "model"):
    print("held", flush=True)
    time.sleep(100)
"""
FIT = "fit rows.zarr -o new.gmm --components 1"

CASES = {
    "two clusters": (f"{FIT} --n-workers 2 --scheduler tcp://127.0.0.1:1", {}, 2, "one way to find a cluster"),
    "workers of nobody": (f"{FIT} --wait-workers 2", {}, 2, "expected a scheduler whose workers to wait for"),
    "no time": (f"{FIT} --max-time soon", {}, 2, "a duration such as"),
    "a checkpoint in place of the model": (f"{FIT} --checkpoint new.gmm", {}, 2, "--checkpoint new.gmm: expected"),
    "a checkpoint in place of the start": (f"{FIT} --warm-start other.gmm --checkpoint other.gmm", {}, 2, "other.gmm:"),
    "a summary in place of the checkpoint": (f"{FIT} --checkpoint a --summary a", {}, 2, "--summary a: expected"),
    "a format of another name": ("export other.gmm -o other.json --format npz", {}, 2, "expected --format json"),
    "half a file": (f"{FIT} --config half.yaml", {}, 2, "half.yaml: expected valid YAML"),
    "a wrong type": (f"{FIT} --config types.yaml", {}, 2, "types.yaml, fit: tol: 'small' is not a valid float"),
    "a slip": (FIT, {"DASKGMM_FIT_MAXITER": "3"}, 2, "did you mean 'DASKGMM_FIT_MAX_ITER'"),
    "no scheduler": (f"{FIT} --scheduler tcp://127.0.0.1:1 --timeout 300ms", {}, 5, "tcp://127.0.0.1:1"),
    "no scheduler in the environment": (
        f"{FIT} --timeout 300ms",
        {"DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:1"},
        5,
        "tcp://127.0.0.1:1",
    ),
    "no directory": ("fit rows.zarr -o half.yaml/new.gmm --components 1", {}, 4, "half.yaml"),
    "other features": ("predict other.gmm rows.zarr -o labels.zarr", {}, 4, "2 features"),
    "other features to start from": (f"{FIT} --warm-start other.gmm", {}, 4, "expected 2 features"),
    "an output of something else": ("fit rows.zarr -o half.yaml --components 1 --overwrite", {}, 2, "is no model"),
    "no convergence": (f"{FIT} --strict --max-iter 1 --tol 0", {}, 3, "--strict"),
}


@pytest.fixture
def folder(tmp_path, store, monkeypatch):
    """What the commands above name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half.yaml").write_text("fit: {tol: 1")
    (tmp_path / "types.yaml").write_text("fit: {tol: small}")
    GaussianMixture(1, random_state=0).fit(np.random.default_rng(0).normal(size=(50, 3))).save("other.gmm")
    return tmp_path


def everything(path):
    """Every file below a folder with its content."""
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


def assert_refused(run, code, words):
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    last = run.stderr.splitlines()[-1]
    assert words in last
    assert "Traceback" not in run.stderr
    if code != 2:
        assert last.startswith("daskgmm: error: ")


@pytest.mark.parametrize(("command", "environment", "code", "words"), CASES.values(), ids=CASES)
def test_bad_input_changes_nothing(command, environment, code, words, forked, folder):
    before = everything(folder)
    words_of_command = [*command.split(), *(() if command.startswith("export") else ("--progress", "off"))]
    run = forked("--cd", folder, *words_of_command, environment=environment)
    assert_refused(run, code, words)
    assert everything(folder) == before


def test_the_last_line_is_json_where_the_log_is(forked, folder):
    run = forked("--cd", folder, *f"{FIT} --log-format json --strict --max-iter 1 --tol 0".split())
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert run.returncode == lines[-1]["exit_code"] == 3
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    (step,) = [line for line in lines if line.get("phase") == "em"]
    assert (step["pass"], step["rows"], step["level"]) == (2, 2000, "info")
    assert isinstance(step["lower_bound"], float)


def test_an_owner_that_lives_and_one_that_died(forked, folder):
    with subprocess.Popen([sys.executable, "-c", HOLD, ".new.gmm.lock"], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout.readline() == "held\n"
            before = everything(folder)
            assert_refused(forked("--cd", folder, *FIT.split()), 6, f"process {owner.pid}")
            assert everything(folder) == before
        finally:
            owner.kill()
    assert (folder / ".new.gmm.lock").exists()
    assert forked("--cd", folder, *FIT.split()).returncode == 0
    assert not (folder / ".new.gmm.lock").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_directory_that_cannot_be_written_to(forked, folder):
    (folder / "closed").mkdir(mode=0o500)
    run = forked("--cd", folder, *["fit", "rows.zarr", "-o", "closed/new.gmm", "--components", "1"])
    assert_refused(run, 5, "cannot")
