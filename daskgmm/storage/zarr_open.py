"""Finding and opening a Zarr array, with errors that say what is there instead."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.storage import LocalStore

from daskgmm.errors import InputDataError, InputTypeError, ParameterError, StorageError, StoreNotFoundError
from daskgmm.storage.codecs import with_fastest_codecs
from daskgmm.storage.redaction import brief, public_address, secrets_in, shareable_cause

__all__ = ["ZarrSource", "is_zarr", "local_path", "open_array"]

ZarrSource = str | os.PathLike[str] | Store | zarr.Array[Any] | zarr.Group
"""A path, a URL, a Zarr store, or what Zarr has opened."""

METADATA = ("zarr.json", ".zarray", ".zattrs")
"""Where versions 3 and 2 keep what describes an array."""
# Attributes are the users' own; those of a group may hold the metadata of all its arrays. Parsed, text takes up to
# twenty times as much.
MOST_METADATA_BYTES = 2**24
# Names of arrays that a message offers.
MOST_NAMES = 10
# What fsspec, its filesystems and Zarr say when a name or an object is not understood, as opposed to a failure to reach
# it; arithmetic on lengths of 0 is among them.
DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    NotImplementedError,
    RecursionError,
    ArithmeticError,
)


def open_array(
    store: ZarrSource, component: str | None, storage_options: Mapping[str, Any] | None
) -> tuple[zarr.Array[Any], str]:
    """Open a Zarr array for reading, and return it with the words that name it in messages.

    Parameters
    ----------
    store : str, path, zarr Store, zarr.Array or zarr.Group
        Where it is; a string with "://" is a URL.
    component : str or None
        Path of the array inside a group.
    storage_options : mapping or None
        What fsspec needs to open a URL.

    Raises
    ------
    StoreNotFoundError
        If there is no such store, or no array at its top or at the component; the arrays that are there are named.
    ParameterError
        If the component leads out of the store, or the arguments do not fit together.
    InputTypeError
        If `store` is not something that holds a Zarr array.
    InputDataError
        If the metadata are damaged.
    StorageError
        If the store cannot be reached.
    """
    component = _checked_component(component)
    if isinstance(store, zarr.Array):
        if component:
            raise ParameterError(f"component: expected None for a Zarr array, which has no parts; got {component!r}")
        return store, _name(str(store.store_path), "")
    if isinstance(store, zarr.Group):
        place: Any = store.store
        source, path = _name(str(store.store_path), component), "/".join(filter(None, (store.path, component)))
    else:
        place = _place(store)
        source, path = _name(str(store), component), component
    root = place.root if isinstance(place, LocalStore) else place
    if isinstance(root, Path):
        _check_inside(root, path, source)
        _check_metadata_size(root / path, source)
    node = _open(place, path, source, storage_options)
    if isinstance(node, zarr.Group):
        raise StoreNotFoundError(
            f"{source}: expected a Zarr array; this is a group. Give the path of an array inside it as component "
            f"(--component){_arrays_in(node)}"
        )
    return node, source


def is_zarr(value: object) -> bool:
    """Whether a value names a Zarr array or is one."""
    return isinstance(value, str | os.PathLike | Store | zarr.Array | zarr.Group)


def local_path(place: str | os.PathLike[str]) -> Path | None:
    """Return the absolute path that a string or path means, or None if it is a URL of another kind.

    Absolute, because workers may run in other directories.
    """
    text = os.fspath(place)
    for scheme in ("file://", "local://"):
        text = text.removeprefix(scheme)
    if "://" in text or "::" in text:
        return None
    return Path(text).absolute()


def _place(store: str | os.PathLike[str] | Store) -> Path | str | Store:
    """Return what Zarr can open."""
    if isinstance(store, Store):
        return store
    if not isinstance(store, str | os.PathLike):
        raise InputTypeError(f"store: expected a path, a URL, a Zarr store or array; got {type(store).__name__}")
    path = local_path(store)
    if path is None:
        return os.fspath(store)
    if not path.exists():
        raise StoreNotFoundError(
            f"{_name(str(store), '')}: there is no such file or directory; check the path of the Zarr store"
        )
    return path


def _checked_component(component: str | None) -> str:
    """Return the component as a path with single slashes, empty for the top of the store."""
    if component is None:
        return ""
    if not isinstance(component, str):
        raise ParameterError(f"component: expected the path of an array inside a group; got {component!r}")
    parts = component.removesuffix("/").split("/")
    if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
        raise ParameterError(
            f"component: expected the path of an array inside the store, such as 'group/array'; got {component!r}"
        )
    return "/".join(parts)


def _check_inside(root: Path, path: str, source: str) -> None:
    """Raise ParameterError when links on disk lead from the component out of the store."""
    if not (root / path).resolve().is_relative_to(root.resolve()):
        raise ParameterError(f"{source}: expected a component inside the store; its links lead to another place")


def _check_metadata_size(folder: Path, source: str) -> None:
    """Raise InputDataError when metadata are too long to be those of an array; others than on disk are not asked."""
    for name in METADATA:
        with suppress(OSError):
            n_bytes = (folder / name).stat().st_size
            if n_bytes > MOST_METADATA_BYTES:
                raise InputDataError(
                    f"{source}: expected the metadata of a Zarr array, of at most {MOST_METADATA_BYTES:,} bytes; "
                    f"{name} has {n_bytes:,}. If it is a group's, give the path of an array inside it as component "
                    "(--component)"
                )


def _open(
    place: Any, path: str, source: str, storage_options: Mapping[str, Any] | None
) -> zarr.Array[Any] | zarr.Group:
    options = dict(storage_options) if storage_options else None
    if options and not isinstance(place, str):
        raise ParameterError("storage_options: expected a URL with them; a local path or a store has no use for them")
    try:
        return with_fastest_codecs(lambda: zarr.open(store=place, path=path, mode="r", storage_options=options))
    except FileNotFoundError:
        siblings = _siblings(place, options) if path else ""
        raise StoreNotFoundError(f"{source}: there is no Zarr array or group here{siblings}") from None
    except (OSError, ImportError) as error:
        secrets = secrets_in(options, place)
        raise StorageError(f"{source}: the store cannot be opened: {brief(error, secrets)}") from shareable_cause(
            error, secrets
        )
    except DAMAGED as error:
        secrets = secrets_in(options, place)
        raise InputDataError(
            f"{source}: expected a Zarr array of version 2 or 3; its metadata or its address cannot be understood: "
            f"{brief(error, secrets)}"
        ) from shareable_cause(error, secrets)


def _siblings(place: Any, options: dict[str, Any] | None) -> str:
    """Return which arrays the store holds, for the message that a component is not among them."""
    try:
        node = zarr.open(store=place, mode="r", storage_options=options)
    except (OSError, *DAMAGED):
        return ""
    return _arrays_in(node) if isinstance(node, zarr.Group) else "; the store is an array itself: leave out component"


def _arrays_in(group: zarr.Group) -> str:
    """Return a clause with the names of the arrays in a group; empty when they cannot be listed."""
    try:
        with warnings.catch_warnings():
            # Other files among the nodes are no concern of a message.
            warnings.simplefilter("ignore")
            names = sorted(name for name, node in group.members(max_depth=3) if isinstance(node, zarr.Array))
    except (OSError, *DAMAGED):
        return ""
    if not names:
        return "; it holds no arrays"
    return f"; it holds {', '.join(names[:MOST_NAMES])}{' ...' if len(names) > MOST_NAMES else ''}"


def _name(store: str, component: str) -> str:
    """Return how messages call an array, without the credentials that a URL may carry."""
    address = public_address(store)
    return f"{address} ({component})" if component else address
