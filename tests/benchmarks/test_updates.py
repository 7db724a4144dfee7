"""The benchmark does what it says, at a tiny size; `python -m tests.benchmarks.updates` runs it at full size."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.updates import BAR, DAYS, NIGHTS, Gap, main, markdown, measure


def test_a_bar_says_whether_it_holds():
    good = Gap(NIGHTS[0], BAR / 2, 0.1, (10_000,) * 29, 600_000)
    assert good.holds
    assert str(good).startswith("holds")
    for bad in (replace(good, gap=2 * BAR), replace(good, read=(30_000,) * 29)):
        assert not bad.holds
        assert str(bad).startswith("MISSED")
    assert Gap(NIGHTS[-1], 2 * BAR, 0.1, (2_000,) * 29, 90_000).holds  # shows a limit
    assert "| separated | full | 4 | 6 | 5,000 | 0.0100 | 0.1000 | 2.0 |" in markdown([good])


@pytest.mark.benchmark
@pytest.mark.parametrize("index", [0, 7], ids=["separated", "drifting"])
def test_updates_are_compared_with_the_fit_of_all_days(index):
    nights = NIGHTS[index]
    gap = measure(replace(nights, case=replace(nights.case, n_rows=1_000 * DAYS)))
    assert gap.gap < BAR < gap.gap_of_first
    assert len(gap.read) == DAYS - 1
    assert max(gap.read) <= 5_000 < gap.read_by_fit


@pytest.mark.benchmark
def test_every_case_is_printed(capsys):
    main(["--cases", "0", "--rows", "500", "--markdown"])
    printed = capsys.readouterr().out
    assert printed.count(" <= 0.02 nats a row") == 1
    assert printed.count("\n| ") == 3
    assert "largest: " in printed
