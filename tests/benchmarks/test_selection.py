"""The benchmark does what it says, at a tiny size; `python -m tests.benchmarks.selection` runs it at full size."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.benchmarks.selection import SEPARATION, Timed, clusters, main, slow_rows


def test_bars_are_ratios_of_what_was_counted_and_timed():
    passes, wall = Timed(7, (3, 6, 4), 2.0, 10.0).bars()
    assert (passes.value, wall.value) == pytest.approx((7 / 6, 0.2))
    assert passes.holds
    assert wall.holds
    assert not any(bar.holds for bar in Timed(10, (6, 4), 3.0, 10.0).bars())


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_separated(seed):
    rows, n_components = clusters(seed, 500)
    assert 2 <= n_components <= 8
    assert len(rows) == 500
    # No spread within a cluster is above 1, so that rows of two clusters lie apart in some direction.
    assert rows.std(axis=0).max() > SEPARATION / 4


def test_reading_burns_the_time_it_is_said_to():
    began = time.process_time()
    values = np.arange(80.0).reshape(40, 2)
    np.testing.assert_array_equal(slow_rows(values, 0.005).compute(scheduler="synchronous"), values)
    assert time.process_time() - began > 20 * 0.005


def test_everything_is_measured_and_every_bar_printed(capsys):
    sizes = ["--rows", "2000", "--seconds", "0", "--candidates", "3", "--cases", "1", "--case-rows", "300"]
    assert main([*sizes, "--markdown"]) in (0, 1)
    printed = capsys.readouterr().out
    assert "together: " in printed
    assert "stopped early: " in printed
    assert printed.count("\n| ") == 5
