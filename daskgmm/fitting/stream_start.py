"""Where a stream starts: on its first rows, kept in memory, once there are enough of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgmm.errors import DegenerateMixtureError
from daskgmm.fitting.exploring import best_on_sample
from daskgmm.fitting.in_memory import Rows, fit_rows
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import MOST_SAMPLE_BYTES, FitSettings
from daskgmm.start import GivenStart

__all__ = ["StartRows", "start_of_stream", "start_rows"]

# A first mixture needs rows for each component and as many as it has free parameters.
FEWEST_A_COMPONENT = 10
# What the start gets wrong where EM is slow, later steps hardly mend. With half as many rows the largest gap to the
# batch fit (16 overlapping components in 8 features) was 0.018 nats a row after 300,000 rows, and 0.006 with these.
MOST_ROWS, MOST_ROWS_A_PARAMETER = 20_000, 20
# The kept rows are fitted to their end: stopping at a tenth of tol = 1e-3, as on the sample of a fit, left 0.003 nats
# a row that no later step gained. It takes 50 to 500 iterations, less time than the starts did.
TOL_FRACTION, MOST_ITERATIONS = 1e-3, 500

# A stream cannot start again. With 16 overlapping components in 8 features, one search ended 0.014 nats a row or more
# below the best optimum for three seeds of five, two searches for one, and three for none.
SEARCHES = 3


@dataclass(frozen=True, slots=True)
class StartRows:
    """How many rows the starts of a stream are made on."""

    n_features: int
    n_free: int
    """Free parameters of the mixture."""
    fewest: int
    """Rows of positive weight before the first start."""
    most: int
    """Rows of positive weight at the last start; more are not kept."""


def start_rows(settings: FitSettings, n_features: int) -> StartRows:
    """Return how many rows starts need."""
    n_components = settings.n_components
    in_covariances = covariance_structure(settings.covariance_type).n_parameters(n_components, n_features)
    n_free = in_covariances + n_components * (n_features + 1) - 1
    least = FEWEST_A_COMPONENT * n_components
    wanted = max(MOST_ROWS, MOST_ROWS_A_PARAMETER * n_free)
    if settings.init_size is not None and not isinstance(settings.init_size, str):
        wanted = int(settings.init_size)
    most = max(least, min(wanted, MOST_SAMPLE_BYTES // (8 * (n_features + 1))))
    return StartRows(n_features, n_free, fewest=min(most, max(least, n_free)), most=most)


def start_of_stream(
    kept: Sequence[Rows],
    given: GivenStart,
    settings: FitSettings,
    wanted: StartRows,
    random_state: np.random.RandomState,
    *,
    is_last: bool,
) -> tuple[MixtureParameters, float]:
    """Return the mixture fitted to the first rows of a stream, and its mean log-likelihood there.

    Parameters
    ----------
    kept : sequence of Rows
        Rows of positive weight, at least as many as `wanted` asks for.
    given : GivenStart
        What the user gave of a start.
    settings : FitSettings
    wanted : StartRows
    random_state : numpy.random.RandomState
        Where starts draw from.
    is_last : bool
        Whether the stream goes on from here, rather than start anew on more rows: then the search is thorough.

    Raises
    ------
    ParameterError
        If a given start is not valid.
    DegenerateMixtureError
        If every start collapses.
    """
    rows = _joined(kept)
    if given.is_complete:
        start = given.check(
            n_components=settings.n_components, n_features=wanted.n_features, covariance_type=settings.covariance_type
        )
        return _fitted(start, rows, settings)
    ends, problems = [], []
    for _ in range(SEARCHES if is_last else 1):
        # Rows next to each other are often alike, and starts are judged on a part of them: another one each time.
        shuffled = _shuffled(rows, random_state)
        try:
            start, *_ = best_on_sample(
                shuffled, given, settings, random_state, is_complete=False, n_free=wanted.n_free, local=True
            )
            ends.append(_fitted(start, shuffled, settings))
        except DegenerateMixtureError as error:
            problems.append(error)
    if not ends:
        raise problems[0]
    return max(ends, key=lambda end: end[1])


def _fitted(start: MixtureParameters, rows: Rows, settings: FitSettings) -> tuple[MixtureParameters, float]:
    """Return the mixture that EM ends at, and its mean log-likelihood."""
    states = fit_rows(start, rows, settings, max_iter=MOST_ITERATIONS, tol_fraction=TOL_FRACTION)
    mixture = states[-1].parameters
    return mixture, choose_kernel(settings.kernel)(rows.values, rows.weights, mixture).lower_bound


def _joined(kept: Sequence[Rows]) -> Rows:
    """Return rows as one record."""
    values = np.concatenate([rows.values for rows in kept])
    if all(rows.weights is None for rows in kept):
        return Rows(values, None)
    each = [np.ones(len(rows)) if rows.weights is None else rows.weights for rows in kept]
    return Rows(values, np.concatenate(each))


def _shuffled(rows: Rows, random_state: np.random.RandomState) -> Rows:
    """Return rows in random order."""
    order = random_state.permutation(len(rows))
    return Rows(rows.values[order], None if rows.weights is None else rows.weights[order])
