"""One panel of a picture of a mixture: the densities of one feature, or the ellipses of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.density import log_density
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.view.canvas import at_edge, badge
from daskgmm.view.ellipses import ellipse_of
from daskgmm.view.marginals import limits, mass_levels, standard_deviations, weighted_densities
from daskgmm.view.palette import DISTINCT, NEUTRAL, look

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.lines import Line2D
    from matplotlib.patches import Ellipse, StepPatch
    from matplotlib.text import Annotation

__all__ = ["FeaturePanel", "PairPanel", "draw_feature", "draw_pair", "heaviest"]

# More lines than this are not told apart.
MOST_DRAWN = DISTINCT
SIGMAS = (1.0, 2.0, 3.0)
# Line of the heaviest component's ellipses, in points.
WIDEST = 2.0
# Of the mass inside each contour.
CONTOURS = (0.2, 0.4, 0.6, 0.8, 0.95)
# Fewer rows are drawn as points: in hexagons there would be one or two each.
MOST_POINTS = 2000
HEXAGONS = 45
# On average, that bars do not look like a comb.
ROWS_A_BIN = 30
# A peak so many times as high as the others' leaves them a twentieth of the picture.
MOST_HIGHER = 20.0
# Points of a density's line: one a pixel of a picture on the screen. A component has points of its own besides, which
# draw it to half a pixel however narrow it is.
LINE_POINTS, OWN_POINTS = 500, 41
# Points of a grid along each side; fewer where there are so many components that it would take seconds.
GRID_POINTS, GRID_WORK = 120, 2e7


@dataclass(frozen=True, slots=True, eq=False)
class FeaturePanel:
    """What was drawn of one feature."""

    ax: Axes
    components: tuple[int, ...]
    """Components drawn, the heaviest first."""
    histogram: StepPatch | None
    """Density of the sampled rows; its area is the share of them between its ends."""
    lines: tuple[Line2D, ...]
    """Weight times density of each component drawn."""
    total: Line2D
    """Density of the whole mixture."""
    badges: tuple[Annotation, ...]
    """Numbers of the components drawn."""
    highest: float | None
    """Density of the highest peak that is cut off at the upper edge; None where none is."""


@dataclass(frozen=True, slots=True, eq=False)
class PairPanel:
    """What was drawn of two features."""

    ax: Axes
    components: tuple[int, ...]
    """Components drawn, the heaviest first."""
    background: Artist
    """Rows as points or counted in hexagons, or the density shaded."""
    contours: ContourSet | None
    """Of the mixture's density; None where most components are narrower than the grid."""
    ellipses: tuple[tuple[Ellipse, ...], ...]
    """Of each component drawn, at one, two and three standard deviations."""
    badges: tuple[Annotation, ...]
    """Numbers of the components drawn."""


def heaviest(weights: Floats) -> NDArray[np.intp]:
    """Return the components to draw, the heaviest first: all with a weight, unless these are too many."""
    order = np.argsort(-weights, kind="stable")[:MOST_DRAWN]
    return order[weights[order] > 0]


def draw_feature(ax: Axes, one: MixtureParameters, values: Floats | None, *, alone: bool) -> FeaturePanel:
    """Draw the densities of a mixture of one feature over a histogram of a sample of rows (n_rows,).

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    one : MixtureParameters
        Of one feature.
    values : array or None
    alone : bool
        Whether the panel is the whole picture: then components have their numbers at their peaks.
    """
    low, high = limits(one, values)
    components = heaviest(one.weights)
    histogram = None
    if values is not None:
        narrowest = float(standard_deviations(one)[components].min())
        histogram = _histogram(ax, values, low, high, narrowest=narrowest)
    at = _line_points(one, components, low, high)
    total = weighted_densities(one, np.arange(one.n_components), at).sum(axis=0)
    (total_line,) = ax.plot(at, total, color=NEUTRAL, linewidth=2.2, label="mixture", zorder=2)
    lines = []
    for component, density in zip(components, weighted_densities(one, components, at), strict=True):
        seen = look(int(component))
        style: dict[str, Any] = {"color": seen.colour, "linestyle": seen.line_style, "linewidth": 1.4}
        lines += ax.plot(at, density, **style, zorder=3)
    ax.set_xlim(low, high)
    peaks, top = _peaks(one), _top(one, at)
    ax.set_ylim(0.0, top)
    means, heights = one.means[components, 0], peaks[components]
    if top is not None:
        at_edge(ax, one.means[peaks > top, 0], NEUTRAL, top=True)
        # Below the arrowhead.
        heights = np.minimum(heights, 0.93 * top)
    badges = _badges(ax, components, means, heights, one_of=one.n_components) if alone else ()
    highest = None if top is None else float(total.max())
    return FeaturePanel(ax, tuple(components.tolist()), histogram, tuple(lines), total_line, badges, highest)


def _histogram(ax: Axes, values: Floats, low: float, high: float, *, narrowest: float) -> StepPatch:
    # Twice the cube root of the rows (Rice's rule), or two a standard deviation of the narrowest component if rows are
    # enough for these; more than 200 would be thinner than the lines over them.
    by_width = min((high - low) / (narrowest / 2), len(values) / ROWS_A_BIN)
    n_bins = int(np.clip(max(2 * len(values) ** (1 / 3), by_width), 10, 200))
    counts, edges = np.histogram(values, bins=np.linspace(low, high, n_bins + 1))
    density = counts / (len(values) * np.diff(edges))
    return ax.stairs(density, edges, fill=True, color=NEUTRAL, alpha=0.45, linewidth=0, label="rows", zorder=1)


def _line_points(one: MixtureParameters, components: NDArray[np.intp], low: float, high: float) -> Floats:
    """Return where to evaluate densities: evenly, and about the mean of each component drawn."""
    offsets = np.linspace(-4.0, 4.0, OWN_POINTS)
    own = one.means[components] + standard_deviations(one)[components] * offsets
    points: Floats = np.unique(np.concatenate([np.linspace(low, high, LINE_POINTS), own.ravel()]))
    return points[(points >= low) & (points <= high)]


def _peaks(one: MixtureParameters) -> Floats:
    """Return weight times density of each component at its mean."""
    peaks: Floats = one.weights / (np.sqrt(2 * np.pi) * standard_deviations(one)[:, 0])
    return peaks


def _top(one: MixtureParameters, at: Floats) -> float | None:
    """Return the density to cut peaks off at, so that a component that collapsed leaves the others some room; or None.

    Peaks many times as high as the one that half of the weight does not reach are cut off.
    """
    peaks = _peaks(one)
    rising = np.argsort(peaks, kind="stable")
    median = peaks[rising][np.searchsorted(np.cumsum(one.weights[rising]), 0.5).clip(0, len(peaks) - 1)]
    low = np.flatnonzero(peaks <= MOST_HIGHER * median)
    return None if len(low) == len(peaks) else 1.15 * float(weighted_densities(one, low, at).sum(axis=0).max())


def _badges(ax: Axes, components: NDArray[np.intp], x: Floats, y: Floats, *, one_of: int) -> tuple[Annotation, ...]:
    """Number the components; none of very many, of which the picture is to show the sum."""
    if one_of > MOST_DRAWN:
        return ()
    places = zip(components.tolist(), x.tolist(), y.tolist(), strict=True)
    return tuple(badge(ax, component, at=(left, height)) for component, left, height in places)


def draw_pair(ax: Axes, pair: MixtureParameters, rows: Floats | None, *, alone: bool) -> PairPanel:
    """Draw the ellipses and the density of a mixture of two features, over a sample of rows (n_rows, 2).

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    pair : MixtureParameters
        Of two features, with full covariances.
    rows : array or None
        None shades the density.
    alone : bool
        Whether the panel is the whole picture: then components have their numbers at their means, and wider lines.
    """
    extent = _extent(pair, rows)
    x, y, density = _density_grid(pair, extent)
    background = _shade(ax, density, extent) if rows is None else _rows_behind(ax, rows, extent)
    contours = None if _is_rough(pair, x, y) else _contours(ax, x, y, density)
    components = heaviest(pair.weights)
    ellipses = tuple(
        _ellipses(ax, pair, component, widest=WIDEST if alone else WIDEST / 2) for component in components.tolist()
    )
    badges = _badges(ax, components, *pair.means[components].T, one_of=pair.n_components) if alone else ()
    ax.set_xlim(*extent[:2])
    ax.set_ylim(*extent[2:])
    return PairPanel(ax, tuple(components.tolist()), background, contours, ellipses, badges)


def _extent(pair: MixtureParameters, rows: Floats | None) -> tuple[float, float, float, float]:
    """Return the limits of both features: left, right, bottom, top."""
    ends = []
    for feature in (0, 1):
        one = MixtureParameters.from_covariances(
            weights=pair.weights,
            means=pair.means[:, [feature]],
            covariances=pair.covariances[:, [feature]][:, :, [feature]],
            covariance_type="full",
        )
        ends.append(limits(one, None if rows is None else rows[:, feature]))
    return (*ends[0], *ends[1])


def _density_grid(pair: MixtureParameters, extent: tuple[float, float, float, float]) -> tuple[Floats, Floats, Floats]:
    """Return x (n,), y (n,), and the density at them relative to the highest, shape (n, n), rows along y."""
    n_points = int(min(GRID_POINTS, max(40, (GRID_WORK / pair.n_components) ** 0.5)))
    x, y = np.linspace(*extent[:2], n_points), np.linspace(*extent[2:], n_points)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    # Relative, as in very large units a density is too small for a float.
    relative = log_density(points, pair)
    return x, y, np.exp(relative - relative.max()).reshape(n_points, n_points)


def _is_rough(pair: MixtureParameters, x: Floats, y: Floats) -> bool:
    """Whether most components are narrower than the grid's steps: contours of them would be those of chance."""
    spread = standard_deviations(pair) < (x[1] - x[0], y[1] - y[0])
    return bool(pair.weights @ spread.any(axis=1) > 0.5)


def _shade(ax: Axes, density: Floats, extent: tuple[float, float, float, float]) -> Artist:
    return ax.imshow(
        np.sqrt(density),  # half of the highest density is still dark
        cmap=_shades(),
        extent=extent,
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
        zorder=0,
    )


def _rows_behind(ax: Axes, rows: Floats, extent: tuple[float, float, float, float]) -> Artist:
    if len(rows) <= MOST_POINTS:
        return ax.scatter(rows[:, 0], rows[:, 1], s=6, color=NEUTRAL, alpha=0.7, linewidths=0, zorder=0)
    return ax.hexbin(
        rows[:, 0],
        rows[:, 1],
        C=np.ones(len(rows)),
        reduce_C_function=lambda counted: np.sqrt(np.sum(counted)),  # as the shades of a density
        gridsize=HEXAGONS,
        extent=extent,
        cmap=_shades(),
        linewidths=0,
        zorder=0,
    )


def _shades() -> Any:
    """Return shades from nothing to grey: they look alike on white and on black."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    return LinearSegmentedColormap.from_list("shades", [(*to_rgb(NEUTRAL), 0.0), (*to_rgb(NEUTRAL), 0.75)])


def _contours(ax: Axes, x: Floats, y: Floats, density: Floats) -> ContourSet | None:
    levels = mass_levels(density, CONTOURS)
    levels = levels[(levels > density.min()) & (levels < density.max())]
    if not len(levels):
        return None
    return ax.contour(x, y, density, levels=levels, colors=NEUTRAL, linewidths=0.8, zorder=1)


def _ellipses(ax: Axes, pair: MixtureParameters, component: int, *, widest: float) -> tuple[Ellipse, ...]:
    """Draw the ellipses of a component, wide lines for a heavy one, each fainter than the one inside it."""
    from matplotlib.patches import Ellipse

    seen, weight = look(component), pair.weights[component] / pair.weights.max()
    drawn = []
    for n_sigmas, alpha in zip(SIGMAS, (1.0, 0.85, 0.7), strict=True):
        shape = ellipse_of(pair.means[component], pair.covariances[component], n_sigmas)
        style: dict[str, Any] = {"edgecolor": seen.colour, "linestyle": seen.line_style}
        width = widest * (0.4 + 0.6 * float(np.sqrt(weight)))
        patch = Ellipse(shape.centre, shape.width, shape.height, angle=shape.angle, facecolor="none", **style)
        patch.set(linewidth=width, alpha=alpha, zorder=2)
        ax.add_patch(patch)
        drawn.append(patch)
    return tuple(drawn)
