"""Checkpoints come back as they were written, and damaged ones are refused."""

from __future__ import annotations

import errno
import json
import math
import os
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.errors import CheckpointError, StorageError, StoreNotFoundError
from daskgmm.storage.checkpoint_format import MAGIC, checkpoint_value
from daskgmm.storage.checkpoint_objects import ObjectPlace
from daskgmm.storage.checkpoint_places import (
    CheckpointPlace,
    FilePlace,
    checkpoint_place,
    read_checkpoint,
    read_sample,
    write_checkpoint,
    write_sample,
)


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


@pytest.fixture(params=["file", "object store"])
def place(request, tmp_path) -> CheckpointPlace:
    """Somewhere that keeps nothing yet."""
    return checkpoint_place(tmp_path / "state" if request.param == "file" else f"memory://{uuid.uuid4().hex}/state")


def objects(place: ObjectPlace) -> dict[str, bytes]:
    """Return what is below a place of an object store in memory."""
    filesystem, root = url_to_fs(place.name)
    return {path.rsplit("/", 1)[-1]: filesystem.cat_file(path) for path in filesystem.find(root)}


def put(place: ObjectPlace, name: str, content: bytes) -> None:
    filesystem, root = url_to_fs(place.name)
    filesystem.pipe_file(f"{root}/{name}", content)


def test_what_was_written_is_read(place):
    write_checkpoint(place, tree(), CLASSES)
    assert_is_tree(read_checkpoint(place, CLASSES))


def test_a_sample_is_read_by_its_digest(place):
    digest = write_sample(place, tree(3.0), CLASSES)
    assert_is_tree(read_sample(place, digest, CLASSES), 3.0)
    other = write_sample(place, tree(4.0), CLASSES)
    assert_is_tree(read_sample(place, other, CLASSES), 4.0)
    with pytest.raises(CheckpointError, match=r"it is that of another fit.*Remove .* to start anew"):
        read_sample(place, digest, CLASSES)


def test_a_sample_that_is_missing_is_told(place):
    with pytest.raises(CheckpointError, match=r"expected the sample .* it is not there"):
        read_sample(place, "00" * 32, CLASSES)


def test_an_object_store_keeps_two_states_and_a_pointer():
    place = checkpoint_place(f"memory://{uuid.uuid4().hex}/deep/state")
    assert objects(place) == {}
    write_sample(place, tree(), CLASSES)
    for number in (1.0, 2.0, 3.0, 4.0):
        write_checkpoint(place, tree(number), CLASSES)
    found = objects(place)
    names = json.loads(found["latest"])["states"]
    assert set(found) == {"latest", "sample", *names}
    assert [checkpoint_value(found[name], CLASSES).leaves[0].number for name in names] == [4.0, 3.0]


def test_a_process_that_stopped_before_the_pointer_leaves_the_state_before_it():
    url = f"memory://{uuid.uuid4().hex}/state"
    write_checkpoint(checkpoint_place(url), tree(1.0), CLASSES)
    put(checkpoint_place(url), "state-0123456789abcdef", b"half of it")
    put(checkpoint_place(url), "something else", b"of the user's")
    again = checkpoint_place(url)
    assert_is_tree(read_checkpoint(again, CLASSES), 1.0)
    write_checkpoint(again, tree(2.0), CLASSES)
    assert len(objects(again)) == 4
    assert {"latest", "something else"} < set(objects(again))
    assert "state-0123456789abcdef" not in objects(again)


def test_a_damaged_object_gives_way_to_the_one_before():
    place = checkpoint_place(f"memory://{uuid.uuid4().hex}/state")
    for number in (1.0, 2.0):
        write_checkpoint(place, tree(number), CLASSES)
    last, before = json.loads(objects(place)["latest"])["states"]
    put(place, last, objects(place)[last][:-1])
    with pytest.warns(UserWarning, match=f"{last}: not a whole checkpoint"):
        assert_is_tree(read_checkpoint(place, CLASSES), 1.0)
    put(place, before, b"")
    with pytest.raises(CheckpointError, match="Remove what is below memory://"):
        read_checkpoint(place, CLASSES)


POINTERS = (
    b"",
    b"null",
    b"{}",
    b'{"states": []}',
    b'{"states": ["../../etc/passwd"]}',
    b'{"states": 3}',
    b'{"states": [NaN]}',
    b"[" * 900,
    b'{"states": ["' + b"x" * 10**6 + b'"]}',
)


@pytest.mark.parametrize("pointer", POINTERS)
def test_a_pointer_from_a_stranger_is_refused(pointer):
    place = checkpoint_place(f"memory://{uuid.uuid4().hex}/state")
    put(place, "latest", pointer)
    with pytest.raises(CheckpointError, match="not a pointer to checkpoints"):
        read_checkpoint(place, CLASSES)
    with pytest.raises(CheckpointError, match="not a pointer to checkpoints"):
        write_checkpoint(place, tree(), CLASSES)


def test_an_object_store_that_refuses_is_told_without_secrets(monkeypatch):
    url = f"memory://user:{'hunter2' * 2}@{uuid.uuid4().hex}/state"

    def refuse(self, path, *arguments, **options):
        raise PermissionError(f"{url} may not")

    place = checkpoint_place(url)
    for method, action in (
        ("pipe_file", lambda: checkpoint_place(url)),
        ("pipe_file", lambda: write_checkpoint(place, tree(), CLASSES)),
        ("cat_file", lambda: read_checkpoint(place, CLASSES)),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(MemoryFileSystem, method, refuse)
            with pytest.raises(StorageError, match="PermissionError") as caught:
                action()
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@given(st.floats())
def test_numbers_come_back_to_the_last_bit(number):
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state"
        write_checkpoint(FilePlace(path), Leaf(np.array([number]), number), CLASSES)
        back = read_checkpoint(FilePlace(path), CLASSES)
    assert back.array.tobytes() == np.array([number]).tobytes()
    assert back.number == number or (math.isnan(back.number) and math.isnan(number))


def test_an_array_that_is_there_twice_is_stored_once(tmp_path):
    array = np.zeros(10_000)
    write_checkpoint(FilePlace(tmp_path / "state"), Tree((Leaf(array, 1.0), Leaf(array, 2.0)), "x", {}), CLASSES)
    assert (tmp_path / "state").stat().st_size < 1.5 * array.nbytes


def test_where_nothing_was_kept_there_is_nothing(place):
    assert read_checkpoint(place, CLASSES) is None


def test_the_one_before_stays_and_nothing_else(tmp_path):
    for number in (1.0, 2.0, 3.0):
        write_checkpoint(FilePlace(tmp_path / "state"), tree(number), CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "state.previous"]
    assert_is_tree(read_checkpoint(FilePlace(tmp_path / "state"), CLASSES), 3.0)
    assert_is_tree(read_checkpoint(FilePlace(tmp_path / "state.previous"), CLASSES), 2.0)


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: content[:200]])
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path, damage):
    for number in (1.0, 2.0):
        write_checkpoint(FilePlace(tmp_path / "state"), tree(number), CLASSES)
    (tmp_path / "state").write_bytes(damage((tmp_path / "state").read_bytes()))
    with pytest.warns(UserWarning, match="state: not a whole checkpoint .* the one before it is used"):
        value = read_checkpoint(FilePlace(tmp_path / "state"), CLASSES)
    assert_is_tree(value, 1.0)


def test_a_machine_that_stopped_between_two_names_leaves_the_one_before(tmp_path):
    for number in (1.0, 2.0):
        write_checkpoint(FilePlace(tmp_path / "state"), tree(number), CLASSES)
    (tmp_path / "state").unlink()
    assert_is_tree(read_checkpoint(FilePlace(tmp_path / "state"), CLASSES), 1.0)


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "state"
    write_checkpoint(FilePlace(path), Leaf(np.arange(3.0), 1.0), CLASSES)
    whole = path.read_bytes()
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"Remove state, state.previous and state.sample to start anew"):
            read_checkpoint(FilePlace(path), CLASSES)


@pytest.mark.parametrize(
    "other",
    [
        Tree((), "x", {}),
        {"fields": 1},
        (1, 2),
    ],
)
def test_only_the_classes_named_are_made(tmp_path, other):
    write_checkpoint(FilePlace(tmp_path / "state"), Tree((), "x", {"other": other}), CLASSES)
    if isinstance(other, Tree):
        with pytest.raises(CheckpointError, match="expected a record of Leaf"):
            read_checkpoint(FilePlace(tmp_path / "state"), (Leaf,))
    else:
        assert read_checkpoint(FilePlace(tmp_path / "state"), CLASSES).words["other"] == other


def test_what_no_checkpoint_can_hold_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="expected numbers, text, arrays"):
        write_checkpoint(FilePlace(tmp_path / "state"), Tree((), "x", {"function": print}), CLASSES)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_one(tmp_path, monkeypatch):
    write_checkpoint(FilePlace(tmp_path / "state"), tree(1.0), CLASSES)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_checkpoint(FilePlace(tmp_path / "state"), tree(2.0), CLASSES)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert_is_tree(read_checkpoint(FilePlace(tmp_path / "state"), CLASSES), 1.0)


@pytest.mark.parametrize("kind", ["file", "empty file", "pipe"])
def test_a_file_of_the_users_beside_a_checkpoint_is_left_alone(tmp_path, kind):
    path = tmp_path / "state.sample"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("something of the user's" if kind == "file" else "")
    before = path.lstat()
    with pytest.raises(CheckpointError, match=r"state\.sample: .*left alone"):
        checkpoint_place(tmp_path / "state")
    assert path.lstat() == before


def test_a_damaged_state_stays_no_obstacle_when_it_is_the_one_before(tmp_path):
    for number in (1.0, 2.0):
        write_checkpoint(checkpoint_place(tmp_path / "state"), tree(number), CLASSES)
    (tmp_path / "state").write_bytes(b"")
    with pytest.warns(UserWarning, match="the one before it is used"):
        assert_is_tree(read_checkpoint(checkpoint_place(tmp_path / "state"), CLASSES), 1.0)
    write_checkpoint(checkpoint_place(tmp_path / "state"), tree(3.0), CLASSES)
    assert_is_tree(read_checkpoint(checkpoint_place(tmp_path / "state"), CLASSES), 3.0)


def test_objects_of_the_users_are_left_alone():
    url = f"memory://{uuid.uuid4().hex}/state"
    filesystem, root = url_to_fs(url)
    contents = {"sample": b"something of the user's", "check": b"of theirs too"}
    for name, content in contents.items():
        filesystem.pipe_file(f"{root}/{name}", content)
    with pytest.raises(CheckpointError, match=r"sample: .*left alone"):
        checkpoint_place(url)
    assert {name: filesystem.cat_file(f"{root}/{name}") for name in contents} == contents


def test_what_killed_processes_had_begun_is_removed(tmp_path):
    names = [f".{name}.0123456789abcdef.tmp" for name in ("state", "state.sample", "other")]
    for name in (*names, ".state.0123456789abcde0.tmp"):
        (tmp_path / name).touch()
    for name in names:
        os.utime(tmp_path / name, (0, 0))
    checkpoint_place(tmp_path / "state")
    assert {path.name for path in tmp_path.iterdir()} == {names[2], ".state.0123456789abcde0.tmp"}


@pytest.mark.parametrize(
    ("name", "error"),
    [("", CheckpointError), ("nowhere/state", StoreNotFoundError), ("nonsense://bucket/state", CheckpointError)],
)
def test_places_where_none_can_be_kept_are_refused(tmp_path, name, error):
    with pytest.raises(error):
        checkpoint_place(name if "://" in name else tmp_path / name)


@pytest.mark.parametrize("kind", ["file", "objects"])
def test_a_place_that_is_removed_is_empty_and_may_be_so_twice(kind, tmp_path):
    place = checkpoint_place(tmp_path / "fit.state" if kind == "file" else f"memory://removed-{tmp_path.name}/fit")
    for content in (b"one", b"two"):
        place.write([MAGIC, content])
    place.write_sample([MAGIC, b"sample"])
    place.remove()
    place.remove()
    if kind == "file":
        assert list(tmp_path.iterdir()) == []
    else:
        assert [name for name, content in place.states()] == []
        with pytest.raises(FileNotFoundError):
            place.read_sample()


def test_removing_leaves_what_is_no_checkpoint(tmp_path):
    (tmp_path / "fit.state").write_text("mine")
    checkpoint_place(tmp_path / "fit.state").remove()
    assert (tmp_path / "fit.state").read_text() == "mine"
