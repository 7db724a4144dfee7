"""The E-step on one block in memory: rows, weights and parameters in, sufficient statistics out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from daskgmm.errors import ParameterError
from daskgmm.kernels import auto, blas, fused
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["KERNELS", "Kernel", "choose_kernel"]

Kernel = Callable[[NDArray[Any], NDArray[Any] | None, MixtureParameters], SufficientStatistics]
"""(rows, weights or None, parameters) -> statistics about the parameters' means."""

KERNELS: dict[str, Kernel] = {"auto": auto.e_step, "blas": blas.e_step, "fused": fused.e_step}


def choose_kernel(name: str) -> Kernel:
    """Return the kernel of a name.

    Raises
    ------
    ParameterError
        If there is none, or if it needs a package that is not installed.
    """
    try:
        kernel = KERNELS[name]
    except (KeyError, TypeError):
        raise ParameterError(f"kernel: expected one of {', '.join(KERNELS)}; got {name!r}") from None
    if name == "fused" and not fused.is_available():
        raise ParameterError(
            "kernel: 'fused' needs Numba, which is not installed. Install it with pip install 'daskgmm[fast]', "
            "or use 'auto' or 'blas'"
        )
    return kernel
