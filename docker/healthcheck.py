"""Tell whether what a container runs is well: exit code 0 if so, 1 with a line on standard error if not.

A Dask scheduler or worker is well when it answers over HTTP; a job is well as long as it runs. Which of them it is,
the container's first process tells.
"""

from __future__ import annotations

import argparse
import re
import sys
import urllib.request
from pathlib import Path

# Docker waits for 5 seconds; an answer that late is none.
SECONDS = 4.0


def is_server(process: int) -> bool:
    """Return whether a process was started as `dask scheduler` or `dask worker`, perhaps by an init."""
    command = Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    return re.search(r"(^|[ /])dask (scheduler|worker)\b", command) is not None


def main() -> int:
    """Check once; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8787, help="where the scheduler or worker serves HTTP")
    parser.add_argument("--process", type=int, default=1, help="the container's first process")
    given = parser.parse_args()
    if not is_server(given.process):
        return 0
    url = f"http://127.0.0.1:{given.port}/health"
    try:
        # Not through the proxy that the environment may name: it cannot reach this container.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=SECONDS) as answer:
            answer.read()
    except OSError as error:
        print(f"healthcheck: expected an answer from {url}; {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
