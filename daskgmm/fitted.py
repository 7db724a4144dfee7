"""Fitted attributes of an estimator: from the result of a fit, to and from a model, to and from scikit-learn's.

The attributes are the truth: whoever changes `means_` changes what the estimator predicts.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Container, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskgmm.errors import ModelFormatError
from daskgmm.fitting import FitResult
from daskgmm.fitting.time_limit import ambient_limit
from daskgmm.history import HistoryEntry
from daskgmm.kept_distribution import RECORD_KEY, distribution_from, distribution_record, keep_with, kept_with
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.storage.model_file import Model, load_model

__all__ = [
    "copy_fitted",
    "history_dict",
    "loaded",
    "model_of",
    "parameters_of",
    "restore",
    "set_parameters",
    "set_result",
    "set_weight",
    "shared_settings",
    "warn_unless_converged",
]

SHARED_SETTINGS = (
    "n_components",
    "covariance_type",
    "tol",
    "reg_covar",
    "max_iter",
    "n_init",
    "init_params",
    "weights_init",
    "means_init",
    "precisions_init",
    "random_state",
    "warm_start",
    "verbose",
    "verbose_interval",
)
"""Settings that scikit-learn's estimator has too, with the same meaning."""

SHARED_ATTRIBUTES = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "converged_",
    "n_iter_",
    "lower_bound_",
    "lower_bounds_",
    "n_features_in_",
    "feature_names_in_",
)
"""Fitted attributes that scikit-learn's estimator has too."""

Estimator = TypeVar("Estimator")


def parameters_of(estimator: Any) -> MixtureParameters:
    """Return the mixture that the attributes describe."""
    return MixtureParameters(
        covariance_type=estimator.covariance_type,
        weights=estimator.weights_,
        means=estimator.means_,
        covariances=estimator.covariances_,
        precisions_cholesky=estimator.precisions_cholesky_,
    )


def set_parameters(estimator: Any, parameters: MixtureParameters) -> None:
    """Set the attributes that describe a mixture, as arrays of the user's own."""
    estimator.weights_ = parameters.weights.copy()
    estimator.means_ = parameters.means.copy()
    estimator.covariances_ = parameters.covariances.copy()
    estimator.precisions_ = parameters.precisions
    estimator.precisions_cholesky_ = parameters.precisions_cholesky.copy()


def set_result(estimator: Any, result: FitResult) -> None:
    """Set all attributes that a fit finds."""
    vars(estimator).pop("_stream", None)
    set_parameters(estimator, result.parameters)
    estimator.converged_ = result.converged
    estimator.n_iter_ = result.n_iter
    estimator.lower_bound_ = result.lower_bound
    estimator.lower_bounds_ = list(result.lower_bounds)
    estimator.n_passes_ = result.n_passes
    estimator.n_samples_seen_ = result.n_samples
    set_weight(estimator, result.weight)
    keep_with(estimator, result.distribution, parameters_of(estimator))
    estimator.history_ = [history_dict(entry) for entry in result.history]


def set_weight(estimator: Any, weight: float | None) -> None:
    """Set what the rows so far weigh, or forget it where nothing tells."""
    vars(estimator).pop("weight_seen_", None)
    if weight is not None:
        estimator.weight_seen_ = weight


def warn_unless_converged(estimator: Any) -> None:
    """Warn, in the name of whoever called the estimator's method, where EM would have gone on and had the time."""
    if not estimator.converged_ and estimator.max_iter > 0 and not ambient_limit().was_reached:
        warnings.warn(
            f"EM did not converge: iteration {estimator.n_iter_} still changed the mean log-likelihood by more than "
            f"tol = {estimator.tol:g}. Raise max_iter or tol, try other init_params, or check for degenerate data",
            ConvergenceWarning,
            stacklevel=3,
        )


def history_dict(entry: HistoryEntry) -> dict[str, Any]:
    """Return an entry under its public keys; `pass` is no name that Python allows."""
    values = asdict(entry)
    return {"pass": values.pop("n_passes"), **values, "reseeded": list(entry.reseeded)}


def shared_settings(estimator: Any) -> dict[str, Any]:
    """Return the settings that both estimators understand."""
    return {name: getattr(estimator, name) for name in SHARED_SETTINGS}


def copy_fitted(source: Any, target: Estimator) -> Estimator:
    """Copy the fitted attributes that both estimators have, and return the target."""
    for name in SHARED_ATTRIBUTES:
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))
    return target


FIT_RECORD = {
    "converged_": bool,
    "n_iter_": int,
    "lower_bound_": float,
    "lower_bounds_": list,
    "n_passes_": int,
    "n_samples_seen_": int,
    "history_": list,
}
"""Attributes that a model file keeps beside the parameters, and what they must be."""

WEIGHT_SEEN = "weight_seen"
"""In a model file: sum of the weights of the rows so far, with which `update` and `partial_fit` go on."""


def model_of(estimator: Any) -> Model:
    """Return what is worth keeping of a fitted estimator."""
    settings = dict(estimator.get_params(deep=False))
    if not isinstance(settings["random_state"], int | None):
        settings["random_state"] = None  # a generator's state is no setting
    names = getattr(estimator, "feature_names_in_", None)
    fit = {name.rstrip("_"): getattr(estimator, name) for name in FIT_RECORD}
    weight = getattr(estimator, "weight_seen_", None)
    if weight is not None:
        fit[WEIGHT_SEEN] = weight
    parameters = parameters_of(estimator)
    distribution = kept_with(estimator, parameters)
    if distribution is not None:
        fit[RECORD_KEY] = distribution_record(distribution)
    return Model(
        parameters=parameters,
        settings=settings,
        fit=fit,
        feature_names=None if names is None else tuple(str(name) for name in names),
    )


def check_settings(model: Model, known: Container[str]) -> None:
    """Raise ModelFormatError unless a model's settings are among those known and of its own kind of covariances."""
    unknown = sorted(name for name in model.settings if name not in known)
    if unknown:
        raise ModelFormatError(f"expected settings of GaussianMixture; got {', '.join(unknown[:5])[:100]}")
    kind, said = model.parameters.covariance_type, model.settings.get("covariance_type", "full")
    if said != kind:
        raise ModelFormatError(
            f"settings.covariance_type: expected {kind!r}, as the parameters have; got {said!r}"[:300]
        )


def loaded(estimator: Estimator, path: str | os.PathLike[str]) -> Estimator:
    """Give an estimator the settings and fitted attributes in a model file, and return it; raises as `load` does."""
    model = load_model(path)
    target: Any = estimator
    try:
        check_settings(model, target.get_params())
        target.set_params(**model.settings)
        return restore(estimator, model)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: not a valid model file of daskgmm: {error}") from error


def restore(estimator: Estimator, model: Model) -> Estimator:
    """Set the fitted attributes that a model file kept; raises ModelFormatError when one is missing or misshapen."""
    set_parameters(estimator, model.parameters)
    _set_fit(estimator, model.fit)
    if RECORD_KEY in model.fit:
        distribution = distribution_from(model.fit[RECORD_KEY], model.parameters)
        keep_with(estimator, distribution, parameters_of(estimator))
    target: Any = estimator
    target.n_features_in_ = model.parameters.n_features
    if model.feature_names is not None:
        target.feature_names_in_ = np.array(model.feature_names, dtype=object)
    return estimator


def _set_fit(estimator: Any, fit: Mapping[str, Any]) -> None:
    """Set what the model file says of the fit; the first files did not tell weights."""
    for name, kind in FIT_RECORD.items():
        value = fit.get(name.rstrip("_"))
        if kind is float and type(value) is int:
            value = float(value)
        # To Python, true is a number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ModelFormatError(f"fit.{name.rstrip('_')}: expected {kind.__name__}; got {repr(value)[:50]}")
        setattr(estimator, name, value)
    if WEIGHT_SEEN in fit:
        weight = fit[WEIGHT_SEEN]
        if not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise ModelFormatError(f"fit.{WEIGHT_SEEN}: expected a positive number; got {repr(weight)[:50]}")
        set_weight(estimator, float(weight))
