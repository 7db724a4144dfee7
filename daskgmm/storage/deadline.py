"""Waiting for what a store was asked for: as long as Zarr's setting `async.timeout` says, for ever unless it is set."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import zarr
from zarr.core.sync import sync

__all__ = ["answer"]

Answer = TypeVar("Answer")


def answer(asked: Coroutine[Any, Any, Answer]) -> Answer:
    """Return what a coroutine of Zarr's returns; raise TimeoutError when that takes longer than the setting allows.

    Zarr itself heeds its setting only where it opens things, and leaves behind what it no longer waits for.
    """
    return sync(_within(zarr.config.get("async.timeout", None), asked))


async def _within(seconds: float | None, asked: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await asked
    except TimeoutError:
        if not limit.expired():
            raise  # the store's own
        raise TimeoutError(f"no answer within {seconds:g} s; Zarr's setting async.timeout allows more") from None
