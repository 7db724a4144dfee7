"""How rows are distributed under a mixture: of a fit's rows by a sample, of other rows by a pass over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from daskgmm.engine.sample import first_look
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.sweep import sweep
from daskgmm.engine.waiting import redone
from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.passes import check_weight, parts_of
from daskgmm.kernels.likelihood import tally
from daskgmm.kernels.per_row import labels, log_density
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.distribution import DISTRIBUTION_ROWS, RowDistribution, RowTally, row_distribution
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.storage.dataset import RowBlocks

__all__ = ["distribution_of_rows", "distribution_on", "tally_rows"]

# Of a sample that nothing else depends on.
ENTROPY = 0


def distribution_on(sample: Rows | None, parameters: MixtureParameters) -> RowDistribution | None:
    """Return how rows of positive weight in random order are distributed under a mixture; None if there are none."""
    if sample is None or not len(sample):
        return None
    rows = sample[:DISTRIBUTION_ROWS]
    return row_distribution(
        log_density(rows.values, parameters),
        labels(rows.values, parameters),
        rows.weights,
        n_components=parameters.n_components,
    )


def distribution_of_rows(blocks: RowBlocks, parameters: MixtureParameters) -> RowDistribution | None:
    """Return how rows are distributed under a mixture, by a sample drawn in one pass.

    Raises
    ------
    InputDataError
        If no row has positive weight, or a block or row cannot be used.
    """
    with one_thread_per_task():
        look = redone(
            lambda: first_look(
                parts_of(blocks),
                n_samples=blocks.n_samples,
                n_features=blocks.n_features,
                size=DISTRIBUTION_ROWS,
                entropy=ENTROPY,
            )
        )
        check_weight(look.n_present, look.n_samples)
        return distribution_on(Rows(look.rows, look.weights), parameters)


def tally_rows(blocks: RowBlocks, parameters: MixtureParameters, log_densities: Floats) -> RowTally:
    """Return how many rows lie between given log densities, rising, and in which components, in one pass.

    Raises
    ------
    InputDataError
        If no row has positive weight, or a block or row cannot be used.
    """
    request = _Request(parameters, log_densities)
    with one_thread_per_task():
        found: RowTally = redone(lambda: sweep(parts_of(blocks), _tally_block, request))
    check_weight(found.score.weight, found.score.n_samples)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """What every block needs to be told."""

    parameters: MixtureParameters
    log_densities: Floats


def _tally_block(rows: NDArray[Any], weights: NDArray[Any] | None, request: _Request, block: int) -> RowTally:
    return tally(rows, weights, request.parameters, log_densities=request.log_densities)
