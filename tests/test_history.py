from __future__ import annotations

import logging
import math

import pytest

from daskgmm.history import HistoryEntry, Journal


@pytest.fixture
def journal():
    return Journal(row_bytes=24, n_samples=1_000)


def told(journal: Journal, *phases: str) -> list[HistoryEntry]:
    """The entries after some steps of a run that has its passes for itself."""
    for phase in phases:
        if phase != "sample":
            journal.passed(1_000)
        journal.add(phase, sample_rows=10 if phase == "sample" else 0)
    return list(journal.entries)


def test_a_new_journal_is_empty_and_knows_the_rows(journal):
    assert journal.entries == ()
    assert (journal.n_samples, journal.n_passes) == (1_000, 0)


def test_full_passes_are_counted_and_work_on_the_sample_is_not(journal):
    entries = told(journal, "first-look", "sample", "em", "accelerated", "rejected")
    assert [entry.n_passes for entry in entries] == [1, 1, 2, 3, 4]
    assert journal.n_passes == 4


def test_rows_and_bytes_are_those_of_the_step(journal):
    entries = told(journal, "first-look", "sample")
    assert [(entry.rows, entry.bytes) for entry in entries] == [(1_000, 24_000), (10, 240)]


def test_the_number_of_rows_is_learned_from_full_passes_alone():
    journal = Journal(row_bytes=8, n_samples=0)
    journal.passed(500)
    journal.add("first-look")
    journal.add("sample", sample_rows=10)
    assert journal.n_samples == 500


@pytest.mark.parametrize("change", [math.inf, -math.inf, None])
def test_the_first_change_is_none_rather_than_infinite(journal, change):
    journal.passed(1_000)
    journal.add("em", lower_bound=-2.0, change=change)
    (entry,) = journal.entries
    assert entry == HistoryEntry(1, "em", -2.0, None, entry.seconds, 1_000, 24_000)


def test_reseeded_components_are_kept(journal):
    journal.passed(1_000)
    journal.add("em", lower_bound=-2.0, change=0.5, reseeded=(1, 3))
    (entry,) = journal.entries
    assert (entry.change, entry.reseeded) == (0.5, (1, 3))


def test_a_step_takes_the_time_since_the_one_before_it_and_is_a_line_in_the_log(monkeypatch, caplog):
    clock = iter([10.0, 10.5, 12.5, 12.75])
    monkeypatch.setattr("daskgmm.history.perf_counter", lambda: next(clock))
    journal = Journal(row_bytes=24, n_samples=1_000)
    with caplog.at_level(logging.INFO, logger="daskgmm"):
        journal.passed(1_000)
        journal.add("first-look")
        journal.add("sample", lower_bound=-2.75, sample_rows=10)
        journal.passed(1_000)
        journal.add("em", lower_bound=-2.5)
    assert caplog.messages == [
        "pass 1, first-look: 1000 rows in 0.5 s",
        "pass 1, sample: 10 rows in 2 s, mean log-likelihood -2.75",
        "pass 2, em: 1000 rows in 0.25 s, mean log-likelihood -2.5",
    ]


def test_of_runs_that_share_a_pass_the_first_has_the_cost(journal):
    for n_passes in (1, 2):
        journal.passed(1_000)
        for run in (1, 0):
            journal.add("em", run=run, lower_bound=-10.0 * run - n_passes)
    entries = journal.entries
    assert [(entry.n_passes, entry.lower_bound) for entry in entries] == [(1, -1), (1, -11), (2, -2), (2, -12)]
    assert [entry.rows for entry in entries] == [1_000, 0, 1_000, 0]
    assert [entry.bytes for entry in entries] == [24_000, 0, 24_000, 0]
    assert [entry.seconds > 0 for entry in entries] == [True, False, True, False]


def test_some_runs_have_their_own_steps_and_the_first_look(journal):
    journal.passed(1_000)
    journal.add("first-look")
    journal.passed(1_000)
    for run in (2, 1, 0):
        journal.add("sample", run=run, sample_rows=10)
        journal.add("em", run=run, lower_bound=float(run))
    entries = journal.entries_of(range(1, 3))
    assert [(entry.phase, entry.lower_bound) for entry in entries if entry.phase != "sample"] == [
        ("first-look", None),
        ("em", 1.0),
        ("em", 2.0),
    ]
    assert [entry.rows for entry in journal.entries_of([1])] == [1_000, 10, 1_000]
