"""Options that several commands share: which cluster, and what makes no sense."""

from __future__ import annotations

import json

import dask
import pytest

from daskgmm.cli.options import ClusterChoice

NOTHING = {
    "scheduler": None,
    "scheduler_file": None,
    "n_workers": None,
    "threads_per_worker": 1,
    "memory_limit": None,
    "timeout": "30s",
}


def test_words_become_values():
    settings = ClusterChoice(**{**NOTHING, "n_workers": 3, "memory_limit": "2GiB", "timeout": "5m"}).settings()
    assert (settings.n_workers, settings.memory_limit, settings.timeout) == (3, 2 * 2**30, 300.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "one way to find a cluster"),
        (["--n-workers", "2", "--memory-limit", "much"], "a size such as"),
        (["--timeout", "soon"], "--timeout: expected a duration such as"),
        (["--memory-limit", "2GB"], "--memory-limit: expected --n-workers"),
        (["--threads-per-worker", "2", "--scheduler", "tcp://127.0.0.1:1"], "--threads-per-worker: expected --n-"),
        (["--n-workers", "0"], "0"),
    ],
    ids=["two clusters", "size", "duration", "memory of nobody", "threads of others", "no workers"],
)
def test_cluster_options_without_sense_are_wrong_usage(options, message, invoke, model, store):
    result = invoke("score", model, store, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_a_scheduler_that_does_not_answer_is_worth_a_retry(invoke, model, store):
    result = invoke("score", model, store, "--scheduler", "tcp://127.0.0.1:1", "--timeout", "500ms")
    assert result.exit_code == 5
    assert "tcp://127.0.0.1:1" in result.stderr


def test_a_scheduler_file_that_is_not_there_is_worth_a_retry(invoke, model, store, tmp_path):
    result = invoke("score", model, store, "--scheduler-file", tmp_path / "scheduler.json")
    assert result.exit_code == 5
    assert "scheduler.json" in result.stderr


def test_the_scheduler_of_the_environment_is_used(invoke, cluster, model, store):
    with dask.config.set({"scheduler-address": cluster.scheduler_address}):
        with_it = invoke("score", model, store, "--wait-workers", "2")
        assert with_it.exit_code == 0, with_it.stderr
        # A flag goes before it.
        assert invoke("score", model, store, "--scheduler", "tcp://127.0.0.1:1", "--timeout", "500ms").exit_code == 5
    # Without it there are no workers to wait for.
    assert invoke("score", model, store, "--wait-workers", "2").exit_code == 2


def test_too_few_workers_are_waited_for_and_told(invoke, cluster, model, store):
    words = ("score", model, store, "--scheduler", cluster.scheduler_address, "--timeout", "1s")
    result = invoke(*words, "--wait-workers", "3")
    assert result.exit_code == 5
    assert "to have 3 workers within 1 s; it has 2" in result.stderr


def test_workers_are_waited_for_where_the_scheduler_is_from(invoke, model, store, tmp_path):
    (tmp_path / "job.yaml").write_text("scheduler: tcp://127.0.0.1:1\nwait-workers: 3\n")
    words = ("score", model, store, "--config", tmp_path / "job.yaml", "--print-config", "--json")
    assert json.loads(invoke(*words).stdout)["wait-workers"]["value"] == 3
    # A flag that starts workers goes before the file's scheduler, and those are there when they have started.
    embedded = json.loads(invoke(*words, "--n-workers", "2").stdout)
    assert [embedded[name]["value"] for name in ("scheduler", "wait-workers", "n-workers")] == [None, None, 2]
