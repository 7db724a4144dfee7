"""The benchmark does what it says at a tiny size; `pytest -m benchmark` prints the table at full size."""

from __future__ import annotations

import sys

import pytest
from numpy.testing import assert_allclose

from tests.benchmarks.kernels import SHAPES, daskgmm_iteration, markdown, measure, sklearn_iteration
from tests.drawn import draw


def test_both_sides_of_the_benchmark_do_the_same_iteration(drawn):
    ours, theirs = daskgmm_iteration(drawn)(), sklearn_iteration(drawn)()
    assert_allclose(ours.weights, theirs.weights_, rtol=1e-10)
    assert_allclose(ours.means, theirs.means_, rtol=1e-10)
    assert_allclose(ours.covariances, theirs.covariances_, rtol=1e-9, atol=1e-12)


def test_repeating_an_iteration_starts_from_the_same_parameters():
    iterate = sklearn_iteration(draw("full"))
    assert_allclose(iterate().means_, iterate().means_, rtol=0)


def test_the_table_has_a_line_for_each_shape():
    timings = measure([(2, 3), (3, 2)], n_rows=200, n_repeats=1)
    lines = markdown(timings).splitlines()
    assert len(lines) == 4
    assert all(timing.daskgmm > 0 and timing.sklearn > 0 and timing.ratio > 0 for timing in timings)


@pytest.mark.benchmark
def test_benchmark_of_every_shape(capsys):
    timings = measure()
    with capsys.disabled():
        sys.stdout.write(f"\n{markdown(timings)}\n")
    assert [(timing.n_features, timing.n_components) for timing in timings] == list(SHAPES)
