"""What a failure tells the caller of a command: one line and an exit code."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NoReturn, TextIO

from daskgmm.cli.interrupts import CHECKPOINT_IS_VALID, Interrupted, OutOfTime, interruptible
from daskgmm.cli.logging_options import chosen_log, log_handler
from daskgmm.errors import (
    CheckpointError,
    ChunkReadError,
    ClusterError,
    DaskGMMError,
    MissingChunksError,
    OutputDiffersError,
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
    (OutputDiffersError, BAD_INPUT),
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
    try:
        with _logging(), interruptible(has_checkpoint=checkpoint is not None), warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    except DaskGMMError as error:
        _end(f"error: {error}", exit_code(error))
    except OutOfTime as reason:
        _end(f"{reason}; start it again to go on from {checkpoint}", CHECKPOINT_IS_VALID)
    except Interrupted as signal:
        kept = "nothing is kept" if checkpoint is None else f"start it again to go on from {checkpoint}"
        # What Zarr was asked for in that moment is never awaited, which Python would tell after the last line.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
        _end(f"interrupted by {signal}; {kept}", signal.code)


@contextmanager
def _logging() -> Iterator[None]:
    """Log to standard error while the body runs, unless the program that called does so."""
    root, log = logging.getLogger(), logging.getLogger("daskgmm")
    level, choice = log.level, chosen_log()
    handler = None if root.handlers else log_handler(sys.stderr, choice)
    log.setLevel(logging.INFO)
    if handler is not None:
        root.addHandler(handler)
        if choice.log_format == "json":
            from daskgmm.engine.json_log import log_as_json

            log_as_json()
    try:
        yield
    finally:
        log.setLevel(level)
        if handler is not None:
            root.removeHandler(handler)
            handler.close()


def _end(message: str, code: int) -> NoReturn:
    """End the process with a last line on standard error."""
    line = " ".join(message.split())
    if chosen_log().log_format == "json":
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        print(json.dumps({"time": time, "level": "error", "message": line, "exit_code": code}), file=sys.stderr)
    else:
        print(f"daskgmm: {line}", file=sys.stderr)
    sys.exit(code)


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
