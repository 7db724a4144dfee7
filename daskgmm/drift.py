"""Drift: how far rows lie from those that a mixture was fitted to.

Each fit keeps quantiles of its rows' log densities and the components' shares of its rows, by a sample of 40,000 rows
that costs no pass. `measure_drift` counts other rows by them, in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import NoDistributionError
from daskgmm.fitted import parameters_of
from daskgmm.fitting.distribution import distribution_of_rows, tally_rows
from daskgmm.inputs import row_blocks_of
from daskgmm.kept_distribution import keep_with, kept_with
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.distribution import RowDistribution, RowTally
from daskgmm.mixture.shift import (
    expected_stability_index,
    kolmogorov_smirnov_distance,
    of_deciles,
    population_stability_index,
)

__all__ = ["Drift", "keep_distribution", "keeps_distribution", "measure_drift"]

# More components than this do not read well as lines.
MOST_LINES = 20


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Drift:
    """How far rows lie from those that a mixture was fitted to."""

    log_density_psi: float
    """Population stability index over deciles of the log density, >= 0."""
    component_psi: float
    """Population stability index over components, >= 0: it sees rows that move from one component to another that is
    as dense, of which log densities know nothing."""
    expected_psi: float
    """About what the index would be by chance, without any drift: it is large where there are few rows."""
    ks_distance: float
    """Kolmogorov-Smirnov distance of the log densities, in [0, 1]: the largest difference at the quantiles kept, so it
    may be 0.005 larger between them, or more where many rows are equal."""
    shares_before: Floats
    """Shares of the rows then whose most probable component is each, shape (n_components,)."""
    shares_now: Floats
    """The same of the rows now."""
    mean_log_likelihood: float
    """Mean log density per unit of weight of the rows now, in nats."""
    n_samples: int
    """Rows now."""
    n_samples_before: int
    """Rows then, or as many of them as were sampled."""
    log_densities: Floats
    """Log densities between which rows were counted, in nats, shape (n_quantiles,)."""
    shares_below_before: Floats
    """Shares of the rows then below each of them, shape (n_quantiles,)."""
    shares_below_now: Floats
    """The same of the rows now."""

    @property
    def psi(self) -> float:
        """The larger of both indices. Below 0.1 is usually called stable, above 0.25 a shift (Siddiqi 2006)."""
        return max(self.log_density_psi, self.component_psi)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values, without the curves."""
        return {
            "psi": self.psi,
            "log_density_psi": self.log_density_psi,
            "component_psi": self.component_psi,
            "expected_psi": self.expected_psi,
            "ks_distance": self.ks_distance,
            "shares_before": self.shares_before.tolist(),
            "shares_now": self.shares_now.tolist(),
            "mean_log_likelihood": self.mean_log_likelihood,
            "n_samples": self.n_samples,
            "n_samples_before": self.n_samples_before,
        }

    def __repr__(self) -> str:
        lines = [
            f"Drift of {self.n_samples} rows from {self.n_samples_before} that were fitted to",
            f"population stability index {self.psi:.4f}: {self.log_density_psi:.4f} of log densities, "
            f"{self.component_psi:.4f} of components, about {self.expected_psi:.2g} by chance",
            f"Kolmogorov-Smirnov distance {self.ks_distance:.4f}",
            "",
            "component   share then   share now",
        ]
        heaviest = self.shares_before.argsort(kind="stable")[::-1]
        lines += [f"{k:9d}   {self.shares_before[k]:10.4f}   {self.shares_now[k]:9.4f}" for k in heaviest[:MOST_LINES]]
        if len(heaviest) > MOST_LINES:
            lines.append(f"... and {len(heaviest) - MOST_LINES} lighter ones")
        return "\n".join(lines)


def measure_drift(mixture: Any, X: Any, sample_weight: Any = None) -> Drift:
    """Return how far rows lie from those that a mixture was fitted to; reads them once.

    Parameters
    ----------
    mixture : GaussianMixture
        A fitted one.
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
    sample_weight : dask array or array-like of shape (n_samples,), default=None
        Weights >= 0; a row of weight 2 is that row twice.

    Raises
    ------
    NoDistributionError
        If the mixture keeps no distribution: see `keeps_distribution`.
    InputDataError
        If the rows cannot be used, or have other features than those fitted to.
    StorageError
        If a store is not there, lacks chunks, or holds chunks that cannot be read.
    """
    check_is_fitted(mixture)
    parameters = parameters_of(mixture)
    before = kept_with(mixture, parameters)
    if before is None:
        raise NoDistributionError(
            "expected a mixture that keeps how the rows of its fit are distributed; this one keeps nothing of that. "
            "Files of daskgmm before there was drift, scikit-learn's mixtures, streams by partial_fit, steps from "
            "merged statistics, and mixtures whose attributes were changed do not. Fit it again, or use "
            "daskgmm.drift.keep_distribution(mixture, X) with the rows that it was fitted to, and save it"
        )
    now = tally_rows(row_blocks_of(mixture, X, sample_weight, reset=False), parameters, before.log_densities)
    return _drift(before, now)


def keeps_distribution(mixture: Any) -> bool:
    """Return whether a fitted mixture keeps how the rows of its fit are distributed.

    All but those do that come from older model files or from scikit-learn, were fitted by `partial_fit`, from merged
    statistics or with `max_iter=0`, or were changed since.
    """
    check_is_fitted(mixture)
    return kept_with(mixture, parameters_of(mixture)) is not None


def keep_distribution(mixture: Any, X: Any, sample_weight: Any = None) -> None:
    """Keep in a fitted mixture how rows are distributed under it, as `fit` would have; reads them once.

    For mixtures that keep nothing of the rows that they were fitted to. Arguments and errors as `measure_drift`.
    """
    check_is_fitted(mixture)
    parameters = parameters_of(mixture)
    blocks = row_blocks_of(mixture, X, sample_weight, reset=False)
    keep_with(mixture, distribution_of_rows(blocks, parameters), parameters)


def _drift(before: RowDistribution, now: RowTally) -> Drift:
    """Compare rows with those before."""
    deciles = of_deciles(before.shares_below, now.shares_below)
    n_bins = max(len(deciles[0]), int(((before.component_shares > 0) | (now.component_shares > 0)).sum()))
    return Drift(
        log_density_psi=population_stability_index(*deciles),
        component_psi=population_stability_index(before.component_shares, now.component_shares),
        expected_psi=expected_stability_index(n_bins, before.n_rows, now.score.n_samples),
        ks_distance=kolmogorov_smirnov_distance(before.shares_below, now.shares_below),
        shares_before=before.component_shares,
        shares_now=now.component_shares,
        mean_log_likelihood=now.score.mean,
        n_samples=now.score.n_samples,
        n_samples_before=before.n_rows,
        log_densities=before.log_densities,
        shares_below_before=before.shares_below,
        shares_below_now=now.shares_below,
    )
