"""Quadratic features of one tile of rows. Importing this module needs Numba.

A panel holds the quadratic features of each row and then the row itself, relative to the centre.
"""

from __future__ import annotations

from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.vectors import Value, Vectors, emitted

__all__ = ["make_products", "make_squares", "make_sum_of_squares"]


@emitted
def make_products(vectors: Vectors, panel: Value, n_vectors: Value, n_features: Value, n_quadratic: Value) -> None:
    """Fill in x_i x_j for i <= j, row by row of that triangle; n_vectors is a multiple of BLOCK."""
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        starts = _starts(vectors, group.index, n_features, n_quadratic)
        values = vectors.scaled(n_quadratic, vectors.lanes)
        place = vectors.variable(vectors.index(0))
        with vectors.loop(n_features) as first:
            source = vectors.plus(values, vectors.scaled(first.index, vectors.lanes))
            left = [vectors.load(panel, start, source) for start in starts]
            with vectors.loop(vectors.minus(n_features, first.index)) as second:
                offset, target = vectors.scaled(second.index, vectors.lanes), vectors.value(place)
                for start, value in zip(starts, left, strict=True):
                    product = vectors.multiply(value, vectors.load(panel, start, source, offset))
                    vectors.store(product, panel, start, target)
                vectors.set(place, vectors.plus(target, vectors.lanes))


@emitted
def make_squares(vectors: Vectors, panel: Value, n_vectors: Value, n_features: Value) -> None:
    """Fill in the square of each feature; n_vectors is a multiple of BLOCK."""
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        starts = _starts(vectors, group.index, n_features, n_features)
        with vectors.loop(n_features) as feature:
            place = vectors.scaled(feature.index, vectors.lanes)
            for start in starts:
                value = vectors.load(panel, start, vectors.scaled(n_features, vectors.lanes), place)
                vectors.store(vectors.multiply(value, value), panel, start, place)


@emitted
def make_sum_of_squares(vectors: Vectors, panel: Value, n_vectors: Value, n_features: Value) -> None:
    """Fill in the sum of the squares of all features; n_vectors is a multiple of BLOCK."""
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        starts = _starts(vectors, group.index, n_features, vectors.index(1))
        totals = [vectors.variable(vectors.constant(0.0)) for _ in starts]
        with vectors.loop(n_features) as feature:
            for start, total in zip(starts, totals, strict=True):
                value = vectors.load(panel, start, vectors.scaled(vectors.plus(feature.index, 1), vectors.lanes))
                vectors.add_product(total, value, value)
        for start, total in zip(starts, totals, strict=True):
            vectors.store(vectors.value(total), panel, start)


def _starts(vectors: Vectors, group: Value, n_features: Value, n_quadratic: Value) -> list[Value]:
    """Return where the panel holds each vector of a group of BLOCK."""
    width = vectors.scaled(vectors.plus(n_quadratic, n_features), vectors.lanes)
    first = vectors.scaled(group, BLOCK)
    return [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
