"""From log densities of a tile of rows to responsibilities, their roots, or the largest. Importing this needs Numba."""

from __future__ import annotations

from daskgmm.kernels.fused.elementary import exp2, log2
from daskgmm.kernels.fused.layout import BLOCK
from daskgmm.kernels.fused.vectors import Value, Vectors, emitted

__all__ = ["largest_of_logs", "roots_of_halves", "rows_of_logs", "shares_of_logs", "shares_of_unit_rows"]


@emitted
def roots_of_halves(
    vectors: Vectors, halves: Value, n_vectors: Value, n_components: Value, weights: Value, counts: Value, logs: Value
) -> None:
    """Turn half log densities into roots of weighted responsibilities.

    Adds responsibilities to the lanes of counts, and rows' weighted log densities to those of logs.
    """
    with vectors.loop(n_vectors) as vector:
        top, total = _exponentials(vectors, halves, vector.index, n_components, roots=True)
        weight = vectors.load(weights, vectors.scaled(vector.index, vectors.lanes))
        log = vectors.fused(top, vectors.constant(2.0), log2(vectors, total))
        vectors.store(vectors.fused(log, weight, vectors.load(logs)), logs)
        scale = vectors.sqrt(vectors.divide(weight, total))
        _scale(vectors, halves, vector.index, n_components, scale, counts, roots=True)


@emitted
def shares_of_logs(
    vectors: Vectors, logs: Value, n_vectors: Value, n_components: Value, weights: Value, counts: Value, sums: Value
) -> None:
    """Turn log densities into weighted responsibilities; counts and sums as `roots_of_halves` leaves them."""
    with vectors.loop(n_vectors) as vector:
        top, total = _exponentials(vectors, logs, vector.index, n_components, roots=False)
        weight = vectors.load(weights, vectors.scaled(vector.index, vectors.lanes))
        log = vectors.add(top, log2(vectors, total))
        vectors.store(vectors.fused(log, weight, vectors.load(sums)), sums)
        _scale(vectors, logs, vector.index, n_components, vectors.divide(weight, total), counts, roots=False)


@emitted
def shares_of_unit_rows(
    vectors: Vectors, logs: Value, n_vectors: Value, n_components: Value, weights: Value, counts: Value, sums: Value
) -> None:
    """Do what `shares_of_logs` does where weights are 1, or 0 in rows that fill up; n_vectors is a multiple of BLOCK.

    Totals lie between 1 and n_components, so that one logarithm of the product of a few serves all of them.
    """
    one = vectors.constant(1.0)
    with vectors.loop(vectors.divided(n_vectors, BLOCK)) as group:
        product, tops = vectors.variable(one), vectors.variable(vectors.load(sums))
        with vectors.loop(vectors.index(BLOCK)) as member:
            vector = vectors.plus(vectors.scaled(group.index, BLOCK), member.index)
            top, total = _exponentials(vectors, logs, vector, n_components, roots=False)
            weight = vectors.load(weights, vectors.scaled(vector, vectors.lanes))
            # weight * total + (1 - weight): the total, or 1
            present = vectors.fused(weight, vectors.subtract(total, one), one)
            vectors.set(product, vectors.multiply(vectors.value(product), present))
            vectors.add_product(tops, top, weight)
            _scale(vectors, logs, vector, n_components, vectors.divide(weight, total), counts, roots=False)
        log = log2(vectors, vectors.value(product))
        vectors.store(vectors.add(vectors.value(tops), log), sums)


@emitted
def rows_of_logs(vectors: Vectors, logs: Value, n_vectors: Value, n_components: Value, out: Value) -> None:
    """Turn log densities into responsibilities, and store each row's log density."""
    with vectors.loop(n_vectors) as vector:
        top, total = _exponentials(vectors, logs, vector.index, n_components, roots=False)
        place = vectors.scaled(vector.index, vectors.lanes)
        vectors.store(vectors.add(top, log2(vectors, total)), out, place)
        start = vectors.times(place, n_components)
        scale = vectors.divide(vectors.constant(1.0), total)
        with vectors.loop(n_components) as component:
            lane = vectors.scaled(component.index, vectors.lanes)
            vectors.store(vectors.multiply(vectors.load(logs, start, lane), scale), logs, start, lane)


@emitted
def largest_of_logs(
    vectors: Vectors, logs: Value, n_vectors: Value, n_components: Value, out: Value, components: Value
) -> None:
    """Store each row's largest log density, NaN where all are, and the first component that has it, as a number."""
    one = vectors.constant(1.0)
    with vectors.loop(n_vectors) as vector:
        place = vectors.scaled(vector.index, vectors.lanes)
        start = vectors.times(place, n_components)
        largest = vectors.variable(vectors.load(logs, start))
        first, number = vectors.variable(vectors.constant(0.0)), vectors.variable(vectors.constant(0.0))
        with vectors.loop(n_components) as component:
            log = vectors.load(logs, start, vectors.scaled(component.index, vectors.lanes))
            here = vectors.value(number)
            vectors.set(first, vectors.where_below(vectors.value(largest), log, here, vectors.value(first)))
            vectors.set(largest, vectors.larger(vectors.value(largest), log))
            vectors.set(number, vectors.add(here, one))
        vectors.store(vectors.value(largest), out, place)
        vectors.store(vectors.value(first), components, place)


def _exponentials(
    vectors: Vectors, logs: Value, vector: Value, n_components: Value, *, roots: bool
) -> tuple[Value, Value]:
    """Replace a vector's log densities with exponentials relative to the largest; return that and their sum.

    The largest term is taken out before exponentials are summed, so that rows on which every density underflows still
    get responsibilities that sum to one. With `roots`, sum the squares.
    """
    start = vectors.scaled(vectors.times(vector, n_components), vectors.lanes)
    largest = vectors.variable(vectors.load(logs, start))
    with vectors.loop(n_components) as component:
        log = vectors.load(logs, start, vectors.scaled(component.index, vectors.lanes))
        vectors.set(largest, vectors.larger(vectors.value(largest), log))
    top = vectors.value(largest)
    smallest = vectors.constant(vectors.format.smallest_log_share / (2 if roots else 1))
    total = vectors.variable(vectors.constant(0.0))
    with vectors.loop(n_components) as component:
        place = vectors.plus(start, vectors.scaled(component.index, vectors.lanes))
        value = exp2(vectors, vectors.larger(vectors.subtract(vectors.load(logs, place), top), smallest))
        vectors.store(value, logs, place)
        if roots:
            vectors.add_product(total, value, value)
        else:
            vectors.set(total, vectors.add(vectors.value(total), value))
    return top, vectors.value(total)


def _scale(
    vectors: Vectors, values: Value, vector: Value, n_components: Value, scale: Value, counts: Value, *, roots: bool
) -> None:
    """Multiply a vector's values, and add them, or with `roots` their squares, to the lanes of counts."""
    start = vectors.scaled(vectors.times(vector, n_components), vectors.lanes)
    with vectors.loop(n_components) as component:
        lane = vectors.scaled(component.index, vectors.lanes)
        value = vectors.multiply(vectors.load(values, start, lane), scale)
        vectors.store(value, values, start, lane)
        count = vectors.load(counts, lane)
        count = vectors.fused(value, value, count) if roots else vectors.add(count, value)
        vectors.store(count, counts, lane)
