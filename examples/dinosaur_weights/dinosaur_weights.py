"""Tell the species of a dinosaur from its weight: draw a mixture, fit it, and turn densities into probabilities.

A park keeps six species and has weighed its animals without writing down which was which. Each species has a share of
the animals and a distribution of weights; males and females of one of them differ so much that it has two peaks. What
the scales show is the sum of all of them. A mixture of seven Gaussians takes that sum apart again.

    python examples/dinosaur_weights/dinosaur_weights.py
    python examples/dinosaur_weights/dinosaur_weights.py --rows 200000000 --store weights.zarr
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from daskgmm import GaussianMixture, open_zarr
from daskgmm.engine.generate import generate_rows
from daskgmm.view.canvas import legend, name_axes, new_figure, styled, titled
from daskgmm.view.palette import COLOURS, NEUTRAL
from daskgmm.view.plots import MixtureDisplay
from daskgmm.writing import write_rows

SPECIES = ("raptor", "sauropod", "T. rex", "stegosaurus", "ankylosaurus", "maiasaura")
# One line for each component: its species, its share of all animals, its mean and its standard deviation in tonnes.
# The maiasaura are two components of equal shares, and 15 % of the animals together.
COMPONENTS = (
    ("raptor", 0.10, 0.7, 0.2),
    ("sauropod", 0.25, 20.0, 3.0),
    ("T. rex", 0.05, 10.0, 1.5),
    ("stegosaurus", 0.30, 4.0, 0.3),
    ("ankylosaurus", 0.15, 5.0, 0.5),
    ("maiasaura", 0.075, 7.0, 0.3),
    ("maiasaura", 0.075, 8.0, 0.3),
)
SHARES, MEANS, DEVIATIONS = (np.array(column) for column in list(zip(*COMPONENTS, strict=True))[1:])
# Entry (component, species) is 1 where the component is of the species. Probabilities of components times this are
# probabilities of species.
OF_SPECIES = np.array([[float(component[0] == species) for species in SPECIES] for component in COMPONENTS])

QUESTION = 4.4  # tonnes: between the stegosaurus and the ankylosaurus
BLOCK_ROWS = 2_000_000  # 16 MiB
# How far the fit's answer may lie from the true one. That of 10,000 weights is 0.02 off, that of 5,000 may be 0.13.
ANSWER_TOLERANCE = 0.1
# The fit maximises the likelihood of the rows, so the true mixture should not have a higher one, in nats a row.
LIKELIHOOD_TOLERANCE = 1e-4


def main() -> int:
    """Draw the weights, fit them, and answer from the true mixture and from the fitted one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000, metavar="N", help="weights to draw")
    parser.add_argument("--store", type=Path, metavar="FILE", help="new Zarr array to write the weights to first")
    parser.add_argument("--picture", type=Path, default=Path("dinosaur_weights.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a path where nothing is yet; {arguments.store} exists")

    park = true_mixture()
    X = weights(arguments.rows, arguments.store)
    # Small tol: the stegosaurus and the ankylosaurus overlap, and EM is slow to tell such components apart.
    fitted = GaussianMixture(n_components=len(COMPONENTS), tol=1e-4, random_state=0).fit(X)
    matched = in_order_of(park, fitted)

    expected, found = (species_probabilities(mixture, [QUESTION])[0] for mixture in (park, matched))
    print(f"{arguments.rows:,} weights, {fitted.n_passes_} passes over them")
    print(f"which species weighs {QUESTION} t?   true   fitted")
    for name, true, estimate in zip(SPECIES, expected, found, strict=True):
        print(f"{name:<25}{true:9.4f}{estimate:9.4f}")
    draw(matched, park, X).savefig(arguments.picture, dpi=100)

    missing = park.score(X) - fitted.score(X)
    if missing > LIKELIHOOD_TOLERANCE or np.abs(found - expected).max() > ANSWER_TOLERANCE:
        print(
            f"expected the fitted mixture to answer like the true one; it got {found} for {expected}", file=sys.stderr
        )
        return 1
    return 0


def true_mixture() -> GaussianMixture:
    """Return the park's mixture itself, as an estimator with the methods of a fitted one."""
    # A precision is one over a variance, and a variance is a standard deviation squared.
    precisions = (1 / DEVIATIONS**2)[:, None, None]
    start: dict[str, Any] = {"weights_init": SHARES, "means_init": MEANS[:, None], "precisions_init": precisions}
    # No iteration is asked for, so the mixture stays as it is given. The rows only say how many features there are.
    return GaussianMixture(len(COMPONENTS), max_iter=0, **start).fit(MEANS[:, None])


def weights(n_rows: int, store: Path | None) -> Any:
    """Draw weights (n_rows, 1): in memory, or block by block into a Zarr array that is opened again."""
    if store is None:
        return draw_weights(np.random.default_rng(0), n_rows)
    lazy = generate_rows(draw_weights, None, n_samples=n_rows, n_features=1, block_rows=BLOCK_ROWS, entropy=0)
    write_rows(lazy, store, compressed=False)  # the digits of drawn rows do not compress
    return open_zarr(store)


def draw_weights(generator: np.random.Generator, n_rows: int, _: object = None) -> NDArray[np.float64]:
    """Draw a component for each animal, and then its weight from that component."""
    component = generator.choice(len(COMPONENTS), size=n_rows, p=SHARES)
    return generator.normal(MEANS[component], DEVIATIONS[component])[:, None]


def in_order_of(park: GaussianMixture, fitted: GaussianMixture) -> GaussianMixture:
    """Return the fitted mixture with its components in the order of the park's, matched by their means."""
    # A fit knows nothing of species. Its components come in any order, and the nearest pairs give them their names.
    distances = np.abs(park.means_ - fitted.means_.T) / DEVIATIONS[:, None]
    order = linear_sum_assignment(distances)[1]
    start: dict[str, Any] = {"weights_init": fitted.weights_[order], "means_init": fitted.means_[order]}
    precisions = fitted.precisions_[order]
    return GaussianMixture(len(order), max_iter=0, precisions_init=precisions, **start).fit(MEANS[:, None])


def species_probabilities(mixture: GaussianMixture, tonnes: Any) -> NDArray[np.float64]:
    """Return the probability (weights, species) of each species for each weight, by Bayes' theorem."""
    # Share times density, divided by the sum over all components; the two sorts of maiasaura are added up.
    components = mixture.predict_proba(np.asarray(tonnes, dtype=float)[:, None])
    species: NDArray[np.float64] = components @ OF_SPECIES
    return species


def draw(fitted: GaussianMixture, park: GaussianMixture, X: Any) -> Figure:
    """Draw the weights with the mixture, and below them the probability of each species."""
    figure = new_figure(8, 6.5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    panel: Any = MixtureDisplay.from_estimator(fitted, X, ax=above).panels_[0]
    # In the colours of the species, both sorts of maiasaura alike, and without the numbers of the components.
    for component, line in zip(panel.components, panel.lines, strict=True):
        line.set(color=COLOURS[OF_SPECIES[component].argmax()], linestyle="solid")
    for badge in panel.badges:
        badge.remove()
    above.set_xlabel("")
    tonnes = np.linspace(0, 30, 1501)
    styled(below).stackplot(tonnes, species_probabilities(fitted, tonnes).T, colors=COLOURS, labels=SPECIES)
    below.plot(tonnes, species_probabilities(park, tonnes).cumsum(axis=1), color="white", linewidth=0.7)
    above.axvline(QUESTION, color=NEUTRAL, linestyle=":")
    below.axvline(QUESTION, color="white", linestyle=":")
    below.set(xlim=(0, 30), ylim=(0, 1))
    answer = species_probabilities(fitted, [QUESTION])[0]
    likeliest = [f"{SPECIES[at]} {answer[at]:.0%}" for at in np.argsort(-answer)[:2]]
    titled(below, f"{QUESTION} t: {', '.join(likeliest)}")
    name_axes(below, x="weight (t)", y="probability")
    legend(below, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=6, columnspacing=1.2)
    return figure


if __name__ == "__main__":
    sys.exit(main())
