"""`daskgmm select`: the best of several mixtures from a Zarr store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.em_options import EMChoice, em_options
from daskgmm.cli.options import (
    COVARIANCE_TYPES,
    ClusterChoice,
    StoredRows,
    cluster_options,
    json_option,
    output_option,
    overwrite_option,
    rows_options,
    summary_option,
)

if TYPE_CHECKING:
    from daskgmm.selection import SelectionResult

__all__ = ["select"]


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
    unknown = [one for one in types if one not in COVARIANCE_TYPES]
    if unknown:
        raise click.BadParameter(f"expected some of {', '.join(COVARIANCE_TYPES)}; got {unknown[0]!r}")
    return types


@click.command(epilog="\b\nExample:\n  daskgmm select profiles.zarr -o profiles.gmm --components 1:12 --n-workers 4")
@output_option("Model file of the best mixture")
@overwrite_option
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
@rows_options
@cluster_options
@json_option
@summary_option
def select(
    rows: StoredRows,
    output: str,
    overwrite: bool,
    components: list[int],
    covariance_type: list[str],
    criterion: str,
    em: EMChoice,
    cluster: ClusterChoice,
    as_json: bool,
    summary: str | None,
) -> None:
    """Fit several mixtures to a Zarr array and keep the best.

    Mixtures of all the numbers of components and covariance types are fitted to STORE in the same passes over it. A
    table of them is printed, and the best one is written to one file, for `daskgmm predict`, `score` and `inspect`. As
    with `daskgmm fit`, a model that the same data and settings made is up to date.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.model_output import MadeFrom, model_output
        from daskgmm.cli.results import check_summary, deliver
        from daskgmm.engine.cluster import connected
        from daskgmm.selection import select_components
        from daskgmm.storage.contents import contents_of

        check_summary(summary, output)
        chosen = {"covariance_types": covariance_type, "criterion": criterion, **em.settings()}
        settings = {"command": "select", "components": components, "missing_chunks": rows.missing_chunks, **chosen}
        del settings["cache"]
        where = cluster.settings()
        with model_output(output, overwrite=overwrite) as place:
            made_from = MadeFrom(contents_of(rows.store, rows.component, rows.storage_options), settings)
            found = place.result_of(made_from)
            text = f"{output}: up to date"
            if found is None:
                with connected(where):
                    result = select_components(rows.open(), components, **chosen)
                found, text = _facts(result, output), f"{result}\n{output}: the mixture marked *"
                place.write(result.best, made_from, found)
        deliver(found, text, as_json=as_json, summary=summary)


def _facts(result: SelectionResult, output: str) -> dict[str, Any]:
    """Return what was found as JSON values."""
    best = result.best
    return {
        "model": output,
        "up_to_date": False,
        "criterion": result.criterion,
        "n_components": best.n_components,
        "covariance_type": best.covariance_type,
        "n_samples": best.n_samples_seen_,
        "n_features": best.n_features_in_,
        "converged": best.converged_,
        "n_passes": result.n_passes,
        "table": result.table,
    }
