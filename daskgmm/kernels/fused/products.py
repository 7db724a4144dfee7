"""Log densities and moments as products with quadratic features of the rows. Importing this module needs Numba."""

from __future__ import annotations

from collections.abc import Sequence

from daskgmm.kernels.fused.densities import sizes
from daskgmm.kernels.fused.layout import BLOCK, SLOTS
from daskgmm.kernels.fused.vectors import LANES, Value, Vectors, emitted
from daskgmm.mixture.density import LOWEST_LOG_PROB

__all__ = ["densities_of_features", "make_features", "moments_of_features", "square"]


@emitted
def make_features(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    centre: Value,
    n_features: Value,
    left: Value,
    right: Value,
    target: Value,
    n_pairs: Value,
    n_quadratic: Value,
    features: Value,
) -> None:
    """Fill a panel with n_quadratic sums of products and then x, relative to the centre.

    Products are x_left x_right of n_pairs pairs; each is added to the feature that is its target.
    """
    width = vectors.scaled(vectors.plus(n_quadratic, n_features), LANES)
    with vectors.loop(n_vectors) as vector:
        source = vectors.scaled(vectors.times(vector.index, n_features), LANES)
        sums = vectors.times(vector.index, width)
        values = vectors.plus(sums, vectors.scaled(n_quadratic, LANES))
        with vectors.loop(n_features) as feature:
            offset = vectors.scaled(feature.index, LANES)
            deviation = vectors.subtract(vectors.load(x, source, offset), vectors.broadcast(centre, feature.index))
            vectors.store(deviation, features, values, offset)
        with vectors.loop(n_quadratic) as index:
            vectors.store(vectors.constant(0.0), features, sums, vectors.scaled(index.index, LANES))
        with vectors.loop(n_pairs) as pair:
            i, j, place = (vectors.scaled(vectors.integer_at(of, pair.index), LANES) for of in (left, right, target))
            a, b = vectors.load(features, values, i), vectors.load(features, values, j)
            vectors.store(vectors.fused(a, b, vectors.load(features, sums, place)), features, sums, place)


@emitted
def densities_of_features(
    vectors: Vectors,
    features: Value,
    n_vectors: Value,
    n_coefficients: Value,
    coefficients: Value,
    constants: Value,
    n_components: Value,
    out: Value,
) -> None:
    """Half log densities of all components; n_vectors is a multiple of BLOCK.

    `coefficients` is (n_coefficients, n_components), so that those of neighbouring components lie side by side.
    """
    width = vectors.scaled(n_coefficients, LANES)
    n_blocks = vectors.divided(n_components, BLOCK)
    done = vectors.scaled(n_blocks, BLOCK)

    def block(first: Value, start: Value, size: int) -> None:
        sources = [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
        initial = [vectors.broadcast(constants, start, j) for j in range(size)]
        sums = [[vectors.variable(constant) for constant in initial] for _ in sources]
        with vectors.loop(n_coefficients) as index:
            place = vectors.plus(vectors.times(index.index, n_components), start)
            row = [vectors.broadcast(coefficients, place, j) for j in range(size)]
            for source, totals in zip(sources, sums, strict=True):
                value = vectors.load(features, source, vectors.scaled(index.index, LANES))
                for total, coefficient in zip(totals, row, strict=True):
                    vectors.add_product(total, coefficient, value)
        lowest = vectors.constant(LOWEST_LOG_PROB / 2)
        for r, totals in enumerate(sums):
            place = vectors.plus(vectors.times(vectors.plus(first, r), n_components), start)
            for j, total in enumerate(totals):
                half = vectors.larger(vectors.value(total), lowest)
                vectors.store(half, out, vectors.scaled(place, LANES), j * LANES)

    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        first = vectors.scaled(group.index, BLOCK)
        with vectors.loop(n_blocks) as index:
            block(first, vectors.scaled(index.index, BLOCK), BLOCK)
        for size in sizes(vectors, vectors.minus(n_components, done), range(1, BLOCK)):
            block(first, done, size)


@emitted
def square(vectors: Vectors, values: Value, n_vectors: Value) -> None:
    """Square vectors in place."""
    with vectors.loop(n_vectors) as vector:
        place = vectors.scaled(vector.index, LANES)
        value = vectors.load(values, place)
        vectors.store(vectors.multiply(value, value), values, place)


@emitted
def moments_of_features(
    vectors: Vectors,
    features: Value,
    n_vectors: Value,
    n_coefficients: Value,
    shares: Value,
    n_components: Value,
    out: Value,
) -> None:
    """Add the sums of responsibilities times features to out, in blocks of BLOCK components by BLOCK features."""
    width, stride = vectors.scaled(n_coefficients, LANES), vectors.scaled(n_components, LANES)
    n_rows, n_columns = vectors.divided(n_components, BLOCK), vectors.divided(n_coefficients, BLOCK)
    rows_done, columns_done = vectors.scaled(n_rows, BLOCK), vectors.scaled(n_columns, BLOCK)
    place = vectors.variable(vectors.index(0))
    zero = vectors.constant(0.0)

    def block(row: Value, n: int, column: Value, m: int) -> None:
        sums = [[vectors.variable(zero) for _ in range(m)] for _ in range(n)]
        with vectors.loop(n_vectors) as vector:
            source = vectors.plus(vectors.times(vector.index, stride), vectors.scaled(row, LANES))
            left = [vectors.load(shares, source, i * LANES) for i in range(n)]
            source = vectors.plus(vectors.times(vector.index, width), vectors.scaled(column, LANES))
            for j in range(m):
                right = vectors.load(features, source, j * LANES)
                for i in range(n):
                    vectors.add_product(sums[i][j], left[i], right)
        rows = [[vectors.value(total) for total in line] + [zero] * (BLOCK - m) for line in sums]
        finish([total for line in rows for total in line] + [zero] * (BLOCK * (BLOCK - n)))

    def finish(totals: Sequence[Value]) -> None:
        offset = vectors.value(place)
        for start in range(0, SLOTS, LANES):
            part = vectors.lane_sums(totals[start : start + LANES])
            vectors.store(vectors.add(vectors.load(out, offset, start), part), out, offset, start)
        vectors.set(place, vectors.plus(offset, SLOTS))

    def line(row: Value, n: int) -> None:
        with vectors.loop(n_columns) as column:
            block(row, n, vectors.scaled(column.index, BLOCK), BLOCK)
        for m in sizes(vectors, vectors.minus(n_coefficients, columns_done), range(1, BLOCK)):
            block(row, n, columns_done, m)

    with vectors.loop(n_rows) as row:
        line(vectors.scaled(row.index, BLOCK), BLOCK)
    for n in sizes(vectors, vectors.minus(n_components, rows_done), range(1, BLOCK)):
        line(rows_done, n)
