"""Log densities and responsibilities of one tile of rows, in vectors that stay in registers.

Rows run along the lanes of a vector. A panel of n values a row is laid out as [LANES rows][value][lane]: every load is
of one whole vector, and a row's values lie side by side. Densities are kept as *half* their logarithm, whose
exponential is the root of the responsibility: what deviations are scaled with to make second moments plain products.
Importing this module needs Numba.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.vectors import LANES, Value, Vectors, emitted
from daskgmm.mixture.density import LOWEST_LOG_PROB

__all__ = ["densities_of_few", "densities_of_many", "diagonal_densities", "normalize", "sizes"]

# exp(-100) = 4e-44 is as good as zero beside the largest responsibility, and its products are not denormal yet.
SMALLEST_HALF_EXPONENT = -50.0


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


def _store_half_log(vectors: Vectors, square: Value, constant: Value, out: Value, place: Value) -> None:
    """Store half of constant - square / 2, not below half of LOWEST_LOG_PROB."""
    half = vectors.fused(square, vectors.constant(-0.25), vectors.splat(constant))
    vectors.store(vectors.larger(half, vectors.constant(LOWEST_LOG_PROB / 2)), out, vectors.scaled(place, LANES))


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
    """Half log densities of one component where it has up to BLOCK features; factor is (n_features, n_features)."""
    for size in sizes(vectors, n_features, range(1, BLOCK + 1)):
        centre = [vectors.broadcast(mean, i) for i in range(size)]
        factors = {(i, j): vectors.broadcast(factor, i * size + j) for j in range(size) for i in range(j + 1)}
        zero = vectors.constant(0.0)
        with vectors.loop(n_vectors) as vector:
            start = vectors.scaled(vector.index, size * LANES)
            deviations = [vectors.subtract(vectors.load(x, start, i * LANES), centre[i]) for i in range(size)]
            square = _add_whitened_square(vectors, zero, [zero] * size, deviations, factors)
            place = vectors.plus(vectors.times(vector.index, n_components), component)
            _store_half_log(vectors, square, constant, out, place)


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
    """Half log densities for any number of features; n_vectors is a multiple of BLOCK.

    `deviations` is memory for BLOCK * LANES * n_features numbers.
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
            _store_half_log(vectors, vectors.value(square), constant, out, place)


def _store_deviations(
    vectors: Vectors, x: Value, first: Value, mean: Value, n_features: Value, deviations: Value
) -> None:
    """Store rows minus mean of BLOCK vectors as [feature][vector][lane]."""
    width = vectors.scaled(n_features, LANES)
    starts = [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
    with vectors.loop(n_features) as feature:
        centre = vectors.broadcast(mean, feature.index)
        offset = vectors.scaled(feature.index, LANES)
        for r, start in enumerate(starts):
            deviation = vectors.subtract(vectors.load(x, start, offset), centre)
            vectors.store(deviation, deviations, vectors.scaled(offset, BLOCK), r * LANES)


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
    whitened = [[vectors.variable(vectors.constant(0.0)) for _ in range(size)] for _ in squares]
    with vectors.loop(start) as feature:
        corner = vectors.plus(vectors.times(feature.index, n_features), start)
        row = [vectors.broadcast(factor, corner, j) for j in range(size)]
        source = vectors.scaled(feature.index, LANES * BLOCK)
        for r, sums in enumerate(whitened):
            deviation = vectors.load(deviations, source, r * LANES)
            for total, coefficient in zip(sums, row, strict=True):
                vectors.add_product(total, coefficient, deviation)
    triangle = {
        (i, j): vectors.broadcast(factor, vectors.times(vectors.plus(start, i), n_features), start, j)
        for j in range(size)
        for i in range(j + 1)
    }
    source = vectors.scaled(start, LANES * BLOCK)
    for r, square in enumerate(squares):
        own = [vectors.load(deviations, source, (i * BLOCK + r) * LANES) for i in range(size)]
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
    """Half log densities of one component whose precisions' roots are factor (n_features,)."""
    width = vectors.scaled(n_features, LANES)
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        first = vectors.scaled(group.index, BLOCK)
        starts = [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
        squares = [vectors.variable(vectors.constant(0.0)) for _ in range(BLOCK)]
        with vectors.loop(n_features) as feature:
            centre, scale = vectors.broadcast(mean, feature.index), vectors.broadcast(factor, feature.index)
            offset = vectors.scaled(feature.index, LANES)
            for start, square in zip(starts, squares, strict=True):
                deviation = vectors.multiply(vectors.subtract(vectors.load(x, start, offset), centre), scale)
                vectors.add_product(square, deviation, deviation)
        for r, square in enumerate(squares):
            place = vectors.plus(vectors.times(vectors.plus(first, r), n_components), component)
            _store_half_log(vectors, vectors.value(square), constant, out, place)


@emitted
def normalize(
    vectors: Vectors,
    roots: Value,
    n_vectors: Value,
    n_components: Value,
    weights: Value,
    counts: Value,
    log_likelihood: Value,
) -> None:
    """Turn half log densities into roots of weighted responsibilities; add to the lanes of counts and likelihood.

    The largest term is taken out before exponentials are summed, so that rows on which every density underflows still
    get responsibilities that sum to one.
    """
    with vectors.loop(n_vectors) as vector:
        start = vectors.scaled(vectors.times(vector.index, n_components), LANES)
        largest = vectors.variable(vectors.load(roots, start))
        with vectors.loop(n_components) as component:
            half = vectors.load(roots, start, vectors.scaled(component.index, LANES))
            vectors.set(largest, vectors.larger(vectors.value(largest), half))
        top = vectors.value(largest)
        total = vectors.variable(vectors.constant(0.0))
        with vectors.loop(n_components) as component:
            place = vectors.plus(start, vectors.scaled(component.index, LANES))
            half = vectors.subtract(vectors.load(roots, place), top)
            root = vectors.exp(vectors.larger(half, vectors.constant(SMALLEST_HALF_EXPONENT)))
            vectors.store(root, roots, place)
            vectors.add_product(total, root, root)
        weight = vectors.load(weights, vectors.scaled(vector.index, LANES))
        log_density = vectors.fused(top, vectors.constant(2.0), vectors.log(vectors.value(total)))
        vectors.store(vectors.fused(log_density, weight, vectors.load(log_likelihood)), log_likelihood)
        scale = vectors.sqrt(vectors.divide(weight, vectors.value(total)))
        with vectors.loop(n_components) as component:
            lane = vectors.scaled(component.index, LANES)
            root = vectors.multiply(vectors.load(roots, start, lane), scale)
            vectors.store(root, roots, start, lane)
            vectors.store(vectors.fused(root, root, vectors.load(counts, lane)), counts, lane)
