"""What a fit says while it runs: JSON lines, a bar on a terminal, and how many passes are left."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest
import zarr

from daskgmm import GaussianMixture
from daskgmm.cli.logging_options import LogChoice, log_handler
from daskgmm.cli.results import deliver
from daskgmm.history import Journal
from daskgmm.progress import Bar, JsonLines, passes_left
from tests.drawn import draw


@pytest.fixture
def logged():
    """Run something and return what a handler of the logger "daskgmm" wrote."""

    def run(handler, body):
        log = logging.getLogger("daskgmm")
        level = log.level
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            body()
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
            handler.close()
        return handler.stream.getvalue() if isinstance(handler, logging.StreamHandler) else ""

    return run


def passes(*bounds):
    """Tell a journal of passes that ended with these lower bounds."""

    def body():
        journal = Journal(row_bytes=16, n_samples=1000)
        for before, bound in zip((None, *bounds), bounds, strict=False):
            journal.passed(1000)
            journal.add("em", lower_bound=bound, change=None if before is None else bound - before)

    return body


def test_json_lines_have_the_numbers_of_the_history(logged):
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonLines())
    fitted = GaussianMixture(2, random_state=0)
    rows = draw("full", n_rows=500, n_features=2, spread=4.0).rows
    lines = [json.loads(line) for line in logged(handler, lambda: fitted.fit(rows)).splitlines()]
    names = ("pass", "phase", "lower_bound", "change", "rows", "bytes")
    expected = [[entry[name] for name in names] for entry in fitted.history_]
    assert [[line[name] for name in names] for line in lines] == expected
    assert {line["level"] for line in lines} == {"info"}


def test_json_has_no_numbers_that_json_does_not_know(logged):
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonLines())
    line = logged(handler, passes(-np.inf))
    assert json.loads(line, parse_constant=pytest.fail)["lower_bound"] is None


def test_a_bar_is_one_line_with_what_a_reader_wants(logged):
    written = logged(Bar(io.StringIO(), tol=1e-3), passes(-9.0, -8.0, -7.5, -7.25))
    assert written.count("\n") == 1
    last = written.split("\r")[-1]
    assert re.search(r"pass 4  mean log-likelihood -7.25  change 0.25  \S+ rows/s  \d+ s left", last)


def test_a_wide_terminal_has_cells_too(logged, monkeypatch):
    monkeypatch.setattr(Bar, "_columns", lambda bar: 200)
    last = logged(Bar(io.StringIO(), tol=1 / 16), passes(-9.0, -8.0, -7.5)).split("\r")[-1]
    assert "[#####.....]  pass 3" in last


def test_a_bar_stays_below_other_lines(logged):
    def body():
        passes(-9.0)()
        logging.getLogger("daskgmm").warning("a worker was lost")
        passes(-8.0)()

    written = logged(Bar(io.StringIO()), body)
    lines = [line.split("\r\x1b[K")[-1] for line in written.split("\n")]
    assert lines[0] == "a worker was lost"
    assert lines[1].startswith("pass 1  mean log-likelihood -8")


def test_a_result_begins_on_a_line_of_its_own(logged):
    """On a terminal, it comes after the bar."""
    bar = Bar(io.StringIO())
    logging.getLogger().addHandler(bar)
    try:

        def body():
            passes(-9.0)()
            deliver({}, "the result", as_json=False, summary=None)
            assert bar.stream.getvalue().endswith("rows/s\n")

        logged(logging.NullHandler(), body)
        shown = bar.stream.getvalue()
    finally:
        logging.getLogger().removeHandler(bar)
        bar.close()
    assert bar.stream.getvalue() == shown


@pytest.mark.parametrize(
    ("bounds", "tol", "max_iter", "left"),
    [
        ([-9.0], 1e-3, None, None),
        ([-9.0, -8.0, -7.5], 1 / 16, None, 3),  # gains of a half, a quarter, an eighth, a sixteenth
        ([-9.0, -8.0, -7.5], 1 / 16, 5, 2),
        ([-9.0, -8.0, -7.9999], 1e-3, None, 0),
        ([-9.0, -8.0, -7.5], 0.0, None, None),
        ([-9.0, -8.0, -7.5], 0.0, 10, 7),
        ([-8.0, -9.0, -7.5], 1e-3, None, None),
    ],
)
def test_passes_left_follow_from_gains_that_shrink_alike(bounds, tol, max_iter, left):
    assert passes_left(bounds, tol=tol, max_iter=max_iter) == left


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "choice", "kind"),
    [
        (Terminal, LogChoice(), Bar),
        (Terminal, LogChoice(progress="bar"), Bar),
        (Terminal, LogChoice(progress="log"), logging.StreamHandler),
        (Terminal, LogChoice(progress="off"), logging.StreamHandler),
        (Terminal, LogChoice(log_format="json"), logging.StreamHandler),
        (io.StringIO, LogChoice(), logging.StreamHandler),
        (io.StringIO, LogChoice(progress="bar"), logging.StreamHandler),
    ],
)
def test_bars_are_for_terminals(stream, choice, kind):
    assert type(log_handler(stream(), choice)) is kind


def test_silence_is_for_passes_not_for_warnings(logged):
    def body():
        passes(-9.0)()
        logging.getLogger("daskgmm").warning("a worker was lost")

    written = logged(log_handler(io.StringIO(), LogChoice(progress="off")), body)
    assert written == "WARNING daskgmm: a worker was lost\n"


FIT = """
import sys
from daskgmm.cli import main
main(["fit", *sys.argv[1:], "--components", "1"])
"""


@pytest.fixture
def rows_store(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=draw("full", n_rows=500, n_features=2, spread=4.0).rows)
    return tmp_path / "rows.zarr"


WARN_ON_A_WORKER = """
import logging, sys
from distributed import Client, LocalCluster
from daskgmm.engine.json_log import log_as_json

def warn():
    logging.getLogger("distributed.worker").warning("of a worker")

if __name__ == "__main__":
    log_as_json()
    logging.getLogger("distributed.client").warning("of a client")
    with LocalCluster(1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        with Client(cluster) as client:
            client.submit(warn).result(timeout=60)
"""


@pytest.mark.slow
def test_the_lines_of_dask_are_json_too(tmp_path):
    (tmp_path / "warn.py").write_text(WARN_ON_A_WORKER)
    run = subprocess.run(
        [sys.executable, str(tmp_path / "warn.py")], capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["message"] for line in lines] == ["of a client", "of a worker"]


@pytest.mark.slow
def test_a_terminal_has_a_bar_and_a_file_never(rows_store, tmp_path):
    """One process writes to a terminal, another one, told to draw a bar, to a file."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", FIT, rows_store, "-o"]
    with open(tmp_path / "log", "wb") as file:
        children = [
            subprocess.Popen([*command, tmp_path / "one.gmm"], stderr=theirs, stdout=subprocess.DEVNULL),
            subprocess.Popen(
                [*command, tmp_path / "two.gmm", "--progress", "bar"], stderr=file, stdout=subprocess.DEVNULL
            ),
        ]
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 10_000)
        except OSError:  # what Linux says when nobody has the terminal open any more
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert b"\r\x1b[Kpass 2  mean log-likelihood" in written
    log = (tmp_path / "log").read_bytes()
    assert b"\r" not in log
    assert b"INFO daskgmm: pass 2, em: 500 rows" in log
