"""Gaussian mixtures fitted out-of-core on Dask arrays over Zarr.

This page is the tour of the package; ten minutes with it and the files that it names are enough to work on any of them.

What flows where
----------------
Two immutable records travel, `MixtureParameters` down to the data and `SufficientStatistics` up from it::

    parameters                --one copy, read by every block-->     E-step of the block -> its statistics
    statistics + statistics   --merged along a tree, block order-->  one record for all rows
    M-step                    one record of statistics -> the next parameters
    and again                 until the mean log-likelihood per row has less than `tol` to gain

One sweep over the blocks is one pass over the data and one call of Dask's `compute`. The order of the merging follows
from the numbers of the blocks alone, so the result has the same bits on one thread and on a hundred workers. What a fit
holds at any time is the blocks being worked on; nothing as long as the data exists, no responsibilities and no labels.

The house
---------
Each room imports only from rooms further down; `tests/test_layering.py` holds that.

============== =====================================================================================================
`cli`          Commands, and the only place that prints and ends the process.
`planning`     What a fit will read, hold and take, said before anything runs.
`view`         What a reader sees of a fitted mixture: `view.plots` has the pictures, and there is the report.
`selection`    Many numbers of components and covariance types fitted in the same passes, and the best of them.
`estimator`    `GaussianMixture`, scikit-learn's face of all this. No arithmetic.
`streaming`    `partial_fit`: data that are read once, and what an estimator keeps of them between calls.
`drift`        How far rows lie from those of a fit, of which `kept_distribution` keeps quantiles with the mixture.
`updating`     `update`: new rows for a fitted mixture, which stands for the rows so far.
`statistics`   `SufficientStatistics`: sites fit together, send files of them to be merged, and keep their rows.
`writing`      Per-row results into a Zarr array, whole or not at all.
`inputs`       What a user hands over, as row blocks, checked against the fit.
`fitted`       Fitted attributes: from a fit, to and from model files and scikit-learn's estimator.
`notebook`     What notebooks show of fitted mixtures, searches and plans.
`fitting`      Puts start, sweep and EM together: data and settings in, the result of a fit out.
`settings`     What a fit is asked to do, checked before anything is read.
`start`        Where EM begins: given parameters, k-means, k-means++, random rows, found on a sample of the rows.
`engine`       The only room that calls Dask to compute; knows blocks and functions, nothing of mixtures.
`kernels`      The E-step on one block in memory: rows, weights and parameters in, statistics out.
`storage`      The outside world: Zarr and arrays become row blocks, models become files.
`history`      What each step of a fit did and cost; `progress` shows it while it happens.
`mixture`      The mathematics on NumPy arrays: the two records, the four covariance types, the M-step, the EM loop.
`errors`       Every exception, with cause and remedy.
============== =====================================================================================================

Good first reads: `mixture/statistics.py` for the record everything is made of, `mixture/em.py` for the loop, and
`engine/sweep.py` for how a pass runs on Dask.

Using it
--------
The data may be a Zarr array on disk, a Dask array or a NumPy array.

>>> import numpy as np
>>> import zarr
>>> from daskgmm import GaussianMixture, load, open_zarr
>>> generator = np.random.default_rng(0)
>>> rows = np.concatenate([generator.normal(-4.0, 1.0, (3000, 2)), generator.normal(4.0, 2.0, (1000, 2))])
>>> _ = zarr.create_array("rows.zarr", data=rows, chunks=(500, 2))

Fitting reads the store block by block; results come back as a lazy Dask array, to be written or computed.

>>> X = open_zarr("rows.zarr")
>>> model = GaussianMixture(n_components=2, random_state=0).fit(X)
>>> np.sort(model.weights_).round(2)
array([0.25, 0.75])
>>> labels = model.predict(X)
>>> labels.shape
(4000,)
>>> np.sort(np.bincount(labels.compute())).round(-2)
array([1000, 3000])

How many components there are is found by fitting several numbers of them in the same passes over the data.

>>> from daskgmm import select_components
>>> select_components(X, range(1, 5), random_state=0).best.n_components
2

New rows go into a fitted mixture without reading the old ones again.

>>> model.update(generator.normal(4.0, 2.0, (1000, 2))).n_samples_seen_
5000

A model is one file, and loading gives the estimator back.

>>> model.save("model.gmm")
>>> load("model.gmm").n_components
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskgmm.estimator import GaussianMixture, load
    from daskgmm.planning import FitPlan, plan
    from daskgmm.selection import SelectionResult, select_components
    from daskgmm.statistics import SufficientStatistics
    from daskgmm.storage.dataset import open_zarr

__all__ = [
    "FitPlan",
    "GaussianMixture",
    "SelectionResult",
    "SufficientStatistics",
    "__version__",
    "load",
    "open_zarr",
    "plan",
    "select_components",
]

__version__ = "0.1.0"

# A worker imports `daskgmm.kernels` and must start fast, and Python imports this file first: the public names are
# therefore fetched when they are asked for, so that scikit-learn, Dask and Zarr are loaded only where they are used.
_HOME = {
    "FitPlan": "daskgmm.planning",
    "GaussianMixture": "daskgmm.estimator",
    "SelectionResult": "daskgmm.selection",
    "SufficientStatistics": "daskgmm.statistics",
    "load": "daskgmm.estimator",
    "open_zarr": "daskgmm.storage.dataset",
    "plan": "daskgmm.planning",
    "select_components": "daskgmm.selection",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use.

    Raises
    ------
    AttributeError
        If the package has no such public name.
    """
    try:
        module = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names before any of them has been imported, too."""
    return sorted({*globals(), *__all__})
