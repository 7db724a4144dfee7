"""`DriftDisplay`: how rows differ from those that a mixture was fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from daskgmm.view.canvas import (
    SMALL,
    check_axes,
    figure_of,
    legend,
    lettered,
    name_axes,
    need_matplotlib,
    new_figure,
    picture,
    styled,
    titled,
)
from daskgmm.view.palette import COLOURS, NEUTRAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from daskgmm.drift import Drift

__all__ = ["DriftDisplay"]

# Bars of more components are too thin to be told apart.
MOST_BARS = 20
THEN, NOW = COLOURS[0], COLOURS[1]


class DriftDisplay:
    """A picture of drift, made by `from_drift`.

    Above, the shares of rows below each log density, then and now, and where they differ most, which is the
    Kolmogorov-Smirnov distance. Below, the shares of the components, then and now.

    Parameters
    ----------
    drift : Drift

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes
        Of the log densities.
    axes_ : ndarray of shape (2,)
        Both, in a figure of its own; the first alone in axes given.
    then_, now_ : matplotlib.lines.Line2D
        Shares of rows below each log density.
    distance_ : matplotlib.lines.Line2D or None
        Where the distance is; None where the rows fitted to were all alike.
    bars_ : tuple of two matplotlib.container.BarContainer
        Shares of the components, then and now; empty in axes given.
    components_ : tuple of int
        Those of the bars.
    """

    figure_: Figure
    ax_: Axes
    axes_: Any
    then_: Line2D
    now_: Line2D
    distance_: Line2D | None
    bars_: tuple[BarContainer, ...]
    components_: tuple[int, ...]

    def __init__(self, *, drift: Drift) -> None:
        self.drift = drift

    @classmethod
    def from_drift(cls, drift: Drift, *, ax: Axes | None = None) -> Self:
        """Draw what `daskgmm.drift.measure_drift` found; raises ImportError if Matplotlib is not installed.

        Parameters
        ----------
        drift : Drift
        ax : matplotlib.axes.Axes, default=None
            Where to draw the log densities; then the components are left out. None makes a figure of both.
        """
        need_matplotlib()
        return cls(drift=drift).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into axes, or a figure of its own, which pyplot knows nothing of; see `from_drift`."""
        check_axes(ax)
        if ax is not None:
            axes = np.array([styled(ax)], dtype=object)
        else:
            # One above the other: side by side the text of both would be too small on a narrow screen.
            axes = np.array([styled(one) for one in new_figure(5.0, 5.6).subplots(2, 1)], dtype=object)
        self.axes_, self.ax_ = axes, axes[0]
        self.figure_ = figure_of(self.ax_)
        self._draw_log_densities(self.ax_)
        self.bars_, self.components_ = (), ()
        if len(axes) > 1:
            self._draw_components(axes[1])
        drift = self.drift
        titled(
            self.ax_,
            f"population stability index {drift.psi:.3g} (by chance {drift.expected_psi:.2g}), Kolmogorov-Smirnov "
            f"distance {drift.ks_distance:.3g}",
        )
        return self

    def _draw_log_densities(self, ax: Axes) -> None:
        drift = self.drift
        at = drift.log_densities
        (self.then_,) = ax.plot(at, drift.shares_below_before, color=THEN, linewidth=1.8, linestyle=(0, (5, 1.5)))
        (self.now_,) = ax.plot(at, drift.shares_below_now, color=NOW, linewidth=1.8)
        self.then_.set_label(f"then, {drift.n_samples_before:,} rows")
        self.now_.set_label(f"now, {drift.n_samples:,} rows")
        self.distance_ = None
        ax.set_ylim(0.0, 1.02)
        name_axes(ax, x="log density (nats)", y="share of rows below")
        if not len(at):
            text = ax.text(0.5, 0.5, "", transform=ax.transAxes, ha="center", va="center", fontsize=SMALL)
            lettered(text, "the rows fitted to are all alike:\nthey have one log density")
            return
        widest = int(np.abs(drift.shares_below_now - drift.shares_below_before).argmax())
        ends = (drift.shares_below_before[widest], drift.shares_below_now[widest])
        (self.distance_,) = ax.plot([at[widest]] * 2, ends, color=NEUTRAL, linewidth=1.2, marker="_", zorder=1)
        legend(ax)

    def _draw_components(self, ax: Axes) -> None:
        drift = self.drift
        larger = np.maximum(drift.shares_before, drift.shares_now)
        chosen = np.sort(np.argsort(-larger, kind="stable")[:MOST_BARS])
        self.components_ = tuple(chosen.tolist())
        at = np.arange(len(chosen))
        then = ax.bar(at - 0.2, drift.shares_before[chosen], 0.4, color=THEN, label="then")
        # Hatched besides: printed without colours they are told apart as well.
        now = ax.bar(at + 0.2, drift.shares_now[chosen], 0.4, color=NOW, label="now", hatch="//", edgecolor="white")
        for bar in now:
            bar.set_linewidth(0)
        self.bars_ = (then, now)
        ax.set_xticks(at, [str(component) for component in self.components_])
        ax.tick_params(axis="x", length=0)
        name_axes(ax, x="component", y="share of rows")
        legend(ax)
        if len(chosen) < len(larger):
            titled(ax, f"the {len(chosen)} largest of {len(larger):,} components")

    def _repr_png_(self) -> bytes:
        """Show the figure in a notebook."""
        return picture(self.figure_)
