"""Whether the way to a scheduler is encrypted, and what is said or refused where it is not."""

from __future__ import annotations

import ipaddress
import socket
import warnings
from typing import Any

import dask
from distributed.comm import get_address_host, parse_address
from distributed.security import Security

from daskgmm.errors import ParameterError

__all__ = ["check_transport", "embedded_transport"]

ENCRYPTED = ("tls", "wss")
WITHIN_PROCESS = "inproc"
CERTIFICATES = (
    "distributed.comm.tls.ca-file, distributed.comm.tls.client.cert and distributed.comm.tls.client.key in Dask's "
    "configuration (or DASK_DISTRIBUTED__COMM__TLS__CA_FILE and so on in the environment)"
)


def check_transport(address: str, *, require_tls: bool = False) -> None:
    """Make sure, before anything is sent, that the way to a scheduler may be used.

    Whoever can reach a scheduler without certificates can run code on its workers, and whoever can listen on the way to
    it sees rows, models and the storage credentials that tasks carry. That is said once for a scheduler on another
    machine, and is an error where encryption is required.

    Parameters
    ----------
    address : str
        Of the scheduler, such as tcp://10.0.0.1:8786 or tls://10.0.0.1:8786.
    require_tls : bool
        Whether connections without TLS are refused, as they are under Dask's distributed.comm.require-encryption.

    Raises
    ------
    ParameterError
        If encryption is required and the address has none, or it has and there are no certificates for it.
    ValueError
        If it is no address.
    """
    scheme, _ = parse_address(address)
    if scheme in ENCRYPTED:
        _check_certificates(address, "client")
    elif scheme == WITHIN_PROCESS:
        return
    elif require_tls or _is_encryption_required():
        asked = "--require-tls was given" if require_tls else "Dask's distributed.comm.require-encryption is set"
        raise ParameterError(
            f"{address}: expected an encrypted connection to the scheduler, because {asked}; got {scheme}://. Start "
            f"the scheduler and its workers with certificates, and use its tls:// address with {CERTIFICATES}"
        )
    elif not _is_loopback(get_address_host(address)):
        warnings.warn(
            f"the connection to the scheduler at {address} is not encrypted: rows, models and storage credentials "
            "cross the network in the clear, and whoever reaches the scheduler can run code on its workers. Use a "
            f"tls:// address with {CERTIFICATES}; --require-tls refuses connections such as this one",
            stacklevel=2,
        )


def embedded_transport() -> dict[str, Any]:
    """Return what LocalCluster needs to encrypt what its processes tell each other, where Dask's configuration asks so.

    Raises ParameterError if there are no certificates for it.
    """
    if not _is_encryption_required():
        return {}
    for role in ("client", "scheduler", "worker"):
        _check_certificates("a cluster on this machine", role)
    return {"protocol": "tls://", "security": Security()}


def _is_encryption_required() -> bool:
    return bool(dask.config.get("distributed.comm.require-encryption", None))


def _check_certificates(place: str, role: str) -> None:
    """Raise ParameterError unless Dask's configuration names certificates that can be read."""
    try:
        context = Security().get_connection_args(role)["ssl_context"]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ParameterError(
            f"{place}: expected certificates for TLS that can be read; {type(error).__name__}: {error}. "
            f"See {CERTIFICATES}"
        ) from error
    if context is None:
        raise ParameterError(
            f"{place}: expected certificates for TLS; Dask's configuration names none for the {role}. "
            f"Set {CERTIFICATES}"
        )


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine by way of its loopback interface; one without an address is not."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(address.split("%")[0]).is_loopback for address in found)
