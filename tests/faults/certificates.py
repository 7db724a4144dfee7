"""Authorities and certificates for tests of TLS, made with the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed.security import Security

ROLES = ("client", "scheduler", "worker")
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
LONG_AGO = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
SETTINGS = """
[ca]
default_ca = only
[only]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and the authority that signed it."""

    ca: Path
    cert: Path
    key: Path

    def config(self, *, client: Certificate | None = None) -> dict[str, str]:
        """Return Dask's configuration for one who trusts this authority and has its certificate, or another's."""
        owners = {"client": client or self, "scheduler": self, "worker": self}
        files = {
            f"distributed.comm.tls.{role}.{name}": str(path)
            for role, owner in owners.items()
            for name, path in owner._files().items()
        }
        return {"distributed.comm.tls.ca-file": str(self.ca), **files}

    def security(self) -> Security:
        """Return the same as what a cluster is started with."""
        files = {f"tls_{role}_{name}": str(path) for role in ROLES for name, path in self._files().items()}
        return Security(tls_ca_file=str(self.ca), require_encryption=True, **files)

    def _files(self) -> dict[str, Path]:
        return {"cert": self.cert, "key": self.key}


def make_certificate(folder: Path, *, authority: Certificate | None = None, is_expired: bool = False) -> Certificate:
    """Make a certificate in a new folder, signed by an authority of its own or by another certificate's."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with the openssl command, which is not installed")
    folder.mkdir()
    ca = folder / "ca.pem" if authority is None else authority.ca
    settings = ca.with_name("settings")
    if authority is None:
        (folder / "index.txt").touch()
        settings.write_text(SETTINGS.format(folder=folder))
        _openssl(
            "req", "-x509", *EC_KEY, "-days", "2", "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", ca
        )
    _openssl("req", *EC_KEY, "-subj", "/CN=dask", "-keyout", folder / "dask.key", "-out", folder / "dask.csr")
    dates = LONG_AGO if is_expired else ("-days", "2")
    files = ("-in", folder / "dask.csr", "-out", folder / "dask.pem")
    _openssl("ca", "-batch", "-notext", "-config", settings, *dates, *files)
    return Certificate(ca, folder / "dask.pem", folder / "dask.key")


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
