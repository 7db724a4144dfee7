"""Fits that are killed at random moments, and go on to the bits of one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.drawn import draw

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

N_KILLS = 25
ROOT = Path(__file__).parents[2]


# Of many rows a sample is drawn, which guides the passes; few are their own sample, and most of a fit is passes.
@pytest.mark.parametrize(("seed", "n_rows"), [(0, 200_000), (1, 200_000), (2, 9_000), (3, 9_000)])
def test_kills_at_random_moments_change_no_bit(tmp_path, seed, n_rows):
    rows = np.resize(draw("full", n_rows=40_000, n_components=6, n_features=3, spread=0.8, seed=2).rows, (n_rows, 3))
    zarr.create_array(tmp_path / "rows.zarr", shape=rows.shape, chunks=(n_rows // 20, 3), dtype="f8")[:] = rows
    settings = ["--components", "2", "--tol", "0", "--max-iter", "40", "--random-state", "3"]
    command = [sys.executable, "-m", "tests.faults.random_kills", N_KILLS, seed, tmp_path, *settings]
    # Threads of BLAS would not survive the fork.
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=290, check=False, env=alone
    )
    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert outcome["code"] == 0, outcome["log"]
    assert outcome["n_same"] == outcome["n_models"] > 0
    assert outcome["killed"] == N_KILLS
    # Some were killed before the first checkpoint, others between two of them.
    assert 0 < outcome["kept"] < N_KILLS
