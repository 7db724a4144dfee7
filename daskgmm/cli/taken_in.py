"""Which stored rows a model has taken in, so that a night that is run again, however late, counts once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["TakenIn", "rows_taken_in"]

# Three years of nights. A model that is updated every minute must not outgrow what its file can hold.
MOST_KEPT = 1000
# Of a SHA-256. Among the thousand of a model two are alike by chance in one model of 10^13.
DIGITS = 16


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Stored rows that went into a model, as digests."""

    data: str
    """Of where they are stored, their metadata and their chunks."""
    run: str
    """Of these and of the settings that they went in with."""

    @classmethod
    def of(cls, data: Mapping[str, Any], settings: Mapping[str, Any]) -> TakenIn | None:
        """Return what tells rows from others, given what a model is made from; None where chunks are not listed."""
        if data.get("chunks") is None:
            return None
        # Rows are in, too, when the time ran out over them.
        timeless = {name: value for name, value in settings.items() if name != "max_time"}
        return cls(_digest(data), _digest({"data": data, "settings": timeless}))


def rows_taken_in(record: Mapping[str, Any] | None) -> tuple[TakenIn, ...]:
    """Return what commands have taken into a model, the last at the end, by the record of what it was made from."""
    if record is None:
        return ()
    earlier = record.get("taken_in")
    found = [TakenIn(**one) for one in earlier if _is_sound(one)] if isinstance(earlier, list) else []
    last = TakenIn.of(record["data"], record["settings"])
    return tuple([*found, *([] if last is None else [last])][-MOST_KEPT:])


def _is_sound(value: object) -> bool:
    """Whether part of a file, which may be anybody's, is what a `TakenIn` becomes there."""
    names = {field.name for field in fields(TakenIn)}
    return isinstance(value, dict) and set(value) == names and all(isinstance(one, str) for one in value.values())


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]
