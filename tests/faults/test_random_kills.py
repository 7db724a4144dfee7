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

from daskgmm import GaussianMixture
from tests.drawn import draw

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

N_KILLS = 25
ROOT = Path(__file__).parents[2]


# Few rows are their own sample, and half of a fit is the search for a start, which no checkpoint keeps. Many, from a
# given start, are passes that a sample guides.
@pytest.mark.parametrize(
    ("seed", "n_rows", "searched"), [(0, 1_000_000, False), (1, 1_000_000, False), (2, 9_000, True), (3, 9_000, True)]
)
def test_kills_at_random_moments_change_no_bit(tmp_path, seed, n_rows, searched):
    rows = np.resize(draw("full", n_rows=40_000, n_components=6, n_features=3, spread=0.8, seed=2).rows, (n_rows, 3))
    zarr.create_array(tmp_path / "rows.zarr", shape=rows.shape, chunks=(n_rows // 20, 3), dtype="f8")[:] = rows
    settings = ["--components", "2", "--tol", "0", "--max-iter", "40", "--random-state", "3"]
    if not searched:
        # No iteration: where EM begins, in the middle of all rows.
        GaussianMixture(2, max_iter=0, acceleration=None).fit(rows[:100]).save(tmp_path / "start.gmm")
        settings += ["--warm-start", str(tmp_path / "start.gmm")]
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
    # Some were killed between two checkpoints, and some before the first one, which comes late after a search.
    assert 0 < outcome["kept"] <= N_KILLS - searched
