"""Whatever a user hands over, as row blocks, and whether it goes with the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from daskgmm.errors import InputDataError
from daskgmm.mixture.dense import check_dense
from daskgmm.storage.dataset import RowBlocks, as_row_blocks, is_out_of_core

__all__ = ["row_blocks_of"]


def row_blocks_of(
    estimator: Any, X: Any, sample_weight: Any, *, reset: bool, fewest_rows: int | None = None
) -> RowBlocks:
    """Return data as row blocks; note their features in the estimator, or check them against those of its fit.

    Parameters
    ----------
    estimator : GaussianMixture
    X : dask array, zarr array, path, or array-like of shape (n_samples, n_features)
    sample_weight : dask array, array-like of shape (n_samples,), or None
    reset : bool
        Whether the estimator is being fitted.
    fewest_rows : int or None
        How many rows arrays in memory must have; None asks for two to fit and one otherwise.

    Raises
    ------
    InputDataError
        If the data are not two-dimensional, empty, of the wrong kind, or have other features than those fitted.
    StorageError
        If a store cannot be used.
    """
    if is_out_of_core(X):
        blocks = as_row_blocks(X, sample_weight)
        _note_features(estimator, blocks.n_features, reset=reset)
        return blocks
    _check_plain(X)
    rows = validate_data(
        estimator,
        X,
        dtype=[np.float64, np.float32],
        reset=reset,
        ensure_all_finite=False,  # the pass over the rows finds such values and names their row
        ensure_min_samples=fewest_rows or (2 if reset else 1),
    )
    return as_row_blocks(rows, sample_weight)


def _note_features(estimator: Any, n_features: int, *, reset: bool) -> None:
    """Note the number of features of data without names, or check it against that of the fit, as scikit-learn does.

    Raises
    ------
    InputDataError
        If `reset` is false and the number is another one.
    """
    if reset:
        estimator.n_features_in_ = n_features
        vars(estimator).pop("feature_names_in_", None)
    elif n_features != estimator.n_features_in_:
        raise InputDataError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input: the number it was fitted with"
        )


def _check_plain(X: Any) -> None:
    """Raise InputTypeError for arrays in memory that would be converted to numbers they do not stand for."""
    # Objects may hold numbers, and of complex numbers scikit-learn speaks itself.
    if isinstance(X, np.ma.MaskedArray) or (isinstance(X, np.ndarray) and X.dtype.kind in "mMSUV"):
        check_dense(X, "X")
