"""`ConvergenceDisplay`: the log-likelihood of each pass of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance import Floats
from daskgmm.view.canvas import (
    at_edge,
    check_axes,
    figure_of,
    legend,
    name_axes,
    need_matplotlib,
    picture,
    signed,
    titled,
)
from daskgmm.view.corner import single_axes
from daskgmm.view.palette import COLOURS, NEUTRAL
from daskgmm.view.reading_range import reading_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["ConvergenceDisplay"]


@dataclass(frozen=True, slots=True)
class PhaseLook:
    """How the steps of a phase are drawn."""

    colour: str
    marker: str
    meaning: str
    hollow: bool = False


PHASES = {
    "sample": PhaseLook(COLOURS[4], "^", "sample in memory"),
    "em": PhaseLook(COLOURS[0], "o", "EM"),
    "accelerated": PhaseLook(COLOURS[2], "s", "accelerated"),
    "rejected": PhaseLook(COLOURS[1], "D", "rejected", hollow=True),
    "stepwise": PhaseLook(COLOURS[3], "v", "block of a stream"),
    "update": PhaseLook(COLOURS[5], "P", "new rows"),
}
OTHER = PhaseLook(NEUTRAL, "X", "other")
# A value so many times as far from the best as the middle one would leave the end of a fit, where gains are small, a
# thirtieth of the picture.
FARTHEST = 30.0
# In nats a row. Nobody asks a fit for less, and a picture of less would show rounding as progress.
LEAST = 1e-6
# Of these, the lower bound is the mixture's on all rows, so that the best so far may be told.
OF_ALL_ROWS = ("em", "accelerated", "update")


class ConvergenceDisplay:
    """A picture of how a fit converged, made by `from_estimator`.

    The mean log-likelihood per row by passes over the data, each phase with a mark and a colour of its own; a line for
    the best so far; proposals that were rejected are hollow; the stop is a vertical line. Values far below the others
    stand at the lower edge, pointing down, and are told of in the title. What was seen on the sample is that of other
    rows, and may lie above or below.

    Parameters
    ----------
    history : sequence of mapping
        As `GaussianMixture.history_`.
    converged : bool or None
        Whether the fit stopped because of `tol`; None if nobody knows.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes
    points_ : dict of str to matplotlib.lines.Line2D
        Marks of each phase.
    best_ : matplotlib.lines.Line2D
        The best of all rows so far.
    stop_ : matplotlib.lines.Line2D
        A vertical line at the last pass.
    """

    figure_: Figure
    ax_: Axes
    points_: dict[str, Line2D]
    best_: Line2D
    stop_: Line2D

    def __init__(self, *, history: Sequence[Mapping[str, Any]], converged: bool | None = None) -> None:
        self.history = history
        self.converged = converged

    @classmethod
    def from_estimator(cls, mixture: Any, *, ax: Axes | None = None) -> Self:
        """Draw how a fitted mixture converged.

        Parameters
        ----------
        mixture : GaussianMixture
            A fitted one. Of scikit-learn's, `lower_bounds_` are drawn by iteration.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Raises
        ------
        NotFittedError
            If the mixture is not fitted.
        ParameterError
            If it keeps nothing of its fit.
        ImportError
            If Matplotlib is not installed.
        """
        need_matplotlib()
        check_axes(ax)
        if not hasattr(mixture, "weights_"):
            raise NotFittedError(f"mixture: expected a fitted mixture; got {type(mixture).__name__}. Call fit first")
        history = list(getattr(mixture, "history_", None) or ())
        if not any(_is_told(entry) for entry in history):
            bounds = getattr(mixture, "lower_bounds_", None)
            history = [
                {"pass": number, "phase": "em", "lower_bound": float(bound)}
                for number, bound in enumerate(() if bounds is None else bounds, 1)
            ]
        if not any(_is_told(entry) for entry in history):
            raise ParameterError(
                "mixture: expected one that tells the log-likelihood of its passes; this one has neither history_ nor "
                "lower_bounds_. Fit it with daskgmm"
            )
        return cls(history=history, converged=getattr(mixture, "converged_", None)).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into axes, or a figure of its own, which pyplot knows nothing of; see `from_estimator`."""
        check_axes(ax)
        from matplotlib.ticker import MaxNLocator

        self.ax_ = single_axes(ax)
        self.figure_ = figure_of(self.ax_)
        told = [entry for entry in self.history if _is_told(entry)]
        passes = np.array([entry["pass"] for entry in told], dtype=float)
        bounds = np.array([entry["lower_bound"] for entry in told], dtype=float)
        phases = np.array([entry["phase"] for entry in told], dtype=object)
        self._draw_best(passes, bounds, phases)
        low, high = reading_range(bounds, best=float(bounds.max()), farthest=FARTHEST, least=LEAST)
        self.points_ = {
            str(phase): self._draw_phase(str(phase), passes[phases == phase], bounds[phases == phase], low)
            for phase in dict.fromkeys(phases.tolist())
        }
        # Its upper half: below it there is often the legend.
        self.stop_ = self.ax_.axvline(passes.max(), 0.5, color=NEUTRAL, linestyle=(0, (1, 2)), linewidth=1.4, zorder=0)
        self.ax_.set_ylim(low, high)
        self.ax_.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        # The numbers are long and differ late: their common part would stand apart from them.
        self.ax_.ticklabel_format(axis="y", useOffset=False)
        name_axes(self.ax_, x="passes over the data", y="mean log-likelihood (nats a row)")
        legend(self.ax_, loc="best")
        lower = bounds[bounds < low]
        titled(
            self.ax_,
            self._title(passes, bounds, phases),
            f"{len(lower)} lower, down to {signed(lower.min())}" if len(lower) else "",
        )
        return self

    def _draw_best(self, passes: Floats, bounds: Floats, phases: Any) -> None:
        """Draw the best so far as a line that rises at the passes that found better."""
        counted = np.isin(phases, OF_ALL_ROWS)
        if not counted.any():
            counted = np.ones(len(passes), dtype=bool)
        order = np.argsort(passes[counted], kind="stable")
        best = np.maximum.accumulate(bounds[counted][order])
        (self.best_,) = self.ax_.plot(passes[counted][order], best, color=NEUTRAL, linewidth=1.2, zorder=1)
        self.best_.set(drawstyle="steps-post", label="best so far")

    def _draw_phase(self, phase: str, passes: Floats, bounds: Floats, low: float) -> Line2D:
        """Draw the marks of a phase; those below the picture stand at its edge."""
        seen = PHASES.get(phase, OTHER)
        inside = bounds >= low
        face = "none" if seen.hollow else seen.colour
        (marks,) = self.ax_.plot(passes, bounds, linestyle="none", marker=seen.marker, color=seen.colour, zorder=3)
        marks.set(markersize=6.5, markerfacecolor=face, label=seen.meaning if seen is not OTHER else phase)
        at_edge(self.ax_, passes[~inside], seen.colour, top=False)
        return marks

    def _title(self, passes: Floats, bounds: Floats, phases: Any) -> str:
        n_passes = int(passes.max())
        ended = {True: "converged", False: "stopped before it converged", None: "ended"}[self.converged]
        counted = np.isin(phases, OF_ALL_ROWS)
        last = float(bounds[counted].max() if counted.any() else bounds[-1])
        return f"{ended} after {n_passes} pass{'es' if n_passes != 1 else ''} at {signed(last)} nats a row"

    def _repr_png_(self) -> bytes:
        """Show the figure in a notebook."""
        return picture(self.figure_)


def _is_told(entry: Mapping[str, Any]) -> bool:
    """Whether a step evaluated something that is a number."""
    return entry.get("lower_bound") is not None and bool(np.isfinite(entry["lower_bound"]))
