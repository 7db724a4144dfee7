"""The slow oracle: Gaussian mixtures and EM written from the definitions, in extended precision.

Shares no code with the package and takes no short cuts: loops over components and features, one covariance *matrix* per
component whatever its type, log-densities by forward substitution. Every array is `numpy.longdouble` (64 bits of
mantissa on x86, 11 more than float64), which `numpy.linalg` does not know, hence the factorisation below. Vectorised
over rows only. `log_density_digits` is the same density of a single row with any number of digits, from mpmath.

Equations are those of C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 9.2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np

Real = np.longdouble
PI = Real("3.14159265358979323846264338327950288")


@dataclass(frozen=True)
class Mixture:
    """Weights (K,), means (K, D) and one covariance matrix per component (K, D, D), whatever the type."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Fit:
    mixture: Mixture
    n_iter: int
    converged: bool
    lower_bounds: tuple[np.longdouble, ...]


def matrices(covariances, covariance_type, n_components, n_features):
    """The covariances in scikit-learn's shape for the type, as (K, D, D)."""
    covariances = np.asarray(covariances, dtype=Real)
    result = np.zeros((n_components, n_features, n_features), dtype=Real)
    for k in range(n_components):
        if covariance_type == "full":
            result[k] = covariances[k]
        elif covariance_type == "tied":
            result[k] = covariances
        elif covariance_type == "diag":
            for d in range(n_features):
                result[k, d, d] = covariances[k, d]
        elif covariance_type == "spherical":
            for d in range(n_features):
                result[k, d, d] = covariances[k]
        else:
            raise ValueError(covariance_type)
    return result


def compact(covariances, covariance_type):
    """The inverse of `matrices`: (K, D, D) in scikit-learn's shape for the type."""
    if covariance_type == "full":
        return covariances
    if covariance_type == "tied":
        return covariances[0]
    if covariance_type == "diag":
        return np.array([np.diagonal(covariance) for covariance in covariances])
    return np.array([covariance[0, 0] for covariance in covariances])


def mixture(weights, means, covariances, covariance_type):
    means = np.asarray(means, dtype=Real)
    return Mixture(np.asarray(weights, dtype=Real), means, matrices(covariances, covariance_type, *means.shape))


def cholesky(matrix):
    """Lower triangular L with L L^T = matrix."""
    n = len(matrix)
    lower = np.zeros((n, n), dtype=Real)
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i, j] - sum((lower[i, m] * lower[j, m] for m in range(j)), start=Real(0))
            if i == j:
                if not rest > 0:
                    raise ValueError("matrix is not positive definite")
                lower[i, i] = np.sqrt(rest)
            else:
                lower[i, j] = rest / lower[j, j]
    return lower


def inverse(matrix):
    """Inverse of a symmetric positive definite matrix, column by column."""
    lower = cholesky(np.asarray(matrix, dtype=Real))
    n = len(lower)
    result = np.zeros((n, n), dtype=Real)
    for column in range(n):
        y = np.zeros(n, dtype=Real)
        for i in range(n):  # L y = e_column
            y[i] = (Real(i == column) - sum((lower[i, m] * y[m] for m in range(i)), start=Real(0))) / lower[i, i]
        for i in reversed(range(n)):  # L^T x = y
            above = sum((lower[m, i] * result[m, column] for m in range(i + 1, n)), start=Real(0))
            result[i, column] = (y[i] - above) / lower[i, i]
    return result


def log_normal(rows, mean, covariance):
    """log N(x | mean, covariance) of each row (N,); eq. 2.43."""
    n_features = len(mean)
    lower = cholesky(covariance)
    distance = np.zeros(len(rows), dtype=Real)
    z = np.zeros((len(rows), n_features), dtype=Real)
    log_determinant = Real(0)
    for d in range(n_features):  # L z = x - mean
        rest = rows[:, d] - mean[d]
        for m in range(d):
            rest = rest - lower[d, m] * z[:, m]
        z[:, d] = rest / lower[d, d]
        distance += z[:, d] ** 2
        log_determinant += 2 * np.log(lower[d, d])
    return -(n_features * np.log(2 * PI) + log_determinant + distance) / 2


def weighted_log_densities(rows, mixture):
    """log(pi_k N(x_n | mu_k, Sigma_k)) as (N, K)."""
    rows = np.asarray(rows, dtype=Real)
    columns = []
    for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
        columns.append(np.log(weight) + log_normal(rows, mean, covariance))
    return np.array(columns).T.reshape(len(rows), len(mixture.weights))


def log_density(rows, mixture):
    """log p(x_n) of each row (N,); eq. 9.28 is the sum of these."""
    log_densities = weighted_log_densities(rows, mixture)
    if len(log_densities) == 0:
        return np.zeros(0, dtype=Real)
    largest = log_densities.max(axis=1)
    return largest + np.log(np.exp(log_densities - largest[:, None]).sum(axis=1))


def responsibilities(rows, mixture):
    """gamma(z_nk) as (N, K); eq. 9.23."""
    return np.exp(weighted_log_densities(rows, mixture) - log_density(rows, mixture)[:, None])


def moments(rows, mixture, reference, sample_weight=None):
    """Sums over rows of w gamma (K,), of w gamma (x - reference) (K, D) and of its outer products (K, D, D)."""
    rows = np.asarray(rows, dtype=Real)
    gamma = weigh(responsibilities(rows, mixture), sample_weight)
    n_components, n_features = mixture.means.shape
    first = np.zeros((n_components, n_features), dtype=Real)
    second = np.zeros((n_components, n_features, n_features), dtype=Real)
    for k in range(n_components):
        centred = rows - np.asarray(reference, dtype=Real)[k]
        for i in range(n_features):
            first[k, i] = (gamma[:, k] * centred[:, i]).sum()
            for j in range(n_features):
                second[k, i, j] = (gamma[:, k] * centred[:, i] * centred[:, j]).sum()
    return gamma.sum(axis=0), first, second


def weigh(values, sample_weight):
    """A row of weight w counts w times."""
    if sample_weight is None:
        return values
    weights = np.asarray(sample_weight, dtype=Real)
    return values * (weights[:, None] if values.ndim == 2 else weights)


def m_step(rows, gamma, covariance_type, reg_covar, sample_weight=None):
    """The mixture that maximises the expected log-likelihood; eq. 9.24 to 9.27.

    The other types restrict eq. 9.25: tied averages the matrices over all rows, diag keeps the diagonals, spherical the
    mean of the diagonals. `reg_covar` is added to every diagonal, as scikit-learn does.
    """
    rows = np.asarray(rows, dtype=Real)
    n_features = rows.shape[1]
    gamma = weigh(np.asarray(gamma, dtype=Real), sample_weight)
    counts = gamma.sum(axis=0)  # eq. 9.27
    n_components = len(counts)
    means = np.zeros((n_components, n_features), dtype=Real)
    covariances = np.zeros((n_components, n_features, n_features), dtype=Real)
    for k in range(n_components):
        for d in range(n_features):
            means[k, d] = (gamma[:, k] * rows[:, d]).sum() / counts[k]  # eq. 9.24
        centred = rows - means[k]
        for i in range(n_features):
            for j in range(n_features):
                covariances[k, i, j] = (gamma[:, k] * centred[:, i] * centred[:, j]).sum() / counts[k]  # eq. 9.25
    if covariance_type == "tied":
        average = sum(count * covariance for count, covariance in zip(counts, covariances, strict=True)) / counts.sum()
        covariances = np.array([average] * n_components)
    elif covariance_type == "diag":
        covariances = np.array([np.diag(np.diagonal(covariance)) for covariance in covariances])
    elif covariance_type == "spherical":
        identity = np.eye(n_features, dtype=Real)
        covariances = np.array([np.trace(covariance) / n_features * identity for covariance in covariances])
    covariances = covariances + Real(reg_covar) * np.eye(n_features, dtype=Real)
    return Mixture(counts / counts.sum(), means, covariances)  # eq. 9.26


def lower_bound(rows, mixture, sample_weight=None):
    """Mean log-likelihood per row; eq. 9.28 divided by the number (or weight) of rows."""
    total = Real(len(rows)) if sample_weight is None else np.asarray(sample_weight, dtype=Real).sum()
    return weigh(log_density(rows, mixture), sample_weight).sum() / total


def em(rows, start, covariance_type, *, tol, reg_covar, max_iter, sample_weight=None):
    """EM with scikit-learn's counting: bound and M-step per iteration, stop when the bound moves by less than `tol`."""
    current, bounds, change = start, [], Real(np.inf)
    while len(bounds) < max_iter and not abs(change) < tol:
        bounds.append(lower_bound(rows, current, sample_weight))
        current = m_step(rows, responsibilities(rows, current), covariance_type, reg_covar, sample_weight)
        change = bounds[-1] - (bounds[-2] if len(bounds) > 1 else Real(-np.inf))
    return Fit(current, len(bounds), bool(abs(change) < tol), tuple(bounds))


def log_density_digits(row, weights, means, covariances, covariance_type, digits=50):
    """log p(x) of one row with `digits` digits: the definition, with a determinant and an inverse."""
    with mpmath.workdps(digits):
        row = mpmath.matrix([mpmath.mpf(float(value)) for value in row])
        total = mpmath.mpf(0)
        means = np.asarray(means, dtype=np.float64)
        for k, covariance in enumerate(matrices(covariances, covariance_type, *means.shape)):
            sigma = mpmath.matrix([[mpmath.mpf(float(value)) for value in line] for line in covariance])
            centred = row - mpmath.matrix([mpmath.mpf(float(value)) for value in means[k]])
            distance = (centred.T * mpmath.inverse(sigma) * centred)[0]
            scale = mpmath.sqrt((2 * mpmath.pi) ** len(row) * mpmath.det(sigma))
            total += mpmath.mpf(float(weights[k])) * mpmath.exp(-distance / 2) / scale
        return float(mpmath.log(total))
