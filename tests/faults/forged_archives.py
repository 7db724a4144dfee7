"""Archives that were forged by somebody who knows the format: their parts go together."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from tests.faults.archive_case import DIRECTORY, END, Case, Mischief, archive_of, boundaries
from tests.faults.fuzzed_json import fuzzed_json

BOMB_BYTES = 400 * 2**20
"""What a bomb becomes when somebody unpacks it: more than the reader may take."""


def other_header(case: Case) -> bytes:
    members = case.members()
    return archive_of({**members, case.header: fuzzed_json(json.loads(members[case.header]), case.rng)})


def other_version(case: Case) -> bytes:
    members = case.members()
    version = case.rng.choice((0, 2, 3, 10**9, -1, 1.0, "1", None, [1], True))
    return archive_of(
        {**members, case.header: json.dumps({**json.loads(members[case.header]), "version": version}).encode()}
    )


def other_array(case: Case) -> bytes:
    """Replace an array by another and say so in the header, digest and all."""
    members, name = case.members(), case.array_name()
    content = case.rng.choice((_npy_of_another_array, _npy_with_another_header, _npy_of_another_length))(
        case, members[name]
    )
    header = json.loads(members[case.header])
    declared = header["arrays"][name.removesuffix(".npy")]
    declared["sha256"] = hashlib.sha256(content).hexdigest()
    if case.rng.random() < 0.5:
        declared["shape"] = case.rng.choice(
            ([1], [2, 2], [3, 2], [2**20, 2**20], [2**62], [10**30], [2] * 60, [0], [4])
        )
    if case.rng.random() < 0.2:
        declared["dtype"] = case.rng.choice(("|O", "<f4", ">f8", "<c16", "|V8", "<M8[s]", "|S8", "<f8,<f8"))
    return archive_of({**members, name: content, case.header: json.dumps(header).encode()})


def _npy_of_another_array(case: Case, npy: bytes) -> bytes:
    bad = case.rng.choice((np.nan, np.inf, -1.0, 0.0, 1e308, 5e-324))
    array = case.rng.choice(
        (
            np.full((2, 2), bad), np.full(2, bad), np.ones((2, 2), "<f4"), np.ones((2, 2), ">f8"), np.ones(4),
            np.asfortranarray(np.arange(4.0).reshape(2, 2)), np.ones((2, 2), complex), np.zeros((2, 0)),
            np.array([[Mischief()] * 2] * 2), np.array(["x" * 8] * 4), np.ones(2, [("a", "<f8")]),
        )
    )  # fmt: skip
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(buffer, array, version=case.rng.choice(((1, 0), (2, 0), (3, 0))))
    return buffer.getvalue()


def _npy_with_another_header(case: Case, npy: bytes) -> bytes:
    texts = (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), 'more': 1}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2,}",
        "{'descr': '|V999999999999', 'fortran_order': False, 'shape': (2, 2), }",
        "{'descr': [('a', '<f8')] * 10**9, 'fortran_order': False, 'shape': (2, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 2L), }",
        "__import__('os')._exit(99)",
        "(" * 9000,
        "[" * 60_000,
        "9" * 60_000,
        "{'descr': " + "-" * 5000 + "1}",
        "\0" * 100,
        "",
    )
    text = case.rng.choice(texts).encode()
    length = case.rng.choice((len(text), len(text), len(text) + 64, 0, 65_535))
    return npy[:8] + struct.pack("<H", length) + text + npy[-32:]


def _npy_of_another_length(case: Case, npy: bytes) -> bytes:
    return case.rng.choice((npy[:-8], npy + b"\0" * 8, npy[:-1], npy + npy, npy[:128], npy[:9], npy + b"\0" * 100_000))


def other_members(case: Case) -> bytes:
    """Add, remove, double or rename members."""
    members = list(case.members().items())
    name, content = case.rng.choice(members)
    action = case.rng.randrange(5)
    if action == 0:
        members.remove((name, content))
    elif action == 1:
        members.append((name, case.rng.choice((content, b"", b"{}", case.rng.randbytes(40)))))
    elif action == 2:
        members.append((case.rng.choice(("../../ran", "/tmp/ran", "ran.py", " ", "a/", name + "\0", "\\ran")), b"1"))
    elif action == 3:
        members[members.index((name, content))] = (
            case.rng.choice(("../" + name, name.upper(), "/" + name, "x")),
            content,
        )
    else:
        case.rng.shuffle(members)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for one, data in members:
            archive.writestr(one, data)
    return buffer.getvalue()


def links(case: Case) -> bytes:
    """Make one of the members a symbolic link, a directory or a device, or give it rights that it should not have."""
    buffer = io.BytesIO()
    chosen = case.rng.choice(sorted(case.members()))
    mode = case.rng.choice((stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFCHR | 0o666, stat.S_IFREG | 0o6777))
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in case.members().items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode if name == chosen else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, b"/etc/passwd" if name == chosen and case.rng.random() < 0.5 else content)
    return buffer.getvalue()


def other_directory(case: Case) -> bytes:
    """Change a number in an entry of the archive's directory, or in its end."""
    content = bytearray(case.sound)
    # Of an entry: flags, method, time, checksum, sizes, lengths of name, extra and comment, attributes, offset.
    offsets = {6: 2, 8: 2, 10: 2, 12: 4, 16: 4, 20: 4, 24: 4, 28: 2, 30: 2, 32: 2, 34: 2, 38: 4, 42: 4}
    if case.rng.random() < 0.7:
        starts = [start for start in boundaries(case.sound) if case.sound.startswith(DIRECTORY, start)]
        start, (offset, size) = case.rng.choice(starts), case.rng.choice(sorted(offsets.items()))
    else:
        start, (offset, size) = (
            case.sound.rfind(END),
            case.rng.choice(((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
        )
    most = 2 ** (8 * size) - 1
    value = case.rng.choice((0, 1, 8, 9, 12, 14, 99, most, most // 2, case.rng.randrange(most), len(content)))
    content[start + offset : start + offset + size] = min(value, most).to_bytes(size, "little")
    return bytes(content)


def compressed(case: Case) -> bytes:
    method = case.rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    return archive_of(case.members(), compression=method)


def bombs(case: Case) -> bytes:
    """Return an archive that is small and would become large: by unpacking, by parsing, or by its directory."""
    members, name = case.members(), case.array_name()
    bomb = case.rng.choice(
        ("zeros", "zeros as header", "lists", "dictionaries", "floats", "text", "directory", "allowed", "wide")
    )
    if bomb.startswith("zeros"):
        packed = _packed_zeros()
        return _with_packed(case.sound, case.header if bomb.endswith("header") else name, packed)
    if bomb == "directory":
        entry = case.sound[case.sound.find(DIRECTORY) : case.sound.rfind(END)]
        start, end = case.sound.find(DIRECTORY), bytearray(case.sound[case.sound.rfind(END) :])
        directory = entry * 3000
        end[12:16] = struct.pack("<I", len(directory))
        return case.sound[:start] + directory + bytes(end)
    return archive_of({**members, case.header: _large_json(bomb)})


@lru_cache(maxsize=4)
def _large_json(kind: str) -> bytes:
    """Return JSON as long as a header may be; "allowed" has no more values than it may, "wide" is one long text."""
    if kind == "wide":
        return b'{"settings":"' + "\U0001f600".encode() + b"x" * (2**24 - 40) + b'"}'
    if kind == "allowed":
        return b'{"settings":[' + b'{"a":{}},' * (2**20 // 4 - 10) + b" " * 2**23 + b"0]}"
    piece = {"lists": b"[],", "dictionaries": b'{"a":{}},', "floats": b"0.1,", "text": b'"\\u00f6",'}[kind]
    return b'{"settings":[' + piece * (2**24 // len(piece) - 10) + b"0]}"


@lru_cache(maxsize=1)
def _packed_zeros() -> bytes:
    """Return zeros as deflated data, made once; of as many zeros as no reader may take."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    pieces = [packer.compress(b"\0" * 2**20) for _ in range(BOMB_BYTES // 2**20)]
    return b"".join([*pieces, packer.flush()])


def _with_packed(sound: bytes, name: str, packed: bytes) -> bytes:
    """Return the archive with one member's bytes given as deflated ones."""
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    forged = archive_of({**members, name: packed})
    content = bytearray(forged)
    with zipfile.ZipFile(io.BytesIO(forged)) as archive:
        local = archive.getinfo(name).header_offset
    entry = forged.find(DIRECTORY)
    while forged[entry + 46 : entry + 46 + len(name)] != name.encode():
        entry = forged.find(DIRECTORY, entry + 1)
    for start, method, size in ((local, 8, 22), (entry, 10, 24)):
        content[start + method : start + method + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        content[start + size : start + size + 4] = struct.pack("<I", BOMB_BYTES)
    return bytes(content)


FORGERY: tuple[tuple[Callable[[Case], bytes], int], ...] = (
    (other_header, 18), (other_version, 2), (other_array, 8), (other_members, 4), (links, 2), (other_directory, 5),
    (compressed, 1),
)  # fmt: skip
"""Each way, and how often it is taken."""
