"""The state of a fit, kept on disk after its passes: a fit that was stopped goes on, and ends in the same bits."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import CheckpointError
from daskgmm.fitting.checkpoint_checks import check_random_state, check_same, check_shapes
from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.result import Progress, Run, Start
from daskgmm.fitting.starts import Beginning
from daskgmm.history import HistoryEntry, Journal, Pages
from daskgmm.mixture.acceleration import Standing
from daskgmm.mixture.distribution import RowDistribution
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.search import Evaluation, Search
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.mixture.surrogate import Proposal
from daskgmm.mixture.trust import TrustRegion
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from daskgmm.storage.checkpoint_places import (
    checkpoint_place,
    read_checkpoint,
    read_sample,
    write_checkpoint,
    write_sample,
)
from daskgmm.storage.contents import chunks_digest
from daskgmm.storage.dataset import RowBlocks

__all__ = ["Checkpoint", "Keeper"]

log = logging.getLogger("daskgmm")

# What decides the bits of a fit beside data and settings.
PACKAGES = ("daskgmm", "numpy", "scipy", "scikit-learn", "numba")
# Settings that change where a fit keeps things, not what it finds.
WITHOUT_EFFECT = ("cache", "checkpoint", "checkpoint_every")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A fit between two passes."""

    packages: dict[str, str]
    """Versions that wrote it."""
    settings: dict[str, Any]
    data: dict[str, Any]
    """What tells these data from others."""
    random_state: tuple[Any, ...]
    """NumPy's, when the starts had been drawn."""
    runs: tuple[Progress, ...]
    sample: str | None
    """Digest of the sample, which is kept by itself: it stays as it is."""
    journal: Pages
    distribution: RowDistribution | None = None
    """How the rows are distributed under the best mixture; None before the end."""


CLASSES = (
    Checkpoint,
    Evaluation,
    HistoryEntry,
    MixtureParameters,
    Pages,
    Progress,
    Proposal,
    RowDistribution,
    Search,
    Standing,
    SufficientStatistics,
    TrustRegion,
)


class Keeper:
    """Where a fit keeps its state, and finds that of an earlier one; without a path it keeps and finds nothing.

    Parameters
    ----------
    blocks : RowBlocks
    settings : FitSettings
        Its `checkpoint` is the path, its `checkpoint_every` how many passes lie between two checkpoints.
    given : GivenStart
    random_state : numpy.random.RandomState
        As it is before anything was drawn from it.
    journal : Journal
    previous : Start or None
        The earlier fit to go on from, if there is one.

    Raises
    ------
    CheckpointError, StoreNotFoundError, StorageError
        If checkpoints cannot be kept there.
    """

    def __init__(
        self,
        blocks: RowBlocks,
        settings: FitSettings,
        given: GivenStart,
        random_state: np.random.RandomState,
        journal: Journal,
        *,
        previous: Start | None = None,
    ) -> None:
        self._place = None if settings.checkpoint is None else checkpoint_place(settings.checkpoint)
        self._every = settings.checkpoint_every
        self._journal = journal
        self._settings = {**_settings(settings, given, previous), "random_state": _seed(random_state)}
        self._data = {} if self._place is None else _data(blocks)
        self._fit_settings, self._n_features = settings, blocks.n_features
        self._random_state: tuple[Any, ...] = ()
        self._sample: str | None = None
        self._runs: dict[int, Progress] = {}
        self._n_kept = -1
        self.distribution: RowDistribution | None = None
        """What a fit that had ended had found."""

    def found(self, random_state: np.random.RandomState) -> tuple[tuple[Progress, ...], Rows | None] | None:
        """Return where the runs of an earlier fit stood, and its sample; None when there was none.

        The journal and the random state become what they were.

        Raises
        ------
        CheckpointError
            If the checkpoint is damaged, or of other data or settings.
        """
        checkpoint = None if self._place is None else read_checkpoint(self._place, CLASSES)
        if checkpoint is None or self._place is None:
            return None
        name, remedy = self._place.name, self._place.remedy
        if not isinstance(checkpoint, Checkpoint) or not checkpoint.runs:
            raise CheckpointError(f"{name}: expected a checkpoint of a fit. Remove {remedy} to start anew")
        check_same(self._place, "settings", self._settings, checkpoint.settings)
        check_same(self._place, "data", self._data, checkpoint.data)
        if checkpoint.packages != _packages():
            log.warning("%s was written by %s; now there are %s", name, checkpoint.packages, _packages())
        sample = None if checkpoint.sample is None else read_sample(self._place, checkpoint.sample, (Rows,))
        check_shapes(self._place, (checkpoint, sample), self._fit_settings, self._n_features)
        check_random_state(self._place, checkpoint.random_state)
        random_state.set_state(checkpoint.random_state)
        self._journal.reopen(checkpoint.journal)
        self._begin(checkpoint.runs, checkpoint.sample, random_state)
        self._n_kept = self._journal.n_passes
        self.distribution = checkpoint.distribution
        log.info("%s: goes on after %d passes", name, self._journal.n_passes)
        return checkpoint.runs, sample

    @property
    def runs(self) -> list[Run]:
        """The runs as far as they have come."""
        return [self._runs[run].run for run in sorted(self._runs)]

    def begins(self, beginning: Beginning, random_state: np.random.RandomState) -> tuple[Progress, ...]:
        """Keep where the runs start, and return it: neither the first look nor the starts need be repeated."""
        runs = tuple(Progress(start.parameters, start.lower_bound) for start in beginning.starts)
        sample = None
        if self._place is not None and beginning.sample is not None:
            sample = write_sample(self._place, beginning.sample, (Rows,))
        self._begin(runs, sample, random_state)
        self._keep()
        return runs

    def note(self, run: int, progress: Progress) -> None:
        """Remember where a run stands, to be kept before the next pass."""
        self._runs[run] = progress

    def before_a_pass(self) -> None:
        """Keep where all runs stand, if enough passes have gone by; to be called while they wait for the next."""
        if self._journal.n_passes >= self._n_kept + self._every:
            self._keep()

    def ends(self, distribution: RowDistribution | None) -> None:
        """Keep what the runs have found, and how the rows are distributed under the best of it."""
        self._keep(distribution)

    def _begin(self, runs: tuple[Progress, ...], sample: str | None, random_state: np.random.RandomState) -> None:
        self._runs, self._sample = dict(enumerate(runs)), sample
        self._random_state = tuple(random_state.get_state(legacy=True))

    def _keep(self, distribution: RowDistribution | None = None) -> None:
        if self._place is None:
            return
        self._n_kept = self._journal.n_passes
        checkpoint = Checkpoint(
            packages=_packages(),
            settings=self._settings,
            data=self._data,
            random_state=self._random_state,
            runs=tuple(self._runs[run] for run in sorted(self._runs)),
            sample=self._sample,
            journal=self._journal.pages,
            distribution=distribution,
        )
        write_checkpoint(self._place, checkpoint, CLASSES)


def _settings(settings: FitSettings, given: GivenStart, previous: Start | None) -> dict[str, Any]:
    """Return what the user asked for, as far as it decides the outcome."""
    kept = {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT}
    for name in ("weights", "means", "precisions"):
        array = getattr(given, name)
        # By its digits: whether they are numbers is seen when a start is made of them.
        digits = repr(np.asarray(array).tolist()).encode()
        kept[f"{name}_init"] = None if array is None else hashlib.sha256(digits).hexdigest()
    kept["warm_start"] = None if previous is None else _digest_of_mixture(previous.parameters)
    return kept


def _digest_of_mixture(mixture: MixtureParameters) -> str:
    arrays = (mixture.weights, mixture.means, mixture.covariances)
    return _digest(np.concatenate([array.ravel() for array in arrays]))[:16]


def _seed(random_state: np.random.RandomState) -> str | None:
    """Return what tells one seed from another; None for NumPy's own generator, which nobody asked to repeat itself."""
    if random_state is np.random.mtrand._rand:  # what scikit-learn makes of None
        return None
    _, key, position, *_ = random_state.get_state(legacy=True)
    return f"{_digest(np.asarray(key))[:16]}, {position}"


def _data(blocks: RowBlocks) -> dict[str, Any]:
    """Return what tells these rows from others without reading them all."""
    stored = blocks.stored
    lengths = np.array(blocks.rows.chunks[0], dtype=np.float64)
    return {
        "n_samples": blocks.n_samples,
        "n_features": blocks.n_features,
        "dtype": blocks.rows.dtype.str,
        "block_rows": _digest(lengths) if stored is None else stored.step,
        "weighted": blocks.weights is not None,
        "metadata": None if stored is None else stored.rows.fingerprint.digest,
        # Rows may be written anew, tomorrow's in place of today's, in an array that is described as before.
        "chunks_written": None if stored is None else chunks_digest(stored.rows.array, stored.rows.fingerprint.source),
    }


def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    return versions


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, dtype=np.float64).tobytes()).hexdigest()
