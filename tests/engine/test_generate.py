from __future__ import annotations

import dask
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.engine.generate import generate_rows
from tests.watched import CountedRecord, count_rebuilt, counts_reset, watched_computes


def normal_rows(generator, n_rows, scale):
    return scale * generator.normal(size=(n_rows, 2))


def zero_rows(generator, n_rows, argument):
    return np.zeros((n_rows, 2))


def rows_of(function=normal_rows, argument=1.0, *, n_samples=25, block_rows=10, entropy=4):
    return generate_rows(function, argument, n_samples=n_samples, n_features=2, block_rows=block_rows, entropy=entropy)


@pytest.mark.parametrize(
    ("n_samples", "lengths"), [(25, (10, 10, 5)), (20, (10, 10)), (10, (10,)), (3, (3,)), (11, (10, 1))]
)
def test_rows_come_in_blocks_of_the_length_asked_for(n_samples, lengths):
    rows = rows_of(n_samples=n_samples)
    assert rows.chunks == (lengths, (2,))
    assert rows.dtype == np.float64
    values = rows.compute()
    assert values.shape == (n_samples, 2)
    assert values.dtype == np.float64


def test_nothing_is_drawn_before_it_is_asked_for():
    with watched_computes() as computes:
        rows_of()
    assert computes == []


def test_the_argument_reaches_every_block():
    assert_array_equal(rows_of(argument=3.0).compute(), 3.0 * rows_of(argument=1.0).compute())


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_rows_do_not_depend_on_threads(num_workers):
    with dask.config.set(scheduler="synchronous"):
        expected = rows_of().compute()
    with dask.config.set(scheduler="threads", num_workers=num_workers):
        assert_array_equal(rows_of().compute(), expected)


def test_rows_do_not_depend_on_workers(client):
    values = rows_of().compute()
    with dask.config.set(scheduler="synchronous"):
        assert_array_equal(rows_of().compute(), values)


def test_reading_twice_gives_the_same_rows():
    rows = rows_of()
    assert_array_equal(rows.compute(), rows.compute())
    assert_array_equal(rows[12:17].compute(), rows.compute()[12:17])


def test_blocks_and_seeds_draw_different_rows():
    values = rows_of(n_samples=20).compute()
    assert not np.array_equal(values[:10], values[10:])
    assert not np.array_equal(rows_of(n_samples=20, entropy=5).compute(), values)


def test_more_rows_begin_with_the_same_blocks():
    assert_array_equal(rows_of(n_samples=45).compute()[:20], rows_of(n_samples=20).compute())


def test_the_argument_is_sent_to_each_worker_once(client):
    client.run(counts_reset)
    rows_of(zero_rows, CountedRecord(), n_samples=400).sum().compute()
    assert all(count <= 1 for count in client.run(count_rebuilt).values())
