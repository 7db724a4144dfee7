"""Two nights with the real commands: by nightly.sh on this machine, and by slurm.sh on a cluster of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import zarr

from daskgmm import load
from tests.containers.services import clean_environment
from tests.drawn import draw
from tests.pipelines.stand_ins import PIPELINES
from tests.pipelines.test_slurm import SCONTROL, SLURM, SRUN

FIRST, SECOND, DRIFTED = "2026-11-21", "2026-11-22", "2026-11-23"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three nights' rows, the last of them shifted by two standard deviations and more."""
    (tmp_path / "models").mkdir()
    (tmp_path / "rows").mkdir()
    rows = draw("full", n_rows=6000, n_features=2, spread=4.0).rows
    for night, values in ((FIRST, rows[:3000]), (SECOND, rows[3000:]), (DRIFTED, rows[3000:] + 3 * rows.std(axis=0))):
        zarr.create_array(tmp_path / "rows" / f"{night}.zarr", data=values, chunks=(500, 2))
    return tmp_path


def run(
    script: str, folder: Path, night: str, *more: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [str(PIPELINES / script), f"rows/{night}.zarr", str(folder / "models"), *more]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def models(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_nights_and_a_drifted_one(folder):
    environment = clean_environment({"COMPONENTS": "3"})
    for night in (FIRST, SECOND):
        ended = run("nightly.sh", folder, night, environment=environment)
        assert ended.returncode == 0, ended.stderr
    assert load(folder / "models" / "current.gmm").n_samples_seen_ == 6000
    published = [f"{night}.{kind}" for night in (FIRST, SECOND) for kind in ("gmm", "json")]
    published += [f"{SECOND}.drift.json", "current.gmm"]
    assert models(folder) == sorted(published)
    ended = run("nightly.sh", folder, DRIFTED, environment=environment)
    assert ended.returncode == 3, ended.stderr
    assert models(folder) == sorted(
        [*published, *(f"{DRIFTED}.{kind}" for kind in ("candidate.gmm", "json", "drift.json"))]
    )
    assert json.loads((folder / "models" / f"{FIRST}.json").read_text())["n_samples"] == 3000
    assert load(folder / "models" / "current.gmm").n_samples_seen_ == 6000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_night_of_corrupt_rows_changes_nothing_and_is_not_tried_again(folder):
    for chunk in (folder / "rows" / f"{FIRST}.zarr" / "c").glob("*/*"):
        chunk.write_bytes(b"not what Zarr wrote")
    ended = run("cron.sh", folder, FIRST, environment=clean_environment({"PAUSE": "0"}))
    assert ended.returncode == 4
    assert "attempt" not in ended.stderr
    assert models(folder) == ["nightly.lock"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_night_on_slurm(folder):
    programs = folder / "programs"
    programs.mkdir()
    for name, script in (("srun", SRUN), ("scontrol", SCONTROL.format(folder=folder))):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    environment = clean_environment({**SLURM, "COMPONENTS": "3"})
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    ended = run("slurm.sh", folder, FIRST, environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("Registered to:      tls://") == 2
    assert load(folder / "models" / "current.gmm").n_samples_seen_ == 3000
    assert models(folder) == [f"{FIRST}.gmm", f"{FIRST}.json", "current.gmm"]
    assert not (folder / "requeued").exists()
