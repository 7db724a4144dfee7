"""Stores that fail in passing, fail for good, or take their time."""

from __future__ import annotations

from pathlib import Path

import dask
import pytest
import zarr
from zarr.storage import LocalStore

from daskgmm import open_zarr
from daskgmm.errors import ChunkReadError, StorageError
from daskgmm.storage import persistence
from tests.faults.failing_stores import FailingStore, SlowStore, WaitingStore
from tests.faults.small_fits import BLOCK_ROWS, N_PASSES, N_ROWS, UNCONVERGED, digest, fitted, rows, store_rows
from tests.faults.vault import SECRETS, VaultFileSystem, vault_url

pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings(UNCONVERGED)]


@pytest.fixture
def path(tmp_path) -> Path:
    return store_rows(tmp_path / "rows.zarr")


@pytest.fixture
def _asked_again_at_once(monkeypatch) -> None:
    monkeypatch.setattr(persistence, "PAUSES", (0.0,) * len(persistence.PAUSES))


@pytest.fixture(
    params=[
        "four chunks a block",
        "shards",
        pytest.param("one chunk a block", marks=pytest.mark.fault),
        pytest.param("version 2", marks=pytest.mark.fault),
    ]
)
def layout(request, tmp_path) -> tuple[Path, int]:
    path = tmp_path / "rows.zarr"
    if request.param == "shards":
        zarr.create_array(path, data=rows(), chunks=(BLOCK_ROWS // 4, 3), shards=(BLOCK_ROWS, 3))
    elif request.param == "version 2":
        zarr.create_array(path, data=rows(), chunks=(BLOCK_ROWS, 3), zarr_format=2)
    else:
        zarr.create_array(path, data=rows(), chunks=(BLOCK_ROWS, 3))
    return path, 4 * BLOCK_ROWS if request.param.startswith("four") else BLOCK_ROWS


@pytest.mark.usefixtures("_asked_again_at_once")
def test_a_store_that_fails_in_passing_changes_no_bit(layout):
    path, block_rows = layout
    store = FailingStore(LocalStore(path, read_only=True))
    X = open_zarr(store, chunks=block_rows)
    store.is_failing = True
    disturbed = fitted(X, cache=None)
    assert store.n_refused["chunks"] >= N_PASSES * N_ROWS // BLOCK_ROWS // 3
    assert store.n_refused["metadata"] > 1
    undisturbed = fitted(open_zarr(path, chunks=block_rows), cache=None)
    assert digest(disturbed) == digest(undisturbed)
    assert disturbed.n_samples_seen_ == N_ROWS


@pytest.mark.fault
def test_workers_outlast_a_store_that_fails_in_passing(client, path):
    store = FailingStore(LocalStore(path, read_only=True))
    X = open_zarr(store, chunks=BLOCK_ROWS)
    store.is_failing = True
    disturbed = fitted(X, max_iter=2)
    assert digest(disturbed) == digest(fitted(open_zarr(path, chunks=BLOCK_ROWS), max_iter=2))


@pytest.mark.usefixtures("_asked_again_at_once")
def test_a_store_that_fails_for_good_ends_the_fit_with_the_name_of_the_chunk(path, monkeypatch):
    asked = []
    handed_out = VaultFileSystem.cat_file

    def refused(self, path, *arguments, **settings):
        if path.endswith("c/7/0"):
            asked.append(path)
            raise OSError("connection reset by peer")
        return handed_out(self, path, *arguments, **settings)

    monkeypatch.setattr(VaultFileSystem, "cat_file", refused)
    X = open_zarr(vault_url(path), storage_options=SECRETS, chunks=BLOCK_ROWS)
    with pytest.raises(StorageError, match=r"rows\.zarr: the store cannot read the chunk 'c/7/0'.*reset") as caught:
        fitted(X)
    assert not isinstance(caught.value, ChunkReadError)
    # With its block, and then so often alone.
    assert len(asked) == 1 + len(persistence.PAUSES) + 1


@pytest.mark.usefixtures("_asked_again_at_once")
def test_the_command_ends_with_5_when_a_store_fails_for_good(path, tmp_path, monkeypatch, invoke):
    get = LocalStore.get

    async def refused(self, key, *arguments, **settings):
        if key.endswith("c/7/0"):
            raise PermissionError(f"{key}: not today")
        return await get(self, key, *arguments, **settings)

    # What reads faster than Zarr's own codecs does not ask the store: it is refused by the file itself.
    chunk = path / "c" / "7" / "0"
    content = chunk.read_bytes()
    chunk.write_bytes(content[:10])
    monkeypatch.setattr(LocalStore, "get", refused)
    result = invoke("fit", path, "-o", tmp_path / "model.gmm", "--components", "2")
    assert result.exit_code == 5, result.stderr
    assert "the store cannot read the chunk 'c/7/0'" in result.stderr
    assert "PermissionError" in result.stderr
    assert not (tmp_path / "model.gmm").exists()


def test_a_chunk_that_comes_last_is_waited_for(path):
    n_chunks = N_ROWS // BLOCK_ROWS
    store = WaitingStore(LocalStore(path, read_only=True), "c/3/0", n_chunks - 1)
    # A thread for each block: all others are read while one waits.
    with dask.config.set(num_workers=n_chunks):
        slow = fitted(open_zarr(store, chunks=BLOCK_ROWS), cache=None, max_iter=2)
        assert digest(slow) == digest(fitted(open_zarr(path, chunks=BLOCK_ROWS), cache=None, max_iter=2))


def test_a_chunk_below_the_deadline_changes_no_bit(path):
    store = SlowStore(LocalStore(path, read_only=True), "c/3/0", seconds=0.2)
    with zarr.config.set({"async.timeout": 30}):
        slow = fitted(open_zarr(store, chunks=BLOCK_ROWS), cache="memory", max_iter=2)
    assert digest(slow) == digest(fitted(open_zarr(path, chunks=BLOCK_ROWS), max_iter=2))


@pytest.mark.usefixtures("_asked_again_at_once")
def test_a_chunk_above_the_deadline_is_named(path):
    store = SlowStore(LocalStore(path, read_only=True), "c/3/0", seconds=5.0)
    X = open_zarr(store, chunks=BLOCK_ROWS)
    with (
        zarr.config.set({"async.timeout": 0.2}),
        pytest.raises(StorageError, match=r"the chunk 'c/3/0'.*no answer within 0\.2 s; .*async\.timeout"),
    ):
        fitted(X)


@pytest.mark.fault
def test_a_chunk_slower_than_all_patience_does_not_fail_a_fit(client, path):
    """Who waits for workers does not count the time of those that work."""
    store = SlowStore(LocalStore(path, read_only=True), "c/3/0", seconds=2.0)
    with dask.config.set({"distributed.scheduler.no-workers-timeout": "0.4s"}):
        slow = fitted(open_zarr(store, chunks=BLOCK_ROWS), cache="memory", max_iter=2)
    assert digest(slow) == digest(fitted(open_zarr(path, chunks=BLOCK_ROWS), max_iter=2))
