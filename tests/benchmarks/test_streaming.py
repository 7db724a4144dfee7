"""The benchmark does what it says, at a tiny size; `python -m tests.benchmarks.streaming` runs it at full size."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.streaming import BAR, STREAMS, Gap, main, markdown, measure


def test_a_bar_says_whether_it_holds():
    good, bad = Gap(STREAMS[0], 1000, "shuffled", BAR / 2, 1.0), Gap(STREAMS[0], 1000, "shuffled", 2 * BAR, 1.0)
    assert good.holds
    assert str(good).startswith("holds")
    assert not bad.holds
    assert str(bad).startswith("MISSED")
    assert "| 300,000 | 1,000 | 0.0200 | 0.01 |" in markdown([bad])


def test_streams_run_from_1_to_16_features_and_2_to_16_components():
    names = [case.name for case in STREAMS]
    assert len(set(zip(names, [case.n_rows for case in STREAMS], strict=True))) == len(STREAMS)
    assert {case.n_components for case in STREAMS} >= {2, 4, 8, 16}
    assert {case.covariance_type for case in STREAMS} == {"full", "tied", "diag", "spherical"}


@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_a_stream_is_compared_with_the_batch_fit_of_its_rows():
    one, other = measure(replace(STREAMS[3], n_rows=9_000), [3_000], is_sorted=True)
    assert (one.order, other.order) == ("shuffled", "sorted")
    assert -1e-4 < one.gap < BAR
    assert other.gap > one.gap


@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_every_stream_is_printed(capsys):
    assert main(["--cases", "0", "--rows", "5000", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(" <= 0.01 nats a row") == 2
    assert printed.count("\n| ") == 4
    assert "largest: " in printed
