"""Bytes of a ROOT ``TTree``: branches of numbers, of ``std::vector`` and of ``std::vector<std::vector>``.

uproot writes files, folders and trees of numbers and counted arrays, but no ``std::vector`` branches, which the files
of the calorimeter hold throughout. Here are the records that are missing, in the versions that ROOT 6 writes: TTree 20,
TBranch 13, TBranchElement 10, TLeaf 2, TBasket 3. An object is ``byte count | version | members``, big-endian; a
top-level vector in a basket is 6 bytes of byte count and version, then its length, then its items; an inner vector is
its length and its items. :mod:`hitloom.data.root_trees` puts them into a file.

B entries, I items of all entries.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hitloom.data.jagged import Jagged

_MASK = 0x40000000  # marks a byte count
_NEW_CLASS = b"\xff\xff\xff\xff"
_VECTOR_VERSION = 9
_TYPES = {
    "float": ("F", ">f4"),
    "int": ("I", ">i4"),
    "unsigned int": ("I", ">u4"),
    "Long64_t": ("L", ">i8"),
}
_LEAF_LIMITS = {"F": struct.pack(">ff", 0, 0), "I": struct.pack(">ii", 0, 0), "L": struct.pack(">qq", 0, 0)}
_EMPTY_OBJECTS = (
    struct.pack(">IH", 21 | _MASK, 3) + struct.pack(">HII", 1, 0, 0x03000000) + b"\x00" + struct.pack(">ii", 0, 0)
)
_IO_FEATURES = struct.pack(">I", 7 | _MASK) + b"\x00\x00\x1a\xa1\x2f\x10\x00"


@dataclass(frozen=True)
class Column:
    """Type of a branch: ``number`` is float, int, unsigned int or Long64_t; ``depth`` counts the vectors."""

    number: str
    depth: int = 0

    @property
    def dtype(self) -> np.dtype:
        """Big-endian type of one number."""
        return np.dtype(_TYPES[self.number][1])

    @property
    def class_name(self) -> str:
        """Name that ROOT gives to the C++ type, "" for plain numbers."""
        return ("", f"vector<{self.number}>", f"vector<vector<{self.number}> >")[self.depth]


@dataclass
class Baskets:
    """Where the baskets of one branch lie: bytes, position and first entry of each, and the sums."""

    num_bytes: list[int] = field(default_factory=list)
    seek: list[int] = field(default_factory=list)
    first_entry: list[int] = field(default_factory=lambda: [0])
    raw_bytes: int = 0


def text(value: str) -> bytes:
    """Return a ROOT string: its length in one byte (or 255 and four bytes), then its bytes."""
    raw = value.encode()
    return (bytes([len(raw)]) if len(raw) < 255 else b"\xff" + struct.pack(">I", len(raw))) + raw


def counted(version: int, content: bytes) -> bytes:
    """Return an object: byte count, version, members."""
    return struct.pack(">IH", (len(content) + 2) | _MASK, version) + content


def _named(name: str, title: str, bits: int = 0) -> bytes:
    return counted(1, struct.pack(">HII", 1, 0, 0x03000000 | bits) + text(name) + text(title))


def _any(class_name: str, content: bytes) -> bytes:
    body = _NEW_CLASS + class_name.encode() + b"\x00" + content
    return struct.pack(">I", len(body) | _MASK) + body


def _objects(content: bytes, number: int) -> bytes:
    head = struct.pack(">HII", 1, 0, 0x03000000) + b"\x00" + struct.pack(">ii", number, 0)
    return counted(3, head + content)


def _leaf(name: str, column: Column) -> bytes:
    letter, unsigned = _TYPES[column.number][0], column.number == "unsigned int"
    if column.depth:
        base = counted(2, _named(name, name) + struct.pack(">iii??", 1, 0, 0, False, False) + bytes(4))
        return _any("TLeafElement", counted(1, base + struct.pack(">ii", -1, -1)))
    size = column.dtype.itemsize
    base = counted(2, _named(name, name) + struct.pack(">iii??", 1, size, 0, False, unsigned) + bytes(4))
    return _any(f"TLeaf{letter}", counted(1, base + _LEAF_LIMITS[letter]))


def _branch(name: str, column: Column, baskets: Baskets, num_entries: int) -> tuple[bytes, int]:
    """Return a branch and the distance of its leaf from its start."""
    letter = _TYPES[column.number][0]
    title = name if column.depth else f"{name}/{letter.lower() if column.number == 'unsigned int' else letter}"
    number = len(baskets.seek)
    head = _named(name, title, 0x00400000) + struct.pack(">I", 6 | _MASK) + struct.pack(">Hhh", 2, 0, 1001)
    offset_bytes = 1000 if column.depth else 0
    head += struct.pack(">iiiiq", 0, 32000, offset_bytes, number, num_entries) + _IO_FEATURES
    head += struct.pack(">iIiqqqq", 0, number + 1, 0, num_entries, 0, baskets.raw_bytes, sum(baskets.num_bytes))
    head += _EMPTY_OBJECTS
    leaf = _leaf(name, column)
    pad = [0]
    tail = _EMPTY_OBJECTS
    tail += b"\x01" + np.array(baskets.num_bytes + pad, ">i4").tobytes()
    tail += b"\x01" + np.array(baskets.first_entry, ">i8").tobytes()
    tail += b"\x01" + np.array(baskets.seek + pad, ">i8").tobytes() + b"\x00"
    branch = counted(13, head + _objects(leaf, 1) + tail)
    at_leaf = 6 + len(head) + len(_objects(b"", 1))
    if not column.depth:
        opened = _any("TBranch", b"")
        return _any("TBranch", branch), len(opened) + at_leaf
    # the class version 0 means "the current one"; the checksum 0 means "unknown"
    element = text(column.class_name) + text("") + text("") + struct.pack(">Ihiiii", 0, 0, -1, 0, -1, 0) + bytes(8)
    return _any("TBranchElement", counted(10, branch + element)), len(_any("TBranchElement", b"")) + 6 + at_leaf


def tree_bytes(
    name: str, columns: dict[str, Column], baskets: dict[str, Baskets], *, num_entries: int, key_bytes: int
) -> bytes:
    """Return the record of a tree whose baskets are in the file already.

    Parameters
    ----------
    key_bytes : int
        Length of the key in front of the record: references inside count from the start of the key.
    """
    raw, zipped = (sum(b.raw_bytes for b in baskets.values()), sum(sum(b.num_bytes) for b in baskets.values()))
    head = _named(name, "", 8)
    head += b"@\x00\x00\x08\x00\x02" + struct.pack(">hhh", 602, 1, 1)
    head += b"@\x00\x00\x06\x00\x02" + struct.pack(">hh", 0, 1001)
    head += b"@\x00\x00\x0a\x00\x02" + struct.pack(">hhf", 1, 1, 1.0)
    counts = (num_entries, raw, zipped, 0, 0, 1.0, 0, 25, 0, 1000, 0)
    head += struct.pack(">qqqqqdiiiiI", *counts)
    head += struct.pack(">qqqqqq", 10**12, 10**12, 0, -300_000_000, -30_000_000, 1_000_000)
    head += b"\x00\x00" + _IO_FEATURES
    at = key_bytes + 6 + len(head) + len(_objects(b"", 0))
    branches, leaves = b"", []
    for branch_name, column in columns.items():
        branch, at_leaf = _branch(branch_name, column, baskets[branch_name], num_entries)
        leaves.append(at + len(branches) + at_leaf + 2)
        branches += branch
    references = np.array(leaves, ">u4").tobytes()
    content = head + _objects(branches, len(columns)) + _objects(references, len(leaves)) + bytes(28)
    return counted(20, content)


def numbers_payload(values: NDArray, column: Column) -> bytes:
    """Return the basket content of plain numbers."""
    return np.asarray(values).astype(column.dtype).tobytes()


def vectors_payload(lists: Jagged, column: Column, *, key_bytes: int) -> tuple[bytes, NDArray[np.int64]]:
    """Return the basket content of B vectors and where each entry begins, the end included (B + 1,).

    Parameters
    ----------
    key_bytes : int
        Length of the basket's key: entries count from its start.
    """
    outer = lists.counts[0]
    words = lists.values.astype(column.dtype).view(">u4")
    width = column.dtype.itemsize // 4  # words of an item
    before = np.concatenate([[0], np.cumsum(outer)])
    if column.depth == 1:
        before *= width
    else:
        inner = lists.counts[1]
        start = np.concatenate([[0], np.cumsum(inner * width + 1)])
        mixed = np.empty(start[-1], ">u4")
        is_item = np.ones(len(mixed), bool)
        is_item[start[:-1]] = False
        mixed[start[:-1]], mixed[is_item] = inner, words
        words, before = mixed, start[before]
    content, ends = [], [key_bytes]
    for number, low, high in zip(outer, before[:-1], before[1:], strict=True):
        items = words[low:high].tobytes()
        content.append(struct.pack(">IHI", (len(items) + 6) | _MASK, _VECTOR_VERSION, number) + items)
        ends.append(ends[-1] + len(content[-1]))
    return b"".join(content), np.array(ends, dtype=np.int64)
