"""The rows made of an image and the labels of its pixels, against NumPy and scikit-learn on the whole image."""

from __future__ import annotations

import dask.array as da
import numpy as np
from sklearn.datasets import load_sample_image

from daskgmm import GaussianMixture
from daskgmm.writing import write_results
from tests.examples.scripts import script

example = script("image_segmentation")


def rows_of(image: np.ndarray) -> np.ndarray:
    """By the book, of the whole image at once."""
    down, right = np.indices(image.shape[:2])
    place = [(right + 0.5) / image.shape[1], (down + 0.5) / image.shape[0]]
    return np.concatenate([image / 255, np.stack(place, axis=2)], axis=2).reshape(-1, 5)


def test_rows_and_labels_of_a_large_image_are_those_of_the_whole_image(tmp_path, monkeypatch):
    # Seven bands, the last one shorter.
    monkeypatch.setattr(example, "BAND_PIXELS", 11_000)
    photograph = load_sample_image("china.jpg")[::10, ::8]
    example.write_image(tmp_path / "image.zarr", photograph, factor=3)
    image = da.from_zarr(tmp_path / "image.zarr")
    assert image.shape == (129, 240, 3)
    assert image.numblocks[0] > 2
    whole = image.compute()
    X = example.pixel_rows(image)
    np.testing.assert_allclose(X.compute(), rows_of(whole), atol=1e-6)
    # Enlarged, and with noise of the size that is told.
    noise = whole.astype(float) - photograph.repeat(3, axis=0).repeat(3, axis=1)
    middling = (photograph.repeat(3, axis=0).repeat(3, axis=1) > 20) & (whole < 235)
    np.testing.assert_allclose(noise[middling].std(), example.NOISE, rtol=0.05)

    mixture = GaussianMixture(4, init_size=500, max_iter=5, tol=0.1, random_state=0).fit(X)
    write_results(mixture, X, tmp_path / "labels.zarr", dtype="int16")
    picked = example.thumbnail(tmp_path / "labels.zarr", image, step=3)
    expected = mixture.to_sklearn().predict(X.compute()).reshape(whole.shape[:2])[::3, ::3]
    assert picked.shape == photograph.shape[:2]
    assert np.mean(picked != expected) < 1e-3


def test_pieces_are_counted_that_touch_by_a_side():
    labels = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 0]])
    # Of zeros the upper left ones and the corner; of ones the left ones and the right ones.
    assert example.n_pieces(labels) == 4


def test_an_image_that_the_place_does_not_help_ends_with_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "n_pieces", lambda labels: 7)
    monkeypatch.setattr(example, "SETTINGS", {"init_size": 500, "tol": 0.1, "random_state": 0})
    monkeypatch.setattr(example, "load_sample_image", lambda name: load_sample_image(name)[::4, ::4])
    monkeypatch.setattr("sys.argv", ["", "--picture", str(tmp_path / "picture.png")])
    assert example.main() == 1
    assert "fewer pieces" in capsys.readouterr().err
