"""Options of the commands that run EM: how it starts and when it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import click

from daskgmm.cli.options import all_of, cache_option, gathered, max_iter_option, n_init_option

__all__ = ["EMChoice", "em_options"]


@dataclass(frozen=True, slots=True)
class EMChoice:
    """How EM starts and when it ends."""

    random_state: int
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    cache: str

    def settings(self) -> dict[str, Any]:
        """Return them as settings of `GaussianMixture`."""
        return {**asdict(self), "cache": None if self.cache == "none" else self.cache}


em_options = gathered(
    all_of(
        click.option(
            "--random-state", type=int, default=0, show_default=True, help="Seed; the same one gives the same fit."
        ),
        click.option("--tol", type=float, default=1e-3, show_default=True, help="Stop at this gain, in nats a row."),
        click.option(
            "--reg-covar", type=float, default=1e-6, show_default=True, help="Added to each covariance's diagonal."
        ),
        max_iter_option,
        n_init_option,
        click.option(
            "--init-params",
            type=click.Choice(["kmeans", "k-means++", "random", "random_from_data"]),
            default="kmeans",
            show_default=True,
            help="How starts assign rows to components.",
        ),
        cache_option,
    ),
    EMChoice,
    "em",
)
