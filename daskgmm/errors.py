"""Every exception of the package, each with its cause and its remedy.

The classes also derive from the built-in exception that callers already catch: bad rows are a ``ValueError``, a store
that is not there is a ``FileNotFoundError``. Messages say what was expected, what came, where, and what to do.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ChunkReadError",
    "ClusterError",
    "DaskGMMError",
    "DegenerateMixtureError",
    "InputDataError",
    "InputTypeError",
    "MemoryLimitError",
    "MissingChunksError",
    "ModelFormatError",
    "NoDistributionError",
    "OutputDiffersError",
    "OutputExistsError",
    "OutputInUseError",
    "ParameterError",
    "QualityGateError",
    "RowError",
    "SchedulerLostError",
    "StorageError",
    "StoreChangedError",
    "StoreNotFoundError",
]


class DaskGMMError(Exception):
    """What all exceptions of the package have in common."""


class InputDataError(DaskGMMError, ValueError):
    """The data cannot be fitted or scored: mend the rows, their number or their shape."""


class InputTypeError(InputDataError, TypeError):
    """The data are of a kind that has no density here: convert them to a dense real array."""


class RowError(InputDataError):
    """One row cannot be used: repair it, drop it, or give it weight 0.

    Parameters
    ----------
    problem : str
        What is wrong with the row and what to do, as a sentence that follows the row's place.
    block : int
        Index of the block that holds the row.
    row : int
        Index of the row within the block, or within the data when `block_start` is known.
    block_start : int or None
        Index in the data of the block's first row; None until it is known.
    """

    def __init__(self, problem: str, block: int, row: int, block_start: int | None = None) -> None:
        self.problem = problem
        self.block = block
        self.row = row
        self.block_start = block_start
        if block_start is None:
            place = f"row {row} of block {block}"
        else:
            place = f"row {block_start + row} (row {row} of block {block})"
        super().__init__(f"{place}: {problem}")

    def __reduce__(self) -> tuple[type[RowError], tuple[str, int, int, int | None]]:
        # Exceptions travel from workers; the default would rebuild them from the message alone.
        return type(self), (self.problem, self.block, self.row, self.block_start)

    def located(self, *, block: int, block_start: int | None) -> RowError:
        """Return the same error with the place of its block in the data."""
        return type(self)(self.problem, block, self.row, block_start)


class ParameterError(DaskGMMError, ValueError):
    """A setting or a starting parameter is out of range or of the wrong shape: correct the argument named."""


class MemoryLimitError(DaskGMMError, MemoryError):
    """A fit needs more memory than a worker has: give workers more of it or fewer threads, or use smaller blocks."""


class DegenerateMixtureError(DaskGMMError, ValueError):
    """A covariance is not positive definite: use fewer components, a larger reg_covar, or scaled features."""


class StorageError(DaskGMMError, OSError):
    """Something on disk or in an object store could not be used."""


class StoreNotFoundError(StorageError, FileNotFoundError):
    """There is no such store, group or component: check the path and the component's name."""


class StoreChangedError(StorageError):
    """A store was changed while it was being read: let it be finished first, and start again."""


class MissingChunksError(StorageError):
    """Chunks were never written: complete the store, or accept them as the fill value."""


class ChunkReadError(StorageError):
    """A chunk that exists could not be read or decoded: restore it from its source."""


class OutputExistsError(StorageError, FileExistsError):
    """The output is already there: choose another name or remove it."""


class OutputDiffersError(StorageError):
    """The output is there and was made from other data or settings: replace it on purpose, or undo what was changed."""


class OutputInUseError(StorageError):
    """Another run is writing the output: wait until it ends, or choose another name."""


class ModelFormatError(DaskGMMError, ValueError):
    """A file is no valid model, or statistics, of this package: truncated, changed, or written by something else."""


class NoDistributionError(DaskGMMError, ValueError):
    """A mixture keeps nothing of how its rows were distributed: fit it again, or tell it by `keep_distribution`."""


class CheckpointError(DaskGMMError, ValueError):
    """A checkpoint is damaged, or of other data or settings: remove it to start anew, or undo what was changed."""


class ClusterError(DaskGMMError, RuntimeError):
    """The cluster could not be reached or could not finish the work: worth a retry."""


class SchedulerLostError(ClusterError):
    """The connection to the scheduler was lost, and with it the pass: start the scheduler and its workers again."""


class QualityGateError(DaskGMMError, RuntimeError):
    """A result is valid but not as good as was asked for."""
