"""The trailer: what a bundle tells of itself, behind the pickle's STOP where no loader looks.

A line of JSON with versions, options, the database's digest, where the array data stands and its
checksums, then a line with the JSON's own. Nothing in it depends on time, paths or workers. The
checksums are CRC-32C: they find accidents, not forgeries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from headpose_fast import _core
from headpose_fast.bundle import Bundle, Layout

_FORMAT = 1
_END = b"crc32c %08x\n"
_END_LENGTH = len(_END % 0)


class Checked(NamedTuple):
    """A span of array data that has a checksum."""

    array: str
    first_row: int
    rows: int
    offset: int
    length: int


def checked_spans(layout: Layout) -> dict[str, list[Checked]]:
    """List what has a checksum, by array: each image, and the labels of each piece."""
    spans: dict[str, list[Checked]] = {}
    for name, array in zip(Bundle._fields, layout.arrays, strict=True):
        spans[name] = []
        for first, rows, offset, length in array.pieces:
            step = 1 if name.endswith("_im") else rows
            row = length // rows
            spans[name] += [
                Checked(name, first + i, step, offset + i * row, step * row)
                for i in range(0, rows, step)
            ]
    return spans


def write_trailer(
    layout: Layout,
    checksums: Mapping[str, Sequence[int]],
    options: Mapping[str, Any],
    digest: str,
) -> bytes:
    """Make a trailer. Its length does not depend on the checksums.

    Args:
        layout: Of the bundle.
        checksums: Of `checked_spans(layout)`, by array.
        options: What the samples follow from besides the database.
        digest: The database's.

    """
    content = {
        "format": _FORMAT,
        "headpose_fast": _core.__version__,
        "kind": layout.kind,
        "options": dict(options),
        "database": digest,
        "arrays": _arrays(layout, checksums),
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"\n" + text + b"\n" + _END % _core.checksum(text)


def read_trailer(data: bytes, layout: Layout) -> dict[str, Any]:
    """Parse what stands behind the STOP.

    Raises:
        ValueError: There is no trailer, or it is damaged or of another layout.

    """
    if not data:
        raise ValueError("it has no trailer to be checked by")
    text = data[1 : -_END_LENGTH - 1]
    if data != b"\n" + text + b"\n" + _END % _core.checksum(text):
        raise ValueError("its trailer is damaged")
    content: dict[str, Any] = json.loads(text)
    if content["format"] != _FORMAT:
        raise ValueError("its trailer was written by a newer headpose-fast")
    checksums = {name: checksums_of(content, name) for name in Bundle._fields}
    if content["kind"] != layout.kind or content["arrays"] != _arrays(layout, checksums):
        raise ValueError("its trailer is that of another file")
    return content


def _arrays(layout: Layout, checksums: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {
        name: {
            "shape": list(array.shape),
            "dtype": "<f4",
            "text_blocks": array.text_blocks if layout.text else None,
            "pieces": [[piece.offset, piece.rows] for piece in array.pieces],
            "crc32c": np.array(checksums[name], ">u4").tobytes().hex(),
        }
        for name, array in zip(Bundle._fields, layout.arrays, strict=True)
    }


def checksums_of(content: Mapping[str, Any], name: str) -> list[int]:
    """Give the checksums of an array's spans."""
    data = bytes.fromhex(content["arrays"][name]["crc32c"])
    checksums: list[int] = np.frombuffer(data, ">u4").tolist()
    return checksums
