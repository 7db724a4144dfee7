"""How a mixture came about, as tables: the steps of its fit, the search it was chosen by, and drift since.

Model files hold these as JSON that nobody has checked: what is not as a fit writes it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.drift import Drift
from daskgmm.view.page_parts import Cell, Head, Table, legible, number

__all__ = [
    "CRITERIA",
    "SelectionKept",
    "drift_table",
    "history_kept",
    "history_table",
    "selection_kept",
    "selection_table",
]

# Of a stream of thousands of blocks the last ones tell how it stands; of a search nobody reads more.
MOST_STEPS = 200
MOST_COMPONENTS = 100

PHASES = {
    "first-look": "first look at the rows",
    "sample": "EM on the sample",
    "em": "EM",
    "accelerated": "accelerated EM",
    "rejected": "step taken back",
    "stepwise": "stepwise EM on one block",
    "update": "EM on new rows",
}
NUMBERS = ("seconds", "rows", "bytes", "pass")
OPTIONAL_NUMBERS = ("lower_bound", "change")
CRITERIA = {"bic": "BIC", "aic": "AIC", "icl": "ICL", "held-out": "Held-out"}
"""What criteria are called where people read."""


@dataclass(frozen=True, slots=True)
class SelectionKept:
    """What a model file keeps of the search that its mixture won; shaped as a `SelectionResult`, without the models."""

    criterion: str
    table: list[dict[str, Any]]
    best_row: int
    n_passes: int | None


def history_kept(history: object) -> list[dict[str, Any]]:
    """Return the steps of a fit that are whole."""
    return [step for step in history if _is_step(step)] if isinstance(history, list) else []


def selection_kept(record: object) -> SelectionKept | None:
    """Return the search that a model file's record tells of; None where there is none, or it is not whole."""
    result = record.get("result") if isinstance(record, Mapping) else None
    if not isinstance(result, Mapping) or not isinstance(result.get("table"), list):
        return None
    table, criterion = result["table"], result.get("criterion")
    if criterion not in CRITERIA or not table or not all(map(_is_candidate, table)):
        return None
    chosen = result.get("n_components"), result.get("covariance_type")
    best = [i for i, row in enumerate(table) if (row["n_components"], row["covariance_type"]) == chosen]
    passes = result.get("n_passes")
    return SelectionKept(criterion, table, best[0], passes if isinstance(passes, int) else None) if best else None


def history_table(history: Sequence[Mapping[str, Any]]) -> Table:
    """Return the steps of a fit."""
    shown = history[-MOST_STEPS:]
    heads = ("Step", "Passes so far", "What", "Mean log-likelihood", "Gain", "Seconds", "Rows read")
    first = len(history) - len(shown)
    rows = tuple(
        (
            number(first + index + 1),
            number(step["pass"]),
            Cell(PHASES.get(step["phase"], legible(step["phase"]))),
            number(step["lower_bound"], 7),
            number(step["change"], 3),
            number(float(step["seconds"]), 3),
            number(step["rows"]),
        )
        for index, step in enumerate(shown)
    )
    note = f"The first {first:,} steps are left out." if first else ""
    return Table("Steps of the fit", tuple(Head(name, name != "What") for name in heads), rows, note=note)


def selection_table(kept: SelectionKept) -> Table:
    """Return the candidates of a search, the best one marked."""
    last = "Remark"
    heads = ("Components", "Covariance type", "Parameters", "Mean log-likelihood", CRITERIA[kept.criterion], "Passes")
    rows = []
    for index, row in enumerate(kept.table[:MOST_STEPS]):
        remark = "the best" if index == kept.best_row else legible(row.get("problem") or "")
        if not remark and row["converged"] is False:
            remark = "did not converge"
        rows.append(
            (
                number(row["n_components"]),
                Cell(legible(row["covariance_type"])),
                number(row["n_parameters"]),
                number(row["log_likelihood"], 7),
                number(row["criterion"], 8),
                number(row["n_passes"]),
                Cell(remark),
            )
        )
    left_out = len(kept.table) - len(rows)
    return Table(
        caption="Mixtures that were tried",
        heads=(*(Head(name, name != "Covariance type") for name in heads), Head(last, False)),
        rows=tuple(rows),
        note=f"{left_out:,} more are left out." if left_out else "",
        marked=kept.best_row if kept.best_row < len(rows) else None,
    )


def drift_table(drift: Drift) -> Table:
    """Return the components' shares of the rows then and now."""
    heaviest = np.argsort(-drift.shares_before, kind="stable")
    rows = tuple(
        (
            Cell(str(k), float(k), is_number=True),
            number(drift.shares_before[k].item()),
            number(drift.shares_now[k].item()),
            number((drift.shares_now[k] - drift.shares_before[k]).item(), 3),
        )
        for k in heaviest[:MOST_COMPONENTS]
    )
    left_out = len(heaviest) - len(rows)
    return Table(
        caption="Shares of the rows whose most probable component is each",
        heads=(Head("Component"), Head("Share then"), Head("Share now"), Head("Difference")),
        rows=rows,
        note=f"{left_out:,} lighter components are left out." if left_out else "",
    )


def _is_step(step: object) -> bool:
    """Whether a step has what `history_dict` writes."""
    if not isinstance(step, dict) or not isinstance(step.get("phase"), str):
        return False
    return all(_is_number(step.get(name)) for name in NUMBERS) and all(
        name in step and (step[name] is None or _is_number(step[name])) for name in OPTIONAL_NUMBERS
    )


def _is_candidate(row: object) -> bool:
    """Whether a row has what `select_components` writes."""
    if not isinstance(row, dict) or not isinstance(row.get("covariance_type"), str):
        return False
    numbers = ("n_parameters", "log_likelihood", "criterion", "n_passes")
    return (
        type(row.get("n_components")) is int
        and isinstance(row.get("problem", ""), str)
        and isinstance(row.get("converged"), bool)
        and all(name in row and (row[name] is None or isinstance(row[name], int | float)) for name in numbers)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
