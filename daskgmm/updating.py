"""`GaussianMixture.update`: new rows for a fitted mixture, which stands for the rows so far.

The weight of these rows is kept beside the mixture, in `weight_seen_` and in model files: the sufficient statistics of
the rows so far follow from both.
"""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import Any

from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ParameterError
from daskgmm.fitted import parameters_of, set_result
from daskgmm.fitting import update_mixture
from daskgmm.inputs import row_blocks_of
from daskgmm.kept_distribution import kept_with, updated
from daskgmm.progress import shown
from daskgmm.settings import FitSettings

__all__ = ["check_decay", "update_fitted"]


def update_fitted(estimator: Any, X: Any, sample_weight: Any, settings: FitSettings, *, decay: float) -> None:
    """Take new rows into the mixture of an estimator; errors as `update_mixture` has them, after which it is as before.

    Parameters
    ----------
    estimator : GaussianMixture
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
        The new rows.
    sample_weight : dask array, array-like of shape (n_samples,), or None
    settings : FitSettings
        Those of the estimator.
    decay : float
        What the rows so far count as, in (0, 1].

    Raises
    ------
    NotFittedError
        If there is no mixture yet.
    ParameterError
        If the decay is out of range, or nothing tells what the rows so far weigh.
    """
    check_is_fitted(estimator)
    check_decay(decay)
    weight = float(decay) * weight_seen(estimator)
    blocks = row_blocks_of(estimator, X, sample_weight, reset=False)
    previous = parameters_of(estimator)
    before = kept_with(estimator, previous)
    with shown(estimator.verbose, estimator.verbose_interval):
        result = update_mixture(blocks, settings, previous=previous, weight=weight)
    all_weight = 0.0 if result.weight is None else result.weight
    distribution = updated(before, result.distribution, weight=all_weight, weight_before=weight)
    n_samples = estimator.n_samples_seen_ + result.n_samples
    set_result(estimator, replace(result, n_samples=n_samples, distribution=distribution))


def check_decay(decay: object) -> None:
    """Raise ParameterError unless it is what the rows so far may count as."""
    if not isinstance(decay, Real) or isinstance(decay, bool) or not 0 < float(decay) <= 1:
        raise ParameterError(f"decay: expected a number above 0 and up to 1, which forgets nothing; got {decay!r}")


def weight_seen(estimator: Any) -> float:
    """Return what the rows so far weigh: as many as there are where nobody has noted it, as in old model files.

    Raises
    ------
    ParameterError
        If that is no positive number, as for a mixture that comes from scikit-learn.
    """
    weight = getattr(estimator, "weight_seen_", estimator.n_samples_seen_)
    if not isinstance(weight, Real) or not 0 < float(weight) < math.inf:
        raise ParameterError(
            f"weight_seen_: expected a positive number, what the rows that the mixture was fitted to weigh; got "
            f"{weight!r}. Set it to their number if all weigh 1, or fit the mixture here"
        )
    return float(weight)
