"""The species of a weight, against Bayes' theorem written out with SciPy's densities."""

from __future__ import annotations

import numpy as np
from scipy.stats import kstest, norm

from tests.examples.scripts import script

example = script("dinosaur_weights")
# The numbers of the tutorial, once more: share, and the peaks of each species with their standard deviations.
PARK = {
    "raptor": (0.1, [(1.0, 0.7, 0.2)]),
    "sauropod": (0.25, [(1.0, 20, 3)]),
    "T. rex": (0.05, [(1.0, 10, 1.5)]),
    "stegosaurus": (0.3, [(1.0, 4, 0.3)]),
    "ankylosaurus": (0.15, [(1.0, 5, 0.5)]),
    "maiasaura": (0.15, [(0.5, 7, 0.3), (0.5, 8, 0.3)]),
}


def joint(tonnes: np.ndarray, function=norm.pdf) -> np.ndarray:
    """Share times density (or another function of the distribution) of each species, one column each."""
    species = [PARK[name] for name in example.SPECIES]
    return np.column_stack([share * sum(p * function(tonnes, m, s) for p, m, s in peaks) for share, peaks in species])


def test_the_parks_probabilities_follow_from_bayes_theorem():
    tonnes = np.array([0.5, 3.0, 4.4, 4.6, 6.0, 7.5, 9.0, 12.0, 25.0])
    expected = joint(tonnes) / joint(tonnes).sum(axis=1, keepdims=True)
    found = example.species_probabilities(example.true_mixture(), tonnes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # The answer that the README gives.
    assert dict(zip(example.SPECIES, found[2].round(2), strict=True))["stegosaurus"] == 0.74


def test_weights_are_drawn_with_standard_deviations_and_not_with_variances():
    drawn = example.draw_weights(np.random.default_rng(1), 50_000)[:, 0]
    assert kstest(drawn, lambda tonnes: joint(tonnes, norm.cdf).sum(axis=1)).pvalue > 0.01


def test_a_fits_components_are_put_in_the_parks_order():
    park = example.true_mixture()
    shuffled = example.true_mixture()
    order = [3, 6, 0, 5, 1, 4, 2]
    shuffled.weights_, shuffled.means_ = park.weights_[order], park.means_[order] + 0.05
    shuffled.precisions_ = park.precisions_[order]
    matched = example.in_order_of(park, shuffled)
    np.testing.assert_allclose(matched.means_, park.means_ + 0.05)
    np.testing.assert_allclose(matched.weights_, park.weights_)
    np.testing.assert_allclose(matched.covariances_, park.covariances_)


def test_a_fit_that_answers_wrongly_ends_with_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "ANSWER_TOLERANCE", 0.0)
    monkeypatch.setattr("sys.argv", ["", "--rows", "500", "--picture", str(tmp_path / "picture.png")])
    assert example.main() == 1
    assert "expected the fitted mixture to answer" in capsys.readouterr().err


def test_weights_in_a_store_are_those_of_its_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "BLOCK_ROWS", 300)
    stored = example.weights(1000, tmp_path / "weights.zarr")
    assert stored.shape == (1000, 1)
    first = example.draw_weights(np.random.default_rng([0, 0]), 300)
    np.testing.assert_array_equal(stored[:300].compute(), first)
