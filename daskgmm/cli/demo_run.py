"""What the demonstration does and what it tells."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning

from daskgmm.engine.cluster import ClusterSettings, connected, peak_worker_memory
from daskgmm.engine.generate import generate_rows
from daskgmm.errors import ParameterError, QualityGateError
from daskgmm.estimator import GaussianMixture
from daskgmm.fitting import score_rows
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.drawing import draw_shuffled
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.storage.dataset import as_row_blocks, open_zarr
from daskgmm.writing import write_results, write_rows

__all__ = ["DemoOutcome", "DemoSettings", "report", "run_demo"]

N_WORKERS, WORKER_MEMORY = 2, 512 * 2**20
# Blocks this small leave each worker room for several at once beside what Python and its libraries take.
BLOCK_BYTES = 16 * 2**20
# How far below the true mixture's the mean log-likelihood of a good fit may lie, in nats a row.
TOLERANCE = 1e-3
# Starts on the sample cost no pass; with this many, one that ends in a poor optimum does not decide.
N_INIT = 5


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How large the demonstration is."""

    n_bytes: int
    n_components: int
    n_features: int
    seed: int

    def __post_init__(self) -> None:
        if self.n_samples < 100 * self.n_components:
            least = 100 * self.n_components * self.n_features * 8
            raise ParameterError(
                f"--size: expected at least {least} bytes, 100 rows for each of {self.n_components} components; "
                f"got {self.n_bytes}"
            )

    @property
    def n_samples(self) -> int:
        """Rows that fill the size asked for."""
        return self.n_bytes // (8 * self.n_features)


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What was measured."""

    n_samples: int
    n_bytes: int
    n_components: int
    n_features: int
    n_passes: int
    write_seconds: float
    fit_seconds: float
    label_seconds: float
    peak_worker_memory: int
    fit_log_likelihood: float
    """Mean log-likelihood per row of the fitted mixture, in nats."""
    true_log_likelihood: float
    """The same of the mixture that the rows were drawn from."""
    farthest_mean: float
    """Largest distance between a true mean and the fitted mean that belongs to it, in standard deviations."""

    def check(self) -> None:
        """Raise QualityGateError when the fit is worse than the mixture that the rows were drawn from."""
        if not self.fit_log_likelihood >= self.true_log_likelihood - TOLERANCE:
            raise QualityGateError(
                f"expected a mean log-likelihood of at least {self.true_log_likelihood - TOLERANCE:.6f}, that of the "
                f"true mixture less {TOLERANCE:g}; got {self.fit_log_likelihood:.6f}. Try another --seed, fewer "
                "--components or more --features: the components drawn may overlap too much to be told apart"
            )


def run_demo(settings: DemoSettings, folder: Path) -> DemoOutcome:
    """Write rows, fit them, and write their labels and the model, all in a folder that exists."""
    truth = true_mixture(settings.n_components, settings.n_features, settings.seed)
    rows_path = folder / "rows.zarr"
    cluster = ClusterSettings(n_workers=N_WORKERS, threads_per_worker=1, memory_limit=WORKER_MEMORY)
    with connected(cluster) as client:
        began = perf_counter()
        lazy = generate_rows(
            draw_shuffled,
            truth,
            n_samples=settings.n_samples,
            n_features=settings.n_features,
            block_rows=max(1, BLOCK_BYTES // (8 * settings.n_features)),
            entropy=settings.seed,
        )
        write_rows(lazy, rows_path, compressed=False)  # the digits of drawn rows do not compress
        written = perf_counter()
        X = open_zarr(rows_path)
        mixture = GaussianMixture(settings.n_components, n_init=N_INIT, random_state=settings.seed)
        with warnings.catch_warnings():
            # The comparison with the true mixture is the stricter test.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(X)
        fitted = perf_counter()
        write_results(mixture, X, folder / "labels.zarr")
        labelled = perf_counter()
        fit_log_likelihood = mixture.score(X)
        true_log_likelihood = score_rows(as_row_blocks(X), truth).mean
        peak = 0 if client is None else peak_worker_memory(client)
    mixture.save(folder / "model.gmm")
    return DemoOutcome(
        n_samples=settings.n_samples,
        n_bytes=settings.n_samples * settings.n_features * 8,
        n_components=settings.n_components,
        n_features=settings.n_features,
        n_passes=mixture.n_passes_,
        write_seconds=written - began,
        fit_seconds=fitted - written,
        label_seconds=labelled - fitted,
        peak_worker_memory=peak,
        fit_log_likelihood=fit_log_likelihood,
        true_log_likelihood=true_log_likelihood,
        farthest_mean=_farthest_mean(truth, mixture.means_),
    )


def true_mixture(n_components: int, n_features: int, seed: int) -> MixtureParameters:
    """Return a mixture of unequal, tilted components whose neighbours overlap a little."""
    generator = np.random.default_rng([seed, 1])
    weights = generator.dirichlet(np.full(n_components, 10.0))
    # n_components balls fill a box whose side grows as their number to the power 1 / n_features.
    spread = 3.0 * n_components ** (1 / n_features)
    means = generator.normal(size=(n_components, n_features)) * spread
    tilt = generator.normal(size=(n_components, n_features, n_features)) / np.sqrt(2 * n_features)
    covariances = tilt @ tilt.transpose(0, 2, 1) + np.eye(n_features) / 2
    return MixtureParameters.from_covariances(
        weights=weights, means=means, covariances=covariances, covariance_type="full"
    )


def _farthest_mean(truth: MixtureParameters, means: Floats) -> float:
    """Return the largest distance in the best pairing of true and fitted means, in true standard deviations."""
    offsets = means[None, :, :] - truth.means[:, None, :]
    whitened = np.einsum("kjd,kde->kje", offsets, truth.precisions_cholesky)
    distances = np.sqrt((whitened**2).sum(axis=2))
    pairs = linear_sum_assignment(distances)
    return float(distances[pairs].max())


def report(outcome: DemoOutcome) -> str:
    """Return the measurements as a table."""
    throughput = outcome.n_bytes * outcome.n_passes / outcome.fit_seconds
    limit = f"{N_WORKERS} x {_mebibytes(WORKER_MEMORY)}"
    lines = (
        ("rows", f"{outcome.n_samples:,} of {outcome.n_features} features"),
        ("bytes", f"{_mebibytes(outcome.n_bytes)}, workers limited to {limit}"),
        ("written in", f"{outcome.write_seconds:.1f} s"),
        ("passes", f"{outcome.n_passes} to fit {outcome.n_components} components"),
        ("fitted in", f"{outcome.fit_seconds:.1f} s"),
        ("bytes/s", f"{throughput / 1e6:,.0f} MB/s"),
        ("labels written in", f"{outcome.label_seconds:.1f} s"),
        ("peak worker memory", _mebibytes(outcome.peak_worker_memory)),
        ("log-likelihood, fit", f"{outcome.fit_log_likelihood:.6f} nats a row"),
        ("log-likelihood, true", f"{outcome.true_log_likelihood:.6f} nats a row"),
        ("farthest mean", f"{outcome.farthest_mean:.4f} standard deviations off"),
    )
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _mebibytes(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"
