"""JSON that is wrong in one place, or in a few: what it says, and how it is spelled."""

from __future__ import annotations

import json
from random import Random
from typing import Any


class Raw(str):
    """Text that goes into JSON as it is, without quotation marks."""


def nasty_values(rng: Random) -> list[Any]:
    """Values that a reader may not expect; Raw ones are no JSON, or more than they seem."""
    return [
        None, True, False, 0, -1, 1, 2, 2**31, 2**63, 2**64, -(2**63), 10**12, 10**30, 0.5, -0.0, 1e308,
        "", "x", "\u0000", "../../etc/passwd", "NaN", "Infinity", "<f8", "|O", "ö" * 50, "{}", "__import__('os')",
        [], [[]], [0], [1, 1], [-1], [0] * 40, [None], ["x"], [1e9], [2**40, 2**40], [2**62, 2],
        {}, {"": 0}, {"$float": "nan"}, {"$float": "1"}, {"$float": ["nan"]}, {"$float": "nan", "x": 1},
        {"$array": None}, {"$array": {"dtype": "<f8", "shape": [2**40], "values": []}},
        {"$array": {"dtype": "|O", "shape": [1], "values": ["x"]}},
        {"$array": {"dtype": "<i8", "shape": [1], "values": [2**70]}},
        {"$array": {"dtype": "<f8", "shape": [2, -2], "values": []}},
        {"id": "pickle"}, {"name": "numcodecs.pickle", "configuration": {}},
        Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("1e999"), Raw("-1e999"), Raw("9" * 5000), Raw("1" * 400),
        Raw("[" * 400 + "]" * 400), Raw("[" * 20_000), Raw('{"a":' * 300 + "0" + "}" * 300), Raw('{"a":1,"a":2}'),
        Raw("'x'"), Raw("0x10"), Raw("01"), Raw("+1"), Raw("1_000"), Raw("undefined"), Raw(""), Raw('"\\ud800"'),
        rng.randrange(-10, 10), rng.randrange(2**20), rng.random(),
    ]  # fmt: skip


def fuzzed_json(content: Any, rng: Random) -> bytes:
    """Return a JSON value as text after one to three changes of what it says."""
    copy = json.loads(json.dumps(content))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        copy = _changed(copy, rng)
    text = _spelled(copy).encode("utf-8", "surrogatepass")
    return _misspelled(text, rng) if rng.random() < 0.1 else text


def _changed(content: Any, rng: Random) -> Any:
    """Change one of the values somewhere in the tree: replace it, drop it, move it, or add beside it."""
    places = [(None, None), *_places(content)]
    parent, key = rng.choice(places)
    if parent is None:
        return rng.choice(nasty_values(rng)) if rng.random() < 0.2 else content
    action = rng.randrange(6)
    if action == 0:
        del parent[key]
    elif action == 1:
        other, place = rng.choice(places[1:])
        if place in (other if isinstance(other, dict) else range(len(other))):
            parent[key] = json.loads(_plain(other[place]))
    elif action == 2 and isinstance(parent, dict):
        parent[rng.choice(["", "x", "$float", "$array", "format", "version", str(key).upper()])] = parent[key]
    else:
        parent[key] = rng.choice(nasty_values(rng))
    return content


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in a tree."""
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    else:
        return []
    return [place for key, value in pairs for place in [(content, key), *_places(value)]]


def _plain(value: Any) -> str:
    """Return JSON of a value, what is spelled wrongly as text."""
    return json.dumps(value)


def _spelled(value: Any) -> str:
    """Return a value as text, Raw ones as they are."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_spelled(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelled, value)) + "]"
    return json.dumps(value)


def _misspelled(text: bytes, rng: Random) -> bytes:
    """Return text that is cut, has a byte changed, or something before or after it."""
    place = rng.randrange(len(text) + 1)
    return rng.choice(
        (
            text[:place],
            text[:place] + bytes([rng.randrange(256)]) + text[place + 1 :],
            text + text[:place],
            b"\xef\xbb\xbf" + text,
            text.decode("utf-8", "replace").encode("utf-16"),
            text[:place] + b"\xff" + text[place:],
            text[:place] + b"//comment\n" + text[place:],
        )
    )
