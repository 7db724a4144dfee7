"""`MixtureDisplay`: the densities, ellipses and pairs of a fitted mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.view.canvas import check_axes, figure_of, legend, name_axes, need_matplotlib, picture, titled
from daskgmm.view.corner import component_key, corner_axes, head, single_axes
from daskgmm.view.drawn_mixture import (
    SAMPLE_ROWS,
    DrawnRows,
    chosen_features,
    drawn_rows,
    feature_names,
    parameters_shown,
)
from daskgmm.view.marginals import marginal
from daskgmm.view.panels import FeaturePanel, PairPanel, draw_feature, draw_pair, heaviest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MixtureDisplay"]


class MixtureDisplay:
    """A picture of a mixture, made by `from_estimator`.

    One feature: the weighted density of each component and their sum, over a histogram of the rows. Two: ellipses at
    one, two and three standard deviations, and contours of the density that hold 20, 40, 60, 80 and 95 % of it, over
    the rows. More: each feature on the diagonal of a corner, each pair below it. Without rows the density is shaded.

    Parameters
    ----------
    parameters : MixtureParameters
        The mixture of all features.
    feature_names : tuple of str
        Names of all features.
    features : tuple of int
        Column numbers of those drawn.
    sample : DrawnRows or None
        Some of the rows.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes
        Of one panel; with more features, `axes_` is an array of axes, None above the diagonal.
    panels_ : tuple of FeaturePanel or PairPanel
        The artists of each panel, row by row.
    """

    figure_: Figure
    ax_: Axes
    axes_: NDArray[Any]
    panels_: tuple[FeaturePanel | PairPanel, ...]

    def __init__(
        self,
        *,
        parameters: MixtureParameters,
        feature_names: tuple[str, ...],
        features: tuple[int, ...],
        sample: DrawnRows | None = None,
    ) -> None:
        self.parameters = parameters
        self.feature_names = feature_names
        self.features = features
        self.sample = sample

    @classmethod
    def from_estimator(
        cls, mixture: Any, X: Any = None, *, features: Any = None, ax: Axes | None = None, random_state: Any = 0
    ) -> Self:
        """Draw a fitted mixture, and rows if there are some.

        Parameters
        ----------
        mixture : GaussianMixture
            A fitted one, ours or scikit-learn's.
        X : dask array, zarr array, path of a Zarr array, array-like of shape (n_samples, n_features), or None
            Read once; a uniform sample of 20,000 rows is drawn.
        features : name, column number, or iterable of these, default=None
            What to draw. None takes all, or the five that separate the components best.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. A corner takes the place of these axes.
        random_state : int, RandomState instance or None, default=0
            Seed of the sample.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.
        ParameterError
            If there is no such feature.
        InputDataError
            If the rows have other features than the mixture, or one holds NaN or infinity.
        StorageError
            If a store cannot be used.
        ImportError
            If Matplotlib is not installed.
        """
        need_matplotlib()
        check_axes(ax)
        parameters = parameters_shown(mixture)
        names = feature_names(mixture, parameters.n_features)
        chosen = chosen_features(features, names, parameters)
        sample = None if X is None else drawn_rows(mixture, X, size=SAMPLE_ROWS, random_state=random_state)
        display = cls(parameters=parameters, feature_names=names, features=chosen, sample=sample)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into axes, or a figure of its own, which pyplot knows nothing of; see `from_estimator`."""
        check_axes(ax)
        names = tuple(self.feature_names[feature] for feature in self.features)
        if len(self.features) > 2:
            self._plot_corner(ax, names)
            return self
        self.ax_ = single_axes(ax)
        self.figure_ = figure_of(self.ax_)
        self.panels_ = (self._draw(self.ax_, self.features, alone=True),)
        if len(names) == 1:
            name_axes(self.ax_, x=names[0], y="density")
            legend(self.ax_)
        else:
            name_axes(self.ax_, x=names[0], y=names[1])
        highest = getattr(self.panels_[0], "highest", None)
        cut_off = "" if highest is None else f"peaks up to {highest:.3g} cut off"
        titled(self.ax_, self._title() if ax is None else "", self._note(), cut_off)
        return self

    def _plot_corner(self, ax: Axes | None, names: tuple[str, ...]) -> None:
        corner = corner_axes(ax, names)
        self.axes_ = corner.panels
        self.figure_ = figure_of(corner.heading)
        panels: list[FeaturePanel | PairPanel] = []
        for row, below in enumerate(self.features):
            for column, across in enumerate(self.features[: row + 1]):
                shown = (below,) if row == column else (across, below)
                panels.append(self._draw(self.axes_[row, column], shown, alone=False))
        self.panels_ = tuple(panels)
        component_key(corner, panels[0].components, self.parameters.weights)
        head(corner, self._title() if ax is None else "", self._note())

    def _draw(self, ax: Axes, features: tuple[int, ...], *, alone: bool) -> FeaturePanel | PairPanel:
        """Draw the panel of one feature or of two."""
        part = marginal(self.parameters, features)
        rows = None if self.sample is None else self.sample.rows[:, list(features)]
        if len(features) == 1:
            return draw_feature(ax, part, None if rows is None else rows[:, 0], alone=alone)
        return draw_pair(ax, part, rows, alone=alone)

    def _title(self) -> str:
        """Return what the picture is of."""
        n_components = self.parameters.n_components
        title = f"{n_components:,} component{'s' if n_components > 1 else ''}"
        if self.sample is None:
            return title
        drawn, n_samples = len(self.sample.rows), self.sample.n_samples
        rows = f"{n_samples:,} row{'s' if n_samples > 1 else ''}"
        return f"{title}, {rows}" if drawn == n_samples else f"{title}, {drawn:,} of {rows}"

    def _note(self) -> str:
        """Return what was left out."""
        notes = []
        drawn, weights = heaviest(self.parameters.weights), self.parameters.weights
        if len(drawn) < int(np.count_nonzero(weights)):
            notes.append(f"the {len(drawn)} heaviest drawn, {100 * weights[drawn].sum():.2g} % of the weight")
        n_features = len(self.feature_names)
        if 2 < len(self.features) < n_features:
            notes.append(f"{len(self.features)} of {n_features:,} features")
        return "; ".join(notes)

    def _repr_png_(self) -> bytes:
        """Show the figure in a notebook."""
        return picture(self.figure_)
