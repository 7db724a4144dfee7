"""Whether a command line that a file holds is one: its command exists, and so does every option."""

from __future__ import annotations

from collections.abc import Sequence

import click
from distributed.cli.dask_scheduler import main as dask_scheduler
from distributed.cli.dask_worker import main as dask_worker

from daskgmm.cli import main as daskgmm

DASK = {"scheduler": dask_scheduler, "worker": dask_worker}


def parsed(words: Sequence[str]) -> click.Context:
    """Parse a command line as its program would, without running it; raises click.UsageError if it would be refused."""
    program, name, *arguments = words
    commands = {"daskgmm": daskgmm.commands, "dask": DASK}.get(program)
    if commands is None or name not in commands:
        raise click.UsageError(f"no such command: {program} {name}")
    command = commands[name]
    # Dask's commands take options that they do not know for arguments of preloaded modules.
    known = {spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)}
    for word in arguments:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            raise click.NoSuchOption(option)
    return command.make_context(name, list(arguments), parent=click.Context(daskgmm, info_name=program))
