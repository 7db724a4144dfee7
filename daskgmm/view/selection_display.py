"""`SelectionDisplay`: the criterion of each candidate of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance import COVARIANCE_TYPES
from daskgmm.view.canvas import at_edge, check_axes, figure_of, legend, name_axes, need_matplotlib, picture, titled
from daskgmm.view.corner import single_axes
from daskgmm.view.palette import NEUTRAL, Look, look
from daskgmm.view.reading_range import reading_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["SelectionDisplay"]

# A value so many times as far from the best as the middle one leaves the others a tenth of the picture.
FARTHEST = 10.0
NAMES = {"bic": "BIC", "aic": "AIC", "icl": "ICL", "held-out": "minus mean log-likelihood of held-out rows (nats)"}


class Search(Protocol):
    """What is drawn of a search: `SelectionResult` has it."""

    @property
    def table(self) -> Sequence[Mapping[str, Any]]:
        """The candidates."""

    @property
    def criterion(self) -> str:
        """What they are compared by."""


class SelectionDisplay:
    """A picture of a search over numbers of components and covariance types, made by `from_result`.

    The criterion over the number of components, a line for each covariance type; lower is better, and the best is
    ringed. Candidates that were stopped because they lay behind are hollow; those that could not be fitted, and those
    whose criterion lies far above the others, stand at the upper edge, as crosses and arrows.

    Parameters
    ----------
    table : list of dict
        As `SelectionResult.table`.
    criterion : str
        As `SelectionResult.criterion`.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes
    lines_, stopped_, failed_ : dict of str to matplotlib.lines.Line2D
        For each covariance type: those fitted to their end, and, where there are any, those stopped and those that
        could not be fitted.
    best_ : matplotlib.lines.Line2D
        The ring.
    """

    figure_: Figure
    ax_: Axes
    lines_: dict[str, Line2D]
    stopped_: dict[str, Line2D]
    failed_: dict[str, Line2D]
    best_: Line2D

    def __init__(self, *, table: Sequence[Mapping[str, Any]], criterion: str) -> None:
        self.table = table
        self.criterion = criterion

    @classmethod
    def from_result(cls, result: Search, *, ax: Axes | None = None) -> Self:
        """Draw what `select_components` found.

        Parameters
        ----------
        result : SelectionResult
            Or anything with its table and criterion.
        ax : matplotlib.axes.Axes, default=None
            Where to draw.

        Raises
        ------
        ParameterError
            If no candidate has a criterion.
        ImportError
            If Matplotlib is not installed.
        """
        need_matplotlib()
        return cls(table=result.table, criterion=result.criterion).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw into axes, or a figure of its own, which pyplot knows nothing of; see `from_result`."""
        check_axes(ax)
        from matplotlib.ticker import MaxNLocator

        self.ax_ = single_axes(ax)
        self.figure_ = figure_of(self.ax_)
        self.lines_, self.stopped_, self.failed_ = {}, {}, {}
        criteria = np.array([_criterion(row) for row in self.table])
        if not np.isfinite(criteria).any():
            raise ParameterError("table: expected at least one candidate that could be fitted; got none")
        best = self.table[int(np.nanargmin(criteria))]
        low, high = reading_range(criteria[np.isfinite(criteria)], best=float(np.nanmin(criteria)), farthest=FARTHEST)
        for kind in dict.fromkeys(row["covariance_type"] for row in self.table):
            self._draw_type(kind, [row for row in self.table if row["covariance_type"] == kind], high)
        (self.best_,) = self.ax_.plot(*_points([best]), linestyle="none", marker="o", color=NEUTRAL, zorder=4)
        self.best_.set(markersize=15, markerfacecolor="none", markeredgewidth=1.8, label="best")
        self.ax_.set_ylim(low, high)
        self.ax_.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        name_axes(self.ax_, x="number of components", y=NAMES.get(self.criterion, self.criterion))
        legend(self.ax_)
        n_above = int((criteria > high).sum())
        note = f"{n_above} lie{'s' if n_above == 1 else ''} above, up to {np.nanmax(criteria):,.6g}" if n_above else ""
        titled(self.ax_, f"best: {best['n_components']} components, {best['covariance_type']}; lower is better", note)
        return self

    def _draw_type(self, kind: str, rows: list[Mapping[str, Any]], high: float) -> None:
        """Draw the candidates of a covariance type, by their numbers of components."""
        order = COVARIANCE_TYPES.index(kind) if kind in COVARIANCE_TYPES else len(COVARIANCE_TYPES)
        seen = look(order)
        marker = ("o", "s", "^", "D", "v")[order]
        rows = sorted(rows, key=lambda row: int(row["n_components"]))
        fitted = [row for row in rows if math.isfinite(_criterion(row))]
        stopped = [row for row in fitted if row["problem"]]
        ended = [row for row in fitted if not row["problem"]]
        failed = [row for row in rows if not math.isfinite(_criterion(row))]
        self.ax_.plot(*_points(fitted), color=seen.colour, linewidth=1.2, alpha=0.7, zorder=1)
        self.lines_[kind] = self._marks(ended, seen, marker, label=kind)
        if stopped:
            self.stopped_[kind] = self._marks(stopped, seen, marker, label=f"{kind}, stopped early")
            self.stopped_[kind].set_markerfacecolor("none")
        if failed:
            at_top = [{**row, "criterion": high} for row in failed]
            self.failed_[kind] = self._marks(at_top, seen, "X", label=f"{kind}, not fitted")
            self.failed_[kind].set_clip_on(False)
        above = [row["n_components"] for row in fitted if _criterion(row) > high]
        at_edge(self.ax_, np.array(above, dtype=float), seen.colour, top=True)

    def _marks(self, rows: Sequence[Mapping[str, Any]], seen: Look, marker: str, *, label: str) -> Line2D:
        (marks,) = self.ax_.plot(*_points(rows), linestyle="none", marker=marker, color=seen.colour, zorder=3)
        marks.set(markersize=6.5, label=label)
        return marks

    def _repr_png_(self) -> bytes:
        """Show the figure in a notebook."""
        return picture(self.figure_)


def _points(rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
    return [row["n_components"] for row in rows], [_criterion(row) for row in rows]


def _criterion(row: Mapping[str, Any]) -> float:
    """Return a candidate's criterion; NaN where it has none, for which JSON has null."""
    value = row["criterion"]
    return math.nan if value is None else float(value)
