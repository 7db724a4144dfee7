"""A small store, a model of it, and two ways to run a command on them."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result

from daskgmm import GaussianMixture, open_zarr
from daskgmm.cli import main
from tests.drawn import draw

SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.fixture
def rows() -> np.ndarray:
    """2,000 rows of two features around three places; none of the numbers is Zarr's fill value."""
    return draw("full", n_rows=2000, n_features=2, spread=4.0).rows


@pytest.fixture
def store(tmp_path, rows) -> Path:
    """The rows as a Zarr array of four chunks."""
    path = tmp_path / "rows.zarr"
    zarr.create_array(path, data=rows, chunks=(500, 2))
    return path


@pytest.fixture
def two_blocks(tmp_path, rows) -> Path:
    """The rows again and again: enough of them that `open_zarr` makes two blocks."""
    path = tmp_path / "two-blocks.zarr"
    zarr.create_array(path, data=np.tile(rows, (350, 1)), chunks=(100_000, 2))
    assert open_zarr(path).numblocks[0] == 2
    return path


@pytest.fixture
def store_with_nan(tmp_path, rows) -> Path:
    """The same rows, number 1700 of which holds NaN."""
    path = tmp_path / "nan.zarr"
    rows = rows.copy()
    rows[1700, 1] = np.nan
    zarr.create_array(path, data=rows, chunks=(500, 2))
    return path


@pytest.fixture
def store_with_gap(store) -> Path:
    """The store without its second chunk."""
    (store / "c" / "1" / "0").unlink()
    return store


@pytest.fixture
def model(tmp_path, store) -> Path:
    """A mixture of three components fitted to the store."""
    path = tmp_path / "model.gmm"
    GaussianMixture(3, random_state=0).fit(open_zarr(store)).save(path)
    return path


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run a command in this process; what it raises beyond its exit code is raised here."""

    def run(*arguments: object) -> Result:
        return CliRunner(catch_exceptions=False).invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def shell() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run an installed script in a process of its own: `shell("daskgmm", "--help")`."""

    def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [str(SCRIPTS / script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    return run


@pytest.fixture(scope="module")
def forked() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run a command in a real process that starts at once: `forked("fit", store, ..., environment={})`."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forking.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        server.stdin.write(json.dumps([words, environment or {}]) + "\n")
        server.stdin.flush()
        return subprocess.CompletedProcess(["daskgmm", *words], **json.loads(server.stdout.readline()))

    yield run
    server.stdin.close()
    try:
        server.wait(timeout=10)
    finally:
        server.kill()
        server.stdout.close()
