"""Rows sorted by their owner, the component that each most likely belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.pruned.nearest import ComponentSearch
from daskgmm.kernels.pruned.whitened import SLACK, WhitenedMixture
from daskgmm.mixture.covariance import Floats

__all__ = ["OwnedRows", "Ownership", "find_owners", "float64_rows", "owned_rows"]

# Rows searched for at once; their features, up to 64, take 17 MiB.
SEARCH_ROWS = 2**15
# Numbers of the rows that are sorted at once, 8 MiB.
SORTED_ELEMENTS = 2**20
# Nearly all rows of a component lie within sqrt(n_features) + 2.5 of its mean: of a normal density all but 4 in 10,000,
# because their distance has a standard deviation of 0.7 and less. Farther ones are strays.
TAIL = 2.5

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Ownership:
    """A component for each row, and how far from it the row is."""

    owners: Indices
    """Shape (n_rows,)."""
    distances: Floats
    """Mahalanobis distances, shape (n_rows,); not finite where a row is not or is too far to square."""
    radii: Floats
    """Distances in whitened space, shape (n_rows,)."""
    reach: float
    """Rows farther from their owner than this are strays."""

    @property
    def is_owned(self) -> NDArray[np.bool_]:
        """Whether each row is near enough to its owner for bounds to leave something out."""
        owned: NDArray[np.bool_] = self.distances <= self.reach
        return owned


@dataclass(frozen=True, slots=True, eq=False)
class OwnedRows:
    """Some rows, sorted by owner."""

    places: Indices
    """Which rows of the block they are, shape (n_rows,)."""
    rows: Floats
    """Shape (n_rows, n_features)."""
    offsets: Floats
    """Whitened rows less the whitened mean of their owner, shape (n_rows, n_features)."""
    distances: Floats
    """Not less than the Mahalanobis distances from the owner, shape (n_rows,)."""
    radii: Floats
    """Not less than the lengths of the offsets, shape (n_rows,)."""
    owners: Indices
    """Shape (n_owners,)."""
    edges: Indices
    """Rows edges[i] to edges[i + 1] are those of owners[i], shape (n_owners + 1,)."""


def find_owners(rows: NDArray[Any], search: ComponentSearch) -> Ownership:
    """Return a component that each row (n_rows, n_features) is near to, if there is one."""
    mixture, reach = search.mixture, math.sqrt(rows.shape[1]) + TAIL
    owners = np.empty(len(rows), dtype=np.intp)
    for start in range(0, len(rows), SEARCH_ROWS):
        span = slice(start, start + SEARCH_ROWS)
        owners[span] = search.nearest(float64_rows(rows[span]))
    distances, radii = _distances(rows, np.arange(len(rows)), owners, mixture)
    far = np.flatnonzero(~(distances <= reach))
    again = np.empty(len(far), dtype=np.intp)
    step = max(1, SORTED_ELEMENTS // len(mixture.means))
    for start in range(0, len(far), step):
        span = slice(start, start + step)
        again[span] = search.nearest_of_all(float64_rows(rows[far[span]]))
    far, again = far[again != owners[far]], again[again != owners[far]]
    other_distances, other_radii = _distances(rows, far, again, mixture)
    nearer = other_distances < distances[far]
    far = far[nearer]
    owners[far], distances[far], radii[far] = again[nearer], other_distances[nearer], other_radii[nearer]
    return Ownership(owners, distances, radii, reach)


def owned_rows(rows: NDArray[Any], ownership: Ownership, mixture: WhitenedMixture) -> Iterator[OwnedRows]:
    """Yield all rows but strays, those of an owner together."""
    means = mixture.parameters.means
    places = np.flatnonzero(ownership.is_owned)
    for chosen, owners, edges in _by_owner(places, ownership.owners[places], rows.shape[1]):
        own = float64_rows(rows[chosen])
        offsets = (own - np.repeat(means[owners], np.diff(edges), axis=0)) @ mixture.whitening.matrix
        distances, radii = ownership.distances[chosen] * (1 + SLACK), ownership.radii[chosen] * (1 + SLACK)
        yield OwnedRows(chosen, own, offsets, distances, radii, owners, edges)


def float64_rows(rows: NDArray[Any]) -> Floats:
    """Return rows as float64 in order of memory, so that their layout changes no bit of what is made of them."""
    return np.require(rows, dtype=np.float64, requirements=["C", "A"])


def _distances(rows: NDArray[Any], places: Indices, owners: Indices, mixture: WhitenedMixture) -> tuple[Floats, Floats]:
    """Return Mahalanobis and whitened distances of the rows at some places from the components given."""
    parameters = mixture.parameters
    factors = parameters.precisions_cholesky
    if len(mixture.precisions) < len(mixture.means):
        factors = np.broadcast_to(factors, (len(mixture.means), *factors.shape))
    distances, radii = np.empty(len(places)), np.empty(len(places))
    for chosen, present, edges in _by_owner(np.arange(len(places)), owners, rows.shape[1]):
        deviations = float64_rows(rows[places[chosen]])
        deviations -= np.repeat(parameters.means[present], np.diff(edges), axis=0)
        offsets = deviations @ mixture.whitening.matrix
        radii[chosen] = np.sqrt(np.einsum("nd,nd->n", offsets, offsets))
        for owner, start, stop in zip(present, edges[:-1], edges[1:], strict=True):
            factor, own = factors[owner], deviations[start:stop]
            offsets[start:stop] = own @ factor if factor.ndim == 2 else own * factor
        distances[chosen] = np.sqrt(np.einsum("nd,nd->n", offsets, offsets))
    return distances, radii


def _by_owner(places: Indices, owners: Indices, n_features: int) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield places sorted by owner, a bounded number at a time, with the owners present and where each begins."""
    # numpy sorts numbers of 16 bits in linear time.
    order = np.argsort(owners.astype(np.uint16) if owners.max(initial=0) < 2**16 else owners, kind="stable")
    step = max(1, SORTED_ELEMENTS // n_features)
    for start in range(0, len(places), step):
        chosen = order[start : start + step]
        sorted_owners = owners[chosen]
        edges = np.flatnonzero(np.diff(sorted_owners, prepend=-1, append=-1))
        yield places[chosen], sorted_owners[edges[:-1]], edges
