"""`GaussianMixture`: scikit-learn's face of a fit. No arithmetic happens here."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from daskgmm.engine.rows import RowFunction, map_rows, rows_here
from daskgmm.errors import ParameterError
from daskgmm.fitted import (
    copy_fitted,
    loaded,
    model_of,
    parameters_of,
    set_result,
    shared_settings,
    warn_unless_converged,
)
from daskgmm.fitting import Start, fit_mixture, score_rows
from daskgmm.inputs import row_blocks_of
from daskgmm.kernels.per_row import labels, log_density, responsibilities
from daskgmm.mixture.criteria import akaike_information_criterion, bayesian_information_criterion
from daskgmm.mixture.drawing import draw
from daskgmm.mixture.score import LogLikelihood
from daskgmm.notebook import NotebookSummary
from daskgmm.progress import shown
from daskgmm.settings import settings_of
from daskgmm.start import GivenStart
from daskgmm.storage.model_file import save_model
from daskgmm.streaming import learn
from daskgmm.updating import update_fitted

__all__ = ["GaussianMixture", "load"]


class GaussianMixture(NotebookSummary, DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by expectation-maximisation to data that need not fit in memory.

    Data are a Dask array (n_samples, n_features), a Zarr array or the path of one, or a NumPy array. What is computed
    for each row comes back as a NumPy array for NumPy data, and as a lazy Dask array chunked as the rows otherwise.

    Parameters
    ----------
    n_components : int, default=1
        Number of components, >= 1.
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
        Shape of the covariances.
    tol, max_iter : float, default=1e-3, and int, default=100
        EM stops when the mean log-likelihood per row changes by less, in nats, or after so many iterations; >= 0.
    reg_covar : float, default=1e-6
        Added to the diagonal of each covariance, in squared units of the features; >= 0.
    n_init : int, default=1
        Number of starts, of which the best is kept; >= 1. With `acceleration="auto"` there are 28 others as well, by
        k-means++ and at random rows of the sample, and never fewer than 4 of these.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default="kmeans"
        How starts assign rows to components.
    weights_init, means_init, precisions_init : array-like, default=None
        Starting parameters, shaped as `weights_`, `means_` and `precisions_`; None leaves them to `init_params`.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts, the sample they use, and `sample`.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit.
    verbose, verbose_interval : int, default=0 and 10
        1 shows every `verbose_interval`-th pass on standard error, 2 every pass. The logger "daskgmm" has them all.
    acceleration : {"auto", None}, default="auto"
        "auto" explores starts on the sample and lets it guide the passes over the data, which become few. None runs
        plain EM over all rows from each of `n_init` starts, as scikit-learn does; they share the passes.
    init_size : int, "auto" or None, default="auto"
        Rows of the sample; "auto" chooses from the numbers of parameters and features; None takes all rows into memory.
    kernel : {"auto", "blas", "fused"}, default="auto"
        E-step: products of NumPy's BLAS, compiled with Numba (if installed), or the faster one that is exact.
    cache : {"auto", "memory", "disk", None}, default="auto"
        Where decoded blocks stay between passes; "auto": in memory, and on disk what does not fit and is dear to read.
    checkpoint, checkpoint_every : path, URL or None, default=None, and int, default=1
        Where the state of `fit` is kept every so many passes. A fit of the same data and settings that finds it goes on
        from there, to the same bits; others are refused.

    Attributes
    ----------
    weights_, means_ : ndarray of shape (n_components,), (n_components, n_features)
        Shares and means of the components.
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Covariances, their inverses, and upper triangular factors of these: full (n_components, n_features, n_features),
        tied (n_features, n_features), diag (n_components, n_features), spherical (n_components,).
    converged_, n_iter_ : bool, int
        Whether the best run stopped because of `tol`, and its EM iterations over the data.
    lower_bound_, lower_bounds_ : float, list of float
        Mean log-likelihood per row at the last E-step, and at each.
    n_passes_, n_samples_seen_, weight_seen_ : int, int, float
        Full passes over the data, those of the starts included; rows seen so far, and the sum of their weights.
    history_ : list of dict
        What each step did: pass, phase, lower_bound, change, seconds, rows, bytes, reseeded.
    n_features_in_, feature_names_in_ : int, ndarray of shape (n_features,)
        Number of features, and their names if the data were a data frame that has some.
    """

    weights_: NDArray[np.float64]
    lower_bound_: float

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        acceleration: str | None = "auto",
        init_size: int | str | None = "auto",
        kernel: str = "auto",
        cache: str | None = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.acceleration = acceleration
        self.init_size = init_size
        self.kernel = kernel
        self.cache = cache
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def fit(self, X: Any, y: object = None, sample_weight: Any = None) -> Self:
        """Fit the mixture to the rows of `X`.

        Parameters
        ----------
        X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
            Read in one pass for the starts, unless all starting parameters are given, and one for each iteration.
        sample_weight : dask array or array-like of shape (n_samples,), default=None
            Weights >= 0. A row of weight 2 is that row twice; a row of weight 0 is not there.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            If a setting or a starting parameter is not valid.
        InputDataError
            If the data cannot be fitted; InputTypeError when they are of the wrong kind, RowError for one bad row.
        StorageError, CheckpointError
            If a store is not there, lacks chunks, or cannot be read; if a checkpoint is damaged or of another fit.
        DegenerateMixtureError
            If every component collapses.
        """
        settings = settings_of(self)
        blocks = row_blocks_of(self, X, sample_weight, reset=True)
        warm = self.warm_start and hasattr(self, "converged_")
        with shown(self.verbose, self.verbose_interval):
            result = fit_mixture(
                blocks,
                settings,
                given=GivenStart(self.weights_init, self.means_init, self.precisions_init),
                previous=Start(parameters_of(self), self.lower_bound_) if warm else None,
                random_state=check_random_state(self.random_state),
            )
        set_result(self, result)
        warn_unless_converged(self)
        return self

    def partial_fit(self, X: Any, y: object = None, sample_weight: Any = None) -> Self:
        """Take rows that can be read only once into the mixture, block by block, by stepwise EM; `fit`'s parameters.

        Rows are kept until there are enough for a start, then each block is one step (Cappe and Moulines 2009) that
        weighs 1 - (rows before / rows so far)^2. Blocks must be alike: rows in sorted order end far from a `fit`.
        Goes on from `fit`, `partial_fit` or `load`. `n_iter_` counts steps; `lower_bound_` is a running mean over
        blocks, each scored before it was learned from. See README.md, "Streams"; raises what `fit` raises.
        """
        learn(self, X, sample_weight, settings_of(self))
        return self

    def update(self, X: Any, decay: float = 1.0, *, sample_weight: Any = None) -> Self:
        """Take new rows into a fitted mixture by incremental EM, in a few passes over them alone.

        The rows so far count with `weight_seen_` times `decay`, in (0, 1]: less than 1 forgets. Old rows keep their
        shares of the components. See README.md, "Only what is new". Afterwards `n_samples_seen_` and `weight_seen_`
        are of all rows; `converged_`, `n_iter_`, `n_passes_`, `lower_bound_` and `history_` are of the new ones.
        Raises what `fit` raises, NotFittedError, and ParameterError for other decays; the mixture stays as it was.
        """
        update_fitted(self, X, sample_weight, settings_of(self), decay=decay)
        warn_unless_converged(self)
        return self

    def fit_predict(self, X: Any, y: object = None, sample_weight: Any = None) -> Any:
        """Fit the mixture and return the most probable component of each row, as `fit` and `predict` do."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def predict(self, X: Any) -> Any:
        """Return the most probable component of each row, shape (n_samples,), int64."""
        return self._per_row(X, labels, np.int64)

    def predict_proba(self, X: Any) -> Any:
        """Return the posterior probability of each component for each row, shape (n_samples, n_components)."""
        check_is_fitted(self)
        return self._per_row(X, responsibilities, np.float64, n_columns=len(self.weights_))

    def score_samples(self, X: Any) -> Any:
        """Return the log density of each row in nats, shape (n_samples,)."""
        return self._per_row(X, log_density, np.float64)

    def score(self, X: Any, y: object = None, sample_weight: Any = None) -> float:
        """Return the mean log density per row (per unit of weight) in nats; reads the data once."""
        return self._log_likelihood(X, sample_weight).mean

    def bic(self, X: Any) -> float:
        """Return the Bayesian information criterion on `X` (Schwarz 1978); lower is better."""
        return bayesian_information_criterion(self._log_likelihood(X), parameters_of(self))

    def aic(self, X: Any) -> float:
        """Return the Akaike information criterion on `X` (Akaike 1974); lower is better."""
        return akaike_information_criterion(self._log_likelihood(X), parameters_of(self))

    def sample(self, n_samples: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Draw rows (n_samples, n_features), and the component of each, which orders them; ParameterError below 1."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ParameterError(f"n_samples: expected an integer >= 1; got {n_samples!r}")
        return draw(parameters_of(self), n_samples, check_random_state(self.random_state))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted mixture to one file, which `daskgmm.load` reads; raises StorageError if it cannot.

        The file holds no code and is replaced only when the new one is complete.
        """
        check_is_fitted(self)
        save_model(model_of(self), path)

    def to_sklearn(self) -> SklearnGaussianMixture:
        """Return scikit-learn's estimator with the same settings and fitted attributes."""
        check_is_fitted(self)
        return copy_fitted(self, SklearnGaussianMixture(**shared_settings(self)))

    @classmethod
    def from_sklearn(cls, model: SklearnGaussianMixture) -> Self:
        """Return a mixture with the settings and fitted attributes of scikit-learn's; raises NotFittedError."""
        check_is_fitted(model)
        mixture = copy_fitted(model, cls(**shared_settings(model)))
        mixture.history_, mixture.n_passes_, mixture.n_samples_seen_ = [], 0, 0
        return mixture

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture; a stream may still wait for one."""
        return hasattr(self, "weights_")

    def _log_likelihood(self, X: Any, sample_weight: Any = None) -> LogLikelihood:
        """Return the likelihood of all rows under the fitted mixture."""
        check_is_fitted(self)
        return score_rows(row_blocks_of(self, X, sample_weight, reset=False), parameters_of(self))

    def _per_row(self, X: Any, function: RowFunction, dtype: DTypeLike, *, n_columns: int | None = None) -> Any:
        """Return function(rows, parameters) for each row: an array here for data here, a lazy one otherwise."""
        check_is_fitted(self)
        blocks = row_blocks_of(self, X, None, reset=False)
        lazy = map_rows(blocks.rows, function, parameters_of(self), dtype=dtype, n_columns=n_columns)
        return rows_here(lazy) if blocks.in_memory else lazy


def load(path: str | os.PathLike[str]) -> GaussianMixture:
    """Return the fitted mixture that `GaussianMixture.save` wrote to a file.

    Raises
    ------
    StoreNotFoundError
        If there is no such file.
    ModelFormatError
        If the file is not a whole and valid model. It is checked before anything is allocated; no code is run.
    """
    return loaded(GaussianMixture(), path)
