"""What a pass would take on a cluster that is not here: `python -m tests.benchmarks.scale`, half a minute.

Three costs are measured on this machine: what the scheduler spends on a task, how fast one thread reads and computes,
and how fast two processes exchange bytes. The rest is arithmetic: tasks follow from threads (`range_size`),
the scheduler handles one task after the other, parameters spread from worker to worker, and statistics go up the tree
of `engine.sweep.FAN_IN`. Stragglers, failures and a slow object store are not in it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from distributed import Client, LocalCluster

from daskgmm.engine.parts import range_size
from daskgmm.engine.sweep import FAN_IN
from daskgmm.kernels import choose_kernel
from tests.benchmarks.iterations import draw_mixture

__all__ = ["Cluster", "Costs", "Pass", "main", "pass_over"]

BLOCK_BYTES = 2**25


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured here."""

    task: float
    """Seconds of the scheduler for one task."""
    compute: float
    """Decoded bytes a second that one thread reads from memory and computes on."""
    network: float
    """Bytes a second between two workers."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster on paper, and the data and mixture of a fit."""

    n_workers: int
    threads_a_worker: int
    data_bytes: float
    n_components: int
    n_features: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Seconds of a pass, and what they are made of."""

    n_tasks: int
    computing: float
    """Of the busiest thread; a task that starts last is in it."""
    scheduling: float
    """Of the scheduler, which works while the workers do."""
    parameters: float
    """Until the last worker has them."""
    merging: float
    """From the last block's statistics to the sum of all."""
    one_task_a_block: float
    """Of the scheduler, if each 128 MiB were a task."""

    @property
    def seconds(self) -> float:
        """Of the pass: the scheduler and the workers work at the same time."""
        return self.parameters + max(self.computing, self.scheduling) + self.merging


def pass_over(cluster: Cluster, costs: Costs) -> Pass:
    """Return what one pass takes."""
    n_threads = cluster.n_workers * cluster.threads_a_worker
    n_blocks = math.ceil(cluster.data_bytes / BLOCK_BYTES)
    size = range_size(n_blocks, n_threads)
    n_ranges = math.ceil(n_blocks / size)
    levels = max(1, math.ceil(math.log(n_ranges, FAN_IN))) if n_ranges > 1 else 0
    n_merges = sum(math.ceil(n_ranges / FAN_IN**level) for level in range(1, levels + 1))
    rounds = math.ceil(n_ranges / n_threads)
    matrix = 8 * cluster.n_components * cluster.n_features**2
    # Covariances and their factors go down; each worker that has them hands them on. Second moments come up.
    down = math.ceil(math.log2(cluster.n_workers + 1)) * 2 * matrix / costs.network
    up = levels * (FAN_IN - 1) * matrix / costs.network
    return Pass(
        n_tasks=n_ranges + n_merges,
        computing=rounds * size * BLOCK_BYTES / costs.compute,
        scheduling=(n_ranges + n_merges) * costs.task,
        parameters=down,
        merging=up,
        one_task_a_block=cluster.data_bytes / 2**27 * costs.task,
    )


def measure_costs(n_tasks: int = 2000, n_rows: int = 2**17) -> Costs:
    """Measure costs on this machine."""
    rows, parameters = draw_mixture("full", n_rows=n_rows, n_features=8, n_components=16, spread=1.0)
    kernel = choose_kernel("auto")
    kernel(rows, None, parameters)
    began = perf_counter()
    kernel(rows.copy(), None, parameters)
    compute = rows.nbytes / (perf_counter() - began)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(abs, range(10)))
        began = perf_counter()
        client.gather(client.map(abs, range(-n_tasks, 0)))
        task = (perf_counter() - began) / n_tasks
        one, other = client.scheduler_info()["workers"]
        payload = client.submit(np.ones, 2**24, workers=[one])
        payload.result()
        began = perf_counter()
        client.submit(len, payload, workers=[other], allow_other_workers=False).result()
        network = 8 * 2**24 / (perf_counter() - began)
    return Costs(task, compute, network)


def text(cluster: Cluster, one: Pass) -> str:
    """Return a pass in words."""
    return (
        f"{cluster.n_workers:,} workers of {cluster.threads_a_worker} threads, {cluster.data_bytes / 1e12:g} TB, "
        f"{cluster.n_components} components of {cluster.n_features} features\n"
        f"  {one.n_tasks:,} tasks; {one.seconds:.0f} s: parameters {one.parameters:.1f}, computing {one.computing:.0f} "
        f"while scheduling {one.scheduling:.0f}, merging {one.merging:.1f}\n"
        f"  one task for each 128 MiB would keep the scheduler busy for {one.one_task_a_block:.0f} s"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print passes on paper."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    costs = measure_costs()
    sys.stdout.write(
        f"measured here: {1e3 * costs.task:.2f} ms a task, {costs.compute / 1e9:.2f} GB/s a thread, "
        f"{costs.network / 1e9:.2f} GB/s between two workers\n"
    )
    for n_workers, data_bytes in ((2, 1e11), (100, 1e13), (1000, 1e14)):
        for n_components, n_features in ((16, 8), (256, 64)):
            cluster = Cluster(n_workers, 8, data_bytes, n_components, n_features)
            sys.stdout.write(text(cluster, pass_over(cluster, costs)) + "\n")


if __name__ == "__main__":
    main()
