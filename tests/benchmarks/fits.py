"""Fits whose passes are counted: this package's, plain EM's and scikit-learn's, as paths of bounds over passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import process_time

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm.fitting.exploring import best_on_sample
from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.result import Progress
from daskgmm.fitting.rivals import run_rivals
from daskgmm.history import Journal
from daskgmm.kernels import choose_kernel
from daskgmm.kernels.likelihood import log_likelihood
from daskgmm.mixture.em import EMState, expectation_maximization
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart, start_parameters
from tests.benchmarks.mixtures import Case

__all__ = ["REG_COVAR", "Path", "Prepared", "accelerated_path", "plain_path", "prepare", "sklearn_path"]
__all__ += ["sklearn_starts"]

Floats = NDArray[np.float64]

REG_COVAR = 1e-6
# Rows of the sample: so many at least, and so many a free parameter.
SAMPLE_ROWS = 40_000
SAMPLE_ROWS_A_PARAMETER = 50
# The tol that starts are made for.
START_TOL = 1e-5


@dataclass(frozen=True, slots=True)
class Path:
    """What a fit had reached after each full pass."""

    bounds: tuple[float, ...]
    """The mean log-likelihood of the best parameters evaluated so far, pass by pass; -inf after a first look."""
    parameters: MixtureParameters
    """What the fit returns."""
    seconds: float
    """CPU time."""
    converged: bool

    def passes_to(self, bound: float) -> float:
        """Return the number of passes until a bound is reached, infinity when it is not."""
        return next((index + 1 for index, reached in enumerate(self.bounds) if reached >= bound), math.inf)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of a case, a sample of them, and the optima of the sample that a fit starts from."""

    case: Case
    rows: Floats
    sample: Floats
    starts: tuple[MixtureParameters, ...]
    """The best on the sample first."""
    seconds: float
    """CPU time of the starts."""

    @property
    def start(self) -> MixtureParameters:
        """The best on the sample."""
        return self.starts[0]

    def at(self, start: MixtureParameters) -> Prepared:
        """Return the same rows and sample with another start."""
        return replace(self, starts=(start,))


def prepare(case: Case, *, seed: int = 0, sample_rows: int = SAMPLE_ROWS) -> Prepared:
    """Draw the rows and the sample, and start as a fit does."""
    rows = case.draw()
    generator = np.random.default_rng([seed, 1])
    n_free = _start(case, rows[: 10 * case.n_components], "random_from_data", np.random.RandomState(0)).n_free
    size = max(sample_rows, SAMPLE_ROWS_A_PARAMETER * n_free)
    sample = rows[generator.permutation(len(rows))[:size]]
    began = process_time()
    starts = best_on_sample(
        Rows(sample, None),
        GivenStart(),
        FitSettings(case.n_components, case.covariance_type, tol=START_TOL, reg_covar=REG_COVAR),
        np.random.RandomState(seed),
        is_complete=False,
        n_free=n_free,
        local=True,
    )
    return Prepared(case, rows, sample, tuple(starts), process_time() - began)


def accelerated_path(prepared: Prepared, *, tol: float, max_passes: int) -> Path:
    """Fit as the package does, from all starts in the same passes; the first look at the data is the first pass.

    What counts of a pass is the best of the mixtures that it evaluated, and of those before it.
    """
    kernel = choose_kernel("auto")
    case, bounds = prepared.case, [-math.inf]

    def one_pass(mixtures: Sequence[MixtureParameters]) -> list[SufficientStatistics]:
        found = [kernel(prepared.rows, None, mixture) for mixture in mixtures]
        bounds.append(max(bounds[-1], *(statistics.lower_bound for statistics in found)))
        return found

    began = process_time()
    runs = run_rivals(
        [Progress(start, -math.inf) for start in prepared.starts],
        Rows(prepared.sample, None),
        FitSettings(case.n_components, case.covariance_type, tol=tol, reg_covar=REG_COVAR, max_iter=max_passes - 1),
        Journal(row_bytes=prepared.rows[0].nbytes, n_samples=len(prepared.rows)),
        one_pass,
    )
    best = max(runs, key=lambda run: run.lower_bound)
    return Path(tuple(bounds), best.parameters, process_time() - began + prepared.seconds, best.converged)


def plain_path(rows: Floats, start: MixtureParameters, *, tol: float, max_passes: int) -> Path:
    """Fit by EM as it stands: scikit-learn's iterates from the same start, to rounding, and its rule to stop."""
    began = process_time()
    states = list(_em(rows, start, tol=tol, max_iter=max_passes))
    bounds = tuple(float(bound) for bound in np.maximum.accumulate([state.lower_bound for state in states]))
    return Path(bounds, states[-1].parameters, process_time() - began, states[-1].converged)


def sklearn_starts(case: Case, rows: Floats, n_init: int) -> Iterator[MixtureParameters]:
    """Yield the starts of scikit-learn's GaussianMixture(n_init=n_init, random_state=0)."""
    random_state = np.random.RandomState(0)
    for _ in range(n_init):
        yield _start(case, rows, "kmeans", random_state)


def sklearn_path(case: Case, rows: Floats, *, n_init: int) -> Path:
    """Fit by scikit-learn with its default tol; its bounds count from the first iteration of the best run."""
    model = SklearnGaussianMixture(
        case.n_components, covariance_type=case.covariance_type, n_init=n_init, random_state=0, max_iter=1000
    )
    began = process_time()
    model.fit(rows)
    seconds = process_time() - began
    parameters = MixtureParameters.from_covariances(
        weights=model.weights_, means=model.means_, covariances=model.covariances_, covariance_type=case.covariance_type
    )
    last = log_likelihood(rows, None, parameters).mean
    return Path((*(float(bound) for bound in model.lower_bounds_), last), parameters, seconds, bool(model.converged_))


def _start(case: Case, rows: Floats, method: str, random_state: np.random.RandomState) -> MixtureParameters:
    return start_parameters(
        rows,
        None,
        GivenStart(),
        n_components=case.n_components,
        covariance_type=case.covariance_type,
        reg_covar=REG_COVAR,
        init_params=method,
        random_state=random_state,
    )


def _em(rows: Floats, start: MixtureParameters, *, tol: float, max_iter: int) -> Iterator[EMState]:
    sweep = partial(choose_kernel("auto"), rows, None)
    return expectation_maximization(start, sweep, reg_covar=REG_COVAR, tol=tol, max_iter=max_iter)
