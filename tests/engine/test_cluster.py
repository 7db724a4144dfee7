from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import fields

import dask
import dask.array as da
import psutil
import pytest
from dask.utils import parse_timedelta
from distributed import Client, default_client
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.engine.cluster import ClusterSettings, connected, parse_duration, parse_size, peak_worker_memory
from daskgmm.errors import ClusterError, ParameterError

TIMEOUT = 30.0


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def unused_address() -> str:
    """An address of this machine at which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def ambient_client() -> Client | None:
    try:
        return default_client()
    except ValueError:
        return None


def assert_nothing_is_ambient() -> None:
    assert ambient_client() is None
    assert dask.config.get("scheduler", None) is None


def test_with_nothing_given_work_runs_on_this_processs_threads():
    with connected(ClusterSettings()) as client:
        assert client is None
        assert ambient_client() is None


def test_an_embedded_cluster_is_ambient_and_gone_afterwards():
    this = psutil.Process()
    before = {place for process in family(this) for place in listening(process)}
    settings = ClusterSettings(n_workers=1, threads_per_worker=2, memory_limit=2**29)
    with connected(settings) as client:
        assert ambient_client() is client
        (worker,) = client.scheduler_info()["workers"].values()
        assert (worker["nthreads"], worker["memory_limit"]) == (2, 2**29)
        assert da.ones(10, chunks=2).sum().compute() == 10
        assert list(client.run(dask.config.get, "distributed.worker.profile.enabled").values()) == [False]
        assert parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout")) > 86_400
        opened = {place for process in family(this) for place in listening(process)} - before
        address = client.scheduler.address
        assert len(opened) >= 3
        # Other machines must not be able to reach a scheduler that runs whatever it is sent.
        assert {ip for ip, _ in opened} == {"127.0.0.1"}
    assert ambient_client() is None
    assert dask.config.get("distributed.worker.profile.enabled")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=TIMEOUT)


def test_workers_of_an_embedded_cluster_use_one_blas_thread(client):
    def limits():
        import os

        return os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]

    assert set(client.run(limits).values()) == {("1", "1")}


def test_a_running_scheduler_is_found_by_its_address(cluster):
    with connected(ClusterSettings(scheduler=cluster.scheduler_address, timeout=TIMEOUT)) as client:
        assert ambient_client() is client
        assert da.ones(10, chunks=2).sum().compute() == 10
    assert ambient_client() is None
    assert cluster.status.name == "running"


def test_a_running_scheduler_is_found_by_its_file(cluster, tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": cluster.scheduler_address}))
    with connected(ClusterSettings(scheduler_file=str(path), timeout=TIMEOUT)) as client:
        assert client.scheduler.address == cluster.scheduler_address


def test_a_scheduler_that_does_not_answer_is_an_error_that_names_it():
    address = unused_address()
    expected = f"expected a scheduler to answer at {address} within 0.5 s"
    with pytest.raises(ClusterError, match=expected), connected(ClusterSettings(scheduler=address, timeout=0.5)):
        pass


def test_a_scheduler_file_whose_scheduler_is_gone_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "scheduler.json"
    address = unused_address()
    path.write_text(json.dumps({"address": address}))
    with (
        pytest.raises(ClusterError, match=address),
        connected(ClusterSettings(scheduler_file=str(path), timeout=0.5)),
    ):
        pass


def test_a_scheduler_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "scheduler.json"
    with pytest.raises(ClusterError, match=str(path)), connected(ClusterSettings(scheduler_file=str(path))):
        pass


@pytest.mark.parametrize("text", ["", "not json", "{}", "[]", '{"address": 3}'])
def test_a_scheduler_file_without_an_address_is_an_error_that_names_it(tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_text(text)
    with (
        pytest.raises(ClusterError, match=str(path)),
        connected(ClusterSettings(scheduler_file=str(path), timeout=0.5)),
    ):
        pass
    assert_nothing_is_ambient()


@pytest.mark.parametrize("address", ["", "nonsense://somewhere", "tcp://", "127.0.0.1:notaport"])
def test_an_address_that_is_none_is_an_error(address):
    with pytest.raises(ClusterError), connected(ClusterSettings(scheduler=address, timeout=0.5)):
        pass
    assert_nothing_is_ambient()


@pytest.mark.parametrize(
    "given",
    [
        {"scheduler": "tcp://a:1", "scheduler_file": "b"},
        {"scheduler": "tcp://a:1", "n_workers": 2},
        {"scheduler_file": "b", "n_workers": 2},
    ],
    ids=lambda given: " and ".join(given),
)
def test_two_ways_to_find_a_cluster_are_refused(given):
    with pytest.raises(ParameterError, match=" and ".join(given)):
        ClusterSettings(**given)


def test_settings_are_a_frozen_record():
    assert {field.name for field in fields(ClusterSettings)} >= {"scheduler", "scheduler_file", "n_workers", "timeout"}
    with pytest.raises(AttributeError):
        ClusterSettings().timeout = 1.0


def test_peak_worker_memory_is_at_least_what_a_worker_held(client):
    def hold(n_bytes):
        return len(bytearray(n_bytes).replace(b"\0", b"\1"))

    client.submit(hold, 2**27, pure=False).result(30)
    assert 2**27 < peak_worker_memory(client) < 2**34


@pytest.mark.parametrize(
    ("text", "size"), [("512MiB", 2**29), ("4GB", 4 * 10**9), ("1.5 GiB", 3 * 2**29), ("100", 100), ("1e3", 1_000)]
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "0", "-1GB", "nan", "inf", "1e999", "GB GB", "4 XB"])
def test_texts_that_are_no_size_are_refused(text):
    with pytest.raises(ParameterError, match="expected a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300.0), ("30s", 30.0), ("1.5h", 5_400.0), ("10", 10.0)])
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "long", "0s", "-1s", "nan", "inf", "1e999", "5 parsecs"])
def test_texts_that_are_no_duration_are_refused(text):
    with pytest.raises(ParameterError, match="expected a duration"):
        parse_duration(text)


@given(st.text(max_size=12))
def test_no_text_is_read_as_anything_but_a_positive_quantity(text):
    for parse in (parse_size, parse_duration):
        with suppress(ParameterError):
            assert 0 < parse(text) < float("inf")
