"""What notebooks show of fitted mixtures, searches and plans: small tables of HTML beside scikit-learn's diagram.

Colours are the page's own, so that they fit light and dark themes alike. Every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

__all__ = ["NotebookSummary", "fitted_html", "selection_html", "table_html"]

# What fits beside a diagram; `daskgmm report` shows the rest.
MOST_COMPONENTS, MOST_FEATURES = 10, 6
NOTHING = "\u2013"
"""A dash, for what there is not."""
# Of a name; longer ones would push the others out of sight.
MOST_LETTERS = 40

STYLE = """<style>
.daskgmm-summary {margin: 0.5em 0; color: inherit; overflow-x: auto; max-width: 100%;}
.daskgmm-summary table {border-collapse: collapse; margin: 0; color: inherit; font-variant-numeric: tabular-nums;}
.daskgmm-summary caption {caption-side: top; text-align: left; padding: 0.3em 0; color: inherit;}
.daskgmm-summary th, .daskgmm-summary td {padding: 0.15em 0.7em; text-align: right; color: inherit;
  background: transparent; border: 0;}
.daskgmm-summary thead th {border-bottom: 1px solid gray;}
.daskgmm-summary .text {text-align: left;}
.daskgmm-summary .best > * {font-weight: bold; border-top: 1px solid gray; border-bottom: 1px solid gray;}
</style>"""


class NotebookSummary:
    """Shows a summary of the fitted mixture below scikit-learn's diagram of an estimator, once there is a mixture."""

    # The methods of the next class are scikit-learn's, which has no types: mypy sees those of `object`.
    def _repr_html_inner(self) -> str:
        diagram: str = super()._repr_html_inner()  # type: ignore[misc]
        return diagram + _summary(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += _summary(self)
        return bundle


def fitted_html(mixture: Any) -> str:
    """Return a fitted mixture in short: how its fit went, and weights and means of the heaviest components."""
    n_components, n_features = mixture.means_.shape
    heaviest = np.argsort(-mixture.weights_, kind="stable")[:MOST_COMPONENTS]
    names = getattr(mixture, "feature_names_in_", None)
    shown = range(min(n_features, MOST_FEATURES))
    heads = ["component", "weight", *(f"feature {j}" if names is None else _short(names[j]) for j in shown)]
    rows = [[str(k), _text(mixture.weights_[k]), *(_text(mixture.means_[k, j]) for j in shown)] for k in heaviest]
    return table_html(heads, rows, caption=_caption(mixture), note=_left_out(n_components, n_features))


def selection_html(table: Sequence[dict[str, Any]], columns: Sequence[str], *, caption: str, best: int | None) -> str:
    """Return the candidates of a search, the best one marked."""
    rows = [
        ["best" if index == best else "", *(_text(row[name]) for name in columns), _short(row["problem"])]
        for index, row in enumerate(table)
    ]
    is_text = {0, len(columns) + 1} | {i + 1 for i, name in enumerate(columns) if name == "covariance_type"}
    return table_html(["", *columns, ""], rows, caption=caption, marked=best, is_text=is_text)


def table_html(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str,
    note: str = "",
    marked: int | None = None,
    is_text: Iterable[int] = (),
) -> str:
    """Return a table as HTML; each text is escaped here.

    Parameters
    ----------
    heads : sequence of str
        Heads of the columns; none leaves the line out.
    rows : iterable of sequence of str
        The first cell of each names it.
    caption, note : str
        What stands above and below.
    marked : int or None
        Number of the row that stands out.
    is_text : iterable of int
        Columns that are no numbers.
    """
    classes = dict.fromkeys(is_text, ' class="text"')
    head = "".join(f'<th scope="col"{classes.get(i, "")}>{escape(name)}</th>' for i, name in enumerate(heads))
    body = "".join(_row(row, classes, ' class="best"' if index == marked else "") for index, row in enumerate(rows))
    below = f"<p>{escape(note)}</p>" if note else ""
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    table = f"<table><caption>{escape(caption)}</caption>{top}<tbody>{body}</tbody></table>"
    return f'{STYLE}<div class="daskgmm-summary">{table}{below}</div>'


def _row(cells: Sequence[str], classes: Mapping[int, str], mark: str) -> str:
    first, *others = (escape(cell) for cell in cells)
    name = f'<th scope="row"{classes.get(0, "")}>{first}</th>'
    values = "".join(f"<td{classes.get(i, '')}>{one}</td>" for i, one in enumerate(others, 1))
    return f"<tr{mark}>{name}{values}</tr>"


def _summary(mixture: Any) -> str:
    return fitted_html(mixture) if hasattr(mixture, "weights_") else ""


def _caption(mixture: Any) -> str:
    """Return in words how the fit went."""
    n_components, n_features = mixture.means_.shape
    parts = [f"{_count(n_components, f'{mixture.covariance_type} component')} in {_count(n_features, 'feature')}"]
    if getattr(mixture, "n_samples_seen_", 0):
        passes = _count(mixture.n_passes_, "pass", "passes")
        parts.append(f"{_count(mixture.n_samples_seen_, 'row')} in {passes}")
    parts.append("converged" if mixture.converged_ else "not converged")
    if math.isfinite(mixture.lower_bound_):
        parts.append(f"mean log-likelihood {mixture.lower_bound_:.6g}")
    return "; ".join(parts)


def _left_out(n_components: int, n_features: int) -> str:
    components, features = n_components - MOST_COMPONENTS, n_features - MOST_FEATURES
    parts = [_count(components, "lighter component")] if components > 0 else []
    parts += [_count(features, "more feature")] if features > 0 else []
    return f"and {' and '.join(parts)}" if parts else ""


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _short(text: object) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}…"


def _text(value: object) -> str:
    """Return a value as a cell; what is none or no finite number is a dash."""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else NOTHING
    return NOTHING if value is None else str(value)
