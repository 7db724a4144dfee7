"""What Dask's configuration says: its files, and variables of the environment that begin with DASK_."""

from __future__ import annotations

from typing import Any

import dask.config

__all__ = ["dask_setting"]


def dask_setting(name: str) -> Any:
    """Return a setting by its name with dots, None if there is none."""
    return dask.config.get(name, None)
