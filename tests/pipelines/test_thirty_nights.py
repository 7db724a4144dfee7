"""Thirty nights with the commands of README.md, as processes: one killed, one with damaged rows, one started twice."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr

from daskgmm import GaussianMixture, load
from tests.containers.services import clean_environment
from tests.drawn import draw
from tests.pipelines.stand_ins import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

N_NIGHTS, N_ROWS, CHUNK_ROWS = 30, 4_000, 1_000
KILLED, DAMAGED, TWICE = 11, 17, 23
DEADLINE = 120.0
# What a month of updates may lose, in nats a row.
MOST_LOST = 0.02


@dataclass(frozen=True)
class Pipeline:
    """The commands of README.md in a folder of rows and one model."""

    folder: Path
    commands: tuple[list[str], ...]
    """Fit, score and update; rows/01.zarr and rows/02.zarr stand for the night's rows."""

    def start(self, which: int, night: int) -> subprocess.Popen[str]:
        words = [re.sub(r"^rows/\d\d\.zarr$", f"rows/{night:02}.zarr", word) for word in self.commands[which]]
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, which: int, night: int) -> int:
        """Return the exit code, and see that the last line on standard error tells a failure."""
        process = self.start(which, night)
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0 or errors.splitlines()[-1].startswith("daskgmm: "), errors
        return process.returncode

    def night(self, night: int) -> list[int]:
        """Return the exit codes of a night's commands, of which the first failure is the last."""
        codes: list[int] = []
        for which in (0,) if night == 1 else (1, 2):
            codes.append(self.run(which, night))
            if codes[-1] != 0:
                break
        return codes

    @property
    def model(self) -> str:
        return hashlib.sha256((self.folder / "model.gmm").read_bytes()).hexdigest()

    @property
    def litter(self) -> set[str]:
        return set(os.listdir(self.folder)) - {"rows", "model.gmm", "result.json"}

    def until_it_holds_the_model(self, process: subprocess.Popen[str]) -> None:
        """Wait until a command has taken the lock, which it does before it reads anything."""
        deadline = time.monotonic() + DEADLINE
        while not (self.folder / ".model.gmm.lock").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.fixture
def rows() -> np.ndarray:
    """Those of all nights; each night's are like the others'."""
    return draw("full", n_rows=N_NIGHTS * N_ROWS, n_features=2, spread=2.0, seed=4).rows


@pytest.fixture
def pipeline(tmp_path, rows) -> Pipeline:
    section = (ROOT / "README.md").read_text().partition("## Run it every night")[2].partition("\n## ")[0]
    block = section.partition("```console\n")[2].partition("```")[0]
    commands = tuple(shlex.split(line.removeprefix("$ ")) for line in block.splitlines())
    assert [command[:2] for command in commands] == [["daskgmm", name] for name in ("fit", "score", "update")]
    for night, values in enumerate(np.split(rows, N_NIGHTS), 1):
        zarr.create_array(tmp_path / "rows" / f"{night:02}.zarr", data=values, chunks=(CHUNK_ROWS, 2))
    return Pipeline(tmp_path, commands)


def test_thirty_nights_end_with_the_right_model_and_no_litter(pipeline, rows):
    for night in range(1, N_NIGHTS + 1):
        if night == KILLED:
            be_killed(pipeline, night)
        if night == DAMAGED:
            with damaged(pipeline.folder / "rows" / f"{night:02}.zarr"):
                before = pipeline.model
                assert pipeline.night(night) == [4]
                assert pipeline.run(2, night) == 4
                assert pipeline.model == before
        if night == TWICE:
            start_twice(pipeline, night)
        assert set(pipeline.night(night)) == {0}
        result = json.loads((pipeline.folder / "result.json").read_text())
        assert result["n_samples"] == night * N_ROWS
        assert result["up_to_date"] == (night == TWICE)
        assert pipeline.litter == set()
    # A night of long ago that is run again is in the model.
    before = pipeline.model
    assert pipeline.run(2, KILLED) == 0
    assert pipeline.model == before
    mixture = load(pipeline.folder / "model.gmm")
    assert mixture.n_samples_seen_ == len(rows)
    at_once = GaussianMixture(mixture.n_components, random_state=0).fit(rows)
    assert abs(mixture.score(rows) - at_once.score(rows)) < MOST_LOST


def be_killed(pipeline: Pipeline, night: int) -> None:
    """End a night's update in its midst, as a scheduler does that wants the machine back."""
    before = pipeline.model
    process = pipeline.start(2, night)
    pipeline.until_it_holds_the_model(process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert pipeline.model == before
    assert pipeline.litter == set()


def start_twice(pipeline: Pipeline, night: int) -> None:
    """Start a night's update while it is running: the second is refused, the first ends as if it were alone."""
    first = pipeline.start(2, night)
    pipeline.until_it_holds_the_model(first)
    first.send_signal(signal.SIGSTOP)
    try:
        assert pipeline.run(2, night) == 6
    finally:
        first.send_signal(signal.SIGCONT)
    _, errors = first.communicate(timeout=DEADLINE)
    assert first.returncode == 0, errors


@contextmanager
def damaged(store: Path) -> Iterator[None]:
    """Cut a chunk short, and restore it afterwards."""
    chunk = store / "c" / "2" / "0"
    content, times = chunk.read_bytes(), chunk.stat()
    chunk.write_bytes(content[:100])
    yield
    chunk.write_bytes(content)
    os.utime(chunk, ns=(times.st_atime_ns, times.st_mtime_ns))
