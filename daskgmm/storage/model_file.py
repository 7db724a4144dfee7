"""Fitted mixtures as files: one uncompressed zip archive of plain arrays and one JSON text, without any pickle.

::

    model.json                what it is, the settings, the record of the fit, dtype, shape and SHA-256 of each array
    weights.npy, means.npy, covariances.npy, precisions_cholesky.npy        float64, little-endian, C order

Loading trusts nothing: sizes are compared with the length of the file before they are allocated, digests before the
arrays are used, and the mixture is validated as one that a user gives would be.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskgmm import __version__
from daskgmm.errors import (
    DegenerateMixtureError,
    ModelFormatError,
    ParameterError,
    StorageError,
    StoreNotFoundError,
)
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.storage.json_values import MOST_BYTES, MOST_VALUES, decoded, encoded, is_too_large, strict_json
from daskgmm.storage.new_file import check_new_file, whole_file

__all__ = ["FORMAT_VERSION", "Model", "check_new_file", "load_model", "save_model"]

FORMAT_NAME = "daskgmm-model"
# Raise it when a reader of the old version would misunderstand a new file, and keep reading the old ones.
FORMAT_VERSION = 1

HEADER = "model.json"
ARRAYS = ("weights", "means", "covariances", "precisions_cholesky")
MEMBERS = {HEADER, *(f"{name}.npy" for name in ARRAYS)}
FLOAT64 = "<f8"
# Of five members. Each entry of 46 bytes takes 600 once it is read.
MOST_DIRECTORY_BYTES = 2**16
# Version 1.0 of the .npy format: a signature, a length of two bytes, and what that length can count.
NPY_SIGNATURE = b"\x93NUMPY\x01\x00"
NPY_HEADER_START = len(NPY_SIGNATURE) + 2
MOST_NPY_HEADER_BYTES = NPY_HEADER_START + 2**16
# As the format wants it to be written, keys in order. NumPy's own reader evaluates what it finds.
NPY_HEADER = re.compile(rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \(([0-9]+(?:, [0-9]+)*),?\), \} *\n")
MOST_AXES = 3
# Of a message about what a file says, which may be long.
MOST_WORDS = 500
# The least date that a zip archive can hold: the same model gives the same bytes whenever it is written.
DATE = (1980, 1, 1, 0, 0, 0)
KEYS = {"format", "version", "package_version", "covariance_type", "feature_names", "settings", "fit", "arrays"}

# What reading a damaged archive raises, by looking at zipfile and numpy.lib.format: wrong signatures, cut members,
# encryption and compression that this format does not use, text that is not UTF-8.
UNREADABLE = (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OSError, KeyError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is worth keeping of a fit."""

    parameters: MixtureParameters
    """The mixture."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the estimator was given: JSON values and NumPy arrays."""
    fit: Mapping[str, Any] = field(default_factory=dict)
    """What the fit found beside the mixture, such as whether it converged: JSON values, infinities included."""
    feature_names: tuple[str, ...] | None = None
    """Names of the features, if the data had any."""


def save_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a file, replacing the one that is there.

    The file appears whole or not at all: whatever fails, the old one stays as it was.

    Raises
    ------
    ParameterError
        If a setting or a record is of a kind that the file cannot hold, or they are too many.
    StoreNotFoundError
        If the directory is not there.
    StorageError
        If the file cannot be written.
    """
    members = {f"{name}.npy": _npy(getattr(model.parameters, name)) for name in ARRAYS}
    header = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "package_version": __version__,
        "covariance_type": model.parameters.covariance_type,
        "feature_names": None if model.feature_names is None else list(model.feature_names),
        "settings": encoded(model.settings, "settings"),
        "fit": encoded(model.fit, "fit"),
        "arrays": {
            name: {
                "dtype": FLOAT64,
                "shape": list(getattr(model.parameters, name).shape),
                "sha256": hashlib.sha256(members[f"{name}.npy"]).hexdigest(),
            }
            for name in ARRAYS
        },
    }
    text = json.dumps(header, allow_nan=False, indent=1).encode("utf-8")
    if is_too_large(text):  # refused here rather than by whoever loads it
        raise ParameterError(
            f"expected settings and a record of at most {MOST_BYTES} bytes and {MOST_VALUES} values as "
            "JSON; large starting parameters exceed that: set_params(means_init=None, precisions_init=None) first"
        )
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {HEADER: text, **members}.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), content)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model that `save_model` wrote.

    Raises
    ------
    StoreNotFoundError
        If there is no such file.
    StorageError
        If the file cannot be read.
    ModelFormatError
        If it is not a whole and valid model. No code is run and nothing larger than the file is allocated.
    """
    try:
        with _GuardedFile(io.FileIO(path, opener=_open_at_once)) as file:
            return _read(file)
    except FileNotFoundError:
        raise StoreNotFoundError(f"{path}: there is no such model file; check the path") from None
    except IsADirectoryError:
        raise ModelFormatError(f"{path}: expected a model file of daskgmm; got a directory") from None
    except PermissionError as error:
        raise StorageError(f"{path}: the model file cannot be read: {error}") from error
    except (ParameterError, DegenerateMixtureError, ModelFormatError) as error:
        raise ModelFormatError(f"{path}: not a valid model file of daskgmm: {str(error)[:MOST_WORDS]}") from error
    except UNREADABLE as error:
        raise ModelFormatError(
            f"{path}: expected a model file of daskgmm, a zip archive of {', '.join(sorted(MEMBERS))}; this is another "
            f"kind of file, or it was truncated or changed ({type(error).__name__}: {str(error)[:MOST_WORDS]})"
        ) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, if it is a pipe, for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


class _GuardedFile(io.BufferedReader):
    """A file that gives small pieces only until its archive's directory has been read."""

    has_directory = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; raises ModelFormatError when a directory says that it is larger than ours ever are."""
        if size is not None and size > MOST_DIRECTORY_BYTES and not self.has_directory:
            raise ModelFormatError(f"expected a directory of {len(MEMBERS)} members; got one of {size} bytes")
        return super().read(size)


def _read(file: _GuardedFile) -> Model:
    """Read a model; damage shows as one of the exceptions in UNREADABLE, or as a ModelFormatError that says more."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise ModelFormatError("expected a regular file; got a directory, a pipe or a device")
    with zipfile.ZipFile(file) as archive:
        file.has_directory = True
        _check_members(archive, os.fstat(file.fileno()).st_size)
        text = archive.read(HEADER)
        if is_too_large(text):
            raise ModelFormatError(f"{HEADER}: expected at most {MOST_VALUES} values")
        header = _checked_header(strict_json(text))
        parameters = MixtureParameters(
            covariance_type=header["covariance_type"],
            **{name: _array(archive, name, header["arrays"].get(name)) for name in ARRAYS},
        )
    names = header["feature_names"]
    if names is not None and len(names) != parameters.n_features:
        raise ModelFormatError(f"expected {parameters.n_features} feature names; got {len(names)}")
    settings, fit = decoded(header["settings"]), decoded(header["fit"])
    if not isinstance(settings, dict) or not isinstance(fit, dict):  # an object may stand for a float or an array
        raise ModelFormatError(f"{HEADER}: settings, fit: expected objects with names for keys")
    return Model(
        parameters=parameters,
        settings=settings,
        fit=fit,
        feature_names=None if names is None else tuple(names),
    )


def _check_members(archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Raise ModelFormatError unless the archive holds each member once, uncompressed, and none beyond the file."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if len(names) != len(MEMBERS) or set(names) != MEMBERS:
        raise ModelFormatError(f"expected the members {sorted(MEMBERS)}; got {sorted(names)[:10]}")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ModelFormatError(f"{info.filename}: expected an uncompressed member; it is compressed")
    total = sum(info.file_size for info in infos)
    if total > n_bytes:
        raise ModelFormatError(f"expected members of at most {n_bytes} bytes, the length of the file; got {total}")
    if archive.getinfo(HEADER).file_size > MOST_BYTES:
        raise ModelFormatError(f"{HEADER}: expected at most {MOST_BYTES} bytes")


def _checked_header(header: Any) -> dict[str, Any]:
    """Return the header if it is of a version that can be read and each of its parts is of the right type."""
    if not isinstance(header, dict) or header.get("format") != FORMAT_NAME:
        raise ModelFormatError(f"{HEADER}: expected the format {FORMAT_NAME!r}")
    version = header.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ModelFormatError(
            f"{HEADER}: this daskgmm reads version {FORMAT_VERSION} of the format; got version {version!r}, written by "
            f"daskgmm {header.get('package_version')!r}. Upgrade daskgmm, or save the model with the version you have"
        )
    if set(header) != KEYS:
        raise ModelFormatError(f"{HEADER}: expected the keys {sorted(KEYS)}; got {sorted(header)[:20]}")
    for key, kind in {"covariance_type": str, "settings": dict, "fit": dict, "arrays": dict}.items():
        if not isinstance(header[key], kind):
            raise ModelFormatError(f"{HEADER}: {key}: expected {kind.__name__}; got {type(header[key]).__name__}")
    names = header["feature_names"]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ModelFormatError(f"{HEADER}: feature_names: expected null or a list of text")
    return header


def _array(archive: zipfile.ZipFile, name: str, declared: Any) -> Floats:
    """Return one array after comparing its declared shape with its bytes, and its bytes with their digest."""
    if not isinstance(declared, dict) or set(declared) != {"dtype", "shape", "sha256"}:
        raise ModelFormatError(f"{HEADER}: arrays.{name}: expected dtype, shape and sha256")
    shape = declared["shape"]
    is_shape = isinstance(shape, list) and len(shape) <= MOST_AXES and all(type(n) is int and n > 0 for n in shape)
    if declared["dtype"] != FLOAT64 or not is_shape:
        raise ModelFormatError(f"{HEADER}: arrays.{name}: expected dtype {FLOAT64!r} and a shape of positive lengths")
    member = f"{name}.npy"
    n_bytes, size = 8 * math.prod(shape), archive.getinfo(member).file_size
    if not n_bytes < size <= n_bytes + MOST_NPY_HEADER_BYTES:
        raise ModelFormatError(
            f"{member}: expected {n_bytes} bytes of numbers for the shape {shape}; it has {size} bytes"
        )
    content = archive.read(member)
    if hashlib.sha256(content).hexdigest() != declared["sha256"]:
        raise ModelFormatError(f"{member}: its SHA-256 digest is not the one in {HEADER}; the file was changed")
    if not content.startswith(NPY_SIGNATURE):
        raise ModelFormatError(f"{member}: expected version 1.0 of the .npy format")
    start = NPY_HEADER_START + int.from_bytes(content[NPY_HEADER_START - 2 : NPY_HEADER_START], "little")
    described = NPY_HEADER.fullmatch(content[NPY_HEADER_START:start])
    stored_shape = [] if described is None else [int(length) for length in described[1].split(b", ")]
    if described is None or stored_shape != shape or len(content) != start + n_bytes:
        raise ModelFormatError(f"{member}: expected float64 in C order of shape {shape}, as {HEADER} says")
    return np.frombuffer(content, FLOAT64, offset=start).reshape(shape)


def _npy(array: Floats) -> bytes:
    """Return an array in version 1.0 of the .npy format."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, FLOAT64), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
