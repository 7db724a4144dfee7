"""The E-step of many components, with a look at only those that matter to a row.

Rows are sorted by their owner, the component that each most likely belongs to, and components that are proven
negligible on all rows of an owner, or of a piece of them, are left out: all that is left out of a row weighs less than
1e-14. `bounds` has the proof. Nothing is remembered from one call to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.pruned.bounds import share_of_near_components
from daskgmm.kernels.pruned.nearest import ComponentSearch
from daskgmm.kernels.pruned.owners import Ownership, find_owners
from daskgmm.kernels.pruned.whitened import WhitenedMixture, whiten_mixture, whitening_of
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["owners_worth_finding"]

# Numbers that all log densities of a row depend on, up to which sorting rows takes about as long as looking at all
# components. Compiled and separated, looking at all against pruned, in nanoseconds a row of 200,000: at 16 features
# and 64 components 740 and 1,800, at (16, 128) 1,330 and 970, at (16, 256) 2,610 and 1,210, at (32, 64) 1,740 and
# 1,570; at (16, 1024) diag 3,750 and 2,670, tied 2,290 and 3,060, at (32, 1024) diag 5,870 and 1,680, tied 3,360 and
# 1,700.
LEAST_WORK = 2**14
# Fewer components are no work to look at: at (32, 32) all took 960 and pruned ones 1,030, at (64, 16) 1,630 and 2,910,
# at (128, 16) 6,780 and 8,810, and float32 rows, which are pruned in float64, lost more; at (64, 64) 6,230 and 3,000.
FEWEST_COMPONENTS = 64
# Where nothing is gained, finding that out takes up to 3 % of a call on as few rows as this.
FEWEST_ROWS_A_COMPONENT = 8
# Rows that are looked at first, and the share of strays among them from which on the mixture does not fit the rows.
FIRST_ROWS, MOST_STRAYS = 1024, 0.5


def owners_worth_finding(
    rows: NDArray[Any], parameters: MixtureParameters, *, most_near: float
) -> tuple[WhitenedMixture, Ownership] | None:
    """Return the mixture whitened and an owner for each row (n_rows, n_features), or None if that gains nothing.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    parameters : MixtureParameters
    most_near : float
        The share of components that may matter to a few dozen rows of one component, above which nothing is gained.
    """
    n_components, n_features = parameters.means.shape
    if n_components < FEWEST_COMPONENTS:
        return None
    n_quadratic = covariance_structure(parameters.covariance_type).n_quadratic(n_features)
    if n_components * max(n_quadratic, n_features) <= LEAST_WORK or len(rows) < FEWEST_ROWS_A_COMPONENT * n_components:
        return None
    whitening = whitening_of(parameters)
    if whitening is None or share_of_near_components(parameters, whitening) > most_near:
        return None
    mixture = whiten_mixture(parameters, whitening)
    if mixture is None:
        return None
    search = ComponentSearch.of(mixture)
    first = find_owners(rows[:: len(rows) // FIRST_ROWS + 1], search)
    if np.count_nonzero(first.is_owned) < (1 - MOST_STRAYS) * len(first.owners):
        return None
    return mixture, find_owners(rows, search)
