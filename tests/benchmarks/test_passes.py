"""The benchmark does what it says, at a tiny size; `python -m tests.benchmarks.passes` runs it at full size."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import zarr

from tests.benchmarks import passes
from tests.benchmarks.passes import Bar, Times, chunk_bars, main, markdown, pass_bars
from tests.benchmarks.stores import LARGE, Layout, drawn_parameters, repeat_store, write_store


def test_the_bars_are_ratios_of_what_was_timed():
    times = {
        "reading": Times(2.0, 3.0),
        "computing": Times(1.0, 2.0),
        "cold pass": Times(5.0, 0.0),
        "cached pass": Times(1.1, 0.0),
        "organising": Times(0.11, 0.0),
        "labels": Times(6.0, 0.0),
    }
    cold, cached, organising, labels = pass_bars("store", times)
    assert [bar.value for bar in (cold, cached, organising, labels)] == pytest.approx([2.0, 1.1, 0.1, 1.2])
    assert [bar.holds for bar in (cold, cached, organising, labels)] == [False, True, False, True]


def test_a_bar_says_whether_it_holds():
    assert str(Bar("of something", 1.0, 2.0)).startswith("holds")
    assert str(Bar("of something", 3.0, 2.0)).startswith("MISSED")
    assert "| of something | 1.00 | 2.00 |" in markdown([Bar("of something", 1.0, 2.0)])


def test_stores_have_the_chunks_asked_for(tmp_path):
    reader = passes.stored(write_store(tmp_path / "rows.zarr", Layout("small", True, 1000), 5000))
    assert reader.rows.array.chunks == (1000, 8)
    assert reader.read(0).shape == (5000, 8)


@pytest.mark.parametrize("n_rows", [800, 2500])
def test_a_repeated_store_has_the_rows_again_and_again(tmp_path, n_rows):
    store = write_store(tmp_path / "rows.zarr", Layout("small", False, 1000), n_rows)
    rows, more = (zarr.open_array(path)[:] for path in (store, repeat_store(tmp_path / "more.zarr", store, 4)))
    whole = rows[: max(n_rows // 1000, 1) * 1000]
    assert more.shape == (4 * n_rows, 8)
    assert np.array_equal(more, np.tile(whole, (6, 1))[: 4 * n_rows])


@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_everything_is_timed_and_every_bar_printed(monkeypatch, client, capsys):
    monkeypatch.setattr(passes, "workers", lambda n_workers, **limits: nullcontext(client))
    assert main(["--gigabytes", "0.002", "--repeats", "1", "--markdown"]) in (0, 1)
    printed = capsys.readouterr().out
    for name in ("reading", "computing", "cold pass", "cached pass", "organising", "labels"):
        assert printed.count(f"  {name} ") == 2
    assert printed.count(" <= ") == 12
    assert printed.count("\n| ") == 13


def test_small_chunks_are_compared_with_large_ones(tmp_path):
    line, bar = chunk_bars(tmp_path, 3000, drawn_parameters(), 1)
    assert "64 KiB" in line
    assert bar.at_most == 1.5
    assert LARGE * 64 == 2**27
