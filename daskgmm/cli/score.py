"""`daskgmm score`: how well a mixture describes data."""

from __future__ import annotations

import click

from daskgmm.cli.drift_options import DriftChoice, drift_options
from daskgmm.cli.options import ClusterChoice, StoredRows, cluster_options, json_option, rows_options, summary_option

__all__ = ["score"]


@click.command(epilog="\b\nExample:\n  daskgmm score profiles.gmm new-profiles.zarr --json")
@click.argument("model")
@rows_options
@drift_options
@cluster_options
@json_option
@summary_option
def score(
    model: str,
    rows: StoredRows,
    drift: DriftChoice,
    cluster: ClusterChoice,
    as_json: bool,
    summary: str | None,
) -> None:
    """Tell how well a mixture describes data.

    Prints the mean log-likelihood per row, in nats, of the Zarr array STORE under the mixture in the file MODEL. Higher
    is better; numbers compare between mixtures on the same data.

    With --against FILE, usually MODEL again, it also tells drift: how far the rows lie from those that the mixture in
    FILE was fitted to, by the population stability index and the Kolmogorov-Smirnov distance of their log densities,
    and by the components' shares of rows. With --fail-on-drift X it ends with exit code 3 if the index is above X.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.results import check_summary, deliver
        from daskgmm.drift import measure_drift
        from daskgmm.engine.cluster import connected
        from daskgmm.estimator import load

        check_summary(summary, model, drift.against)
        mixture = load(model)
        reference = drift.mixture(model, mixture)
        with connected(cluster.settings()):
            X = rows.open_for(mixture, model)
            found = None if reference is None else measure_drift(reference, X)
            # A pass that compares rows with the fit of the mixture scored tells their likelihood too.
            mean = found.mean_log_likelihood if found is not None and reference is mixture else mixture.score(X)
        facts = {"model": model, "n_samples": X.shape[0], "mean_log_likelihood": mean}
        text = f"mean log-likelihood {mean:.6g} over {X.shape[0]} rows"
        if found is not None:
            facts["drift"] = {"against": drift.model(model), **found.as_dict()}
            text = f"{text}\n\nAgainst {drift.model(model)}: {found!r}"
        deliver(facts, text, as_json=as_json, summary=summary)
        drift.check(found, model)
