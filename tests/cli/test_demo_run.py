"""What the demonstration draws, measures and demands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daskgmm.cli.demo_run import DemoOutcome, DemoSettings, report, true_mixture
from daskgmm.errors import ParameterError, QualityGateError

OUTCOME = DemoOutcome(
    n_samples=1_000_000,
    n_bytes=64_000_000,
    n_components=8,
    n_features=8,
    n_passes=5,
    write_seconds=1.0,
    fit_seconds=2.0,
    label_seconds=3.0,
    peak_worker_memory=400 * 2**20,
    fit_log_likelihood=-10.0,
    true_log_likelihood=-10.0005,
    farthest_mean=0.01,
)


def test_the_size_decides_how_many_rows_there_are():
    assert DemoSettings(2**20, 4, 8, seed=0).n_samples == 2**20 // 64


def test_too_few_rows_for_the_components_are_refused():
    with pytest.raises(ParameterError, match="at least 51200 bytes"):
        DemoSettings(51_199, 8, 8, seed=0)


def test_the_true_mixture_depends_on_the_seed_alone():
    first, again, other = (true_mixture(5, 3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.means, again.means)
    assert not np.array_equal(first.means, other.means)


@pytest.mark.parametrize(("fit", "passes"), [(-10.0005, True), (-10.0014, True), (-10.0016, False), (np.nan, False)])
def test_a_fit_may_lie_a_thousandth_below_the_true_mixture(fit, passes):
    outcome = replace(OUTCOME, fit_log_likelihood=fit)
    if passes:
        outcome.check()
    else:
        with pytest.raises(QualityGateError, match="true mixture"):
            outcome.check()


def test_the_report_counts_the_bytes_of_every_pass():
    lines = dict(line.split("  ", 1) for line in report(OUTCOME).splitlines())
    assert lines["bytes/s"].strip() == "160 MB/s"
    assert lines["peak worker memory"].strip() == "400 MiB"
