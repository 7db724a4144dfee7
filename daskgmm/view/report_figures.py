"""The pictures of a report: the displays, as SVG with a sentence for who cannot see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.view.drawn_mixture import feature_names, parameters_shown
from daskgmm.view.marginals import separation
from daskgmm.view.page_parts import Figure, legible, named
from daskgmm.view.plots import (
    ConvergenceDisplay,
    DriftDisplay,
    MixtureDisplay,
    ResponsibilityDisplay,
    SelectionDisplay,
)
from daskgmm.view.report import Figures, Findings
from daskgmm.view.run_tables import CRITERIA, SelectionKept, history_kept, selection_kept
from daskgmm.view.svg import inline_svg

__all__ = ["draw_figures"]


def draw_figures(mixture: Any, X: Any = None, *, record: object = None, findings: Findings | None = None) -> Figures:
    """Draw what there is to be drawn of a fitted mixture.

    Parameters
    ----------
    mixture : GaussianMixture
        A fitted one.
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features), default=None
        Rows to show behind the mixture; a sample of them is held.
    record : object
        What the model file says it was made from, unchecked.
    findings : Findings or None
        What the rows say of the mixture.
    """
    selection = selection_kept(record)
    drift = None if findings is None else findings.drift
    return Figures(
        mixture=_of_mixture(mixture, X),
        responsibility=None if X is None else _of_responsibility(mixture, X),
        convergence=_of_convergence(mixture),
        selection=None if selection is None else _of_selection(selection),
        drift=None if drift is None else _of_drift(drift),
    )


def _of_mixture(mixture: Any, X: Any) -> Figure:
    display = MixtureDisplay.from_estimator(mixture, X)
    n_features = mixture.means_.shape[1]
    rows = "" if X is None else ", with a sample of the rows behind them"
    if n_features == 1:
        what = f"The density of each component and their sum{rows}."
    elif n_features == 2:
        what = f"The components as ellipses of one, two and three standard deviations{rows}."
    else:
        what = f"Pairs of features, with the components as ellipses of one, two and three standard deviations{rows}."
    return Figure(inline_svg(display.figure_, "mixture"), f"{what} {_heaviest(mixture)}")


def _heaviest(mixture: Any) -> str:
    heaviest = int(np.argmax(mixture.weights_))
    return f"The heaviest component is {heaviest}, with {mixture.weights_[heaviest]:.1%} of the weight."


def _of_responsibility(mixture: Any, X: Any) -> Figure | None:
    """Draw certainty in the plane of the two features that separate the components best; None for a single feature."""
    n_features = mixture.means_.shape[1]
    if n_features < 2 or len(mixture.weights_) < 2:
        return None
    pair = sorted(np.argsort(-separation(parameters_shown(mixture)), kind="stable")[:2].tolist())
    names = [named(legible(feature_names(mixture, n_features)[j])) for j in pair]
    display = ResponsibilityDisplay.from_estimator(mixture, X, features=pair)
    what = "Rows in the colour of their most probable component, the larger the more certain it is"
    return Figure(inline_svg(display.figure_, "responsibility"), f"{what}, by {names[0]} and {names[1]}.")


def _of_convergence(mixture: Any) -> Figure | None:
    """Draw the log-likelihood by pass; None where the file tells less than the display asks for."""
    history = history_kept(mixture.history_)
    if len(history) != len(mixture.history_) or sum(step["lower_bound"] is not None for step in history) < 2:
        return None
    display = ConvergenceDisplay.from_estimator(mixture)
    end = "" if not mixture.n_iter_ else f", which ends at {mixture.lower_bound_:.6g} nats a row"
    return Figure(inline_svg(display.figure_, "convergence"), f"The mean log-likelihood by pass over the data{end}.")


def _of_selection(kept: SelectionKept) -> Figure | None:
    if sum(row["criterion"] is not None for row in kept.table) < 2:
        return None
    display = SelectionDisplay.from_result(kept)
    best = kept.table[kept.best_row]
    what = f"{CRITERIA[kept.criterion]} by number of components and covariance type"
    text = f"{what}; the best is {best['n_components']} {legible(best['covariance_type'])} components."
    return Figure(inline_svg(display.figure_, "selection"), text)


def _of_drift(drift: Any) -> Figure:
    display = DriftDisplay.from_drift(drift)
    text = (
        "How log densities and components are distributed among the rows of the fit and among these: the population "
        f"stability index is {drift.psi:.3g}."
    )
    return Figure(inline_svg(display.figure_, "drift"), text)
