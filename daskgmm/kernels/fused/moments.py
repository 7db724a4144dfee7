"""First and second moments of one tile of rows about a component's mean. Importing this module needs Numba."""

from __future__ import annotations

from collections.abc import Sequence

from daskgmm.kernels.fused.densities import sizes
from daskgmm.kernels.fused.layout import BLOCK, DIAGONAL_SLOTS, SLOTS
from daskgmm.kernels.fused.vectors import Value, Vectors, emitted

__all__ = [
    "chosen_deviations",
    "count_kept",
    "diagonal_moments",
    "moments_of_few",
    "moments_of_panel",
    "scaled_deviations",
]


@emitted
def moments_of_few(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    component: Value,
    n_components: Value,
    shares: Value,
    out: Value,
) -> None:
    """Add the moments of up to BLOCK features to out (SLOTS,)."""
    for size in sizes(vectors, n_features, range(1, BLOCK + 1)):
        pairs = [(i, j) for i in range(size) for j in range(i, size)]
        centre = [vectors.broadcast(mean, i) for i in range(size)]
        second = [vectors.variable(vectors.constant(0.0)) for _ in pairs]
        first = [vectors.variable(vectors.constant(0.0)) for _ in range(size)]
        with vectors.loop(n_vectors) as vector:
            start = vectors.scaled(vector.index, size * vectors.lanes)
            share = _share(vectors, shares, vector.index, component, n_components)
            deviations = [vectors.subtract(vectors.load(x, start, i * vectors.lanes), centre[i]) for i in range(size)]
            weighted = [vectors.multiply(deviation, share) for deviation in deviations]
            for (i, j), total in zip(pairs, second, strict=True):
                vectors.add_product(total, weighted[i], deviations[j])
            for total, value in zip(first, weighted, strict=True):
                vectors.set(total, vectors.add(vectors.value(total), value))
        vectors.add_lane_sums([vectors.value(total) for total in (*second, *first)], out, vectors.index(0))


def _share(vectors: Vectors, shares: Value, vector: Value, component: Value, n_components: Value) -> Value:
    """Return the weighted responsibilities of a component for one vector of rows."""
    place = vectors.plus(vectors.times(vector, n_components), component)
    return vectors.load(shares, vectors.scaled(place, vectors.lanes))


@emitted
def diagonal_moments(
    vectors: Vectors,
    x: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    component: Value,
    n_components: Value,
    shares: Value,
    out: Value,
) -> None:
    """Add the first moments and those of the squares to out (n_blocks * DIAGONAL_SLOTS,)."""
    width = vectors.scaled(n_features, vectors.lanes)
    n_blocks = vectors.divided(n_features, BLOCK)

    def block(index: Value, size: int) -> None:
        sums = [vectors.variable(vectors.constant(0.0)) for _ in range(DIAGONAL_SLOTS)]
        feature = vectors.scaled(index, BLOCK)
        centre = [vectors.broadcast(mean, feature, i) for i in range(size)]
        with vectors.loop(n_vectors) as vector:
            start = vectors.plus(vectors.times(vector.index, width), vectors.scaled(feature, vectors.lanes))
            share = _share(vectors, shares, vector.index, component, n_components)
            for i in range(size):
                deviation = vectors.subtract(vectors.load(x, start, i * vectors.lanes), centre[i])
                weighted = vectors.multiply(deviation, share)
                vectors.set(sums[i], vectors.add(vectors.value(sums[i]), weighted))
                vectors.add_product(sums[BLOCK + i], weighted, deviation)
        vectors.add_lane_sums([vectors.value(total) for total in sums], out, vectors.scaled(index, DIAGONAL_SLOTS))

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
        one = vectors.zero_where_below(vectors.load(roots, vectors.scaled(place, vectors.lanes)), limit)
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
    """Fill a panel with deviations from the mean times the root of the responsibility; n_vectors as BLOCK has them."""
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        members = [vectors.plus(vectors.scaled(group.index, BLOCK), r) for r in range(BLOCK)]
        places = [vectors.plus(vectors.times(member, n_components), component) for member in members]
        values = [vectors.load(roots, vectors.scaled(place, vectors.lanes)) for place in places]
        for member, root in zip(members, values, strict=True):
            vectors.store(root, panel_roots, vectors.scaled(member, vectors.lanes))
        starts = [vectors.scaled(vectors.times(member, n_features), vectors.lanes) for member in members]
        with vectors.loop(n_features) as feature:
            offset, centre = vectors.scaled(feature.index, vectors.lanes), vectors.broadcast(mean, feature.index)
            for start, root in zip(starts, values, strict=True):
                deviation = vectors.subtract(vectors.load(x, start, offset), centre)
                vectors.store(vectors.multiply(deviation, root), panel, start, offset)


@emitted
def chosen_deviations(
    vectors: Vectors,
    x: Value,
    places: Value,
    n_vectors: Value,
    mean: Value,
    n_features: Value,
    panel: Value,
    panel_roots: Value,
) -> None:
    """Fill a panel as `scaled_deviations` does with the rows at some places, given the roots already in the panel."""
    with vectors.loop(n_vectors) as vector:
        first = vectors.scaled(vector.index, vectors.lanes)
        rows = [vectors.at(x, vectors.integer_at(places, vectors.plus(first, lane))) for lane in range(vectors.lanes)]
        root, start = vectors.load(panel_roots, first), vectors.times(first, n_features)
        with vectors.loop(n_features) as feature:
            offset = vectors.scaled(feature.index, vectors.lanes)
            value = vectors.gather([vectors.at(row, offset) for row in rows])
            deviation = vectors.subtract(value, vectors.broadcast(mean, feature.index))
            vectors.store(vectors.multiply(deviation, root), panel, start, offset)


@emitted
def moments_of_panel(
    vectors: Vectors, panel: Value, panel_roots: Value, n_vectors: Value, n_features: Value, out: Value
) -> None:
    """Add the moments of a panel of scaled deviations to out, block by block of the upper triangle in rows."""
    n_blocks = vectors.divided(n_features, BLOCK)
    done = vectors.scaled(n_blocks, BLOCK)
    rest = vectors.minus(n_features, done)
    width = vectors.scaled(n_features, vectors.lanes)
    place = vectors.variable(vectors.index(0))

    def finish(sums: Sequence[Value]) -> None:
        vectors.add_lane_sums([vectors.value(total) for total in sums], out, vectors.value(place))
        vectors.set(place, vectors.plus(vectors.value(place), SLOTS))

    def diagonal_block(start: Value, size: int) -> None:
        pairs = [(i, j) for i in range(size) for j in range(i, size)]
        second = [vectors.variable(vectors.constant(0.0)) for _ in pairs]
        first = [vectors.variable(vectors.constant(0.0)) for _ in range(size)]
        with vectors.loop(n_vectors) as vector:
            source = vectors.plus(vectors.times(vector.index, width), vectors.scaled(start, vectors.lanes))
            root = vectors.load(panel_roots, vectors.scaled(vector.index, vectors.lanes))
            values = [vectors.load(panel, source, i * vectors.lanes) for i in range(size)]
            for (i, j), total in zip(pairs, second, strict=True):
                vectors.add_product(total, values[i], values[j])
            for total, value in zip(first, values, strict=True):
                vectors.add_product(total, value, root)
        finish([*second, *first])

    def other_block(start: Value, other: Value, size: int) -> None:
        sums = [[vectors.variable(vectors.constant(0.0)) for _ in range(size)] for _ in range(BLOCK)]
        with vectors.loop(n_vectors) as vector:
            source = vectors.times(vector.index, width)
            left = [
                vectors.load(panel, source, vectors.scaled(start, vectors.lanes), i * vectors.lanes)
                for i in range(BLOCK)
            ]
            for j in range(size):
                right = vectors.load(panel, source, vectors.scaled(other, vectors.lanes), j * vectors.lanes)
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
