"""Sufficient statistics as files: one uncompressed zip archive of plain arrays and one JSON text, as model files are.

::

    statistics.json           what it is, of which mixture, rows and weight, dtype, shape and SHA-256 of each array
    reference.npy, counts.npy, first.npy, second.npy        float64, little-endian, C order
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from daskgmm.errors import ModelFormatError
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.storage.plain_archive import ArchiveFormat, read_archive, write_archive

__all__ = ["load_statistics", "save_statistics"]

ARRAYS = ("reference", "counts", "first", "second")
STATISTICS_FILE = ArchiveFormat(
    name="daskgmm-statistics",
    version=1,
    what="statistics file",
    subject="statistics",
    header="statistics.json",
    arrays=ARRAYS,
    facts={"covariance_type": str, "mixture": str, "n_samples": int, "weight": float, "log_likelihood": float},
)
SHA256 = re.compile("[0-9a-f]{64}")
# Counts and weight are sums of the same numbers, of many rows in another order.
ROUNDING = 1e-6


def save_statistics(statistics: SufficientStatistics, mixture: str, path: str | os.PathLike[str]) -> None:
    """Write statistics and the SHA-256 digest of their mixture to a file, whole or not at all.

    Raises
    ------
    StoreNotFoundError
        If the directory is not there.
    StorageError
        If the file cannot be written.
    """
    facts = {
        "covariance_type": statistics.covariance_type,
        "mixture": mixture,
        "n_samples": int(statistics.n_samples),
        "weight": float(statistics.weight),
        "log_likelihood": float(statistics.log_likelihood),
    }
    arrays = {name: getattr(statistics, name) for name in ARRAYS}
    write_archive(STATISTICS_FILE, path, facts=facts, arrays=arrays)


def load_statistics(path: str | os.PathLike[str]) -> tuple[SufficientStatistics, str]:
    """Read what `save_statistics` wrote: statistics, and the digest of their mixture.

    Raises
    ------
    StoreNotFoundError
        If there is no such file.
    StorageError
        If the file cannot be read.
    ModelFormatError
        If it is not a whole and valid file. No code is run and nothing larger than the file is allocated.
    """
    return read_archive(STATISTICS_FILE, path, _statistics)


def _statistics(facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> tuple[SufficientStatistics, str]:
    """Return what a file describes; raises ModelFormatError where its numbers cannot be statistics of rows."""
    if not SHA256.fullmatch(facts["mixture"]):
        raise ModelFormatError("mixture: expected 64 hexadecimal digits")
    means = arrays["reference"].shape
    if len(means) != 2:
        raise ModelFormatError(f"reference: expected shape (n_components, n_features); got shape {means}")
    covariances = covariance_structure(facts["covariance_type"]).shape(*means)
    for name, shape in {"counts": means[:1], "first": means, "second": covariances}.items():
        if arrays[name].shape != shape:
            raise ModelFormatError(f"{name}: expected shape {shape}; got shape {arrays[name].shape}")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelFormatError(f"{name}: expected finite numbers; got NaN or infinity")
    weight, counts = facts["weight"], arrays["counts"]
    if facts["n_samples"] < 1 or not weight > 0:
        raise ModelFormatError(
            f"expected rows of positive weight; got n_samples {facts['n_samples']}, weight {weight:g}"
        )
    if (counts < 0).any() or abs(counts.sum() - weight) > ROUNDING * weight:
        raise ModelFormatError(f"counts: expected numbers >= 0 that sum to the weight, {weight:g}")
    fields: dict[str, Any] = {**facts, **arrays}
    mixture = fields.pop("mixture")
    return SufficientStatistics(**fields), mixture
