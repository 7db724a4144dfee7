"""Fitted mixtures as files: one uncompressed zip archive of plain arrays and one JSON text, without any pickle.

::

    model.json                what it is, the settings, the record of the fit, dtype, shape and SHA-256 of each array
    weights.npy, means.npy, covariances.npy, precisions_cholesky.npy        float64, little-endian, C order

Loading trusts nothing: `plain_archive` checks the file, and the mixture is validated as one that a user gives would be.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daskgmm.errors import ModelFormatError
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.storage.json_values import decoded, encoded
from daskgmm.storage.new_file import check_new_file
from daskgmm.storage.plain_archive import ArchiveFormat, read_archive, write_archive

__all__ = ["FORMAT_VERSION", "Model", "check_new_file", "load_model", "save_model"]

# Raise it when a reader of the old version would misunderstand a new file, and keep reading the old ones.
FORMAT_VERSION = 1

HEADER = "model.json"
ARRAYS = ("weights", "means", "covariances", "precisions_cholesky")
MODEL_FILE = ArchiveFormat(
    name="daskgmm-model",
    version=FORMAT_VERSION,
    what="model file",
    subject="model",
    header=HEADER,
    arrays=ARRAYS,
    # Names may be null.
    facts={"covariance_type": str, "feature_names": object, "settings": dict, "fit": dict},
    remedy="; large starting parameters exceed that: set_params(means_init=None, precisions_init=None) first",
)


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
    facts = {
        "covariance_type": model.parameters.covariance_type,
        "feature_names": None if model.feature_names is None else list(model.feature_names),
        "settings": encoded(model.settings, "settings"),
        "fit": encoded(model.fit, "fit"),
    }
    write_archive(MODEL_FILE, path, facts=facts, arrays={name: getattr(model.parameters, name) for name in ARRAYS})


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
    return read_archive(MODEL_FILE, path, _model)


def _model(facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Model:
    """Return the model that a file describes."""
    names = facts["feature_names"]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ModelFormatError(f"{HEADER}: feature_names: expected null or a list of text")
    parameters = MixtureParameters(covariance_type=facts["covariance_type"], **arrays)
    if names is not None and len(names) != parameters.n_features:
        raise ModelFormatError(f"expected {parameters.n_features} feature names; got {len(names)}")
    settings, fit = decoded(facts["settings"]), decoded(facts["fit"])
    if not isinstance(settings, dict) or not isinstance(fit, dict):  # an object may stand for a float or an array
        raise ModelFormatError(f"{HEADER}: settings, fit: expected objects with names for keys")
    return Model(
        parameters=parameters,
        settings=settings,
        fit=fit,
        feature_names=None if names is None else tuple(names),
    )
