from __future__ import annotations

import logging
import math

import pytest

from daskgmm.history import HistoryEntry, Journal


@pytest.fixture
def journal():
    return Journal(row_bytes=24, n_samples=1_000)


def test_a_new_journal_is_empty_and_knows_the_rows(journal):
    assert journal.entries == []
    assert journal.n_samples == 1_000


def test_full_passes_are_counted_and_work_on_the_sample_is_not(journal):
    for phase in ("first-look", "sample", "sample", "em", "em"):
        journal.add(phase, n_samples=10 if phase == "sample" else 1_000)
    assert [entry.n_passes for entry in journal.entries] == [1, 1, 1, 2, 3]


def test_rows_and_bytes_are_those_of_the_step(journal):
    journal.add("first-look", n_samples=1_000)
    journal.add("sample", n_samples=10)
    assert [(entry.rows, entry.bytes) for entry in journal.entries] == [(1_000, 24_000), (10, 240)]


def test_the_number_of_rows_is_learned_from_full_passes_alone():
    journal = Journal(row_bytes=8, n_samples=0)
    journal.add("first-look", n_samples=500)
    journal.add("sample", n_samples=10)
    assert journal.n_samples == 500


@pytest.mark.parametrize("change", [math.inf, -math.inf, None])
def test_the_first_change_is_none_rather_than_infinite(journal, change):
    journal.add("em", n_samples=1_000, lower_bound=-2.0, change=change)
    (entry,) = journal.entries
    assert entry == HistoryEntry(1, "em", -2.0, None, entry.seconds, 1_000, 24_000)


def test_reseeded_components_are_kept(journal):
    journal.add("em", n_samples=1_000, lower_bound=-2.0, change=0.5, reseeded=(1, 3))
    (entry,) = journal.entries
    assert (entry.change, entry.reseeded) == (0.5, (1, 3))


def test_a_step_takes_the_time_since_the_one_before_it_and_is_a_line_in_the_log(monkeypatch, caplog):
    clock = iter([10.0, 10.5, 10.75])
    monkeypatch.setattr("daskgmm.history.perf_counter", lambda: next(clock))
    journal = Journal(row_bytes=24, n_samples=1_000)
    with caplog.at_level(logging.INFO, logger="daskgmm"):
        journal.add("first-look", n_samples=1_000)
        journal.add("em", n_samples=1_000, lower_bound=-2.5)
    assert caplog.messages == [
        "pass 1, first-look: 1000 rows in 0.5 s",
        "pass 2, em: 1000 rows in 0.25 s, mean log-likelihood -2.5",
    ]
