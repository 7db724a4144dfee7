"""Many mixtures fitted in the same passes over the data, and the best of them."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from daskgmm.errors import DegenerateMixtureError, ParameterError
from daskgmm.estimator import GaussianMixture
from daskgmm.fitted import set_result
from daskgmm.fitting.judging import Judgement
from daskgmm.fitting.race import Criterion
from daskgmm.fitting.search import Candidate, fit_candidates
from daskgmm.inputs import row_blocks_of
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.criteria import (
    akaike_information_criterion,
    bayesian_information_criterion,
    integrated_completed_likelihood,
)
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.notebook import selection_html
from daskgmm.settings import settings_of

__all__ = ["CRITERIA", "SelectionResult", "select_components"]

# A tenth of the rows tells mixtures apart and costs the fits next to nothing.
HELD_OUT = 0.1

CRITERIA: dict[str, Callable[[Judgement, MixtureParameters], float]] = {
    "bic": lambda judgement, mixture: bayesian_information_criterion(judgement.fitted, mixture),
    "aic": lambda judgement, mixture: akaike_information_criterion(judgement.fitted, mixture),
    "icl": lambda judgement, mixture: integrated_completed_likelihood(judgement.fitted, judgement.entropy, mixture),
    "held-out": lambda judgement, mixture: -judgement.held_out.mean,
}
"""What candidates are compared by; lower is better. "held-out" is minus the mean log density of rows held out."""

IN_A_PASS: dict[str, Criterion] = {"bic": bayesian_information_criterion, "aic": akaike_information_criterion}
"""Criteria that each pass of a fit tells: candidates that cannot become the best stop early."""

COLUMNS = ("n_components", "covariance_type", "n_parameters", "log_likelihood", "criterion", "n_passes", "converged")


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """What a search over numbers of components and covariance types found."""

    criterion: str
    """bic, aic, icl or held-out; lower is better."""
    table: list[dict[str, Any]]
    """One row for each candidate, in the order tried: n_components, covariance_type, n_parameters, log_likelihood (mean
    per row, in nats), criterion, n_passes, converged, problem (why a candidate could not be fitted, or was stopped;
    else empty)."""
    models: list[GaussianMixture | None]
    """The fitted mixtures in the order of the table; None for one that could not be fitted."""
    best: GaussianMixture
    """The mixture with the lowest criterion."""
    n_passes: int
    """Full passes over the data that all candidates took together."""

    def _repr_html_(self) -> str:
        best = next((index for index, model in enumerate(self.models) if model is self.best), None)
        return selection_html(self.table, COLUMNS, caption=self._title, best=best)

    @property
    def _title(self) -> str:
        return f"SelectionResult: {self.criterion}, {self.n_passes} passes over the data for {len(self.table)} mixtures"

    def __repr__(self) -> str:
        lines = [self._title]
        texts = [[_text(row[name]) for name in COLUMNS] for row in self.table]
        widths = [max(map(len, column)) for column in zip(COLUMNS, *texts, strict=True)]
        lines.append("  " + "  ".join(name.rjust(width) for name, width in zip(COLUMNS, widths, strict=True)))
        for row, model, text in zip(self.table, self.models, texts, strict=True):
            mark = "* " if model is self.best else "  "
            line = mark + "  ".join(cell.rjust(width) for cell, width in zip(text, widths, strict=True))
            lines.append(f"{line}  {row['problem']}".rstrip())
        return "\n".join(lines)


def select_components(
    X: Any,
    n_components: int | Iterable[int] = range(1, 11),
    *,
    covariance_types: Iterable[str] = ("full",),
    criterion: str = "bic",
    sample_weight: Any = None,
    **settings: Any,
) -> SelectionResult:
    """Fit a mixture for each number of components and covariance type, all in the same passes, and choose the best.

    Parameters
    ----------
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
    n_components : int or iterable of int, default=range(1, 11)
        Numbers of components to try, >= 1.
    covariance_types : iterable of {"full", "tied", "diag", "spherical"}, default=("full",)
        Covariance types to try with each number.
    criterion : {"bic", "aic", "icl", "held-out"}, default="bic"
        What is compared; lower is better. "icl" is the integrated completed likelihood (Biernacki, Celeux and Govaert
        2000), which wants rows to belong to one component each. "held-out" fits to nine tenths of the rows and compares
        minus the mean log density of the others.
    sample_weight : dask array or array-like of shape (n_samples,), default=None
        Weights >= 0; they count as numbers of rows.
    **settings
        Other parameters of `GaussianMixture`, the same for all.

    Returns
    -------
    SelectionResult
        A candidate that collapses is in its table with the reason, and so is one that was stopped: one that would lie
        behind another one, by "bic" or "aic", if it gained a tenth of a nat a row more. The others are what
        `GaussianMixture` finds with the same settings and `random_state`, an int, as long as their samples are of the
        same size.

    Warns
    -----
    ConvergenceWarning
        If the best mixture did not converge.
    UserWarning
        If it is degenerate: hardly wider than `reg_covar` somewhere.

    Raises
    ------
    ParameterError
        If there is nothing to try, or a setting is not valid.
    InputDataError
        If the data cannot be fitted.
    DegenerateMixtureError
        If no candidate could be fitted.
    """
    models = _candidates(n_components, covariance_types, settings)
    if criterion not in CRITERIA:
        raise ParameterError(f"criterion: expected one of {', '.join(map(repr, CRITERIA))}; got {criterion!r}")
    checked = [settings_of(one) for one in models]
    blocks = row_blocks_of(models[0], X, sample_weight, reset=True)
    tried, n_passes = fit_candidates(
        blocks,
        checked,
        random_state=check_random_state(models[0].random_state),
        held_out=HELD_OUT if criterion == "held-out" else 0.0,
        criterion=IN_A_PASS.get(criterion) if models[0].acceleration is not None else None,
    )
    table = [_row(candidate, criterion) for candidate in tried]
    fitted = [_fitted(model, models[0], candidate) for model, candidate in zip(models, tried, strict=True)]
    found = [(row["criterion"], model) for row, model in zip(table, fitted, strict=True) if model is not None]
    if not found:
        raise DegenerateMixtureError(
            f"expected at least one candidate that can be fitted; found none. {tried[0].problem}"
        )
    _, best = min(found, key=lambda one: one[0])
    _warn_of(best)
    return SelectionResult(criterion, table, fitted, best, n_passes)


def _candidates(
    n_components: int | Iterable[int], covariance_types: Iterable[str], settings: dict[str, Any]
) -> list[GaussianMixture]:
    """Return unfitted mixtures, one for each pair of settings."""
    counts, types = _listed("n_components", n_components), _listed("covariance_types", covariance_types)
    if not counts or not types:
        what = "n_components" if not counts else "covariance_types"
        raise ParameterError(f"{what}: expected at least one to try; got none")
    unknown = sorted(
        set(settings) - set(GaussianMixture().get_params()) | set(settings) & {"covariance_type", "warm_start"}
    )
    if unknown:
        raise ParameterError(
            f"{unknown[0]}: not a setting of this search; expected parameters of GaussianMixture other than "
            "n_components, covariance_type and warm_start"
        )
    given = sorted(name for name in ("weights_init", "means_init", "precisions_init") if settings.get(name) is not None)
    if given:
        raise ParameterError(
            f"{given[0]}: a start fits one number of components; fit a GaussianMixture with it instead"
        )
    return [GaussianMixture(count, covariance_type=kind, **settings) for kind in types for count in counts]


def _listed(name: str, values: Any) -> list[Any]:
    """Return what to try as a list without repetitions."""
    if isinstance(values, str | numbers.Number):
        return [values]
    try:
        return list(dict.fromkeys(values))
    except TypeError:
        raise ParameterError(f"{name}: expected one value or several to try; got {values!r}") from None


def _warn_of(best: GaussianMixture) -> None:
    """Warn where the best mixture is not to be relied on."""
    if not best.converged_ and best.max_iter > 0:
        warnings.warn(
            f"the best mixture, of {best.n_components} {best.covariance_type} components, did not converge in "
            f"{best.n_iter_} iterations. Raise max_iter or tol, or check for degenerate data",
            ConvergenceWarning,
            stacklevel=3,
        )
    # reg_covar is part of the variance: where it is half of it or more, the likelihood says how small reg_covar is.
    widest = 2 * best.reg_covar
    variances = covariance_structure(best.covariance_type).eigenvalues(best.covariances_)
    n_thin = int((variances.reshape(len(variances), -1).min(axis=1) <= widest).sum()) if widest > 0 else 0
    if n_thin:
        warnings.warn(
            f"the best mixture is degenerate: {n_thin} of its covariances have hardly more than reg_covar = "
            f"{best.reg_covar:g} in some direction, as constant features and repeated rows give, and its likelihood "
            "grows without limit as reg_covar shrinks. Raise reg_covar, or leave such features and rows out",
            stacklevel=3,
        )


def _row(candidate: Candidate, criterion: str) -> dict[str, Any]:
    """Return a candidate's row of the table."""
    row: dict[str, Any] = {
        "n_components": candidate.settings.n_components,
        "covariance_type": candidate.settings.covariance_type,
        "n_parameters": None,
        "log_likelihood": None,
        "criterion": math.nan,
        "n_passes": None,
        "converged": False,
        "problem": candidate.problem,
    }
    if candidate.fit is not None and candidate.judgement is not None:
        parameters = candidate.fit.parameters
        row["n_parameters"] = parameters.n_free
        row["log_likelihood"] = candidate.judgement.fitted.mean
        row["criterion"] = CRITERIA[criterion](candidate.judgement, parameters)
        row["n_passes"] = candidate.fit.n_passes
        row["converged"] = candidate.fit.converged
    return row


def _fitted(model: GaussianMixture, first: GaussianMixture, candidate: Candidate) -> GaussianMixture | None:
    """Return a model with what its candidate found, or None."""
    if candidate.fit is None:
        return None
    set_result(model, candidate.fit)
    model.n_features_in_ = first.n_features_in_
    if hasattr(first, "feature_names_in_"):
        model.feature_names_in_ = first.feature_names_in_
    return model


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
