"""Where EM over the data begins: after a first look, on a sample of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.sample import FirstLook, first_look
from daskgmm.fitting.passes import check_enough, check_weight
from daskgmm.fitting.result import Run, Start
from daskgmm.history import Journal
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.em import expectation_maximization
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings, sample_size
from daskgmm.start import GivenStart, start_parameters
from daskgmm.storage.dataset import RowBlocks

__all__ = ["find_starts"]

# EM on the sample costs no pass, so it may go on until it gains a hundredth of what a pass is worth.
SAMPLE_TOL_FRACTION = 0.01


def find_starts(
    blocks: RowBlocks,
    data: KeptParts,
    settings: FitSettings,
    given: GivenStart,
    previous: Start | None,
    random_state: np.random.RandomState,
    journal: Journal,
) -> Iterator[Start]:
    """Yield where to start EM over the data, as often as it is worth it."""
    if previous is not None:
        yield previous
        return
    checked = given.check(
        n_components=settings.n_components, n_features=blocks.n_features, covariance_type=settings.covariance_type
    )
    check_enough(blocks.n_samples, settings)
    if given.is_complete:
        yield Start(checked)
        return
    size = sample_size(settings, checked.n_free, blocks.n_features)
    look = _look(blocks, data, settings, size, random_state, journal)
    found = (
        start_parameters(
            look.rows,
            look.weights,
            given,
            n_components=settings.n_components,
            covariance_type=settings.covariance_type,
            reg_covar=settings.reg_covar,
            init_params=settings.init_params,
            random_state=random_state,
        )
        for _ in range(settings.n_init)
    )
    if settings.acceleration is None or look.is_complete:
        yield from (Start(parameters) for parameters in found)
    else:
        runs = [_run_on_sample(parameters, look, settings, journal) for parameters in found]
        yield Start(max(runs, key=lambda run: run.lower_bound).parameters)


def _look(
    blocks: RowBlocks,
    data: KeptParts,
    settings: FitSettings,
    size: int | None,
    random_state: np.random.RandomState,
    journal: Journal,
) -> FirstLook:
    """Take the first look and check that there is enough to see."""
    # A copy is drawn from: with all rows in the sample, starts must find the state where scikit-learn's would.
    copied = np.random.RandomState()
    copied.set_state(random_state.get_state())
    entropy = int(copied.randint(2**32, dtype=np.uint64))
    every = np.iinfo(np.int64).max
    look = first_look(
        data.parts,
        n_samples=blocks.n_samples,
        n_features=blocks.n_features,
        size=every if size is None else size,
        entropy=entropy,
    )
    journal.add("first-look", n_samples=look.n_samples)
    check_weight(look.n_present, look.n_samples)
    check_enough(look.n_present, settings)
    return look


def _run_on_sample(start: MixtureParameters, look: FirstLook, settings: FitSettings, journal: Journal) -> Run:
    """Run EM on the sample in memory."""
    kernel = choose_kernel(settings.kernel)
    states = tuple(
        expectation_maximization(
            start,
            lambda parameters: kernel(look.rows, look.weights, parameters),
            reg_covar=settings.reg_covar,
            tol=settings.tol * SAMPLE_TOL_FRACTION,
            max_iter=settings.max_iter,
        )
    )
    run = Run(states[-1].parameters if states else start, states)
    journal.add(
        "sample",
        n_samples=len(look.rows),
        lower_bound=run.lower_bound if states else None,
        reseeded=tuple(component for state in states for component in state.reseeded),
    )
    return run
