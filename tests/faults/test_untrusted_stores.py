"""Zarr stores from strangers: refused before anything is allocated for them, by name, and without running anything."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from daskgmm import GaussianMixture, open_zarr
from daskgmm.errors import ChunkReadError, InputDataError, InputTypeError, ParameterError, StorageError
from tests.faults.archive_case import Mischief
from tests.faults.guard import MOST_BYTES

ROOT = Path(__file__).parents[2]
ROWS = np.arange(1.0, 4001.0).reshape(1000, 4)
PETABYTE = 2**50


def check_fuzzed(cases: range, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.fuzz_stores", cases.start, cases.stop, folder]
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    outcome = json.loads(ended.stdout)
    assert outcome["problems"] == []
    assert outcome["refused"] + outcome["read"] == len(cases)
    assert min(outcome["refused"], outcome["read"]) > len(cases) / 20
    assert outcome["most_bytes"] < MOST_BYTES


def test_metadata_that_are_wrong_are_refused_or_harmless(tmp_path):
    check_fuzzed(range(80), tmp_path)


@pytest.mark.fault
@pytest.mark.parametrize("start", [80, 780])
def test_thousands_of_metadata_that_are_wrong_are_refused_or_harmless(tmp_path, start):
    check_fuzzed(range(start, start + 700), tmp_path)


def store_with(path: Path, **changes: Any) -> Path:
    """Write metadata of version 3, some of them changed, and nothing else."""
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 2],
        "data_type": "float64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
    path.mkdir()
    (path / "zarr.json").write_text(json.dumps({**metadata, **changes}))
    return path


def chunks(*shape: int) -> dict[str, Any]:
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}}}


def sharded(inner: list[int], outer: list[int], codecs: list[Any] | None = None) -> dict[str, Any]:
    plain = [{"name": "bytes", "configuration": {"endian": "little"}}]
    configuration = {
        "chunk_shape": inner,
        "codecs": codecs or plain,
        "index_codecs": [*plain, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {**chunks(*outer), "codecs": [{"name": "sharding_indexed", "configuration": configuration}]}


def nested_shards(depth: int) -> dict[str, Any]:
    found = sharded([2, 2], [2, 2])
    for _ in range(depth):
        found = sharded([2, 2], [2, 2], found["codecs"])
    return found


BOMBS = {
    "a petabyte in a chunk": chunks(PETABYTE // 16, 2),
    "a petabyte in a row of chunks": {"shape": [4, PETABYTE], **chunks(1, 2**30)},
    "a petabyte in a shard": sharded([1, 2], [PETABYTE // 16, 2]),
    "more chunks than there can be": {"shape": [10**18, 2]},
    "more rows than a number holds": {"shape": [2**70, 2]},
    "chunks longer than a number holds": chunks(2**64, 2),
    "a shard of countless chunks": {"shape": [2**36, 1], **sharded([1, 1], [2**36, 1])},
    "chunks without rows": chunks(0, 2),
    "shards of chunks without rows": sharded([0, 2], [4, 2]),
    "text of a terabyte": {"data_type": {"name": "null_terminated_bytes", "configuration": {"length_bytes": 10**12}}},
    "raw numbers of a terabyte": {"data_type": "r8000000000000"},
    "shards in shards in shards": nested_shards(300),
    "hundreds of dimensions": {"shape": [1] * 300, **chunks(*[1] * 300)},
    "a pickle": {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]},
    "text": {"data_type": "string", "fill_value": "", "codecs": [{"name": "vlen-utf8"}]},
    "a transformer of keys": {"storage_transformers": [{"name": "elsewhere", "configuration": {"prefix": "/etc"}}]},
    "keys of an unknown kind": {"chunk_key_encoding": {"name": "elsewhere", "configuration": {"prefix": "../.."}}},
    "keys with another separator": {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../"}}},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("changes", BOMBS.values(), ids=BOMBS.keys())
def test_metadata_that_want_too_much_are_refused_before_anything_is_allocated(tmp_path, changes, invoke):
    path = store_with(tmp_path / "bomb.zarr", **changes)
    tracemalloc.start()
    try:
        with pytest.raises((InputDataError, InputTypeError), match=r"bomb\.zarr"):
            open_zarr(path)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    result = invoke("fit", path, "-o", tmp_path / "model.gmm", "--components", "2")
    assert result.exit_code == 4


@pytest.mark.parametrize(
    "text",
    [
        "rows",
        "{" * 100_000,
        '{"attributes":' * 100_000,
        '{"zarr_format": 3, "node_type": "array", "shape": [NaN, 2]}',
        "\ufeff{}",
        "null",
        '"zarr"',
        "9" * 5000,
    ],
    ids=lambda text: text[:20],
)
@pytest.mark.parametrize("name", ["zarr.json", ".zarray"])
def test_metadata_that_are_no_json_are_refused(tmp_path, text, name):
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / name).write_text(text)
    with pytest.raises((InputDataError, StorageError), match=r"bad\.zarr"):
        open_zarr(tmp_path / "bad.zarr")


def test_metadata_that_are_too_long_are_not_read(tmp_path):
    path = store_with(tmp_path / "long.zarr")
    os.truncate(path / "zarr.json", 2**40)
    with pytest.raises(InputDataError, match=r"long\.zarr: .*zarr\.json has 1,099,511,627,776"):
        open_zarr(path)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_consolidated_metadata_that_lie_are_not_believed(tmp_path):
    path = tmp_path / "group.zarr"
    zarr.open_group(path, mode="w").create_array("x", data=ROWS, chunks=(100, 4))
    zarr.consolidate_metadata(path)
    metadata = json.loads((path / "zarr.json").read_text())
    lying = metadata["consolidated_metadata"]["metadata"]["x"]
    lying |= {"shape": [10**9, 4], **chunks(10**6, 4)}
    (path / "zarr.json").write_text(json.dumps(metadata))
    np.testing.assert_array_equal(open_zarr(path, "x").compute(), ROWS)
    np.testing.assert_array_equal(open_zarr(zarr.open_group(path, mode="r"), "x").compute(), ROWS)


def test_objects_in_a_store_are_refused_without_unpickling_them(tmp_path):
    path = tmp_path / "objects.zarr"
    path.mkdir()
    metadata = {"zarr_format": 2, "shape": [4, 2], "chunks": [4, 2], "dtype": "|O", "compressor": None, "order": "C"}
    (path / "0.0").write_bytes(pickle.dumps(Mischief()))
    for filters in ([{"id": "pickle"}], [{"id": "vlen-utf8"}], [{"id": "json2"}], None):
        (path / ".zarray").write_text(json.dumps({**metadata, "fill_value": None, "filters": filters}))
        with pytest.raises((InputDataError, InputTypeError), match=r"objects\.zarr"):
            open_zarr(path)


@pytest.mark.parametrize("component", ["../outside.zarr", "..", "/etc", "x/../../outside.zarr", "link", "folder/link"])
def test_a_component_that_leads_out_of_the_store_is_wrong_usage(tmp_path, component, invoke):
    path = tmp_path / "group.zarr"
    group = zarr.open_group(path, mode="w")
    group.create_array("x", data=ROWS, chunks=(100, 4))
    group.create_group("folder")
    zarr.create_array(tmp_path / "outside.zarr", data=ROWS, chunks=(100, 4))
    os.symlink(tmp_path / "outside.zarr", path / "link")
    os.symlink(tmp_path / "outside.zarr", path / "folder" / "link")
    for store in (path, f"file://{path}", LocalStore(path), group):
        with pytest.raises(ParameterError, match="inside the store"):
            open_zarr(store, component)
    result = invoke("fit", path, "--component", component, "-o", tmp_path / "model.gmm", "--components", "2")
    assert result.exit_code == 2
    assert "inside the store" in result.stderr


def cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_a_bad_index(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


DAMAGE: dict[str, tuple[dict[str, Any], Callable[[bytes], bytes]]] = {
    "a truncated zstd chunk": ({}, cut_short),
    "a truncated raw chunk": ({"compressors": None}, cut_short),
    "a truncated chunk of version 2": ({"zarr_format": 2}, cut_short),
    "a truncated shard": ({"shards": (200, 4)}, cut_short),
    "a shard with a bad checksum": ({"shards": (200, 4)}, with_a_bad_index),
}


@pytest.mark.parametrize(("layout", "damage"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_chunk_ends_a_fit_with_its_name_and_is_not_read_again_and_again(
    tmp_path, layout, damage, invoke, monkeypatch
):
    path = tmp_path / "rows.zarr"
    array = zarr.create_array(path, data=ROWS, chunks=(100, 4), **layout)
    key = array.metadata.encode_chunk_key((3, 0))
    (path / key).write_bytes(damage((path / key).read_bytes()))
    result = invoke("fit", path, "-o", tmp_path / "model.gmm", "--components", "2")
    assert result.exit_code == 4
    assert f"the chunk '{key}' cannot be read or decoded" in result.stderr
    assert not (tmp_path / "model.gmm").exists()
    reads = counted_reads(monkeypatch)
    with pytest.raises(ChunkReadError, match=key):
        GaussianMixture(2).fit(open_zarr(path))
    # Once with its block, and once alone, to see whether it was this chunk.
    assert reads[0, 1000] == 1
    assert max(reads.values()) == 1


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, int]]:
    """Count how often each range of rows is read from now on."""
    reads: Counter[tuple[int, int]] = Counter()
    read = zarr.AsyncArray.getitem

    async def counted(self: zarr.AsyncArray, selection: Any) -> Any:
        rows = selection[0]
        reads[rows.start, rows.stop] += 1
        return await read(self, selection)

    monkeypatch.setattr(zarr.AsyncArray, "getitem", counted)
    return reads
