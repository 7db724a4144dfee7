"""`daskgmm demo`: the whole way at a tiny size."""

from __future__ import annotations

import pytest
import zarr

from daskgmm import load
from daskgmm.cli import demo_run
from daskgmm.errors import QualityGateError

TINY = ("--size", "8MiB", "--components", "3", "--features", "2")


# `.ci/run` begins with the whole demo.
@pytest.mark.slow
def test_the_demo_recovers_its_mixture_and_keeps_what_it_wrote(shell, tmp_path):
    folder = tmp_path / "new" / "kept"
    run = shell("daskgmm", "demo", *TINY, "--keep", folder)
    assert run.returncode == 0, run.stderr
    table = dict(line.split("  ", 1) for line in run.stdout.splitlines())
    assert table["rows"].strip() == "524,288 of 2 features"
    assert "nats a row" in table["log-likelihood, true"]
    assert sorted(path.name for path in folder.iterdir()) == ["labels.zarr", "model.gmm", "rows.zarr"]
    assert zarr.open_array(folder / "labels.zarr", mode="r").shape == (524_288,)
    assert load(folder / "model.gmm").n_samples_seen_ == 524_288


def test_a_folder_that_exists_is_refused(invoke, tmp_path):
    (tmp_path / "mine").touch()
    result = invoke("demo", *TINY, "--keep", tmp_path)
    assert result.exit_code == 2
    assert "--keep" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("size", ["1kB", "much", "-1GiB"])
def test_a_size_without_sense_is_wrong_usage(size, invoke):
    assert invoke("demo", "--size", size).exit_code == 2


def test_a_failure_leaves_no_folder(invoke, tmp_path, monkeypatch):
    def fail(settings, folder):
        (folder / "rows.zarr").mkdir()
        raise QualityGateError("worse than the truth")

    monkeypatch.setattr(demo_run, "run_demo", fail)
    result = invoke("demo", *TINY, "--keep", tmp_path / "kept")
    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []
