"""Where EM starts: parameters from the user, or from an assignment of sampled rows to components."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from daskgmm.errors import ParameterError
from daskgmm.mixture.assignment import assigned_statistics
from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters, checked_array

__all__ = ["INIT_PARAMS", "GivenStart", "start_parameters"]

INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")


@dataclass(frozen=True, slots=True, eq=False)
class GivenStart:
    """The part of the starting parameters that the user gave; None where an assignment of rows decides."""

    weights: ArrayLike | None = None
    """Shape (n_components,)."""
    means: ArrayLike | None = None
    """Shape (n_components, n_features)."""
    precisions: ArrayLike | None = None
    """Shaped as the covariances of the type."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be found."""
        return self.weights is not None and self.means is not None and self.precisions is not None

    @property
    def is_empty(self) -> bool:
        """Whether everything is left to be found."""
        return self.weights is None and self.means is None and self.precisions is None

    def check(self, *, n_components: int, n_features: int, covariance_type: str) -> MixtureParameters:
        """Return these parameters filled up with those of a standard mixture, to see that they are valid.

        Raises
        ------
        ParameterError
            If a given array has the wrong shape, is out of range, or is not positive definite.
        """
        structure = covariance_structure(covariance_type)
        unit = np.eye(n_features) if structure.has_matrices else np.ones(1)
        standard = MixtureParameters.from_precisions(
            weights=np.full(n_components, 1 / n_components),
            means=np.zeros((n_components, n_features)),
            precisions=np.broadcast_to(unit, structure.shape(n_components, n_features)),
            covariance_type=covariance_type,
        )
        return self.completed(standard)

    def completed(self, found: MixtureParameters) -> MixtureParameters:
        """Return these parameters, filled up from `found`; raises ParameterError when one is not valid."""
        weights = (
            found.weights if self.weights is None else checked_array("weights_init", self.weights, found.weights.shape)
        )
        means = found.means if self.means is None else checked_array("means_init", self.means, found.means.shape)
        try:
            if self.precisions is None:
                return replace(found, weights=weights, means=means)
            return MixtureParameters.from_precisions(
                weights=weights, means=means, precisions=self.precisions, covariance_type=found.covariance_type
            )
        except ParameterError as error:
            raise ParameterError(f"starting parameters (weights_init, means_init, precisions_init): {error}") from None


def start_parameters(
    rows: Floats,
    weights: Floats | None,
    given: GivenStart,
    *,
    n_components: int,
    covariance_type: str,
    reg_covar: float,
    init_params: str,
    random_state: np.random.RandomState,
) -> MixtureParameters:
    """Return starting parameters from rows in memory, as scikit-learn finds them.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        All rows, or a uniform sample of them; at least n_components.
    weights : array of shape (n_rows,) or None
        Sample weights.
    given : GivenStart
        What the user gave; it replaces what is found.
    n_components : int
    covariance_type : str
    reg_covar : float
        Added to the diagonal of each covariance, >= 0.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}
        How rows are assigned to components.
    random_state : numpy.random.RandomState
        Drawn from as scikit-learn draws, so that the same seed starts at the same place.

    Raises
    ------
    ParameterError
        If a given array is not valid.
    DegenerateMixtureError
        If no assigned component has a positive definite covariance.
    """
    if given.is_complete:
        return given.check(n_components=n_components, n_features=rows.shape[1], covariance_type=covariance_type)
    assigned = _assign(rows, weights, n_components, init_params, random_state)
    statistics = assigned_statistics(rows, weights, assigned, covariance_type)
    return given.completed(m_step(statistics, reg_covar=reg_covar).parameters)


def _assign(
    rows: Floats, weights: Floats | None, n_components: int, init_params: str, random_state: np.random.RandomState
) -> Floats:
    """Return responsibilities (n_rows, n_components) by the method named."""
    n_rows = len(rows)
    if init_params == "random":
        assigned = random_state.uniform(size=(n_rows, n_components))
        assigned /= assigned.sum(axis=1, keepdims=True)
        return assigned
    assigned = np.zeros((n_rows, n_components))
    components = np.arange(n_components)
    if init_params == "kmeans":
        kmeans = KMeans(n_clusters=n_components, n_init=1, random_state=random_state)
        with _few_clusters.silent():
            assigned[np.arange(n_rows), kmeans.fit(rows, sample_weight=weights).labels_] = 1
    elif init_params == "k-means++":
        # It expands squared distances, which loses all digits far from the origin. (KMeans centres rows itself.)
        centred = rows - rows.mean(axis=0)
        _, chosen = kmeans_plusplus(centred, n_components, sample_weight=weights, random_state=random_state)
        assigned[chosen, components] = 1
    else:
        shares = None if weights is None else weights / weights.sum()
        chosen = random_state.choice(n_rows, size=n_components, replace=False, p=shares)
        assigned[chosen, components] = 1
    return assigned


class _FewClusters:
    """k-means' warning of fewer distinct rows than components, silenced: the M-step seeds empty components anew.

    Filters of warnings are one list for the whole process, and starts run in many threads at once. The first one that
    enters sets the filter and the last one that leaves lifts it; each on its own would leave another's behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._filter = ExitStack()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Silence the warning in this context."""
        with self._lock:
            if self._users == 0:
                self._filter.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._filter.close()


_few_clusters = _FewClusters()
