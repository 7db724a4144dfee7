"""What a failure tells the caller of a command: one line and an exit code."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from daskgmm.cli.interrupts import Interrupted, interruptible
from daskgmm.errors import (
    CheckpointError,
    ChunkReadError,
    ClusterError,
    DaskGMMError,
    MissingChunksError,
    OutputExistsError,
    OutputInUseError,
    ParameterError,
    QualityGateError,
    StorageError,
    StoreChangedError,
    StoreNotFoundError,
)

__all__ = ["command_session", "exit_code"]

WRONG_USAGE, CHECK_FAILED, BAD_INPUT, WORTH_A_RETRY, IN_USE = 2, 3, 4, 5, 6

# The first class that fits decides; what fits none but is ours is bad input.
EXIT_CODES: tuple[tuple[type[DaskGMMError], int], ...] = (
    (ParameterError, WRONG_USAGE),
    (QualityGateError, CHECK_FAILED),
    (OutputExistsError, WRONG_USAGE),
    (OutputInUseError, IN_USE),
    (CheckpointError, BAD_INPUT),
    (StoreNotFoundError, BAD_INPUT),
    (MissingChunksError, BAD_INPUT),
    (StoreChangedError, BAD_INPUT),
    (ChunkReadError, BAD_INPUT),
    (StorageError, WORTH_A_RETRY),
    (ClusterError, WORTH_A_RETRY),
    (DaskGMMError, BAD_INPUT),
)


def exit_code(error: DaskGMMError) -> int:
    """Return the exit code of a command that ended with this error."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


@contextmanager
def command_session(checkpoint: str | None = None) -> Iterator[None]:
    """Run the body of a command: log to standard error, end with one line and the right exit code on failure.

    Parameters
    ----------
    checkpoint : str or None
        Where the command keeps what it has done, if it does.
    """
    handler = logging.StreamHandler(sys.stderr)
    # What Dask's schedulers and workers say in passing is not what a command was started for.
    handler.addFilter(lambda record: record.name == "daskgmm" or record.levelno >= logging.WARNING)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    log = logging.getLogger("daskgmm")
    level = log.level
    log.setLevel(logging.INFO)
    try:
        with interruptible(has_checkpoint=checkpoint is not None), warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    except DaskGMMError as error:
        message = " ".join(str(error).split())
        print(f"daskgmm: error: {message}", file=sys.stderr)
        sys.exit(exit_code(error))
    except Interrupted as signal:
        kept = "nothing is kept" if checkpoint is None else f"start it again to go on from {checkpoint}"
        # What Zarr was asked for in that moment is never awaited, which Python would tell after the last line.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
        print(f"daskgmm: interrupted by {signal}; {kept}", file=sys.stderr)
        sys.exit(signal.code)
    finally:
        log.setLevel(level)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning as one line, without the line of code that nobody at a shell asked for."""
    logging.getLogger("daskgmm").warning("%s", message)
