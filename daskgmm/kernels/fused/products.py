"""Log densities and moments as products with quadratic features of the rows. Importing this module needs Numba."""

from __future__ import annotations

from daskgmm.kernels.fused.densities import sizes
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.vectors import Value, Vectors, emitted

__all__ = ["densities_of_features", "moments_of_features"]


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
    """Log densities to base 2 of all components; n_vectors is a multiple of BLOCK.

    `coefficients` is (n_blocks, n_coefficients, BLOCK), the last block of components filled up: those worked on
    together lie side by side.
    """
    width = vectors.scaled(n_coefficients, vectors.lanes)
    n_blocks = vectors.divided(n_components, BLOCK)
    done = vectors.scaled(n_blocks, BLOCK)

    def block(first: Value, start: Value, size: int) -> None:
        sources = [vectors.times(vectors.plus(first, r), width) for r in range(BLOCK)]
        corner = vectors.times(start, n_coefficients)
        initial = [vectors.broadcast(constants, start, j) for j in range(size)]
        sums = [[vectors.variable(constant) for constant in initial] for _ in sources]
        with vectors.loop(n_coefficients) as index:
            place = vectors.scaled(index.index, BLOCK)
            row = [vectors.broadcast(coefficients, corner, place, j) for j in range(size)]
            for source, totals in zip(sources, sums, strict=True):
                value = vectors.load(features, source, vectors.scaled(index.index, vectors.lanes))
                for total, coefficient in zip(totals, row, strict=True):
                    vectors.add_product(total, coefficient, value)
        lowest = vectors.constant(vectors.format.lowest_log)
        for r, totals in enumerate(sums):
            place = vectors.plus(vectors.times(vectors.plus(first, r), n_components), start)
            for j, total in enumerate(totals):
                log = vectors.larger(vectors.value(total), lowest)
                vectors.store(log, out, vectors.scaled(place, vectors.lanes), j * vectors.lanes)

    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        first = vectors.scaled(group.index, BLOCK)
        with vectors.loop(n_blocks) as index:
            block(first, vectors.scaled(index.index, BLOCK), BLOCK)
        for size in sizes(vectors, vectors.minus(n_components, done), range(1, BLOCK)):
            block(first, done, size)


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
    width, stride = vectors.scaled(n_coefficients, vectors.lanes), vectors.scaled(n_components, vectors.lanes)
    n_rows, n_columns = vectors.divided(n_components, BLOCK), vectors.divided(n_coefficients, BLOCK)
    rows_done, columns_done = vectors.scaled(n_rows, BLOCK), vectors.scaled(n_columns, BLOCK)
    place = vectors.variable(vectors.index(0))
    zero = vectors.constant(0.0)

    def block(row: Value, n: int, column: Value, m: int) -> None:
        sums = [[vectors.variable(zero) for _ in range(m)] for _ in range(n)]
        with vectors.loop(n_vectors) as vector:
            source = vectors.plus(vectors.times(vector.index, stride), vectors.scaled(row, vectors.lanes))
            left = [vectors.load(shares, source, i * vectors.lanes) for i in range(n)]
            source = vectors.plus(vectors.times(vector.index, width), vectors.scaled(column, vectors.lanes))
            for j in range(m):
                right = vectors.load(features, source, j * vectors.lanes)
                for i in range(n):
                    vectors.add_product(sums[i][j], left[i], right)
        rows = [[vectors.value(total) for total in line] + [zero] * (BLOCK - m) for line in sums]
        totals = [total for line in rows for total in line]
        vectors.add_lane_sums(totals, out, vectors.value(place))
        vectors.set(place, vectors.plus(vectors.value(place), BLOCK * BLOCK))

    def line(row: Value, n: int) -> None:
        with vectors.loop(n_columns) as column:
            block(row, n, vectors.scaled(column.index, BLOCK), BLOCK)
        for m in sizes(vectors, vectors.minus(n_coefficients, columns_done), range(1, BLOCK)):
            block(row, n, columns_done, m)

    with vectors.loop(n_rows) as row:
        line(vectors.scaled(row.index, BLOCK), BLOCK)
    for n in sizes(vectors, vectors.minus(n_components, rows_done), range(1, BLOCK)):
        line(rows_done, n)
