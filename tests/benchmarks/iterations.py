"""One iteration of EM, E-step and M-step, by each of those that the benchmark compares.

Every function here takes rows and parameters and returns a function without arguments that does one iteration from
these parameters each time it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm.errors import ParameterError
from daskgmm.kernels import KERNELS, choose_kernel
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["available_kernels", "daskgmm_iteration", "draw_mixture", "load_onedal", "onedal_iterations"]
__all__ += ["sklearn_iteration"]

REG_COVAR = 1e-6
ONEDAL_STORAGE = {"full": "full", "diag": "diagonal"}
"""oneDAL's names of the covariance types it has."""


def draw_mixture(
    covariance_type: str, *, n_rows: int, n_features: int, n_components: int, spread: float, seed: int = 0
) -> tuple[NDArray[np.float64], MixtureParameters]:
    """Draw rows of a mixture of equal weights whose means are normal with scale `spread`; variances are about 1."""
    generator = np.random.default_rng(seed)
    means = generator.normal(scale=spread, size=(n_components, n_features))
    mixing = generator.normal(scale=(2 * n_features) ** -0.5, size=(n_components, n_features, n_features))
    matrices = mixing @ mixing.transpose(0, 2, 1) + 0.5 * np.eye(n_features)
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    covariances = {"full": matrices, "tied": matrices[0], "diag": variances, "spherical": variances.mean(axis=1)}
    parameters = MixtureParameters.from_covariances(
        weights=np.full(n_components, 1 / n_components),
        means=means,
        covariances=covariances[covariance_type].copy(),
        covariance_type=covariance_type,
    )
    matrices = {
        "full": matrices,
        "tied": np.broadcast_to(matrices[0], matrices.shape),
        "diag": variances[:, :, None] * np.eye(n_features),
        "spherical": variances.mean(axis=1)[:, None, None] * np.eye(n_features),
    }[covariance_type]
    labels = generator.integers(n_components, size=n_rows)
    rows = generator.normal(size=(n_rows, n_features))
    for label, factor in enumerate(np.linalg.cholesky(matrices)):
        members = labels == label
        rows[members] = means[label] + rows[members] @ factor.T
    return rows, parameters


def available_kernels() -> tuple[str, ...]:
    """Return the names of the kernels that run here."""
    return tuple(name for name in KERNELS if _is_available(name))


def _is_available(name: str) -> bool:
    try:
        choose_kernel(name)
    except ParameterError:
        return False
    return True


def daskgmm_iteration(
    rows: NDArray[Any], parameters: MixtureParameters, *, kernel: str = "auto"
) -> Callable[[], MixtureParameters]:
    """Return this package's iteration."""
    e_step = choose_kernel(kernel)
    return lambda: m_step(e_step(rows, None, parameters), reg_covar=REG_COVAR).parameters


def sklearn_iteration(rows: NDArray[Any], parameters: MixtureParameters) -> Callable[[], SklearnGaussianMixture]:
    """Return scikit-learn's iteration."""

    def iterate() -> SklearnGaussianMixture:
        # It updates itself: each call starts again from the parameters given.
        model = SklearnGaussianMixture(
            parameters.n_components, covariance_type=parameters.covariance_type, reg_covar=REG_COVAR
        )
        model.weights_, model.means_ = parameters.weights, parameters.means
        model.covariances_, model.precisions_cholesky_ = parameters.covariances, parameters.precisions_cholesky
        _, log_resp = model._e_step(rows)
        model._m_step(rows, log_resp)
        return model

    return iterate


def onedal_iterations(
    rows: NDArray[Any], parameters: MixtureParameters, *, n_iterations: int
) -> Callable[[], Any] | None:
    """Return a number of oneDAL's iterations on one thread; None where it is not installed or lacks the type."""
    onedal, storage = load_onedal(), ONEDAL_STORAGE.get(parameters.covariance_type)
    if onedal is None or storage is None:
        return None
    weights = parameters.weights[None, :]
    covariances = [np.atleast_2d(covariance) for covariance in parameters.covariances]

    def iterate() -> Any:
        algorithm = onedal.em_gmm(
            nComponents=parameters.n_components,
            maxIterations=n_iterations,
            accuracyThreshold=0.0,
            regularizationFactor=REG_COVAR,
            covarianceStorage=storage,
        )
        return algorithm.compute(rows, weights, parameters.means, covariances)

    return iterate


@cache
def load_onedal() -> ModuleType | None:
    """Return daal4py's compiled module, on one thread; None where it is not installed.

    Importing the package itself fails beside recent versions of scikit-learn, whose private parts it replaces.
    """
    package = find_spec("daal4py")
    if package is None or package.submodule_search_locations is None:
        return None
    spec = PathFinder.find_spec("_daal4py", package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.daalinit(1)
    return module
