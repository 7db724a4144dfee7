"""`ResponsibilityDisplay`: which component each row belongs to, and how certain that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.per_row import responsibilities
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.view.canvas import badge, check_axes, figure_of, name_axes, need_matplotlib, percent, picture, titled
from daskgmm.view.corner import component_key, corner_axes, head, single_axes
from daskgmm.view.drawn_mixture import DrawnRows, chosen_features, drawn_rows, feature_names, parameters_shown
from daskgmm.view.marginals import limits, marginal
from daskgmm.view.palette import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

__all__ = ["ResponsibilityDisplay"]

# More points than this cover each other, whatever their size.
POINTS = 2000
# Of a certain row, in square points, where there are so few that it may; a quarter of it where there are most.
LARGEST, FEW = 50.0, 300
# A row of which nothing is known is still seen.
LEAST_OPACITY = 0.2
CERTAIN = 0.9
MOST_BINS = 40
# Numbers of so many components would cover each other.
MOST_NUMBERED = 12


class ResponsibilityDisplay:
    """A picture of rows by their most probable component, made by `from_estimator`.

    Each row has the colour of its most probable component. With p the probability of that one, its area is p squared
    of the largest, and its opacity grows alike: rows between components are small and faint. One feature is drawn
    against p, two against each other; of more, each pair below the
    diagonal of a corner, and counts of rows along each feature on it.

    Parameters
    ----------
    parameters : MixtureParameters
        The mixture of all features.
    feature_names : tuple of str
        Names of all features.
    features : tuple of int
        Column numbers of those drawn.
    sample : DrawnRows
        Some of the rows.

    Attributes
    ----------
    labels_ : ndarray of shape (n_rows,)
        Most probable component of each row of the sample.
    certainties_ : ndarray of shape (n_rows,)
        Its probability.
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes
        Of one panel; with more features, `axes_` is an array of axes, None above the diagonal.
    points_ : tuple of dict
        For each panel of points, row by row, the matplotlib.collections.PathCollection of each component that has rows.
    """

    figure_: Figure
    ax_: Axes
    axes_: NDArray[Any]
    points_: tuple[dict[int, PathCollection], ...]

    def __init__(
        self,
        *,
        parameters: MixtureParameters,
        feature_names: tuple[str, ...],
        features: tuple[int, ...],
        sample: DrawnRows,
    ) -> None:
        self.parameters = parameters
        self.feature_names = feature_names
        self.features = features
        self.sample = sample
        probabilities = responsibilities(sample.rows, parameters)
        self.labels_: NDArray[np.intp] = probabilities.argmax(axis=1)
        self.certainties_: Floats = probabilities.max(axis=1)

    @classmethod
    def from_estimator(
        cls, mixture: Any, X: Any, *, features: Any = None, ax: Axes | None = None, random_state: Any = 0
    ) -> Self:
        """Draw rows under a fitted mixture.

        Parameters
        ----------
        mixture : GaussianMixture
            A fitted one, ours or scikit-learn's.
        X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
            Read once; a uniform sample of 2,000 rows is drawn. Probabilities are those given all features.
        features : name, column number, or iterable of these, default=None
            What to draw. None takes all, or the five that separate the components best.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. A corner takes the place of these axes.
        random_state : int, RandomState instance or None, default=0
            Seed of the sample.

        Raises
        ------
        NotFittedError, ParameterError, InputDataError, StorageError, ImportError
            As `MixtureDisplay.from_estimator`.
        """
        need_matplotlib()
        check_axes(ax)
        parameters = parameters_shown(mixture)
        names = feature_names(mixture, parameters.n_features)
        chosen = chosen_features(features, names, parameters)
        sample = drawn_rows(mixture, X, size=POINTS, random_state=random_state)
        return cls(parameters=parameters, feature_names=names, features=chosen, sample=sample).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into axes, or a figure of its own, which pyplot knows nothing of; see `from_estimator`."""
        check_axes(ax)
        names = tuple(self.feature_names[feature] for feature in self.features)
        if len(names) > 2:
            self._plot_corner(ax, names)
            return self
        self.ax_ = single_axes(ax)
        self.figure_ = figure_of(self.ax_)
        self.points_ = (self._points(self.ax_, self.features, largest=self._largest),)
        self._number(self.ax_)
        name_axes(self.ax_, x=names[0], y=names[1] if len(names) > 1 else "probability of the component")
        titled(self.ax_, *(self._title() if ax is None else ()))
        return self

    def _plot_corner(self, ax: Axes | None, names: tuple[str, ...]) -> None:
        corner = corner_axes(ax, names)
        self.axes_ = corner.panels
        self.figure_ = figure_of(corner.heading)
        panels = []
        for row, below in enumerate(self.features):
            for column, across in enumerate(self.features[:row]):
                panels.append(self._points(self.axes_[row, column], (across, below), largest=self._largest / 4))
            self._counts(self.axes_[row, row], below)
        self.points_ = tuple(panels)
        components = np.bincount(self.labels_).argsort(kind="stable")[::-1]
        component_key(corner, tuple(components[: len(panels[0])].tolist()), self.parameters.weights)
        n_features = len(self.feature_names)
        left_out = f"{len(names)} of {n_features:,} features" if len(names) < n_features else ""
        head(corner, *(self._title() if ax is None else ()), left_out)

    @property
    def _largest(self) -> float:
        """Return the area of a certain row."""
        return LARGEST * float(np.clip(FEW / len(self.sample.rows), 0.25, 1.0))

    def _counts(self, ax: Axes, feature: int) -> None:
        """Draw how many rows of each component there are along a feature, one upon the other."""
        values = self.sample.rows[:, feature]
        # Twice the cube root of the rows (Rice's rule).
        n_bins = int(np.clip(2 * len(values) ** (1 / 3), 8, MOST_BINS))
        edges = np.linspace(*limits(marginal(self.parameters, (feature,)), values), n_bins + 1)
        below = np.zeros(n_bins)
        for component in np.unique(self.labels_).tolist():
            counts = below + np.histogram(values[self.labels_ == component], edges)[0]
            ax.stairs(counts, edges, baseline=below, fill=True, color=look(component).colour, alpha=0.85)
            below = counts
        ax.set_ylim(bottom=0)

    def _points(self, ax: Axes, shown: tuple[int, ...], *, largest: float) -> dict[int, PathCollection]:
        """Draw the rows of each component, the small ones over the large ones."""
        from matplotlib.colors import to_rgba

        rows = self.sample.rows[:, list(shown)]
        x, y = rows[:, 0], rows[:, 1] if len(shown) > 1 else self.certainties_
        part = self.certainties_**2
        drawn = {}
        for component in np.unique(self.labels_).tolist():
            its = np.flatnonzero(self.labels_ == component)
            its = its[np.argsort(-part[its], kind="stable")]
            seen = look(component)
            colours = np.tile(to_rgba(seen.colour), (len(its), 1))
            colours[:, 3] = LEAST_OPACITY + (0.85 - LEAST_OPACITY) * part[its]
            drawn[component] = ax.scatter(
                x[its], y[its], s=largest * part[its], c=colours, marker=seen.marker, linewidths=0
            )
        return drawn

    def _number(self, ax: Axes) -> None:
        """Write the numbers of the components that most rows belong to amid their rows."""
        counts = np.bincount(self.labels_)
        for component in np.argsort(-counts, kind="stable")[:MOST_NUMBERED].tolist():
            if counts[component]:
                its = self.sample.rows[self.labels_ == component][:, list(self.features)]
                # The median is where rows are; a mean of one shared by few rows may be far from them.
                at = np.median(its, axis=0).tolist()
                badge(ax, component, at=(at[0], at[1] if len(at) > 1 else 1.0))

    def _title(self) -> tuple[str, str]:
        drawn, n_samples = len(self.sample.rows), self.sample.n_samples
        rows = f"{n_samples:,} row{'s' if n_samples > 1 else ''}"
        certain = percent(float(np.mean(self.certainties_ > CERTAIN)))
        return rows if drawn == n_samples else f"{drawn:,} of {rows}", f"{certain} of them over 90 % certain"

    def _repr_png_(self) -> bytes:
        """Show the figure in a notebook."""
        return picture(self.figure_)
