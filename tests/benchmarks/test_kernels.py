"""The benchmark does what it says, at a tiny size; `python -m tests.benchmarks.kernels` runs it at full size."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from numpy.testing import assert_allclose

from daskgmm.kernels.per_row import responsibilities
from tests.benchmarks import kernels
from tests.benchmarks.iterations import (
    available_kernels,
    daskgmm_iteration,
    draw_mixture,
    load_onedal,
    onedal_iterations,
    sklearn_iteration,
)
from tests.benchmarks.kernels import CLUSTERS, SHAPES, main, measure, spread
from tests.benchmarks.machine import Machine, limit, measure_machine
from tests.benchmarks.many_components import Growth, growth_text, measure_growth
from tests.benchmarks.report import (
    Bar,
    Shape,
    Timing,
    bars,
    beyond_limit,
    holds,
    markdown,
    ratio,
    summary_text,
    timing_text,
)

TINY_SHAPES = (Shape("full", 60, 2, 3, 25, 12, times_onedal=2.5), Shape("diag", 60, 8, 2, 8))
MACHINE = Machine(matmul=10.0, exp=1.5, copy=20.0, item_size=8)
tiny_machine = functools.partial(measure_machine, n_matmul=16, n_exp=16, n_copy=2**10, n_repeats=1)


def timing_of(**nanoseconds: float) -> Timing:
    """A timing of (8, 16) with the names as keywords: sklearn, float32 and limit32 are longer in truth."""
    names = {"sklearn": "scikit-learn", "float32": "auto float32", "limit32": "limit float32"}
    shape = next(shape for shape in SHAPES if (shape.covariance_type, shape.n_features) == ("full", 8))
    return Timing(shape, "overlapping", {names.get(name, name): time for name, time in nanoseconds.items()})


TIMING = timing_of(limit=50, limit32=25, sklearn=2000, auto=80, blas=160, fused=80, float32=60, oneDAL=240)


@pytest.mark.parametrize("kernel", available_kernels())
def test_every_kernel_does_the_iteration_of_scikit_learn(covariance_type, kernel):
    rows, parameters = draw_mixture(covariance_type, n_rows=300, n_features=3, n_components=3, spread=1.2)
    ours, theirs = daskgmm_iteration(rows, parameters, kernel=kernel)(), sklearn_iteration(rows, parameters)()
    assert_allclose(ours.weights, theirs.weights_, rtol=1e-10)
    assert_allclose(ours.means, theirs.means_, rtol=1e-10)
    assert_allclose(ours.covariances, theirs.covariances_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_onedal_does_the_same_iteration(covariance_type):
    if load_onedal() is None:
        pytest.skip("daal4py is not installed")
    rows, parameters = draw_mixture(covariance_type, n_rows=300, n_features=3, n_components=3, spread=1.2)
    ours, theirs = daskgmm_iteration(rows, parameters)(), onedal_iterations(rows, parameters, n_iterations=1)()
    assert_allclose(ours.means, theirs.means, rtol=1e-10)
    # It adds to variances only where they need it.
    for our, their in zip(ours.covariances, theirs.covariances, strict=True):
        assert_allclose(our, their.squeeze(), rtol=0, atol=2e-6)


def test_onedal_has_no_tied_covariances():
    rows, parameters = draw_mixture("tied", n_rows=20, n_features=2, n_components=2, spread=1.0)
    assert onedal_iterations(rows, parameters, n_iterations=1) is None


def test_repeating_an_iteration_starts_from_the_same_parameters(covariance_type):
    rows, parameters = draw_mixture(covariance_type, n_rows=60, n_features=3, n_components=2, spread=1.0)
    iterate = sklearn_iteration(rows, parameters)
    assert_allclose(iterate().means_, iterate().means_, rtol=0)


@pytest.mark.parametrize(
    "shape", SHAPES, ids=lambda shape: f"{shape.covariance_type}-{shape.n_features}-{shape.n_components}"
)
def test_overlapping_clusters_overlap_and_separated_ones_do_less(shape):
    shares = {}
    for clusters in CLUSTERS:
        rows, parameters = draw_mixture(
            shape.covariance_type,
            n_rows=100,
            n_features=shape.n_features,
            n_components=shape.n_components,
            spread=spread(clusters, shape.n_features),
        )
        shares[clusters] = responsibilities(rows, parameters)
    assert shares["overlapping"].max(axis=1).mean() < shares["separated"].max(axis=1).mean()
    assert (shares["overlapping"] > 1e-14).mean() > 0.4


def test_measuring_times_all_on_each_shape_and_kind_of_clusters():
    machines = {"float64": MACHINE, "float32": MACHINE}
    timings = list(measure(TINY_SHAPES, machines=machines, n_repeats=1, seconds=0.0))
    assert [(timing.shape, timing.clusters) for timing in timings] == [
        (shape, clusters) for shape in TINY_SHAPES for clusters in CLUSTERS
    ]
    for timing in timings:
        expected = {"limit", "scikit-learn", *available_kernels()}
        expected |= {"limit float32", "auto float32"} if timing.shape.n_features >= 8 else set()
        expected |= {"oneDAL"} if load_onedal() is not None else set()
        assert timing.nanoseconds.keys() == expected
        assert all(time > 0 for name, time in timing.nanoseconds.items() if name != "oneDAL")


@pytest.mark.parametrize(("arguments", "n_tables"), [([], 0), (["--markdown"], 2)])
def test_the_command_prints_speeds_and_bars_and_if_asked_tables(monkeypatch, capsys, arguments, n_tables):
    monkeypatch.setattr(kernels, "measure_machine", tiny_machine)
    tiny_growth = functools.partial(measure_growth, [4], few=2, many=8, n_rows=100, n_repeats=1)
    main(arguments, shapes=TINY_SHAPES, measure_growth=tiny_growth)
    printed = capsys.readouterr().out
    assert printed.startswith("float64: matrix product")
    assert printed.count("| rows |") == n_tables
    assert printed.count("; ns a row") == 4
    assert printed.count("bars: ") == 1


def test_speeds_of_the_machine_are_measured():
    machine = tiny_machine("float32")
    assert min(machine.matmul, machine.exp, machine.copy) > 0
    assert machine.item_size == 4


@pytest.mark.parametrize(
    ("covariance_type", "n_operations"),
    [("full", 4 * 3 * 15), ("diag", 4 * 3 * 9), ("spherical", 4 * 3 * 6), ("tied", 4 * 3 * 5 + 16)],
)
def test_the_limit_is_two_products_and_the_exponentials(covariance_type, n_operations):
    assert limit(MACHINE, covariance_type, n_features=4, n_components=3) == pytest.approx(n_operations / 10 + 3 * 1.5)


def test_the_limit_is_not_below_the_time_of_reading_a_row():
    assert limit(replace(MACHINE, copy=0.5), "spherical", n_features=4, n_components=1) == 4 * 8 / 0.5


def test_with_numba_the_bars_are_those_of_auto_and_of_blas():
    assert bars(TIMING) == [
        Bar("auto", "scikit-learn", 20),
        Bar("auto", "oneDAL", 2.5),
        Bar("auto", "limit", 0.5),
        Bar("blas", "scikit-learn", 12),
        Bar("auto float32", "auto", 1.5),
    ]


def test_without_numba_and_onedal_the_bars_are_those_of_blas():
    timing = timing_of(limit=50, limit32=25, sklearn=2000, auto=160, blas=160, float32=100)
    assert bars(timing) == [Bar("blas", "scikit-learn", 12), Bar("auto float32", "auto", 1.5)]


@pytest.mark.parametrize("others", [{}, {"blas": 4, "fused": 4}])
def test_other_types_have_the_same_bar_with_numba_and_without(others):
    timing = Timing(Shape("tied", 100, 4, 3, 10), "separated", {"limit": 1, "scikit-learn": 30, "auto": 4, **others})
    assert bars(timing) == [Bar("auto", "scikit-learn", 10)]


def test_ratios_and_verdicts_follow_from_the_times():
    assert [ratio(bar, TIMING) for bar in bars(TIMING)] == [25, 3, 0.625, 12.5, pytest.approx(80 / 60)]
    assert [holds(bar, TIMING) for bar in bars(TIMING)] == [True, True, True, True, False]


@pytest.mark.parametrize(("at_least", "beyond"), [(40, False), (41, True)])
def test_a_bar_that_the_limit_does_not_reach_is_beyond_it(at_least, beyond):
    assert beyond_limit(Bar("auto", "scikit-learn", at_least), TIMING) == beyond


def test_no_bar_is_beyond_the_limit_where_clusters_are_separated():
    assert not beyond_limit(Bar("auto", "scikit-learn", 41), replace(TIMING, clusters="separated"))


def test_float32_is_held_against_its_own_limit():
    bar = Bar("auto float32", "auto", 1.5)
    assert not beyond_limit(bar, TIMING)
    assert beyond_limit(bar, timing_of(limit=50, limit32=60, auto=80, float32=70))


def test_the_text_tells_times_ratios_and_verdicts():
    lines = timing_text(TIMING).splitlines()
    assert lines[0] == "full, 200,000 rows, 8 features, 16 components, overlapping; ns a row"
    assert "scikit-learn 2,000, auto 80, blas 160" in lines[1]
    assert lines[2].split() == ["scikit-learn", "/", "auto", "25.00,", "at", "least", "20:", "holds"]
    assert lines[-1].split() == ["auto", "/", "auto", "float32", "1.33,", "at", "least", "1.5:", "missed"]
    slow = timing_text(timing_of(limit=200, sklearn=2000, blas=400))
    assert slow.endswith("5.00, at least 12: beyond the limit")


def test_the_summary_counts_the_bars():
    assert summary_text([TIMING, TIMING]) == "10 bars: holds 8, missed 2"


def test_the_tables_have_a_line_for_each_timing():
    small = Timing(TINY_SHAPES[0], "separated", {"limit": 4, "scikit-learn": 300, "auto": 12, "blas": 20, "fused": 12})
    tied = Timing(Shape("tied", 100, 4, 3, 1), "separated", {"limit": 1, "scikit-learn": 30, "auto": 4})
    full, others = markdown([TIMING, small, tied]).split("\n\n")
    assert full.splitlines() == [
        "| covariances | rows | features | components | clusters | limit | daskgmm | without Numba | oneDAL "
        "| scikit-learn | times as fast as scikit-learn | float32, times as fast as float64 |",
        "| --- | --: | --: | --: | --- | --: | --: | --: | --: | --: | --: | --: |",
        "| full | 200,000 | 8 | 16 | overlapping | 50 | 80 | 160 | 240 | 2,000 | 25.0 | 1.3 |",
        "| full | 60 | 2 | 3 | separated | 4.0 | 12 | 20 |  | 300 | 25.0 |  |",
    ]
    assert others.splitlines()[2:] == ["| tied | 100 | 4 | 3 | separated | 1.0 | 4.0 | 30 | 7.5 |"]


def test_growth_is_measured_against_that_of_the_components():
    (growth,) = measure_growth([3], few=2, many=8, n_rows=50, n_repeats=1)
    assert (growth.n_features, growth.few, growth.many) == (3, 2, 8)
    assert min(growth.nanoseconds) > 0
    slow, linear = Growth(16, 256, 1024, (100.0, 200.0)), Growth(8, 256, 1024, (100.0, 400.0))
    assert (slow.share_of_linear, slow.exponent) == (0.5, 0.5)
    assert (linear.share_of_linear, linear.exponent) == (1.0, 1.0)
    assert growth_text([slow, linear]).splitlines()[1:] == [
        "    16 features: 100 with 256, 200 with 1,024; 0.50 of linear growth, power 0.50: below linear holds",
        "    8 features: 100 with 256, 400 with 1,024; 1.00 of linear growth, power 1.00: below linear missed",
    ]


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_benchmark_of_every_shape(capsys):
    with capsys.disabled():
        main(["--markdown"])
