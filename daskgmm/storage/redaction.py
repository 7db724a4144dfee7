"""Keeping credentials out of messages, logs and reprs: those in URLs, and those that fsspec was given to open them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from zarr.abc.store import Store

from daskgmm.errors import DaskGMMError, StorageError

__all__ = ["asking", "brief", "public_address", "redacted", "secrets_in", "secrets_of", "shareable_cause"]

HIDDEN = "***"
# Names of storage options, at any depth, whose values let somebody in: s3fs's key and secret, adlfs's account_key,
# sas_token and connection_string, gcsfs's token, aiohttp's auth and headers, ...
SECRET_NAME = re.compile(r"key|secret|token|pass|pwd|credential|auth|sas|signature|connection|cookie|header", re.I)
# Shorter ones keep nobody out, and hiding them would leave no message to read.
SHORTEST_SECRET = 3
# Words that gcsfs takes in place of a token.
NO_SECRETS = {"anon", "browser", "cache", "cloud", "google_default"}
# Of an error that is told in another one's message.
MOST_WORDS = 300
# What comes before the host in a URL, and what follows the names in its query, such as an object store's signature.
USER_INFO = re.compile(r"://[^/\s'\"]*@")
QUERY_VALUE = re.compile(r"([?&][\w.~%+-]+=)[^&#\s'\"]+")


def public_address(address: object) -> str:
    """Return a path or a URL as text, without the user, the password and the values of a query that it may carry."""
    return QUERY_VALUE.sub(rf"\1{HIDDEN}", USER_INFO.sub("://", str(address)))


def secrets_in(storage_options: Mapping[str, Any] | None, address: object = "") -> frozenset[str]:
    """Return the texts in storage options, and in the URL that they open, that nobody should read."""
    url = str(address)
    # A password follows a user's name; alone it is a token.
    from_url = [found[len("://") : -len("@")].split(":", 1)[-1] for found in USER_INFO.findall(url)]
    from_query = [found.group().removeprefix(found.group(1)) for found in QUERY_VALUE.finditer(url)]
    plain = {*_texts(storage_options or {}, is_secret=False), *from_url, *from_query}
    plain |= {unquote(text) for text in plain}
    return frozenset(text for text in plain if len(text) >= SHORTEST_SECRET and text not in NO_SECRETS)


def secrets_of(store: Store) -> frozenset[str]:
    """Return the texts that nobody should read of a store that is open: what its filesystems were given."""
    found: set[str] = set()
    waiting: list[Any] = [store]
    for _ in range(10):  # wrappers of wrappers
        if not waiting:
            break
        part = waiting.pop()
        found |= secrets_in(getattr(part, "storage_options", None), getattr(part, "path", ""))
        inner = (getattr(part, name, None) for name in ("fs", "sync_fs", "_store"))
        waiting += [one for one in inner if one is not None]
    return frozenset(found)


def redacted(text: str, secrets: Collection[str]) -> str:
    """Return a text without any secret, also as it is written in a URL."""
    for secret in sorted(secrets, key=len, reverse=True):
        for spelling in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(spelling, HIDDEN)
    return public_address(text)


def shareable_cause(error: BaseException, secrets: Collection[str]) -> BaseException | None:
    """Return an error that another one may name as its cause; None if it, or what caused it, tells a secret."""
    told = "\n".join(_told(error))
    return None if redacted(told, secrets) != told else error


def _told(error: BaseException) -> Iterator[str]:
    """Yield what a traceback would say of an error and of those behind it, lines of source apart."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield from (str(one), repr(one), *map(str, getattr(one, "__notes__", ())))
            inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            waiting += [other for other in (one.__cause__, one.__context__, *inner) if other is not None]


@contextmanager
def asking(store: Store, source: str) -> Iterator[None]:
    """Ask a store something; raises StorageError, without secrets, in place of what its filesystem raises."""
    try:
        yield
    except (DaskGMMError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - every filesystem has exceptions of its own
        secrets = secrets_of(store)
        raise StorageError(
            f"{source}: the store cannot be read: {brief(error, secrets)}. Is it there, and may it be read?"
        ) from shareable_cause(error, secrets)


def brief(error: BaseException, secrets: Collection[str]) -> str:
    """Return an error in a few words, none of them secret."""
    return f"{type(error).__name__}: {redacted(str(error), secrets)[:MOST_WORDS]}"


def _texts(value: Any, *, is_secret: bool) -> Iterator[str]:
    """Yield the texts below names that stand for secrets."""
    if isinstance(value, str):
        if is_secret:
            yield value
    elif isinstance(value, bytes):
        if is_secret:
            yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, is_secret=is_secret or SECRET_NAME.search(str(name)) is not None)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item, is_secret=is_secret)
