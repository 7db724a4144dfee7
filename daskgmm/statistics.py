"""`SufficientStatistics`: what an EM step needs to know of rows, so that sites can fit together and keep their rows.

Each site computes the statistics of its rows under one shared mixture and sends the file, some kilobytes; whoever
merges them makes the next mixture from the sum, as if all rows were in one place.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ParameterError
from daskgmm.fitted import parameters_of, set_result
from daskgmm.fitting import statistics_of_rows, step_of
from daskgmm.inputs import row_blocks_of
from daskgmm.mixture import statistics as moments
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import settings_of
from daskgmm.storage.statistics_file import load_statistics, save_statistics

__all__ = ["SufficientStatistics"]


@dataclass(frozen=True, slots=True, eq=False)
class SufficientStatistics:
    """The sufficient statistics of rows under a mixture: sums over rows, from which one EM step follows.

    They hold no rows: numbers, means and second moments by component, and the log-likelihood.

    Examples
    --------
    Two sites start from the same mixture, and read their own rows alone.

    >>> import numpy as np
    >>> from daskgmm import GaussianMixture, SufficientStatistics
    >>> generator = np.random.default_rng(0)
    >>> here, there = generator.normal(-3.0, 1.0, (800, 2)), generator.normal(3.0, 2.0, (400, 2))
    >>> shared = GaussianMixture(2, random_state=0).fit(np.concatenate([here[:50], there[:50]]))
    >>> SufficientStatistics.of(shared, here).save("here.statistics")
    >>> SufficientStatistics.of(shared, there).save("there.statistics")

    What they send is merged, and the next mixture is made of it: one EM step over all rows.

    >>> merged = SufficientStatistics.load("here.statistics").merge(SufficientStatistics.load("there.statistics"))
    >>> merged.n_samples
    1200
    >>> shared = merged.next_mixture(shared)
    >>> np.sort(shared.weights_).round(2)
    array([0.34, 0.66])
    """

    record: moments.SufficientStatistics
    """Sums of responsibilities and of moments about the mixture's means."""
    mixture: str
    """SHA-256 digest of the mixture that the responsibilities were computed with, in hexadecimal digits."""

    @classmethod
    def of(cls, mixture: Any, X: Any, *, sample_weight: Any = None) -> SufficientStatistics:
        """Return the statistics of rows under a fitted mixture, in one pass over them.

        Parameters
        ----------
        mixture : GaussianMixture
            The one that all sites share.
        X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
        sample_weight : dask array or array-like of shape (n_samples,), default=None
            Weights >= 0.

        Raises
        ------
        NotFittedError
            If there is no mixture yet.
        InputDataError
            If the rows cannot be used, or have other features than the mixture.
        """
        check_is_fitted(mixture)
        parameters = parameters_of(mixture)
        blocks = row_blocks_of(mixture, X, sample_weight, reset=False)
        return cls(statistics_of_rows(blocks, settings_of(mixture), parameters), digest(parameters))

    @property
    def n_samples(self) -> int:
        """Number of rows, those of weight 0 included."""
        return self.record.n_samples

    @property
    def weight(self) -> float:
        """Sum of the sample weights of the rows."""
        return self.record.weight

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit of weight under the mixture, in nats."""
        return self.record.lower_bound

    def merge(self, other: SufficientStatistics) -> SufficientStatistics:
        """Return the statistics of both sets of rows; their order changes nothing but rounding.

        Raises
        ------
        ParameterError
            If the two were computed with different mixtures.
        """
        if self.mixture != other.mixture:
            raise ParameterError(
                "merge: expected statistics under one mixture; got "
                f"{_kind(self)} and {_kind(other)}. Send the same model file to all sites and compute them again"
            )
        return replace(self, record=self.record.merge(other.record))

    def next_mixture(self, mixture: Any) -> Any:
        """Return the mixture after one EM step, as a new estimator with the settings of the one before.

        It has `converged_` if the step gained less than `tol`; `lower_bound_` is that of the mixture before it.

        Parameters
        ----------
        mixture : GaussianMixture
            The one that the statistics were computed with.

        Raises
        ------
        ParameterError
            If they were computed with another one.
        DegenerateMixtureError
            If every component collapses.
        """
        check_is_fitted(mixture)
        parameters = parameters_of(mixture)
        if digest(parameters) != self.mixture:
            raise ParameterError(
                f"next_mixture: expected the mixture that the statistics were computed with, {self.mixture[:12]}; got "
                f"{digest(parameters)[:12]}, {parameters.n_components} {parameters.covariance_type} components of "
                f"{parameters.n_features} features"
            )
        after = clone(mixture)
        set_result(after, step_of(parameters, self.record, settings_of(mixture)))
        after.n_features_in_ = mixture.n_features_in_
        if hasattr(mixture, "feature_names_in_"):
            after.feature_names_in_ = mixture.feature_names_in_
        return after

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the statistics to one file, whole or not at all; raises StorageError if it cannot be written."""
        save_statistics(self.record, self.mixture, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SufficientStatistics:
        """Return the statistics that `save` wrote.

        Raises
        ------
        StoreNotFoundError
            If there is no such file.
        ModelFormatError
            If it is not a whole and valid file of statistics. It is checked before anything is allocated; no code is
            run.
        """
        return cls(*load_statistics(path))


def digest(parameters: MixtureParameters) -> str:
    """Return the SHA-256 of all that responsibilities depend on, the same on every machine."""
    found = hashlib.sha256(parameters.covariance_type.encode())
    for array in (parameters.weights, parameters.means, parameters.precisions_cholesky):
        found.update(repr(array.shape).encode())
        found.update(np.ascontiguousarray(array, "<f8").tobytes())
    return found.hexdigest()


def _kind(statistics: SufficientStatistics) -> str:
    n_components, n_features = statistics.record.reference.shape
    return (
        f"{statistics.record.covariance_type}, {n_components} components of {n_features} features "
        f"({statistics.mixture[:12]})"
    )
