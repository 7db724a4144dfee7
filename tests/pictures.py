"""Mixtures given by their parameters alone, and what is asked of every picture."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np

NEUTRAL = "#767676"


def mixture(weights, means, covariances, covariance_type="full", names=None):
    """What a display needs of a mixture, and no more."""
    made = SimpleNamespace(
        weights_=np.array(weights, dtype=float),
        means_=np.array(means, dtype=float),
        covariances_=np.array(covariances, dtype=float),
        covariance_type=covariance_type,
    )
    if names is not None:
        made.feature_names_in_ = np.array(names, dtype=object)
    return made


def three(n_features=2, names=None):
    """Three components with full covariances, far enough apart to be told."""
    generator = np.random.default_rng(n_features)
    roots = generator.normal(size=(3, n_features, n_features))
    covariances = roots @ roots.transpose(0, 2, 1) / n_features + 0.3 * np.eye(n_features)
    return mixture([0.5, 0.3, 0.2], 4 * generator.normal(size=(3, n_features)), covariances, names=names)


def rows_of(given, n_rows, seed=0):
    """Rows drawn from a mixture with full covariances, and their components."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(len(given.weights_), n_rows, p=given.weights_)
    factors = np.linalg.cholesky(given.covariances_)
    noise = generator.normal(size=(n_rows, given.means_.shape[1]))
    return given.means_[labels] + np.einsum("nij,nj->ni", factors[labels], noise), labels


def rendered(display) -> str:
    """Draw a display as SVG, which meets all that drawing may warn of, and return it with text as text."""
    import matplotlib

    target = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        display.figure_.savefig(target, format="svg")
    return target.getvalue()


def texts(figure):
    """All text of a figure that is shown."""
    from matplotlib.text import Text

    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
