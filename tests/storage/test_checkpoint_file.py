"""Checkpoints come back as they were written, and damaged ones are refused."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.errors import CheckpointError, StorageError, StoreNotFoundError
from daskgmm.storage.checkpoint_file import check_checkpoint_path, read_checkpoint, write_checkpoint


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    array: np.ndarray
    number: float


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    leaves: tuple[Leaf, ...]
    name: str | None
    words: dict[str, Any]


CLASSES = (Leaf, Tree)


def tree(number: float = 0.1) -> Tree:
    array = np.arange(6.0).reshape(2, 3) / 7
    return Tree(
        (Leaf(array, number), Leaf(array, -math.inf), Leaf(np.zeros((0, 2)), math.nan)),
        None,
        {"count": 3, "flag": True, "text": "größe", "deep": {"state": (np.arange(4, dtype=np.uint32), 2**62)}},
    )


def assert_is_tree(value: Any, number: float = 0.1) -> None:
    expected = tree(number)
    assert [leaf.array.tobytes() for leaf in value.leaves] == [leaf.array.tobytes() for leaf in expected.leaves]
    assert [leaf.array.shape for leaf in value.leaves] == [(2, 3), (2, 3), (0, 2)]
    assert (value.leaves[0].number, value.leaves[1].number) == (number, -math.inf)
    assert math.isnan(value.leaves[2].number)
    assert (value.words["count"], value.words["flag"], value.words["text"]) == (3, True, "größe")
    assert value.words["deep"]["state"][1] == 2**62
    assert value.words["deep"]["state"][0].dtype == np.uint32


def test_what_was_written_is_read(tmp_path):
    write_checkpoint(tmp_path / "state", tree(), CLASSES)
    assert_is_tree(read_checkpoint(tmp_path / "state", CLASSES))


@given(st.floats())
def test_numbers_come_back_to_the_last_bit(number):
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state"
        write_checkpoint(path, Leaf(np.array([number]), number), CLASSES)
        back = read_checkpoint(path, CLASSES)
    assert back.array.tobytes() == np.array([number]).tobytes()
    assert back.number == number or (math.isnan(back.number) and math.isnan(number))


def test_an_array_that_is_there_twice_is_stored_once(tmp_path):
    array = np.zeros(10_000)
    write_checkpoint(tmp_path / "state", Tree((Leaf(array, 1.0), Leaf(array, 2.0)), "x", {}), CLASSES)
    assert (tmp_path / "state").stat().st_size < 1.5 * array.nbytes


def test_no_file_is_no_checkpoint(tmp_path):
    assert read_checkpoint(tmp_path / "state", CLASSES) is None


def test_the_one_before_stays_and_nothing_else(tmp_path):
    for number in (1.0, 2.0, 3.0):
        write_checkpoint(tmp_path / "state", tree(number), CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "state.previous"]
    assert_is_tree(read_checkpoint(tmp_path / "state", CLASSES), 3.0)
    assert_is_tree(read_checkpoint(tmp_path / "state.previous", CLASSES), 2.0)


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: content[:200]])
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path, damage):
    for number in (1.0, 2.0):
        write_checkpoint(tmp_path / "state", tree(number), CLASSES)
    (tmp_path / "state").write_bytes(damage((tmp_path / "state").read_bytes()))
    with pytest.warns(UserWarning, match="state: not a whole checkpoint .* the one before it is used"):
        value = read_checkpoint(tmp_path / "state", CLASSES)
    assert_is_tree(value, 1.0)


def test_a_machine_that_stopped_between_two_names_leaves_the_one_before(tmp_path):
    for number in (1.0, 2.0):
        write_checkpoint(tmp_path / "state", tree(number), CLASSES)
    (tmp_path / "state").unlink()
    assert_is_tree(read_checkpoint(tmp_path / "state", CLASSES), 1.0)


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "state"
    write_checkpoint(path, Leaf(np.arange(3.0), 1.0), CLASSES)
    whole = path.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="Remove it to start anew"):
            read_checkpoint(path, CLASSES)


@pytest.mark.parametrize(
    "other",
    [
        Tree((), "x", {}),
        {"fields": 1},
        (1, 2),
    ],
)
def test_only_the_classes_named_are_made(tmp_path, other):
    write_checkpoint(tmp_path / "state", Tree((), "x", {"other": other}), CLASSES)
    if isinstance(other, Tree):
        with pytest.raises(CheckpointError, match="expected a record of Leaf"):
            read_checkpoint(tmp_path / "state", (Leaf,))
    else:
        assert read_checkpoint(tmp_path / "state", CLASSES).words["other"] == other


def test_what_no_checkpoint_can_hold_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="expected numbers, text, arrays"):
        write_checkpoint(tmp_path / "state", Tree((), "x", {"function": print}), CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_one(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "state", tree(1.0), CLASSES)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_checkpoint(tmp_path / "state", tree(2.0), CLASSES)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert_is_tree(read_checkpoint(tmp_path / "state", CLASSES), 1.0)


@pytest.mark.parametrize(
    ("name", "error"),
    [("", CheckpointError), ("nowhere/state", StoreNotFoundError), ("s3://bucket/state", CheckpointError)],
)
def test_places_where_none_can_be_kept_are_refused(tmp_path, name, error):
    with pytest.raises(error):
        check_checkpoint_path(name if "://" in name else tmp_path / name)
