"""Pictures of mixtures, fits, searches and drift, as scikit-learn's displays: `from_estimator(...)`, `plot(ax=)`.

====================== ==============================================================================================
MixtureDisplay         The densities of one feature, the ellipses of two, the pairs of several; rows behind them.
ResponsibilityDisplay  Rows in the colour of their most probable component, large and opaque where that is certain.
ConvergenceDisplay     The log-likelihood of each pass of a fit.
SelectionDisplay       The criterion of each candidate of a search, and the best one.
DriftDisplay           Log densities and shares of components, of the rows that were fitted to and of others.
====================== ==============================================================================================

They need `pip install 'daskgmm[plot]'`. Of rows no more than a sample is ever in memory. What was drawn is kept:
`figure_`, `ax_` (or `axes_`), and the artists, to change their looks. Nothing is left open in pyplot, and figures are
transparent, with text that reads on white and on black.
"""

from __future__ import annotations

from daskgmm.view.convergence_display import ConvergenceDisplay
from daskgmm.view.drift_display import DriftDisplay
from daskgmm.view.mixture_display import MixtureDisplay
from daskgmm.view.responsibility_display import ResponsibilityDisplay
from daskgmm.view.selection_display import SelectionDisplay

__all__ = ["ConvergenceDisplay", "DriftDisplay", "MixtureDisplay", "ResponsibilityDisplay", "SelectionDisplay"]
