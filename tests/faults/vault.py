"""A filesystem that must be opened with secrets, and that tells them in every error."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

SECRETS = {
    "key": "AKIAIOSFODNN7EXAMPLE",
    "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "token": "ya29.a0AfH6SMB",
    "password": "s%same & open",
    "client_kwargs": {"headers": {"Authorization": "Basic dXNlcjpwYXNz"}, "endpoint_url": "http://127.0.0.1:9000"},
}
TEXTS = (*(value for value in SECRETS.values() if isinstance(value, str)), "Basic dXNlcjpwYXNz")


class VaultFileSystem(LocalFileSystem):
    """Files on disk behind secrets. What is refused is decided by files beside them, so that all processes see it."""

    protocol = "vault"
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options

    @classmethod
    def _strip_protocol(cls, path: str | os.PathLike[str]) -> str:
        path = os.fspath(path)
        return LocalFileSystem._strip_protocol("/" + path.removeprefix("vault://").rpartition("@")[2].lstrip("/"))

    def _check(self, path: str, what: str) -> None:
        path = self._strip_protocol(path)
        if self._options.get("password") != SECRETS["password"]:
            raise PermissionError(f"{path}: not opened by {self._options}")
        for folder in Path(path).parents:
            if (folder / f"refuse-{what}").exists():
                raise PermissionError(
                    f"{path}: refused to {self._options}, of vault://user:{TEXTS[0]}@{path}?sig={TEXTS[2]}"
                )

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        self._check(path, "chunks" if "/c/" in path else "metadata")
        return super().cat_file(path, start, end, **options)

    def find(self, path: str, *arguments: Any, **options: Any) -> Any:
        self._check(path, "listing")
        return super().find(path, *arguments, **options)

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        self._check(path, "listing")
        return super().ls(path, detail, **options)

    def info(self, path: str, **options: Any) -> Any:
        self._check(path, "sizes")
        return super().info(path, **options)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        self._check(path, "chunk-writing" if "/c/" in path else "writing")
        super().makedirs(self._parent(path), exist_ok=True)
        super().pipe_file(path, value, mode, **options)


def vault_url(path: Path) -> str:
    """Return the URL of something on disk, with a password in it too."""
    fsspec.register_implementation("vault", VaultFileSystem, clobber=True)
    return f"vault://user:{TEXTS[0]}@{path}"


def told(text: str) -> list[str]:
    """Return which secrets a text tells, as they are or as they are often written."""
    spellings = {secret: {secret, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode()} for secret in TEXTS}
    return [secret for secret, ways in spellings.items() if any(way in text for way in ways)]
