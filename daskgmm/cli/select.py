"""`daskgmm select`: the best of several mixtures from a Zarr store."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.options import ClusterChoice, cluster_options, em_options, json_option, output_option, store_options

if TYPE_CHECKING:
    from daskgmm.selection import SelectionResult

__all__ = ["select"]

TYPES = ("full", "tied", "diag", "spherical")


def _counts(context: click.Context, option: click.Parameter, value: str) -> list[int]:
    """Return numbers of components in the order given: 2:12 holds both its ends."""
    counts: list[int] = []
    for word in value.split(","):
        try:
            first, last = (int(end) for end in (word.split(":") if ":" in word else (word, word)))
        except ValueError:
            raise click.BadParameter(f"expected numbers such as 8, 1,2,4 or 2:12; got {value!r}") from None
        if not 1 <= first <= last:
            raise click.BadParameter(f"expected numbers >= 1 that rise from first to last; got {word!r}")
        counts += range(first, last + 1)
    return counts


def _types(context: click.Context, option: click.Parameter, value: str) -> list[str]:
    """Return covariance types in the order given."""
    types = value.split(",")
    unknown = [one for one in types if one not in TYPES]
    if unknown:
        raise click.BadParameter(f"expected some of {', '.join(TYPES)}; got {unknown[0]!r}")
    return types


@click.command(epilog="\b\nExample:\n  daskgmm select profiles.zarr -o profiles.gmm --components 1:12 --n-workers 4")
@click.argument("store")
@output_option("Model file of the best mixture")
@click.option(
    "--components",
    required=True,
    callback=_counts,
    metavar="NUMBERS",
    help="Numbers of components to try: 1:12 (both included), or 1,2,4.",
)
@click.option(
    "--covariance-type",
    callback=_types,
    default="full",
    show_default=True,
    metavar="TYPES",
    help="Shapes of the covariances to try, with commas: full, tied, diag, spherical.",
)
@click.option(
    "--criterion",
    type=click.Choice(["bic", "aic", "icl", "held-out"]),
    default="bic",
    show_default=True,
    help="What mixtures are compared by; lower is better.",
)
@em_options
@store_options
@cluster_options
@json_option
def select(
    store: str,
    output: str,
    components: list[int],
    covariance_type: list[str],
    criterion: str,
    random_state: int,
    tol: float,
    reg_covar: float,
    max_iter: int,
    n_init: int,
    init_params: str,
    cache: str,
    component: str | None,
    missing_chunks: str,
    cluster: ClusterChoice,
    as_json: bool,
) -> None:
    """Fit several mixtures to a Zarr array and keep the best.

    Mixtures of all the numbers of components and covariance types are fitted to STORE in the same passes over it. A
    table of them is printed, and the best one is written to one file, for `daskgmm predict`, `score` and `inspect`.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.engine.cluster import connected
        from daskgmm.selection import select_components
        from daskgmm.storage.dataset import open_zarr
        from daskgmm.storage.new_file import check_new_file

        check_new_file(output)
        with connected(cluster.settings()):
            result = select_components(
                open_zarr(store, component, missing_chunks=missing_chunks),
                components,
                covariance_types=covariance_type,
                criterion=criterion,
                tol=tol,
                reg_covar=reg_covar,
                max_iter=max_iter,
                n_init=n_init,
                init_params=init_params,
                random_state=random_state,
                cache=None if cache == "none" else cache,
            )
        result.best.save(output)
        click.echo(json.dumps(_facts(result, output)) if as_json else f"{result}\n{output}: the mixture marked *")


def _facts(result: SelectionResult, output: str) -> dict[str, Any]:
    """Return what was found as JSON values; there, what is no number is null."""
    best = result.best
    rows = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in result.table
    ]
    return {
        "model": output,
        "criterion": result.criterion,
        "n_components": best.n_components,
        "covariance_type": best.covariance_type,
        "n_samples": best.n_samples_seen_,
        "n_features": best.n_features_in_,
        "converged": best.converged_,
        "n_passes": result.n_passes,
        "table": rows,
    }
