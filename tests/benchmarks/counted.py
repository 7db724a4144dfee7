"""What was counted, which bars it holds, and both as text and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.fits import Path
from tests.benchmarks.mixtures import Case
from tests.benchmarks.optima import Optimum

__all__ = ["GAPS", "Counted", "bars", "bars_text", "counted_text", "markdown"]

GAPS = (1e-4, 1e-5, 1e-6)


@dataclass(frozen=True, slots=True)
class Counted:
    """The fits of one case."""

    case: Case
    optimum: Optimum
    followed: Path
    """This package's fit with a tol so small that it goes on beyond 1e-6."""
    stopped: Path
    """The same with tol=1e-5."""
    behind: float
    """By how much plain EM from the same start is ever ahead at equal passes; negative when it never is."""
    sklearn: Mapping[int, Path]
    """scikit-learn's fits with its default tol, by n_init."""

    @property
    def best(self) -> float:
        """The best bound known."""
        return max(self.optimum.bound, self.followed.bounds[-1])

    @property
    def passes(self) -> tuple[float, ...]:
        """Passes until within `GAPS` of the best bound known."""
        return tuple(self.followed.passes_to(self.best - gap) for gap in GAPS)

    @property
    def passes_to_own_end(self) -> float:
        """Passes until within 1e-5 of where this fit ends, which is another optimum where the start was poor."""
        return self.followed.passes_to(self.followed.bounds[-1] - 1e-5)

    @property
    def stop_gap(self) -> float:
        """What a fit that has stopped with tol=1e-5 could still have gained where it was going."""
        return self.followed.bounds[-1] - self.stopped.bounds[-1]

    def lead(self, n_init: int) -> float:
        """Return by how much the fit ends above the better of scikit-learn's, by its default tol."""
        return self.stopped.bounds[-1] - self.sklearn[n_init].bounds[-1]

    @property
    def tight_lead(self) -> float:
        """By how much the fit ends above scikit-learn's best of several with tol=1e-7."""
        return self.stopped.bounds[-1] - self.optimum.tight[max(self.optimum.tight, key=int)]


@dataclass(frozen=True, slots=True)
class Bar:
    """Something asked of all cases together."""

    name: str
    measured: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether what was measured is within what was asked."""
        return self.measured <= self.most


def bars(counted: Sequence[Counted]) -> list[Bar]:
    """Return the bars and what was measured."""
    n_init = max(counted[0].sklearn)
    behind_sklearn = max(-min(one.lead(n_init), one.tight_lead) for one in counted)
    not_better = sum(one.lead(n_init) <= 1e-3 for one in counted) / len(counted)
    return [
        Bar("median passes to 1e-5", median(one.passes[1] for one in counted), 6),
        Bar("median passes to 1e-6", median(one.passes[2] for one in counted), 8),
        Bar("most passes to 1e-5 of the best bound known", max(one.passes[1] for one in counted), 26),
        Bar("most passes to 1e-5 of where the fit ends", max(one.passes_to_own_end for one in counted), 26),
        Bar("largest gap at the stop, tol=1e-5", max(one.stop_gap for one in counted), 3e-5),
        Bar("furthest behind plain EM at equal passes", max(one.behind for one in counted), 1e-4),
        Bar(f"furthest behind scikit-learn with n_init={n_init}, either tol", behind_sklearn, 1e-4),
        Bar("share of cases not 1e-3 above it with its default tol", not_better, 0.75),
    ]


def bars_text(counted: Sequence[Counted]) -> str:
    """Return a line for each bar."""
    return "\n".join(
        f"{bar.name:64}{bar.measured:9.3g}, at most {bar.most:g}: {'holds' if bar.holds else 'missed'}"
        for bar in bars(counted)
    )


def counted_text(one: Counted) -> str:
    """Return a few lines that tell what was counted."""
    case, n_features = one.case, one.stopped.parameters.n_features
    lines = [
        f"{case.name}: {case.covariance_type}, {case.n_rows:,} rows, {n_features} features, "
        f"{case.n_components} components; passes to 1e-4, 1e-5, 1e-6 of {one.best:.6f}; gap at the end; CPU seconds",
        f"    {'daskgmm, tol=1e-5':32}{_passes(one.passes)}{one.best - one.stopped.bounds[-1]:10.1e}"
        f"{one.stopped.seconds:8.1f}   stops after {len(one.stopped.bounds)} passes, {one.stop_gap:.1e} short",
    ]
    for n_init, path in one.sklearn.items():
        passes = tuple(path.passes_to(one.best - gap) for gap in GAPS)
        name = f"scikit-learn, n_init={n_init}"
        lines.append(f"    {name:32}{_passes(passes)}{one.best - path.bounds[-1]:10.1e}{path.seconds:8.1f}")
        tight = one.optimum.tight_passes[str(n_init)]
        counts = tuple(math.inf if count is None else count for count in tight)
        name += ", tol=1e-7"
        lines.append(f"    {name:32}{_passes(counts)}{one.best - one.optimum.tight[str(n_init)]:10.1e}")
    if one.best > one.optimum.bound + GAPS[-1]:
        lines.append(f"    the stored optimum is lower, by {one.best - one.optimum.bound:.1e}: find the optima anew")
    return "\n".join(lines)


def markdown(counted: Sequence[Counted]) -> str:
    """Return the counts as a Markdown table."""
    head = ["data", "covariances", "features", "components", "to 1e-4", "to 1e-5", "to 1e-6", "gap at the stop"]
    head += ["scikit-learn to 1e-5", "gap at its stop"]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)]]
    for one in counted:
        n_init = min(one.sklearn)
        tight = one.optimum.tight_passes[str(n_init)][1]
        lines.append(
            [
                one.case.name,
                one.case.covariance_type,
                str(one.stopped.parameters.n_features),
                str(one.case.n_components),
                *(_count(count) for count in one.passes),
                f"{one.best - one.stopped.bounds[-1]:.1e}",
                "never" if tight is None else _count(tight),
                f"{one.best - one.sklearn[n_init].bounds[-1]:.1e}",
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _passes(passes: Sequence[float]) -> str:
    return "".join(f"{_count(count):>6}" for count in passes)


def _count(count: float) -> str:
    return f"{count:.0f}" if math.isfinite(count) else "never"
