"""`daskgmm demo`: the whole way once, on data drawn here that are larger than the memory of the workers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

__all__ = ["demo"]


@click.command(epilog="\b\nExample:\n  daskgmm demo --size 4GiB --components 12 --keep demo-data")
@click.option("--size", default="1.5GiB", show_default=True, metavar="SIZE", help="Bytes of rows to write.")
@click.option("--components", type=click.IntRange(min=1), default=8, show_default=True, help="Components to draw from.")
@click.option("--features", type=click.IntRange(min=1), default=8, show_default=True, help="Features of each row.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of data and fit.")
@click.option("--keep", metavar="DIR", help="Leave rows, labels and model in this new folder.")
def demo(size: str, components: int, features: int, seed: int, keep: str | None) -> None:
    """Show the whole way on data larger than memory.

    Draws rows from a mixture into a Zarr array, fits them on two workers that may use 512 MiB each, writes labels, and
    compares the fit with the mixture drawn from. Ends with exit code 3 when the fit is worse. Takes one to two minutes
    and removes what it wrote.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.demo_run import DemoSettings, report, run_demo
        from daskgmm.engine.cluster import parse_size

        settings = DemoSettings(parse_size(size, "--size"), components, features, seed)
        with _folder(keep) as folder:
            outcome = run_demo(settings, folder)
        click.echo(report(outcome))
        outcome.check()


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    """Make the folder to work in; remove it at the end unless it is to be kept."""
    from daskgmm.errors import OutputExistsError

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="daskgmm-demo-") as name:
            yield Path(name)
        return
    folder = Path(keep)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise OutputExistsError(f"--keep: expected a folder that does not exist yet; {keep} does") from None
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
