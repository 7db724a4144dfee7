"""Second moments of all components about one centre, from rows that matter to most components."""

from __future__ import annotations

import numpy as np

from daskgmm.kernels.aligned import aligned_empty
from daskgmm.kernels.quadratic_form import common_centre
from daskgmm.kernels.small_products import MOST_MULTIPLICATIONS, multiply
from daskgmm.kernels.unbuffered import unbuffered
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["SharedMoments"]

# Rows of the second moments that are summed by one call.
PANEL = 8


class SharedMoments:
    """Sums over tiles about the common centre of a mixture with full covariances, and memory for one tile.

    The upper triangle of sum r x x^T is summed in panels of a few rows: these rows of x times the responsibilities r,
    times x. No deviation from any mean is formed, as rounding allows where `quadratic_form.lost_digits_ratio` is small.
    """

    def __init__(self, parameters: MixtureParameters, n_rows: int) -> None:
        """Prepare tiles of up to n_rows rows."""
        n_components, n_features = parameters.means.shape
        self.parameters = parameters
        self.counts, self.first = np.zeros(n_components), np.zeros((n_components, n_features))
        starts = range(0, n_features, PANEL)
        self.panels = [np.zeros((n_components, min(PANEL, n_features - start), n_features - start)) for start in starts]
        self.scaled = aligned_empty(n_components * PANEL * n_rows)
        self.products = aligned_empty(n_components * PANEL * n_features)

    def add(self, responsibilities: Floats, rows: Floats, columns: Floats) -> None:
        """Add a tile of rows (n_rows, n_features) relative to the centre, also given as columns."""
        self.counts += responsibilities.sum(axis=1)
        product = self.products[: self.first.size].reshape(self.first.shape)
        multiply(responsibilities, rows, out=product)
        self.first += product
        n_components, n_rows = responsibilities.shape
        with unbuffered():
            for index, panel in enumerate(self.panels):
                start, height = index * PANEL, panel.shape[1]
                scaled = self.scaled[: n_components * height * n_rows].reshape(n_components, height, n_rows)
                product = self.products[: panel.size].reshape(n_components * height, -1)
                np.multiply(columns[start : start + height], responsibilities[:, None], out=scaled)
                most = max(MOST_MULTIPLICATIONS // (n_rows * panel.shape[2]) // PANEL, 1) * PANEL
                part = min(most, 2 * PANEL, len(product)), panel.shape[2]
                multiply(scaled.reshape(len(product), n_rows), rows[:, start:], out=product, part=part)
                panel += product.reshape(panel.shape)

    def about_means(self) -> tuple[Floats, Floats]:
        """Return first and second moments about the means."""
        n_components, n_features = self.first.shape
        second = np.empty((n_components, n_features, n_features))
        means = self.parameters.means - common_centre(self.parameters)
        first = self.first - self.counts[:, None] * means
        # With m the mean, and first about it, sum r (x - m)(x - m)^T = sum r x x^T - first m^T - m (sum r x)^T: what is
        # subtracted is one product of matrices.
        left, right = np.stack([first, means], axis=2), np.stack([-means, -self.first], axis=1)
        for index, panel in enumerate(self.panels):
            start, stop = index * PANEL, index * PANEL + panel.shape[1]
            moments = panel + left[:, start:stop] @ right[:, :, start:]
            second[:, start:, start:stop] = moments.transpose(0, 2, 1)
            second[:, start:stop, start:] = moments
        return first, second
