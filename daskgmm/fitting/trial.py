"""One E-step on one block, to tell how long a pass would take."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.timing import BlockTiming, time_block
from daskgmm.errors import RowError
from daskgmm.fitting.passes import parts_of
from daskgmm.kernels import Kernel, choose_kernel
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows
from daskgmm.settings import FitSettings
from daskgmm.storage.dataset import RowBlocks

__all__ = ["plausible_parameters", "time_e_step"]

# Enough rows to place means on, and for every step of a kernel to run before it is timed: it may have to be compiled.
TRIED_ROWS = 4096


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the block is tried with."""

    kernel: Kernel
    settings: FitSettings
    n_features: int


def time_e_step(blocks: RowBlocks, settings: FitSettings) -> BlockTiming:
    """Read the first block that has rows, run one E-step on it, and return how long both took.

    Raises
    ------
    InputDataError
        If the block is not dense and real, or a row holds NaN or infinity.
    StorageError
        If it cannot be read.
    """
    parts = parts_of(blocks)
    lengths = blocks.rows.chunks[0]
    # Unknown lengths are NaN, which differs from 0.
    first = 0 if parts.reader is not None else next((i for i, length in enumerate(lengths) if length != 0), 0)
    trial = _Trial(choose_kernel(settings.kernel), settings, blocks.n_features)
    try:
        with one_thread_per_task():
            return time_block(parts, first, _e_step, trial)
    except RowError as error:
        raise error.located(block=first, block_start=parts.start(first)) from None


def _e_step(rows: NDArray[Any], weights: NDArray[Any] | None, trial: _Trial) -> float:
    """Return the seconds that an E-step takes."""
    rows = checked_rows(rows, trial.n_features)
    present = None if weights is None else weights > 0
    some = rows[:TRIED_ROWS] if present is None else rows[present][:TRIED_ROWS]
    if len(some) == 0:
        return 0.0
    parameters = plausible_parameters(some, trial.settings)
    if parameters is None:
        raise bad_row(rows, present)
    trial.kernel(rows[:TRIED_ROWS], None if weights is None else weights[:TRIED_ROWS], parameters)
    began = perf_counter()
    trial.kernel(rows, weights, parameters)
    return perf_counter() - began


def plausible_parameters(rows: NDArray[Any], settings: FitSettings) -> MixtureParameters | None:
    """Return a mixture that covers rows evenly: means on some of them, equal axes that together fill their variances.

    None when the variances are not finite.
    """
    n_components, n_features = settings.n_components, rows.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        variances = rows.var(axis=0, dtype=np.float64)
        # n_components boxes fill the whole when each is narrower by n_components to the power 1 / n_features. A feature
        # that is constant here still needs some width.
        variances = variances / n_components ** (2 / n_features) + settings.reg_covar
        variances[variances == 0] = 1.0
    if not np.isfinite(variances).all():
        return None
    structure = covariance_structure(settings.covariance_type)
    shape = structure.shape(n_components, n_features)
    covariance = np.diag(variances) if structure.has_matrices else variances if len(shape) == 2 else variances.mean()
    chosen = np.random.RandomState(0).randint(len(rows), size=n_components)
    return MixtureParameters.from_covariances(
        weights=np.full(n_components, 1 / n_components),
        means=np.asarray(rows[chosen], dtype=np.float64),
        covariances=np.broadcast_to(covariance, shape),
        covariance_type=settings.covariance_type,
    )
