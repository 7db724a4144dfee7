from __future__ import annotations

import errno
import os

import dask
import dask.array as da
import numpy as np
import pytest

from daskgmm.engine import cache
from daskgmm.engine.cache import KeptParts
from daskgmm.engine.parts import parts_of_blocks, parts_of_reader
from daskgmm.engine.sweep import sweep
from daskgmm.engine.workers import Worker
from tests.readers import Numbers, thirds
from tests.watched import Trail, WatchedArray

N_BLOCKS = 40


def trail(rows, weights, argument, block):
    return Trail((block,), len(rows), (float(rows[0, 0]),))


def three_passes(parts, choice, *, n_bytes=None):
    with KeptParts(parts, choice, n_bytes=n_bytes) as data:
        results = [sweep(data.parts, thirds, None) for _ in range(3)]
    assert len(set(results)) == 1
    return results[0]


@pytest.fixture
def room_for(monkeypatch):
    """Set the memory of this process, the only worker, so that so many blocks of 80 bytes may be kept."""

    def set_room(n_blocks):
        limit = int(n_blocks * 80 / cache.SHARE_OF_MEMORY) + 1
        monkeypatch.setattr(cache, "this_process", lambda: Worker(limit, 2))
        monkeypatch.setattr(cache, "_has_memory", lambda n_bytes: True)

    return set_room


@pytest.mark.parametrize("choice", ["auto", "memory", "disk"])
def test_what_is_kept_is_read_once(choice):
    reader = Numbers(N_BLOCKS * 10, 10)
    three_passes(parts_of_reader(reader), choice)
    assert sorted(reader.reads) == list(range(N_BLOCKS))


def test_nothing_is_kept_unless_asked_for():
    reader = Numbers(N_BLOCKS * 10, 10)
    three_passes(parts_of_reader(reader), None)
    assert len(reader.reads) == 3 * N_BLOCKS


@pytest.mark.parametrize("choice", ["auto", "memory", "disk", None])
def test_keeping_does_not_change_the_bits(choice):
    rows = np.arange(997.0)[:, None]
    expected = sweep(parts_of_blocks(da.from_array(rows, chunks=(3, 1))), thirds, None)
    assert three_passes(parts_of_reader(Numbers(997, 3)), choice) == expected


@pytest.mark.parametrize("choice", ["memory", "disk"])
def test_blocks_are_kept_on_the_workers_of_a_cluster(client, choice):
    rows = np.arange(997.0)[:, None]
    expected = sweep(parts_of_blocks(da.from_array(rows, chunks=(3, 1))), thirds, None)
    assert three_passes(parts_of_reader(Numbers(997, 3)), choice) == expected


def test_what_does_not_fit_is_read_again_and_the_rest_is_not(room_for):
    room_for(N_BLOCKS // 2)
    reader = Numbers(N_BLOCKS * 10, 10)
    with dask.config.set(num_workers=2):
        three_passes(parts_of_reader(reader), "memory")
    assert len(reader.reads) == pytest.approx(N_BLOCKS + 2 * N_BLOCKS / 2, abs=10)


@pytest.mark.parametrize(("is_dear", "n_reads"), [(True, N_BLOCKS), (False, 3 * N_BLOCKS)])
def test_auto_takes_to_disk_what_is_dear_to_read_and_has_no_room_in_memory(room_for, is_dear, n_reads):
    room_for(0)
    reader = Numbers(N_BLOCKS * 10, 10, is_dear)
    three_passes(parts_of_reader(reader), "auto")
    assert len(reader.reads) == n_reads


def test_a_process_that_is_full_keeps_no_more(monkeypatch):
    monkeypatch.setattr(cache, "MOST_OF_MEMORY", 0.0)
    reader = Numbers(N_BLOCKS * 10, 10)
    three_passes(parts_of_reader(reader), "memory")
    assert len(reader.reads) == 3 * N_BLOCKS


def test_a_full_disk_costs_reading_again(monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    reader = Numbers(N_BLOCKS * 10, 10)
    three_passes(parts_of_reader(reader), "disk")
    # One block of each task was read in vain.
    assert 3 * N_BLOCKS <= len(reader.reads) <= 4 * N_BLOCKS


def test_blocks_on_disk_leave_no_files_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with KeptParts(parts_of_reader(Numbers(N_BLOCKS * 10, 10)), "disk", n_bytes=None) as data:
        sweep(data.parts, trail, None)
        # Not even while they are in use: a process that is killed has nothing to remove.
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_read_before_the_first_pass():
    reader = Numbers(N_BLOCKS * 10, 10)
    with KeptParts(parts_of_reader(reader), "memory", n_bytes=None):
        pass
    assert reader.reads == []


def test_blocks_are_let_go_at_the_end():
    watched = WatchedArray(np.zeros((400, 2)))
    with KeptParts(parts_of_blocks(watched.as_dask(50)), "memory", n_bytes=6_400) as data:
        sweep(data.parts, trail, None)
        sweep(data.parts, trail, None)
        assert (watched.n_reads, watched.alive) == (8, 8)
    assert watched.alive == 0


@pytest.mark.parametrize(("choice", "n_bytes"), [("disk", 6_400), ("auto", None), ("auto", 2**60)])
def test_dask_blocks_are_not_kept_on_disk_or_where_they_do_not_fit(choice, n_bytes):
    watched = WatchedArray(np.zeros((400, 2)))
    with KeptParts(parts_of_blocks(watched.as_dask(50)), choice, n_bytes=n_bytes) as data:
        sweep(data.parts, trail, None)
        sweep(data.parts, trail, None)
    assert watched.n_reads == 16


def test_a_scheduler_that_brings_results_here_keeps_nothing():
    reader = Numbers(N_BLOCKS * 10, 10)
    with dask.config.set(scheduler="processes"):
        assert KeptParts(parts_of_reader(reader), "memory", n_bytes=None).parts.array.name.startswith("ranges-")


def test_a_lost_worker_costs_reading_again(client):
    expected = sweep(parts_of_reader(Numbers(997, 3)), thirds, None)
    with KeptParts(parts_of_reader(Numbers(997, 3)), "memory", n_bytes=None) as data:
        assert sweep(data.parts, thirds, None) == expected
        worker = next(iter(client.scheduler_info()["workers"]))
        pid = client.run(os.getpid, workers=[worker])[worker]
        os.kill(pid, 9)
        assert sweep(data.parts, thirds, None) == expected
