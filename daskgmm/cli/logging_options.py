"""What a command says on standard error while it runs: the options, and the handler that they ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from daskgmm.progress import Bar

__all__ = ["LogChoice", "choose_log", "chosen_log", "end_bar", "log_handler", "log_options"]

Command = TypeVar("Command", bound=Callable[..., Any])
PLACE = "daskgmm.log"
"""Where click's context keeps the choice, so that no command need hand it on."""
TEXT = "%(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True, slots=True)
class LogChoice:
    """What the log looks like."""

    log_format: str = "text"
    progress: str = "auto"


def log_options(command: Command) -> Command:
    """Add `--log-format` and `--progress`."""
    command = click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "log", "off"]),
        default="auto",
        show_default=True,
        help="Of the passes: a bar, a line each, or nothing; auto is a bar on a terminal. Files never get a bar.",
    )(command)
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Standard error as text, or as one JSON object a line.",
    )(command)


def choose_log(choice: LogChoice) -> None:
    """Keep what was chosen for the command that is running."""
    click.get_current_context().meta[PLACE] = choice


def chosen_log() -> LogChoice:
    """Return what was chosen, or the defaults outside a command."""
    context = click.get_current_context(silent=True)
    choice = LogChoice() if context is None else context.meta.get(PLACE, LogChoice())
    assert isinstance(choice, LogChoice)
    return choice


def log_handler(stream: TextIO, choice: LogChoice) -> logging.Handler:
    """Return what writes the log of a command: its own, and what others warn of."""
    from daskgmm.progress import JsonLines

    handler: logging.Handler = logging.StreamHandler(stream)
    if choice.log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        if choice.progress in ("auto", "bar") and stream.isatty():
            handler = _bar(stream)
        handler.setFormatter(logging.Formatter(TEXT))
    least = logging.WARNING if choice.progress == "off" else logging.INFO
    # What Dask's schedulers and workers say in passing is not what a command was started for.
    handler.addFilter(lambda record: record.levelno >= (least if record.name == "daskgmm" else logging.WARNING))
    return handler


def end_bar() -> None:
    """Make room for a result, which may go to the terminal that shows the bar."""
    from daskgmm.progress import Bar

    for handler in logging.getLogger().handlers:
        if isinstance(handler, Bar):
            handler.end_line()


def _bar(stream: TextIO) -> Bar:
    """Return a bar that knows when the command's EM will end, if the command has such options."""
    from daskgmm.progress import Bar

    context = click.get_current_context(silent=True)
    parameters = {} if context is None else context.params
    return Bar(stream, tol=parameters.get("tol"), max_iter=parameters.get("max_iter"))
