from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import pytest
import sklearn.cluster  # noqa: F401  (loads OpenMP, as a fit does)
from threadpoolctl import threadpool_info, threadpool_limits

from daskgmm.engine.schedule import compute, one_thread_per_task
from daskgmm.errors import ClusterError
from tests.watched import watched_computes


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def set_blas_threads(limit: int) -> None:
    """Set the threads of this process from a thread that ends: threadpoolctl obeys one living thread at a time."""
    thread = threading.Thread(target=lambda: threadpool_limits(limit, user_api="blas"))
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def two_threads():
    """As on any machine of two cores or more."""
    before = max(blas_threads())
    set_blas_threads(2)
    yield
    set_blas_threads(before)


def test_numerical_libraries_use_one_thread_inside_and_as_many_as_before_outside():
    assert blas_threads() == {2}
    with one_thread_per_task():
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_nested_limits_end_with_the_outermost():
    with one_thread_per_task():
        with one_thread_per_task():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_the_limit_ends_with_an_error_too():
    with pytest.raises(LookupError), one_thread_per_task():
        raise LookupError
    assert blas_threads() == {2}


def test_overlapping_limits_of_two_threads_end_with_the_last():
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with one_thread_per_task():
            first_is_in.set()
            assert second_is_in.wait(30)
        first_is_out.set()

    def second():
        assert first_is_in.wait(30)
        with one_thread_per_task():
            second_is_in.set()
            assert first_is_out.wait(30)
            return blas_threads()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        assert pool.submit(second).result(60) == {1}
    assert blas_threads() == {2}


def test_a_limit_holds_in_whichever_thread_it_is_set():
    def enter():
        with one_thread_per_task():
            return blas_threads()

    assert enter() == {1}
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(enter).result(30) == {1}
    assert enter() == {1}
    assert blas_threads() == {2}


def test_every_thread_inside_has_its_own_openmp_limit():
    # scikit-learn's k-means sums over OpenMP threads: with another number of them its sums have other bits.
    both_in = threading.Barrier(2)

    def enter(_):
        with one_thread_per_task():
            both_in.wait(30)
            seen = {library["num_threads"] for library in threadpool_info()}
            both_in.wait(30)
        return seen

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(enter, range(2))) == [{1}, {1}]


def test_many_threads_may_come_and_go():
    inside = threading.Barrier(8)

    def enter(_):
        for _ in range(20):
            with one_thread_per_task():
                inside.wait(30)
                seen = blas_threads()
                inside.wait(30)
            assert seen == {1}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert blas_threads() == {2}


def test_compute_returns_the_value():
    assert compute(da.arange(10, chunks=3).sum()) == 45


def test_compute_uses_the_ambient_scheduler():
    with watched_computes() as computes:
        compute(da.zeros(3))
    assert len(computes) == 1


def test_a_cluster_that_is_configured_and_not_there_is_told():
    with (
        dask.config.set(scheduler="dask.distributed"),
        pytest.raises(ClusterError, match=r"has been closed\. Make a"),
    ):
        compute(da.ones(3, chunks=2).sum())


def test_local_compute_does_not_use_the_ambient_scheduler():
    with watched_computes() as computes:
        compute(da.zeros(3), local=True)
    assert computes == []


def test_local_compute_does_not_use_the_ambient_cluster(client):
    assert compute(dask.delayed(threading.get_native_id)(), local=True) in {
        thread.native_id for thread in threading.enumerate()
    }


def test_local_compute_leaves_the_ambient_scheduler_as_it_was():
    compute(da.zeros(3), local=True)
    assert dask.config.get("scheduler", None) is None
