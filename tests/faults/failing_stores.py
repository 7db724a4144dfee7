"""Stores that fail in passing, fail for good, or take their time."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

from zarr.abc.store import Store
from zarr.storage import WrapperStore


class FailingStore(WrapperStore):
    """Once it `is_failing`, refuses every third chunk that a process asks for, and every third piece of metadata."""

    def __init__(self, store: Store, is_failing: bool = False) -> None:
        super().__init__(store)
        self.is_failing = is_failing
        self.n_refused = {"chunks": 0, "metadata": 0}
        self._asked = {"chunks": itertools.count(1), "metadata": itertools.count(1)}

    async def get(self, key: str, *arguments: Any, **settings: Any) -> Any:
        what = "metadata" if key.rpartition("/")[2] in ("zarr.json", ".zarray", ".zattrs") else "chunks"
        if self.is_failing and next(self._asked[what]) % 3 == 0:
            self.n_refused[what] += 1
            raise OSError(f"{key}: connection reset by peer")
        return await super().get(key, *arguments, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store, self.is_failing)


class WaitingStore(WrapperStore):
    """One chunk is handed out when all others have been."""

    def __init__(self, store: Store, slow: str, n_others: int) -> None:
        super().__init__(store)
        self.slow = slow
        self._others = threading.Semaphore(0)
        self._n_others = n_others

    async def get(self, key: str, *arguments: Any, **settings: Any) -> Any:
        found = await super().get(key, *arguments, **settings)
        if key == self.slow:
            for _ in range(self._n_others):
                await asyncio.to_thread(self._others.acquire)
        elif "c/" in key:
            self._others.release()
        return found


class SlowStore(WrapperStore):
    """One chunk takes some seconds."""

    def __init__(self, store: Store, slow: str, seconds: float) -> None:
        super().__init__(store)
        self.slow, self.seconds = slow, seconds

    async def get(self, key: str, *arguments: Any, **settings: Any) -> Any:
        if key == self.slow:
            await asyncio.sleep(self.seconds)
        return await super().get(key, *arguments, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store, self.slow, self.seconds)
