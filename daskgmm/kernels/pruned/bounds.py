"""Which components are negligible on rows near another component's mean: the bounds that leaving out rests on.

Let d_k(x) be the Mahalanobis distance of a row from component k, its owner. Component j is negligible on it if

    d_j(x)^2 - d_k(x)^2 > T_jk = 2 (c_j - c_k) + 2 log(n_components / LEFT_OUT),

c the log densities at the means: then its responsibility is below LEFT_OUT / n_components, because k's is at most 1.
Any component may be the owner; the nearer, the more is left out. Three bounds of d_j from below tell, where z is the
whitened row, z_k a whitened mean and e = |z - z_k|. A component is nowhere wider than b_j, its longest half-axis (with
the triangle inequality), and not nearer than along one direction (the Cauchy-Schwarz inequality), for which the line
between both means is taken: u = precision_j (z_k - z_j) / D with D = d_j(mean_k), so that u^T covariance_j u = 1.

    d_j(x) >= (|z_k - z_j| - e) / b_j             one number for all rows of an owner, and no product of matrices
    d_j(x) >= D - |u| e                           one number for all rows of an owner
    d_j(x) >= D + u^T (z - z_k)                   a number for each row

The last leaves out no more than what is perpendicular to the line. Of 1,024 separated components with 16 features, 3
are not negligible on a row, and 6 are not proven negligible by it; the second alone leaves 134, and the first 726.
"""

from __future__ import annotations

import math

import numpy as np

from daskgmm.kernels.pruned.whitened import Whitening, as_given
from daskgmm.mixture.density import log_factors
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["LEFT_OUT", "required_gap", "share_of_near_components"]

LEFT_OUT = 1e-14
"""All responsibilities of a row that are left out add up to less than this."""
# Added to T; log densities are exact to far more.
MARGIN = 1e-3
# Components that are looked at for what a block would gain.
LOOKED_AT = 16
# Farther towards another mean, in standard deviations along the line, are 1 in 100 rows: one of a piece.
TOWARDS_OTHER = 2.5


def required_gap(n_components: int) -> float:
    """Return T of components with one density at their means."""
    return 2 * math.log(n_components / LEFT_OUT) + MARGIN


def share_of_near_components(parameters: MixtureParameters, whitening: Whitening) -> float:
    """Return about which share of the components matters to a few dozen rows of one component, from a few of them."""
    n_components, n_features = parameters.means.shape
    owners = np.flatnonzero(parameters.weights > 0)
    owners = owners[np.linspace(0, len(owners) - 1, min(LOOKED_AT, len(owners))).astype(np.intp)]
    factors = as_given(parameters, parameters.precisions_cholesky)
    deviations = parameters.means[owners] - parameters.means[:, None]  # (n_components, n_owners, n_features)
    if factors.ndim == 3:
        scaled = deviations @ factors
        directions = scaled @ factors.transpose(0, 2, 1) @ whitening.inverse.T
    else:
        scaled = deviations * factors[:, None, :]
        directions = scaled * factors[:, None, :] * np.diagonal(whitening.inverse)
    lengths = np.sqrt(np.einsum("kod,kod->ko", scaled, scaled))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slopes = np.sqrt(np.einsum("kod,kod->ko", directions, directions)) / lengths
        bounds = np.maximum(lengths - TOWARDS_OTHER * slopes, 0.0)
        logs = log_factors(parameters).ravel()
        required = 2 * (logs[:, None] - logs[owners]) + required_gap(n_components)
        near = ~(bounds * bounds - n_features > required)
    return float(near.mean())
