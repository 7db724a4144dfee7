"""The benchmark does what it says, at a tiny size; `python -m tests.benchmarks.convergence` runs it at full size."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.benchmarks import convergence, fits, optima
from tests.benchmarks.convergence import count, main
from tests.benchmarks.counted import GAPS, Counted, bars, bars_text, counted_text, markdown
from tests.benchmarks.fits import Path, accelerated_path, plain_path, prepare, sklearn_path, sklearn_starts
from tests.benchmarks.mixtures import CASES, Case, gaussians
from tests.benchmarks.optima import FILE, Optimum, load_optima, save_optima

TINY = Case("tiny", gaussians(2, 2, 2.0, mixture_seed=1), 2, n_rows=2000)
OPTIMUM = Optimum(-2.0, {"1": -2.1, "5": -2.0}, {"1": [None, None, None], "5": [3, 7, None]})


@pytest.fixture(scope="module")
def prepared():
    return prepare(TINY, sample_rows=500)


def path_of(*bounds: float) -> Path:
    return Path(bounds, next(sklearn_starts(TINY, TINY.draw(), 1)), 1.5, True)


def counted_of(**changes) -> Counted:
    values = {
        "case": TINY,
        "optimum": OPTIMUM,
        "followed": path_of(-math.inf, -3.0, -2.00005, -2.000005, -2.0),
        "stopped": path_of(-math.inf, -3.0, -2.00005, -2.000005),
        "behind": -1e-3,
        "sklearn": {1: path_of(-3.0, -2.5), 5: path_of(-3.0, -2.01)},
    }
    return Counted(**{**values, **changes})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_draws_the_same_finite_rows_each_time_and_has_an_optimum(case):
    few = replace(case, n_rows=50)
    rows = few.draw()
    assert rows.shape[0] == 50
    assert np.isfinite(rows).all()
    assert_array_equal(rows, few.draw())
    optimum = load_optima()[case.name]
    assert max(optimum.tight.values()) <= optimum.bound


def test_a_path_counts_passes_from_the_first_look(prepared):
    path = accelerated_path(prepared, tol=1e-6, max_passes=20)
    assert path.bounds[0] == -math.inf
    assert list(path.bounds) == sorted(path.bounds)
    assert path.converged
    assert path.passes_to(path.bounds[1]) == 2
    assert path.passes_to(path.bounds[-1] + 1) == math.inf
    assert len(accelerated_path(prepared, tol=0.0, max_passes=3).bounds) == 3


def test_plain_em_takes_scikit_learns_path(prepared):
    theirs = sklearn_path(TINY, prepared.rows, n_init=1)
    ours = plain_path(
        prepared.rows, next(sklearn_starts(TINY, prepared.rows, 1)), tol=0.0, max_passes=len(theirs.bounds)
    )
    assert_allclose(ours.bounds, theirs.bounds, rtol=1e-9)


def test_a_case_is_counted_by_every_method(prepared):
    best = accelerated_path(prepared, tol=0.0, max_passes=30).bounds[-1]
    known = {TINY.name: replace(OPTIMUM, bound=best)}
    one = next(count([TINY], known, sample_rows=500))
    assert one.passes[0] <= one.passes[1] <= one.passes[2] < math.inf
    assert 0 <= one.stop_gap < 3e-5
    assert one.behind <= 1e-4
    assert set(one.sklearn) == {1, 5}


def test_the_optimum_is_the_best_of_all_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(optima, "prepare", functools.partial(prepare, sample_rows=500))
    monkeypatch.setattr(optima, "FILE", tmp_path / FILE.name)
    monkeypatch.setattr(optima, "LONGEST", 20)
    monkeypatch.setattr(optima, "LONG_PASSES", 6)
    save_optima([TINY])
    (found,) = load_optima().values()
    assert found.bound >= max(found.tight.values())
    assert found.tight_passes["5"][0] is not None


def test_the_bars_are_those_of_the_worst_case_or_the_median():
    slow = counted_of(followed=path_of(*[-3.0] * 30, -2.0), stopped=path_of(-3.0, -2.0001), behind=2e-4)
    verdicts = {bar.name: (bar.measured, bar.holds) for bar in bars([counted_of(), counted_of(), slow])}
    assert verdicts["median passes to 1e-5"] == (4, True)
    assert verdicts["median passes to 1e-6"] == (5, True)
    assert verdicts["most passes to 1e-5 of the best bound known"] == (31, False)
    assert verdicts["most passes to 1e-5 of where the fit ends"] == (31, False)
    assert verdicts["largest gap at the stop, tol=1e-5"] == (pytest.approx(1e-4), False)
    assert verdicts["furthest behind plain EM at equal passes"] == (2e-4, False)
    assert verdicts["furthest behind scikit-learn with n_init=5, either tol"] == (pytest.approx(1e-4), False)
    assert verdicts["share of cases not 1e-3 above it with its default tol"] == (0, True)


def test_the_best_bound_is_the_stored_one_unless_a_fit_went_higher():
    assert counted_of().best == -2.0
    higher = counted_of(followed=path_of(-math.inf, -1.5))
    assert higher.best == -1.5
    assert "the stored optimum is lower" in counted_text(higher)


def test_what_is_printed_names_every_method_and_bar():
    text = counted_text(counted_of())
    assert text.count("scikit-learn") == 4
    assert "     3     4     5" in text
    assert "never never never" in text
    assert bars_text([counted_of()]).count("holds") == len(bars([counted_of()]))
    head, _, line = markdown([counted_of()]).splitlines()
    assert head.count("|") == line.count("|")
    assert line.startswith("| tiny | full | 2 | 2 | 3 | 4 | 5 |")


def test_the_benchmark_prints_its_table(monkeypatch, capsys):
    monkeypatch.setattr(convergence, "prepare", functools.partial(prepare, sample_rows=500))
    main(["--markdown"], cases=[TINY], optima={TINY.name: OPTIMUM})
    printed = capsys.readouterr().out
    assert "tiny: full, 2,000 rows, 2 features, 2 components" in printed
    assert "median passes to 1e-5" in printed
    assert "| tiny | full |" in printed


def test_gaps_and_cases_are_as_many_as_the_bars_ask_for():
    assert GAPS == (1e-4, 1e-5, 1e-6)
    assert len(CASES) >= 12
    assert {case.covariance_type for case in CASES} == {"full", "tied", "diag", "spherical"}
    assert min(case.n_components for case in CASES) == 2
    assert max(case.n_components for case in CASES) == 32
    assert fits.SAMPLE_ROWS == 40_000


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_benchmark_of_every_case(capsys):
    with capsys.disabled():
        main(["--markdown"])
