"""The process that drives a fit is stopped or killed, and the next one goes on to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.drawn import draw
from tests.faults.random_kills import digest

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

# Passes of some hundredths of a second that gain next to nothing, as many as it takes to be stopped in one of them.
SETTINGS = ["--components", "2", "--tol", "1e-9", "--max-iter", "40", "--random-state", "3"]
DEADLINE = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    rows = draw("full", n_rows=40_000, n_components=6, n_features=3, spread=0.8, seed=2).rows
    rows = np.tile(rows, (5, 1))
    zarr.create_array(folder / "rows.zarr", shape=rows.shape, chunks=(10_000, 3), dtype="f8")[:] = rows
    return folder


def start(folder: Path, output: str, checkpoint: str | None) -> subprocess.Popen[str]:
    """Start a fit in a process of its own."""
    command = [sys.executable, "-c", "from daskgmm.cli import main; main()"]
    command += ["fit", "rows.zarr", "-o", output, *SETTINGS]
    if checkpoint is not None:
        command += ["--checkpoint", checkpoint]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, error = process.communicate(timeout=DEADLINE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def wait_for(words: str, process: subprocess.Popen[str]) -> None:
    """Read the log until a line says some words."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        if words in line:
            return
    pytest.fail(f"it ended without {words!r}:\n{''.join(seen)}")


@pytest.fixture(scope="module")
def undisturbed(folder) -> str:
    run = finished(start(folder, "undisturbed.gmm", None))
    assert run.returncode == 0, run.stderr
    return digest(folder / "undisturbed.gmm")


def test_sigterm_ends_a_fit_in_five_seconds_and_the_next_one_goes_on(folder, undisturbed):
    process = start(folder, "stopped.gmm", "stopped.state")
    wait_for("pass 3, ", process)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    stopped = finished(process)
    assert time.monotonic() - began < 5
    assert stopped.returncode == 75, stopped.stderr
    assert stopped.stderr.splitlines()[-1] == (
        "daskgmm: interrupted by SIGTERM; start it again to go on from stopped.state"
    )
    assert not (folder / "stopped.gmm").exists()
    resumed = finished(start(folder, "stopped.gmm", "stopped.state"))
    assert resumed.returncode == 0, resumed.stderr
    assert "stopped.state: goes on after" in resumed.stderr
    assert digest(folder / "stopped.gmm") == undisturbed
    # The lock is gone, and so is the checkpoint, now that the model is there.
    assert {path.name for path in folder.glob("*stopped*")} == {"stopped.gmm"}


def test_without_a_checkpoint_a_signal_says_that_nothing_is_kept(folder):
    process = start(folder, "lost.gmm", None)
    wait_for("pass 1, ", process)
    process.send_signal(signal.SIGINT)
    stopped = finished(process)
    assert stopped.returncode == 128 + signal.SIGINT
    assert stopped.stderr.splitlines()[-1] == "daskgmm: interrupted by SIGINT; nothing is kept"
    assert not (folder / "lost.gmm").exists()


def test_a_second_signal_ends_it_at_once(folder):
    process = start(folder, "twice.gmm", "twice.state")
    wait_for("pass 2, ", process)
    for number in (signal.SIGTERM, signal.SIGTERM):
        process.send_signal(number)
    assert finished(process).returncode == 75


def test_a_checkpoint_that_cannot_be_written_ends_the_fit_and_leaves_the_old_one(folder, tmp_path):
    """A limit on the size of files stands for a full disk."""
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from daskgmm.cli import main; main(sys.argv[1:])"
    )
    state = tmp_path / "state"
    command = [sys.executable, "-c", limited, "fit", str(folder / "rows.zarr"), "-o", str(tmp_path / "x.gmm")]
    run = subprocess.run(
        [*command, *SETTINGS, "--checkpoint", str(state)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env={**os.environ, "NUMBA_DISABLE_CACHING": "1"},
    )
    assert run.returncode == 5, run.stderr
    assert f"{state}.sample: the file cannot be written" in run.stderr.splitlines()[-1]
    assert os.listdir(tmp_path) == []
