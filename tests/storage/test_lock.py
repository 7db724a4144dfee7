from __future__ import annotations

import errno
import os
import threading

import pytest

from daskgmm.errors import OutputInUseError, StorageError
from daskgmm.storage import lock
from daskgmm.storage.lock import hold


def test_a_lock_is_held_by_one_and_gone_afterwards(tmp_path):
    with hold(tmp_path / "lock", "out") as is_held:
        assert is_held
        with pytest.raises(OutputInUseError, match=r"^out: another run is writing"), hold(tmp_path / "lock", "out"):
            pytest.fail("the body must not run")
        assert os.listdir(tmp_path) == ["lock"]
    assert os.listdir(tmp_path) == []
    with hold(tmp_path / "lock", "out") as is_held:
        assert is_held


def test_a_failure_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "lock", "out"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_left_holds_nobody_up(tmp_path):
    (tmp_path / "lock").write_text("process 1 on another machine, and a good deal more")
    with hold(tmp_path / "lock", "out") as is_held:
        assert is_held
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_file_whose_name_goes_while_it_is_locked_is_not_taken_for_the_lock(tmp_path, monkeypatch):
    flock, taken = lock.fcntl.flock, []

    def after_the_holder_left(descriptor, operation):
        if not taken:
            os.unlink(tmp_path / "lock")
        taken.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(lock.fcntl, "flock", after_the_holder_left)
    with hold(tmp_path / "lock", "out"):
        assert len(taken) == 2
        with pytest.raises(OutputInUseError), hold(tmp_path / "lock", "out"):
            pytest.fail("the body must not run")


def test_of_many_threads_one_at_a_time_holds_it(tmp_path):
    inside, most = [], []

    def run():
        for _ in range(200):
            try:
                with hold(tmp_path / "lock", "out"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except OutputInUseError:
                pass

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_it_is_said_that_nothing_is_held(tmp_path, monkeypatch, code):
    def unsupported(*_):
        raise OSError(code, "no locks")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with hold(tmp_path / "lock", "out") as is_held:
        assert not is_held
    assert os.listdir(tmp_path) == []


def test_a_lock_that_cannot_be_made_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"lock file .* cannot be made"), hold(tmp_path / "absent" / "lock", "out"):
        pytest.fail("the body must not run")
