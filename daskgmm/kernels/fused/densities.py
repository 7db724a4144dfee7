"""Log densities of one tile of rows, in vectors that stay in registers.

Rows run along the lanes of a vector. A panel of n values a row is laid out as [vector of rows][value][lane]: every load
is of one whole vector, and a row's values lie side by side. Logarithms are to base 2, halved by those who want roots of
responsibilities: constants and factors are scaled so that a log density is the constant minus the squared length of
P^T (x - mean). Importing this module needs Numba.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.vectors import Value, Vectors, emitted

__all__ = ["densities_of_few", "densities_of_many", "diagonal_densities", "sizes"]


def sizes(vectors: Vectors, value: Value, candidates: Sequence[int]) -> Iterator[int]:
    """Yield each candidate as a number known when code is built, in the branch that runs where `value` equals it."""
    for candidate in candidates:
        with vectors.when_equal(value, candidate):
            yield candidate


def _add_whitened_square(
    vectors: Vectors,
    square: Value,
    whitened: Sequence[Value],
    deviations: Sequence[Value],
    factor: Mapping[tuple[int, int], Value],
) -> Value:
    """Return square + sum_j (whitened_j + sum_{i <= j} factor_ij deviation_i)^2."""
    for j, value in enumerate(whitened):
        for i in range(j + 1):
            value = vectors.fused(factor[i, j], deviations[i], value)
        square = vectors.fused(value, value, square)
    return square


def _store_log(vectors: Vectors, square: Value, constant: Value, out: Value, place: Value) -> None:
    """Store constant - square, not below the lowest logarithm."""
    log = vectors.subtract(vectors.splat(constant), square)
    lowest = vectors.constant(vectors.format.lowest_log)
    vectors.store(vectors.larger(log, lowest), out, vectors.scaled(place, vectors.lanes))


@emitted
def densities_of_few(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    factor: Value,
    constant: Value,
    component: Value,
    n_components: Value,
    out: Value,
) -> None:
    """Log densities of one component where it has up to BLOCK features; factor is (n_features, n_features)."""
    for size in sizes(vectors, n_features, range(1, BLOCK + 1)):
        centre = [vectors.broadcast(mean, i) for i in range(size)]
        factors = {(i, j): vectors.broadcast(factor, i * size + j) for j in range(size) for i in range(j + 1)}
        zero = vectors.constant(0.0)
        with vectors.loop(n_vectors) as vector:
            start = vectors.scaled(vector.index, size * vectors.lanes)
            deviations = [vectors.subtract(vectors.load(x, start, i * vectors.lanes), centre[i]) for i in range(size)]
            square = _add_whitened_square(vectors, zero, [zero] * size, deviations, factors)
            place = vectors.plus(vectors.times(vector.index, n_components), component)
            _store_log(vectors, square, constant, out, place)


@emitted
def densities_of_many(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    factor: Value,
    constant: Value,
    component: Value,
    n_components: Value,
    out: Value,
    deviations: Value,
) -> None:
    """Log densities for any number of features; n_vectors is a multiple of BLOCK.

    `factor` is (n_blocks, n_features, BLOCK), the last block filled up: columns worked on together lie side by side.
    `deviations` is memory for BLOCK vectors of each feature.
    """
    n_blocks = vectors.divided(n_features, BLOCK)
    done = vectors.scaled(n_blocks, BLOCK)
    rest = vectors.minus(n_features, done)
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        first = vectors.scaled(group.index, BLOCK)
        _store_deviations(vectors, x, first, mean, n_features, deviations)
        squares = [vectors.variable(vectors.constant(0.0)) for _ in range(BLOCK)]
        with vectors.loop(n_blocks) as block:
            start = vectors.scaled(block.index, BLOCK)
            _add_block(vectors, squares, deviations, factor, n_features, start, BLOCK)
        for size in sizes(vectors, rest, range(1, BLOCK)):
            _add_block(vectors, squares, deviations, factor, n_features, done, size)
        for r, square in enumerate(squares):
            place = vectors.plus(vectors.times(vectors.plus(first, r), n_components), component)
            _store_log(vectors, vectors.value(square), constant, out, place)


def _store_deviations(
    vectors: Vectors, x: Value, first: Value, mean: Value, n_features: Value, deviations: Value
) -> None:
    """Store rows minus mean of BLOCK vectors as [feature][vector][lane]."""
    width = vectors.scaled(n_features, vectors.lanes)
    starts = [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
    with vectors.loop(n_features) as feature:
        centre = vectors.broadcast(mean, feature.index)
        offset = vectors.scaled(feature.index, vectors.lanes)
        for r, start in enumerate(starts):
            deviation = vectors.subtract(vectors.load(x, start, offset), centre)
            vectors.store(deviation, deviations, vectors.scaled(offset, BLOCK), r * vectors.lanes)


def _add_block(
    vectors: Vectors,
    squares: Sequence[Value],
    deviations: Value,
    factor: Value,
    n_features: Value,
    start: Value,
    size: int,
) -> None:
    """Add the squares of the whitened features from `start` on, `size` of them, to BLOCK vectors of rows."""
    corner = vectors.times(start, n_features)
    whitened = [[vectors.variable(vectors.constant(0.0)) for _ in range(size)] for _ in squares]
    with vectors.loop(start) as feature:
        row = [vectors.broadcast(factor, corner, vectors.scaled(feature.index, BLOCK), j) for j in range(size)]
        source = vectors.scaled(feature.index, vectors.lanes * BLOCK)
        for r, sums in enumerate(whitened):
            deviation = vectors.load(deviations, source, r * vectors.lanes)
            for total, coefficient in zip(sums, row, strict=True):
                vectors.add_product(total, coefficient, deviation)
    triangle = {
        (i, j): vectors.broadcast(factor, corner, vectors.scaled(start, BLOCK), i * BLOCK + j)
        for j in range(size)
        for i in range(j + 1)
    }
    source = vectors.scaled(start, vectors.lanes * BLOCK)
    for r, square in enumerate(squares):
        own = [vectors.load(deviations, source, (i * BLOCK + r) * vectors.lanes) for i in range(size)]
        sums = [vectors.value(total) for total in whitened[r]]
        vectors.set(square, _add_whitened_square(vectors, vectors.value(square), sums, own, triangle))


@emitted
def diagonal_densities(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    factor: Value,
    constant: Value,
    component: Value,
    n_components: Value,
    out: Value,
) -> None:
    """Log densities of one component whose precisions' roots are factor (n_features,)."""
    width = vectors.scaled(n_features, vectors.lanes)
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        first = vectors.scaled(group.index, BLOCK)
        starts = [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
        squares = [vectors.variable(vectors.constant(0.0)) for _ in range(BLOCK)]
        with vectors.loop(n_features) as feature:
            centre, scale = vectors.broadcast(mean, feature.index), vectors.broadcast(factor, feature.index)
            offset = vectors.scaled(feature.index, vectors.lanes)
            for start, square in zip(starts, squares, strict=True):
                deviation = vectors.multiply(vectors.subtract(vectors.load(x, start, offset), centre), scale)
                vectors.add_product(square, deviation, deviation)
        for r, square in enumerate(squares):
            place = vectors.plus(vectors.times(vectors.plus(first, r), n_components), component)
            _store_log(vectors, vectors.value(square), constant, out, place)
