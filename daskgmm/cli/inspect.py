"""`daskgmm inspect`: what a model file holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.options import json_option

if TYPE_CHECKING:
    from daskgmm.estimator import GaussianMixture

__all__ = ["inspect"]

# More components or features than this do not read well in a table at a shell.
MOST_ROWS, MOST_COLUMNS = 20, 8


@click.command(epilog="\b\nExample:\n  daskgmm inspect profiles.gmm")
@click.argument("model")
@json_option
def inspect(model: str, as_json: bool) -> None:
    """Show what a model file holds.

    Prints weights and means of the mixture in the file MODEL, the heaviest component first, and how its fit went. With
    --json, the covariances too.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.estimator import load

        mixture = load(model)
        click.echo(json.dumps(_facts(mixture)) if as_json else _text(mixture))


def _facts(mixture: GaussianMixture) -> dict[str, Any]:
    """Return the mixture as JSON values."""
    from daskgmm.drift import keeps_distribution

    return {
        "n_components": len(mixture.weights_),
        "n_features": mixture.n_features_in_,
        "covariance_type": mixture.covariance_type,
        "converged": mixture.converged_,
        "n_iter": mixture.n_iter_,
        "n_passes": mixture.n_passes_,
        "n_samples_seen": mixture.n_samples_seen_,
        "lower_bound": mixture.lower_bound_ if mixture.n_iter_ else None,
        "keeps_distribution": keeps_distribution(mixture),
        "weights": mixture.weights_.tolist(),
        "means": mixture.means_.tolist(),
        "covariances": mixture.covariances_.tolist(),
    }


def _text(mixture: GaussianMixture) -> str:
    """Return the mixture as lines for a reader: weights and means, the heaviest component first."""
    facts = _facts(mixture)
    end = "converged" if facts["converged"] else "not converged"
    lines = [
        f"{facts['n_components']} components, {facts['n_features']} features, {facts['covariance_type']} covariances",
        f"fitted to {facts['n_samples_seen']} rows in {facts['n_passes']} passes, {end}",
    ]
    if facts["lower_bound"] is not None:
        lines.append(f"mean log-likelihood {facts['lower_bound']:.6g}")
    if not facts["keeps_distribution"]:
        lines.append("keeps nothing of how its rows were distributed: drift cannot be measured against it")
    lines += ["", "component   weight   mean"]
    heaviest = mixture.weights_.argsort()[::-1]
    for k in heaviest[:MOST_ROWS]:
        values = "  ".join(f"{value:10.4g}" for value in mixture.means_[k, :MOST_COLUMNS])
        more = "  ..." if facts["n_features"] > MOST_COLUMNS else ""
        lines.append(f"{k:9d}   {mixture.weights_[k]:6.4f}   {values}{more}")
    if len(heaviest) > MOST_ROWS:
        lines.append(f"... and {len(heaviest) - MOST_ROWS} lighter ones")
    return "\n".join(lines)
