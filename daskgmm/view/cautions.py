"""What a reader of a mixture should know before relying on it, in plain words.

Numbers behind each sentence are constants here, with their reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.drift import Drift
from daskgmm.fitted import parameters_of
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.view.mixture_tables import MixtureShown
from daskgmm.view.page_parts import named
from daskgmm.view.run_tables import SelectionKept

__all__ = ["cautions"]

# A parameter that is estimated from fewer rows is mostly noise: the usual rule of thumb.
ROWS_A_PARAMETER = 10
# reg_covar is part of each variance: where it is half of it or more, it decides rather than the rows.
REG_COVAR_SHARE = 0.5
# Bhattacharyya coefficient, 1 for equal densities. Above this no row tells two components apart.
NEARLY_THE_SAME = 0.9
# Of pairs of components: among more the comparison takes long, and lighter ones matter less.
MOST_COMPARED = 100
# Population stability index (Siddiqi 2006).
SOME_DRIFT, MUCH_DRIFT = 0.1, 0.25
# Of components and features that a sentence names.
MOST_NAMED = 5


def cautions(
    mixture: Any, shown: MixtureShown, *, selection: SelectionKept | None = None, drift: Drift | None = None
) -> tuple[str, ...]:
    """Return what speaks against relying on a fitted mixture, one sentence or two each; nothing where nothing does.

    Parameters
    ----------
    mixture : GaussianMixture
        A fitted one.
    shown : MixtureShown
        The same, as tables see it.
    selection : SelectionKept or None
        The search that it won.
    drift : Drift or None
        How far other rows lie from those of its fit.
    """
    found = [*_of_convergence(mixture), *_of_rows(mixture, shown), *_of_floor(mixture, shown), *_of_twins(shown)]
    if selection is not None:
        found += _of_search(selection)
    if drift is not None:
        found += _of_drift(drift)
    return tuple(found)


def _of_convergence(mixture: Any) -> Iterator[str]:
    if mixture.n_iter_ == 0:
        yield "The mixture is where EM would have begun: no iteration over the data was made."
    elif not mixture.converged_:
        yield (
            f"The fit did not converge: iteration {mixture.n_iter_} still changed the mean log-likelihood by more than "
            f"tol = {mixture.tol:g}. Fit again with a larger max_iter, or a larger tol if this is near enough."
        )


def _of_rows(mixture: Any, shown: MixtureShown) -> Iterator[str]:
    n_rows = mixture.n_samples_seen_
    if n_rows == 0:
        return
    n_free = parameters_of(mixture).n_free
    if n_rows < ROWS_A_PARAMETER * n_free:
        yield (
            f"There are few rows: {n_rows:,} for {n_free:,} parameters, fewer than {ROWS_A_PARAMETER} each. Expect "
            "another mixture from other rows; fewer components or a simpler covariance type ask for less."
        )
    # Below as many rows as features a covariance is not determined at all.
    fewest = max(ROWS_A_PARAMETER, len(shown.features) + 1)
    light = [(k, shown.weights[k] * n_rows) for k in shown.order if shown.weights[k] * n_rows < fewest]
    if light:
        rows = ", ".join(f"{k} (about {count:.0f} rows)" for k, count in light[:MOST_NAMED])
        yield (
            f"{_components(len(light))} with very few rows, fewer than {fewest}: {rows}{_more(light)}. These may stand "
            "for outliers or repeated rows; try fewer components."
        )


def _of_floor(mixture: Any, shown: MixtureShown) -> Iterator[str]:
    """Warn of features and directions in which reg_covar decides how wide a component is."""
    least = mixture.reg_covar / REG_COVAR_SHARE
    if not least > 0:
        return
    is_narrow = shown.deviations**2 <= least
    constant = np.flatnonzero(is_narrow.all(axis=0))
    if len(constant):
        names = ", ".join(named(shown.features[j]) for j in constant[:MOST_NAMED])
        yield (
            f"{'A feature hardly varies' if len(constant) == 1 else 'Some features hardly vary'} in any component, as "
            f"a constant does: {names}{_more(constant)}. There reg_covar = {mixture.reg_covar:g} decides, not the "
            "rows, and likelihoods say little. Leave such features out."
        )
        # Each of them makes a direction narrow in every component: there is nothing to add.
        return
    eigenvalues = covariance_structure(shown.covariance_type).eigenvalues(shown.covariances)
    is_thin = np.broadcast_to((eigenvalues <= least).any(axis=1), shown.weights.shape)
    thin = [k for k in shown.order if is_thin[k]]
    if thin:
        yield (
            f"{_components(len(thin))} hardly wider than reg_covar = {mixture.reg_covar:g} in some direction: "
            f"{', '.join(map(str, thin[:MOST_NAMED]))}{_more(thin)}. Repeated rows, and features that follow from "
            "others, give such; the likelihood then says how small reg_covar is. Raise it, or leave them out."
        )


def _of_twins(shown: MixtureShown) -> Iterator[str]:
    """Warn of components that nearly are one."""
    pairs = _twins(shown, shown.order[:MOST_COMPARED])
    if pairs:
        names = ", ".join(f"{one} and {other}" for one, other in pairs[:MOST_NAMED])
        yield (
            f"Nearly the same components: {names}{_more(pairs)}. No row tells them apart: fewer components may do, or "
            "the rows are not as round as a Gaussian."
        )


def _of_search(kept: SelectionKept) -> Iterator[str]:
    best = kept.table[kept.best_row]
    tried = [row["n_components"] for row in kept.table if row["covariance_type"] == best["covariance_type"]]
    if len(tried) > 1 and best["n_components"] == max(tried):
        yield (
            f"The best mixture has the largest number of components that was tried, {max(tried)}: more may be better "
            "still. Try larger numbers."
        )
    problems = sum(bool(row.get("problem")) and row["criterion"] != row["criterion"] for row in kept.table)
    if problems:
        yield f"{problems} of the {len(kept.table)} mixtures tried could not be fitted: see their table."


def _of_drift(drift: Drift) -> Iterator[str]:
    by_chance = f"about {drift.expected_psi:.2g} would be chance"
    if drift.psi > MUCH_DRIFT:
        yield (
            f"These rows differ from those of the fit: the population stability index is {drift.psi:.3g}, above "
            f"{MUCH_DRIFT:g} ({by_chance}). Look into them; if they are what is to "
            "come, update the mixture or fit a new one."
        )
    elif drift.psi > SOME_DRIFT:
        yield (
            f"These rows differ somewhat from those of the fit: the population stability index is {drift.psi:.3g}, "
            f"above {SOME_DRIFT:g} ({by_chance}). Watch whether it grows."
        )


def _twins(shown: MixtureShown, components: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return pairs of components that nearly are the same, the heaviest first.

    No feature alone tells more of two components than all together: pairs that one does tell apart need no matrices.
    """
    numbers = [int(k) for k in components]
    found: list[tuple[int, int]] = []
    for index, one in enumerate(numbers):
        others = np.array(numbers[index + 1 :], dtype=np.intp)
        variances = (shown.deviations[one] ** 2 + shown.deviations[others] ** 2) / 2
        gaps = (shown.means[one] - shown.means[others]) ** 2
        by_feature = gaps / variances / 8 + np.log(variances / shown.deviations[one] / shown.deviations[others]) / 2
        near = others[(by_feature <= -np.log(NEARLY_THE_SAME)).all(axis=1)].tolist()
        found += [(one, other) for other in near if _overlap(shown, one, other) > NEARLY_THE_SAME]
    return found


def _overlap(shown: MixtureShown, one: int, other: int) -> float:
    """Return the Bhattacharyya coefficient of two components, in [0, 1]."""
    first, second = shown.covariance(one), shown.covariance(other)
    middle = (first + second) / 2
    gap = shown.means[one] - shown.means[other]
    halves = np.linalg.slogdet(first)[1] + np.linalg.slogdet(second)[1]
    distance = gap @ np.linalg.solve(middle, gap) / 8 + (np.linalg.slogdet(middle)[1] - halves / 2) / 2
    return float(np.exp(-distance))


def _components(count: int) -> str:
    return "A component" if count == 1 else f"{count:,} components"


def _more(found: Sequence[object] | NDArray[np.intp]) -> str:
    return f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
