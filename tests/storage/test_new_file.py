from __future__ import annotations

import os

import pytest

from daskgmm.errors import OutputExistsError, StorageError, StoreNotFoundError
from daskgmm.storage import new_file
from daskgmm.storage.new_file import check_new_file, whole_file


def test_a_file_is_written_and_replaced(tmp_path):
    for content in (b"first", b"second"):
        with whole_file(tmp_path / "model") as file:
            file.write(content)
        assert (tmp_path / "model").read_bytes() == content
    assert os.listdir(tmp_path) == ["model"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "model").write_bytes(b"old")
    with whole_file(tmp_path / "model") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "model").read_bytes() == b"old"


def fail_with(error: type[BaseException], _: object) -> None:
    """Raise the error after something was done."""
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, error):
    (tmp_path / "model").write_bytes(b"old")
    with pytest.raises(error), whole_file(tmp_path / "model") as file:
        fail_with(error, file.write(b"half"))
    assert (tmp_path / "model").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, function):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "model").write_bytes(b"old")
    monkeypatch.setattr(new_file.os, function, full)
    with (
        pytest.raises(StorageError, match=r"model: the file cannot be written.*No space left"),
        whole_file(tmp_path / "model") as file,
    ):
        file.write(b"new")
    assert (tmp_path / "model").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_content_and_name_are_put_on_disk_in_that_order(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(
            new_file.os, name, lambda *args, name=name, original=original: (calls.append(name), original(*args))[1]
        )
    with whole_file(tmp_path / "model") as file:
        file.write(b"new")
    assert calls == ["fsync", "replace", "fsync"]


def test_a_directory_is_not_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(StorageError, match="cannot be written"), whole_file(tmp_path / "model") as file:
        file.write(b"new")
    assert os.listdir(tmp_path) == ["model"]


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreNotFoundError, match="absent; create it first"), whole_file(tmp_path / "absent" / "model"):
        pass
    with pytest.raises(StoreNotFoundError, match="absent; create it first"):
        check_new_file(tmp_path / "absent" / "model")


def test_an_output_that_exists_is_refused_before_any_work(tmp_path):
    check_new_file(tmp_path / "model")
    (tmp_path / "model").touch()
    os.symlink(tmp_path / "nowhere", tmp_path / "broken")
    for name in ("model", "broken"):
        with pytest.raises(OutputExistsError, match=f"{name}: the output exists already; choose another name"):
            check_new_file(tmp_path / name)


def test_a_directory_that_cannot_be_written_to_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(new_file.os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="can be written to"):
        check_new_file(tmp_path / "model")
