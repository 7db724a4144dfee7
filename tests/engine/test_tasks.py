from __future__ import annotations

import dask
import numpy as np
import pytest

from daskgmm.engine.tasks import run_tasks
from tests.watched import CountedRecord, count_rebuilt, counts_reset, watched_computes


def described(item, shared):
    return item, type(shared).__name__


@pytest.mark.parametrize("items", [[], [1], [3, 1, 2], [(1, 2), [3]], [{"a": np.float64(1)}]])
def test_outcomes_come_in_the_order_of_the_items(items):
    assert run_tasks(described, items, {"shared": 1}) == [(item, "dict") for item in items]


def test_what_is_shared_is_sent_to_each_worker_once(client):
    client.run(counts_reset)
    assert len(run_tasks(described, range(30), CountedRecord(bytes(2**16)))) == 30
    assert all(count <= 1 for count in client.run(count_rebuilt).values())


def test_errors_come_through():
    def fails(item, shared):
        raise LookupError(str(item))

    with pytest.raises(LookupError, match="7"):
        run_tasks(fails, [7], None)


def test_local_tasks_stay_here():
    with watched_computes() as computes:
        assert run_tasks(described, [1], None, local=True) == [(1, "NoneType")]
    assert computes == []
    with dask.config.set(scheduler="synchronous"):
        assert run_tasks(described, [1], None) == [(1, "NoneType")]
