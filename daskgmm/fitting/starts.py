"""Where runs over the data begin: given, left by an earlier fit, or found on a sample of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgmm.engine.cache import KeptParts
from daskgmm.engine.sample import FirstLook, first_look
from daskgmm.engine.split import NOTHING_HELD_OUT, RowSplit
from daskgmm.engine.waiting import redone
from daskgmm.fitting.exploring import best_on_sample
from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.passes import check_enough, check_weight
from daskgmm.fitting.result import Start
from daskgmm.history import Journal
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.settings import FitSettings, sample_size
from daskgmm.start import GivenStart, start_parameters
from daskgmm.storage.dataset import RowBlocks

__all__ = [
    "Beginning",
    "Sample",
    "as_scikit_learn",
    "copied_state",
    "find_starts",
    "look_at",
    "sample_entropy",
    "sample_of",
    "sampled_starts",
]


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """What is known before the first run over the data."""

    starts: tuple[Start, ...]
    sample: Rows | None = None
    """Rows that tell an accelerated run where to go; None where there are none or they are all there is."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some rows in memory, in random order."""

    rows: Rows
    is_complete: bool
    """Whether these are all rows."""
    local: bool
    """Whether work on them stays in this process."""

    @property
    def guide(self) -> Rows | None:
        """The rows where they can tell a run over the data where to go: not when they are the data."""
        return None if self.is_complete else self.rows


def find_starts(
    blocks: RowBlocks,
    data: KeptParts,
    settings: FitSettings,
    *,
    given: GivenStart,
    previous: Start | None,
    random_state: np.random.RandomState,
    journal: Journal,
) -> Beginning:
    """Return where to start EM over the data; with a first look at them where that is needed or saves passes.

    Raises
    ------
    InputDataError
        If there are fewer rows than components, or no row has positive weight.
    ParameterError
        If a given start is not valid.
    """
    checked = given.check(
        n_components=settings.n_components, n_features=blocks.n_features, covariance_type=settings.covariance_type
    )
    check_enough(blocks.n_samples, settings.n_components)
    known = previous or (Start(checked) if given.is_complete else None)
    size = sample_size(settings, checked.n_free, blocks.n_features)
    plain = settings.acceleration is None
    if known is not None and (plain or _is_whole(blocks, size) or settings.max_iter < 2):
        return Beginning((known,))
    look = look_at(
        blocks,
        data,
        size=size,
        entropy=sample_entropy(random_state),
        most_components=settings.n_components,
        journal=journal,
    )
    if plain:
        return Beginning(tuple(Start(one) for one in as_scikit_learn(look, given, settings, random_state)))
    sample = sample_of(look, local=data.parts.local)
    if known is not None:
        return Beginning((known,), sample.guide)
    starts = sampled_starts(sample, given, settings, random_state, n_free=checked.n_free, journal=journal)
    return Beginning(tuple(starts), sample.guide)


def _is_whole(blocks: RowBlocks, size: int | None) -> bool:
    """Whether a sample of that size is known to be all rows."""
    return size is None or (blocks.n_samples is not None and blocks.n_samples <= size)


def as_scikit_learn(
    look: FirstLook, given: GivenStart, settings: FitSettings, random_state: np.random.RandomState
) -> list[MixtureParameters]:
    """Return `n_init` starts, drawn as scikit-learn draws them."""
    return [
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
    ]


def look_at(
    blocks: RowBlocks,
    data: KeptParts,
    *,
    size: int | None,
    entropy: int,
    most_components: int,
    journal: Journal,
    split: RowSplit = NOTHING_HELD_OUT,
) -> FirstLook:
    """Take the first look, the first pass over the data, and check that there is enough to see.

    Raises
    ------
    InputDataError
        If there are fewer rows than components, or no row has positive weight.
    """
    every = np.iinfo(np.int64).max
    look = redone(
        lambda: first_look(
            data.parts,
            n_samples=blocks.n_samples,
            n_features=blocks.n_features,
            size=every if size is None else size,
            entropy=entropy,
            split=split,
        )
    )
    journal.passed(look.n_samples)
    journal.add("first-look")
    check_weight(look.n_present, look.n_samples)
    check_enough(look.n_present, most_components)
    return look


def sample_of(look: FirstLook, *, local: bool) -> Sample:
    """Return the sample in the order of its random keys: in the data, rows next to each other are often alike."""
    order = np.argsort(look.keys)
    rows = Rows(look.rows[order], None if look.weights is None else look.weights[order])
    return Sample(rows, look.is_complete, local)


def sampled_starts(
    sample: Sample,
    given: GivenStart,
    settings: FitSettings,
    random_state: np.random.RandomState,
    *,
    n_free: int,
    journal: Journal,
    run: int = 0,
) -> list[Start]:
    """Return the best start that many on the sample lead to, and those that the sample cannot tell from it.

    Raises what `best_on_sample` raises.
    """
    rows = sample.rows
    optima = best_on_sample(
        rows, given, settings, random_state, is_complete=sample.is_complete, n_free=n_free, local=sample.local
    )
    bound = choose_kernel(settings.kernel)(rows.values, rows.weights, optima[0]).lower_bound
    journal.add("sample", run=run, lower_bound=bound, sample_rows=len(rows))
    return [Start(optimum) for optimum in optima]


def sample_entropy(random_state: np.random.RandomState) -> int:
    """Return a number drawn from a copy: with all rows in the sample, starts must find the state as scikit-learn's."""
    return int(copied_state(random_state).randint(2**32, dtype=np.uint64))


def copied_state(random_state: np.random.RandomState) -> np.random.RandomState:
    """Return a generator that will draw the same."""
    copied = np.random.RandomState()
    copied.set_state(random_state.get_state())
    return copied
