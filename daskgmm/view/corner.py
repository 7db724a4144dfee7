"""Panels for each feature and each pair of features: those on the diagonal, these below it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance import Floats
from daskgmm.view.canvas import SMALL, legend, lettered, name_axes, new_figure, styled
from daskgmm.view.palette import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Corner", "component_key", "corner_axes", "head", "single_axes"]

# Letters that are as wide as all panels together.
NAME_WIDTH = 45
# Height beside that of all panels together: room for two lines.
HEADING = 0.06
HEADING_LETTERS = 56
# More would be as long as the corner is high.
MOST_IN_KEY = 12


def single_axes(ax: Axes | None) -> Axes:
    """Return the axes given, or those of a figure of our own, in the look of all our pictures."""
    return styled(new_figure().add_subplot() if ax is None else ax)


@dataclass(frozen=True, slots=True, eq=False)
class Corner:
    """Axes of a corner."""

    heading: Axes
    """Above all panels, without lines: where a title goes."""
    panels: NDArray[Any]
    """Axes of features and pairs of them, shape (n, n), of which those above the diagonal are None."""
    empty: Axes
    """In the upper right, where there is room for a key."""


def corner_axes(ax: Axes | None, names: tuple[str, ...]) -> Corner:
    """Return axes for each feature and each pair.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Axes whose place they take; None makes a figure.
    names : tuple of str
        Of the features.

    Raises
    ------
    ParameterError
        If `ax` has no place in a grid of subplots.
    """
    n_features = len(names)
    if ax is None:
        # Beyond three features panels become smaller rather than the text on a screen.
        side = 5.0 if n_features <= 3 else 6.2
        ax = new_figure(side, side).add_subplot()
    place = ax.get_subplotspec()
    if place is None:
        raise ParameterError(
            f"ax: expected axes made by subplots, whose place {n_features} by {n_features} panels can take; got "
            "axes placed by hand. Leave ax out, or draw one or two features"
        )
    ax.set_axis_off()
    grid = place.subgridspec(n_features + 1, n_features, height_ratios=[HEADING * n_features] + [1.0] * n_features)
    panels = np.full((n_features, n_features), None, dtype=object)
    for row in range(n_features):
        for column in range(row + 1):
            panels[row, column] = _panel(ax.figure, grid, (row, column), names)
    heading, empty = ax.figure.add_subplot(grid[0, :]), ax.figure.add_subplot(grid[1, n_features - 1])
    for one in (heading, empty):
        one.set_axis_off()
    return Corner(heading, panels, empty)


def _panel(figure: Any, grid: Any, place: tuple[int, int], names: tuple[str, ...]) -> Axes:
    """Return the axes of one panel; those at the left and bottom are named."""
    from matplotlib.ticker import MaxNLocator

    row, column = place
    ax = styled(figure.add_subplot(grid[row + 1, column]))
    last = len(names) - 1
    ax.xaxis.set_major_locator(MaxNLocator(3 if last < 3 else 2, prune="both"))
    ax.yaxis.set_major_locator(MaxNLocator(3 if last < 3 else 2, prune="both"))
    at_left = column == 0 and row > 0
    ax.tick_params(labelbottom=row == last, labelleft=at_left, left=row != column)
    name_axes(
        ax, x=names[column] if row == last else "", y=names[row] if at_left else "", width=NAME_WIDTH // len(names)
    )
    ax.spines["left"].set_visible(row != column)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_label().set_fontsize(SMALL)
        # A common offset or power of ten of the numbers stands at the outer panels alone.
        axis.get_offset_text().set_fontsize(SMALL)
    ax.xaxis.get_offset_text().set_visible(row == last)
    ax.yaxis.get_offset_text().set_visible(at_left)
    return ax


def head(corner: Corner, *parts: str) -> None:
    """Write what a corner shows above it."""
    text = corner.heading.text(0.0, 0.0, "", fontsize=SMALL, transform=corner.heading.transAxes)
    lettered(text, textwrap.fill("; ".join(part for part in parts if part), HEADING_LETTERS))
    # As with the key, panels are not made wider for it.
    text.set_in_layout(False)


def component_key(corner: Corner, components: tuple[int, ...], weights: Floats) -> Any:
    """Write which colour is which component, and its weight, into the empty corner; returns the legend."""
    from matplotlib.lines import Line2D

    shown = sorted(components[:MOST_IN_KEY])
    lines = []
    for component in shown:
        seen = look(component)
        line = Line2D([], [], color=seen.colour, linestyle=seen.line_style, linewidth=2)  # type: ignore[arg-type]
        line.set_label(f"{component}: {weights[component]:.1%}")
        lines.append(line)
    title = "component: weight" if len(shown) == len(components) else f"{len(shown)} heaviest: weight"
    n_columns = 1 if len(shown) <= 4 else 2
    key = legend(corner.empty, handles=lines, title=title, loc="upper right", ncols=n_columns)
    key.set_bbox_to_anchor((1.0, 1.1), transform=corner.empty.transAxes)
    # It lies over cells that hold nothing: none is to be made wider for it.
    key.set_in_layout(False)
    return key
