"""First and second moments of one tile of rows about a component's mean. Importing this module needs Numba."""

from __future__ import annotations

from collections.abc import Sequence

from daskgmm.kernels.fused.densities import sizes
from daskgmm.kernels.fused.layout import BLOCK, DIAGONAL_SLOTS, SLOTS
from daskgmm.kernels.fused.vectors import LANES, Value, Vectors, emitted

__all__ = [
    "count_kept",
    "diagonal_moments",
    "moments_of_few",
    "moments_of_panel",
    "scaled_deviations",
]


def _add_lane_sums(vectors: Vectors, sums: Sequence[Value], n_slots: int, out: Value, offset: Value) -> None:
    """Add the sums over lanes of up to n_slots variables to as many numbers from out[offset] on."""
    for start in range(0, n_slots, LANES):
        totals = vectors.lane_sums([vectors.value(total) for total in sums[start : start + LANES]])
        vectors.store(vectors.add(vectors.load(out, offset, start), totals), out, offset, start)


@emitted
def moments_of_few(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    component: Value,
    n_components: Value,
    roots: Value,
    out: Value,
) -> None:
    """Add the moments of up to BLOCK features to out (SLOTS,)."""
    for size in sizes(vectors, n_features, range(1, BLOCK + 1)):
        pairs = [(i, j) for i in range(size) for j in range(i, size)]
        centre = [vectors.broadcast(mean, i) for i in range(size)]
        second = [vectors.variable(vectors.constant(0.0)) for _ in pairs]
        first = [vectors.variable(vectors.constant(0.0)) for _ in range(size)]
        with vectors.loop(n_vectors) as vector:
            start = vectors.scaled(vector.index, size * LANES)
            share = _share(vectors, roots, vector.index, component, n_components)
            deviations = [vectors.subtract(vectors.load(x, start, i * LANES), centre[i]) for i in range(size)]
            weighted = [vectors.multiply(deviation, share) for deviation in deviations]
            for (i, j), total in zip(pairs, second, strict=True):
                vectors.add_product(total, weighted[i], deviations[j])
            for total, value in zip(first, weighted, strict=True):
                vectors.set(total, vectors.add(vectors.value(total), value))
        _add_lane_sums(vectors, [*second, *first], SLOTS, out, vectors.index(0))


def _share(vectors: Vectors, roots: Value, vector: Value, component: Value, n_components: Value) -> Value:
    """Return the weighted responsibilities of a component for one vector of rows."""
    place = vectors.plus(vectors.times(vector, n_components), component)
    root = vectors.load(roots, vectors.scaled(place, LANES))
    return vectors.multiply(root, root)


@emitted
def diagonal_moments(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    component: Value,
    n_components: Value,
    roots: Value,
    out: Value,
) -> None:
    """Add the first moments and those of the squares to out (n_blocks * DIAGONAL_SLOTS,)."""
    width = vectors.scaled(n_features, LANES)
    n_blocks = vectors.divided(n_features, BLOCK)

    def block(index: Value, size: int) -> None:
        sums = [vectors.variable(vectors.constant(0.0)) for _ in range(DIAGONAL_SLOTS)]
        feature = vectors.scaled(index, BLOCK)
        centre = [vectors.broadcast(mean, feature, i) for i in range(size)]
        with vectors.loop(n_vectors) as vector:
            start = vectors.plus(vectors.times(vector.index, width), vectors.scaled(feature, LANES))
            share = _share(vectors, roots, vector.index, component, n_components)
            for i in range(size):
                deviation = vectors.subtract(vectors.load(x, start, i * LANES), centre[i])
                weighted = vectors.multiply(deviation, share)
                vectors.set(sums[i], vectors.add(vectors.value(sums[i]), weighted))
                vectors.add_product(sums[BLOCK + i], weighted, deviation)
        _add_lane_sums(vectors, sums, DIAGONAL_SLOTS, out, vectors.scaled(index, DIAGONAL_SLOTS))

    with vectors.loop(n_blocks) as left:
        block(left.index, BLOCK)
    for size in sizes(vectors, vectors.minus(n_features, vectors.scaled(n_blocks, BLOCK)), range(1, BLOCK)):
        block(n_blocks, size)


@emitted
def count_kept(
    vectors: Vectors,
    roots: Value,
    n_vectors: Value,
    component: Value,
    n_components: Value,
    smallest: Value,
    kept: Value,
) -> None:
    """Store the number of rows of each lane whose root is not below `smallest`, as floats."""
    total = vectors.variable(vectors.constant(0.0))
    limit = vectors.splat(smallest)
    with vectors.loop(n_vectors) as vector:
        place = vectors.plus(vectors.times(vector.index, n_components), component)
        one = vectors.zero_where_below(vectors.load(roots, vectors.scaled(place, LANES)), limit)
        vectors.set(total, vectors.add(vectors.value(total), one))
    vectors.store(vectors.value(total), kept)


@emitted
def scaled_deviations(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    component: Value,
    n_components: Value,
    roots: Value,
    panel: Value,
    panel_roots: Value,
) -> None:
    """Fill a panel with deviations from the mean times the root of the responsibility."""
    with vectors.loop(n_vectors) as vector:
        place = vectors.plus(vectors.times(vector.index, n_components), component)
        root = vectors.load(roots, vectors.scaled(place, LANES))
        vectors.store(root, panel_roots, vectors.scaled(vector.index, LANES))
        start = vectors.scaled(vectors.times(vector.index, n_features), LANES)
        with vectors.loop(n_features) as feature:
            offset = vectors.scaled(feature.index, LANES)
            deviation = vectors.subtract(vectors.load(x, start, offset), vectors.broadcast(mean, feature.index))
            vectors.store(vectors.multiply(deviation, root), panel, start, offset)


@emitted
def moments_of_panel(
    vectors: Vectors, panel: Value, panel_roots: Value, n_vectors: Value, n_features: Value, out: Value
) -> None:
    """Add the moments of a panel of scaled deviations to out, block by block of the upper triangle in rows."""
    n_blocks = vectors.divided(n_features, BLOCK)
    done = vectors.scaled(n_blocks, BLOCK)
    rest = vectors.minus(n_features, done)
    width = vectors.scaled(n_features, LANES)
    place = vectors.variable(vectors.index(0))

    def finish(sums: Sequence[Value]) -> None:
        _add_lane_sums(vectors, sums, SLOTS, out, vectors.value(place))
        vectors.set(place, vectors.plus(vectors.value(place), SLOTS))

    def diagonal_block(start: Value, size: int) -> None:
        pairs = [(i, j) for i in range(size) for j in range(i, size)]
        second = [vectors.variable(vectors.constant(0.0)) for _ in pairs]
        first = [vectors.variable(vectors.constant(0.0)) for _ in range(size)]
        with vectors.loop(n_vectors) as vector:
            source = vectors.plus(vectors.times(vector.index, width), vectors.scaled(start, LANES))
            root = vectors.load(panel_roots, vectors.scaled(vector.index, LANES))
            values = [vectors.load(panel, source, i * LANES) for i in range(size)]
            for (i, j), total in zip(pairs, second, strict=True):
                vectors.add_product(total, values[i], values[j])
            for total, value in zip(first, values, strict=True):
                vectors.add_product(total, value, root)
        finish([*second, *first])

    def other_block(start: Value, other: Value, size: int) -> None:
        sums = [[vectors.variable(vectors.constant(0.0)) for _ in range(size)] for _ in range(BLOCK)]
        with vectors.loop(n_vectors) as vector:
            source = vectors.times(vector.index, width)
            left = [vectors.load(panel, source, vectors.scaled(start, LANES), i * LANES) for i in range(BLOCK)]
            for j in range(size):
                right = vectors.load(panel, source, vectors.scaled(other, LANES), j * LANES)
                for i in range(BLOCK):
                    vectors.add_product(sums[i][j], left[i], right)
        finish([total for row in sums for total in row])

    with vectors.loop(n_blocks) as above:
        start = vectors.scaled(above.index, BLOCK)
        diagonal_block(start, BLOCK)
        following = vectors.plus(above.index, 1)
        with vectors.loop(vectors.minus(n_blocks, following)) as beside:
            other_block(start, vectors.scaled(vectors.plus(following, beside.index), BLOCK), BLOCK)
        for size in sizes(vectors, rest, range(1, BLOCK)):
            other_block(start, done, size)
    for size in sizes(vectors, rest, range(1, BLOCK)):
        diagonal_block(done, size)
