"""Runs commands in processes of their own that need not import anything: children of one that has done so.

Reads one JSON list of words a line, and answers with one JSON object: exit code, standard output, standard error.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import dask

import daskgmm.cli.fit_run
import daskgmm.selection
import daskgmm.writing  # noqa: F401 - what commands import when they run
from daskgmm.cli import main


def run(words: list[str], environment: dict[str, str]) -> dict[str, object]:
    """Run a command in a child, as a shell would."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os.environ.update(environment)
            if words[0] == "--cd":
                os.chdir(words[1])
                words = words[2:]
            # Dask read it when it was imported, before this variable was set.
            if "DASK_SCHEDULER_ADDRESS" in environment:
                dask.config.refresh()
            try:
                main(words, prog_name="daskgmm")
            except SystemExit as end:
                # Taking everything down that the parent has imported would take longer than most commands.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(end.code or 0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        errors.seek(0)
        return {
            "returncode": os.waitstatus_to_exitcode(status),
            "stdout": output.read().decode(),
            "stderr": errors.read().decode(),
        }


if __name__ == "__main__":
    # Each child would take seconds to load what Numba has compiled.
    sys.modules["numba"] = None
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(run(*json.loads(line)))}\n")
        sys.stdout.flush()
