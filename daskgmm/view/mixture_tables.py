"""A mixture as tables: weights, means, standard deviations and correlations, the heaviest component first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.view.drawn_mixture import feature_names
from daskgmm.view.page_parts import Cell, Fold, Head, HeadGroup, Table, legible, number, shortened

__all__ = ["MixtureShown", "correlation_folds", "correlation_table", "mixture_shown", "mixture_tables"]

MOST_COMPONENTS = 100
# Of one table: so many means and standard deviations stand side by side on a sheet of paper.
FEATURES_ABREAST = 5
# Ten tables; more features than this nobody compares by eye, and the page stays below a megabyte or two.
MOST_FEATURES = 50
PAIRS_OF_COMPONENT = 3
# Of the components whose whole matrices are shown, and of their features: what a sheet of paper holds.
MOST_MATRICES, MOST_IN_MATRIX = 10, 16
WHOLE = "daskgmm export writes all of them to a file"


@dataclass(frozen=True, slots=True, eq=False)
class MixtureShown:
    """A mixture with all that tables of it need, the heaviest component first."""

    covariance_type: str
    order: NDArray[np.intp]
    """Numbers of the components, the heaviest first, shape (n_components,)."""
    weights: Floats
    """In the mixture's own order, as all that follows; shape (n_components,)."""
    means: Floats
    deviations: Floats
    """Standard deviations, shape (n_components, n_features)."""
    covariances: Floats
    features: tuple[str, ...]

    @property
    def shown(self) -> NDArray[np.intp]:
        """Numbers of the components that tables show."""
        return self.order[:MOST_COMPONENTS]

    @property
    def has_matrices(self) -> bool:
        """Whether features may be correlated at all."""
        return covariance_structure(self.covariance_type).has_matrices and len(self.features) > 1

    def covariance(self, component: int) -> Floats:
        """Return the covariance matrix of a component, shape (n_features, n_features)."""
        if not covariance_structure(self.covariance_type).has_matrices:
            matrix: Floats = np.diag(self.deviations[component] ** 2)
            return matrix
        found: Floats = self.covariances if self.covariances.ndim == 2 else self.covariances[component]
        return found

    def correlations(self, component: int) -> Floats:
        """Return the correlation matrix of a component, shape (n_features, n_features)."""
        deviations = self.deviations[component]
        matrix: Floats = self.covariance(component) / np.outer(deviations, deviations)
        return np.clip(matrix, -1.0, 1.0)


def mixture_shown(mixture: Any) -> MixtureShown:
    """Return a fitted mixture as tables see it."""
    n_components, n_features = mixture.means_.shape
    variances = covariance_structure(mixture.covariance_type).variances(mixture.covariances_)
    return MixtureShown(
        covariance_type=mixture.covariance_type,
        order=np.argsort(-mixture.weights_, kind="stable"),
        weights=mixture.weights_,
        means=mixture.means_,
        deviations=np.sqrt(np.broadcast_to(variances, (n_components, n_features))),
        covariances=mixture.covariances_,
        features=tuple(map(legible, feature_names(mixture, n_features))),
    )


def mixture_tables(mixture: MixtureShown) -> tuple[Table, ...]:
    """Return weights, means and standard deviations, a few features to a table."""
    n_features = min(len(mixture.features), MOST_FEATURES)
    starts = range(0, n_features, FEATURES_ABREAST)
    return tuple(
        _table_of(mixture, range(start, min(start + FEATURES_ABREAST, n_features)), is_last=start == starts[-1])
        for start in starts
    )


def correlation_table(mixture: MixtureShown) -> Table | None:
    """Return the most correlated pairs of features of each component; None where features cannot be correlated."""
    if not mixture.has_matrices:
        return None
    is_tied = mixture.covariances.ndim == 2
    components = mixture.shown[:1] if is_tied else mixture.shown
    rows = [row for k in components for row in _strongest(mixture, int(k), "all" if is_tied else str(k))]
    heads = (Head("Component", is_number=not is_tied), Head("Feature", False), Head("And", False), Head("Correlation"))
    left_out = 0 if is_tied else len(mixture.order) - len(components)
    note = f"{left_out:,} lighter components are left out." if left_out else ""
    return Table("The most correlated features of each component", heads, tuple(rows), note=note)


def correlation_folds(mixture: MixtureShown) -> tuple[Fold, ...]:
    """Return whole correlation matrices of the heaviest components, where they are small enough to be read."""
    if not mixture.has_matrices or len(mixture.features) > MOST_IN_MATRIX:
        return ()
    is_tied = mixture.covariances.ndim == 2
    components = mixture.order[: 1 if is_tied else MOST_MATRICES]
    return tuple(_fold(mixture, int(k), "all components" if is_tied else f"component {k}") for k in components)


def _table_of(mixture: MixtureShown, features: range, *, is_last: bool) -> Table:
    """Return the table of a few features."""
    names = [mixture.features[j] for j in features]
    rows = []
    for k in mixture.shown:
        pairs = [cell for j in features for cell in (number(mixture.means[k, j].item()), _deviation(mixture, k, j))]
        rows.append((Cell(str(k), float(k), is_number=True), number(mixture.weights[k].item()), *pairs))
    which = "" if len(names) == len(mixture.features) else f", features {features[0] + 1} to {features[-1] + 1}"
    return Table(
        caption=f"Weights, means and standard deviations{which}",
        heads=(Head("Component"), Head("Weight"), *(Head("Mean"), Head("Std. dev.")) * len(names)),
        groups=(HeadGroup("", 1), HeadGroup("", 1), *(HeadGroup(shortened(name), 2) for name in names)),
        rows=tuple(rows),
        note=_left_out(mixture) if is_last else "",
    )


def _deviation(mixture: MixtureShown, component: Any, feature: int) -> Cell:
    return number(mixture.deviations[component, feature].item())


def _left_out(mixture: MixtureShown) -> str:
    """Return a sentence on what tables of means do not show; empty if they show all."""
    components, features = len(mixture.order) - len(mixture.shown), len(mixture.features) - MOST_FEATURES
    parts = [f"{components:,} lighter components"] if components > 0 else []
    parts += [f"{features:,} more features"] if features > 0 else []
    return f"{' and '.join(parts)} are left out: {WHOLE}." if parts else ""


def _strongest(mixture: MixtureShown, component: int, label: str) -> list[tuple[Cell, ...]]:
    """Return rows of the most correlated pairs of one component."""
    matrix = mixture.correlations(component)
    first, second = np.triu_indices(len(matrix), k=1)
    values = matrix[first, second]
    strongest = np.argsort(-np.abs(values), kind="stable")[:PAIRS_OF_COMPONENT]
    names = [shortened(one) for one in mixture.features]
    name = Cell(label, None if label == "all" else float(component), is_number=label != "all")
    return [(name, Cell(names[first[i]]), Cell(names[second[i]]), number(values[i].item(), 3)) for i in strongest]


def _fold(mixture: MixtureShown, component: int, label: str) -> Fold:
    matrix = mixture.correlations(component)
    rows = tuple(
        (Cell(shortened(name)), *(Cell(f"{value:.2f}", float(value), is_number=True) for value in line))
        for name, line in zip(mixture.features, matrix, strict=True)
    )
    heads = (Head("Feature", False), *(Head(shortened(name)) for name in mixture.features))
    return Fold(f"Correlation matrix of {label}", Table(f"Correlations of {label}", heads, rows))
