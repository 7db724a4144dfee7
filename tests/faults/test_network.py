"""Who may listen and who may connect: loopback for embedded clusters, certificates for those on other machines."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
import zarr
from distributed import LocalCluster, default_client

from daskgmm import GaussianMixture
from daskgmm.engine import transport
from daskgmm.engine.cluster import ClusterSettings, connected
from daskgmm.engine.transport import check_transport
from daskgmm.errors import ClusterError, ParameterError
from tests.faults.certificates import Certificate, make_certificate

ROWS = np.random.default_rng(0).normal(size=(1000, 2)) + 5
SOON = "2s"


@pytest.fixture
def store(tmp_path) -> Path:
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(250, 2))
    return tmp_path / "rows.zarr"


@pytest.fixture
def model(tmp_path) -> Path:
    GaussianMixture(2, random_state=0).fit(ROWS).save(tmp_path / "model.gmm")
    return tmp_path / "model.gmm"


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificates") / "theirs")


@pytest.fixture(scope="module")
def tls_cluster(ours) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        host="127.0.0.1",
        dashboard_address=None,
        protocol="tls://",
        security=ours.security(),
    ) as cluster:
        yield cluster


# Who listens.


@pytest.mark.fault
@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "rows.zarr", "-o", "fitted.gmm", "--components", "2", "--n-workers", "2"],
        ["demo", "--size", "8MiB", "--components", "2", "--features", "2"],
    ],
    ids=["fit", "demo"],
)
def test_the_processes_of_a_command_listen_on_loopback_only(store, arguments):
    command = [sys.executable, "-c", "from daskgmm.cli import main; main()", *arguments]
    listening: set[tuple[str, int]] = set()
    with subprocess.Popen(command, cwd=store.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            listening |= listened(watched)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
    assert process.returncode == 0
    # A scheduler, its dashboard, two nannies and two workers.
    assert len({port for _, port in listening}) >= 6
    assert {host for host, _ in listening} <= {"127.0.0.1", "::1"}


def listened(process: psutil.Process) -> set[tuple[str, int]]:
    """Return where a process and its children listen now."""
    found: set[tuple[str, int]] = set()
    with suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                connections = one.net_connections(kind="inet")
                found |= {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}
    return found


# What is said of connections that are not encrypted, and what is refused.


@pytest.mark.parametrize("address", ["tcp://10.255.255.1:8786", "10.255.255.1:8786", "tcp://[2001:db8::1]:8786"])
def test_a_plain_connection_to_another_machine_gives_one_warning_that_names_the_option(address):
    with pytest.warns(UserWarning, match="not encrypted") as seen:
        check_transport(address)
    (warning,) = seen
    assert all(word in str(warning.message) for word in ("not encrypted", "tls://", "tls.ca-file", "--require-tls"))


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "127.0.0.5:1", "inproc://x"]
)
def test_a_plain_connection_on_this_machine_gives_none(address):
    check_transport(address)


@pytest.mark.filterwarnings("default:the connection to the scheduler")
def test_a_command_on_another_machines_scheduler_gives_one_warning(cluster, store, model, invoke, caplog, monkeypatch):
    monkeypatch.setattr(transport, "_is_loopback", lambda host: False)
    result = invoke("score", model, store, "--scheduler", cluster.scheduler_address)
    assert result.exit_code == 0
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(messages) == 1
    assert "--require-tls" in messages[0]


@contextmanager
def plain_server() -> Iterator[tuple[socket.socket, str]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        yield server, f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("how", ["--require-tls", "require-encryption"])
@pytest.mark.parametrize("by", ["--scheduler", "--scheduler-file"])
def test_a_plain_scheduler_is_refused_before_anything_is_sent_where_tls_is_required(
    how, by, store, model, invoke, tmp_path
):
    with plain_server() as (server, address):
        (tmp_path / "scheduler.json").write_text(f'{{"address": "{address}"}}')
        named = address if by == "--scheduler" else tmp_path / "scheduler.json"
        with dask.config.set({"distributed.comm.require-encryption": True if how == "require-encryption" else None}):
            flags = [how] if how == "--require-tls" else []
            result = invoke("score", model, store, by, named, "--timeout", SOON, *flags)
        # Nobody knocked.
        with pytest.raises(BlockingIOError):
            server.accept()
    # Trying again does not help: the address or the option is wrong.
    assert result.exit_code == 2
    assert "expected an encrypted connection" in result.stderr
    assert how in result.stderr


@pytest.mark.parametrize("command", ["fit", "predict", "score", "select", "plan"])
def test_every_command_that_takes_a_scheduler_can_require_tls(command, invoke):
    options = invoke(command, "--help").stdout
    assert "--scheduler " in options
    assert "--require-tls" in options


# Certificates.


def refused_connection(address: str) -> None:
    """Connecting must fail in bounded time and leave nothing behind."""
    with pytest.raises(ClusterError, match="certificates"), connected(ClusterSettings(scheduler=address, timeout=2.0)):
        pass
    with pytest.raises(ValueError, match="No client"):
        default_client()


@pytest.mark.timeout(30)
def test_a_command_uses_a_cluster_with_the_right_certificates(ours, tls_cluster, store, model, invoke):
    plain = invoke("score", model, store)
    with dask.config.set(ours.config()):
        result = invoke("score", model, store, "--scheduler", tls_cluster.scheduler_address, "--require-tls")
    assert tls_cluster.scheduler_address.startswith("tls://")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == plain.stdout


@pytest.mark.timeout(30)
def test_another_authority_than_the_schedulers_is_refused(ours, theirs, tls_cluster):
    with dask.config.set(theirs.config()):
        refused_connection(tls_cluster.scheduler_address)


@pytest.mark.timeout(30)
def test_a_client_that_the_scheduler_does_not_know_is_refused(ours, theirs, tls_cluster):
    with dask.config.set(ours.config(client=theirs)):
        refused_connection(tls_cluster.scheduler_address)


@contextmanager
def tls_server(certificate: Certificate) -> Iterator[str]:
    """Answer handshakes with a certificate, and nothing after them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=_answer, args=(server, context), daemon=True)
        thread.start()
        yield f"tls://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _answer(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(1)


@pytest.mark.timeout(30)
def test_an_expired_certificate_of_a_scheduler_is_refused(tmp_path, ours):
    expired = make_certificate(tmp_path / "expired", authority=ours, is_expired=True)
    with dask.config.set(ours.config()), tls_server(expired) as address:
        refused_connection(address)


@pytest.mark.timeout(30)
def test_an_expired_certificate_of_a_client_is_refused(tmp_path, ours, tls_cluster):
    expired = make_certificate(tmp_path / "expired", authority=ours, is_expired=True)
    with dask.config.set(ours.config(client=expired)):
        refused_connection(tls_cluster.scheduler_address)


@pytest.mark.parametrize("lacks", ["everything", "cert", "ca-file", "the file"])
def test_missing_certificates_are_wrong_usage(lacks, ours, store, model, invoke, tmp_path):
    configs = {
        "everything": {},
        "cert": {**ours.config(), "distributed.comm.tls.client.cert": None},
        "ca-file": {**ours.config(), "distributed.comm.tls.ca-file": None},
        "the file": {**ours.config(), "distributed.comm.tls.ca-file": str(tmp_path / "absent.pem")},
    }
    with plain_server() as (server, address), dask.config.set(configs[lacks]):
        result = invoke("score", model, store, "--scheduler", address.replace("tcp", "tls"), "--timeout", SOON)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert result.exit_code == 2
    assert "expected certificates for TLS" in result.stderr
    assert "distributed.comm.tls.ca-file" in result.stderr


def test_a_cluster_on_this_machine_needs_certificates_where_encryption_is_required():
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(ParameterError, match="a cluster on this machine: expected certificates"),
        connected(ClusterSettings(n_workers=1)),
    ):
        pass


@pytest.mark.fault
def test_a_cluster_on_this_machine_uses_certificates_where_encryption_is_required(ours):
    required = {"distributed.comm.require-encryption": True, **ours.config()}
    with dask.config.set(required), connected(ClusterSettings(n_workers=1)) as client:
        assert client.scheduler.address.startswith("tls://127.0.0.1")
        assert GaussianMixture(2, random_state=0).fit(dask.array.from_array(ROWS, chunks=(250, 2))).n_passes_ > 0
