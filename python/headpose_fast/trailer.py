"""The trailer: what a bundle tells of itself, behind the pickle's STOP where no loader looks.

A line of JSON with versions, options, the database's digest, where the array data stands and its
checksums, then a line with the JSON's own. Nothing in it depends on time, paths or workers. The
checksums are CRC-32: they find accidents, not forgeries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.bundle import Bundle, Layout
from headpose_fast.rendering import MOST_SEED, sample_size

_FORMAT = 1
_END = b"crc32 %08x\n"
_END_LENGTH = len(_END % 0)


class Spans(NamedTuple):
    """The spans of an array's data that have a checksum each: images, or the labels of a piece."""

    #: Rows in each, but maybe the last.
    rows: int
    #: Rows in all of them.
    all_rows: int
    #: uint64, bytes in the file.
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]

    def rows_of(self, span: int) -> slice:
        """Give the rows of a span."""
        return slice(span * self.rows, min((span + 1) * self.rows, self.all_rows))


def checked_spans(layout: Layout) -> dict[str, Spans]:
    """List what has a checksum, by array."""
    spans = {}
    for name, array in zip(Bundle._fields, layout.arrays, strict=True):
        if name.endswith("_im"):
            offsets = array.row_offsets()
            lengths = np.full_like(offsets, array.pieces[0].length // array.pieces[0].rows)
            spans[name] = Spans(1, array.shape[0], offsets, lengths)
        else:
            _, rows, offset, length = zip(*array.pieces, strict=True)
            spans[name] = Spans(
                rows[0], array.shape[0], np.array(offset, np.uint64), np.array(length, np.uint64)
            )
    return spans


def write_trailer(
    layout: Layout,
    checksums: Mapping[str, NDArray[np.uint32]],
    options: Mapping[str, Any],
    digest: str,
) -> bytes:
    """Make a trailer. Its length does not depend on the checksums.

    Args:
        layout: Of the bundle.
        checksums: uint32, of `checked_spans(layout)`, by array.
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
    return b"\n" + text + b"\n" + _END % crc32(text)


def read_trailer(file: IO[bytes], layout: Layout) -> dict[str, Any]:
    """Read what stands behind the STOP.

    Raises:
        ValueError: There is no trailer, or it is damaged or of another layout.

    """
    file.seek(layout.length)
    # More than any trailer has: whatever else is there is not brought into memory.
    rows = sum(array.shape[0] for array in layout.arrays)
    data = file.read((1 << 20) + 64 * rows)
    if not data:
        raise ValueError("it has no trailer to be checked by")
    text = data[1 : -_END_LENGTH - 1]
    if data != b"\n" + text + b"\n" + _END % crc32(text):
        raise ValueError("its trailer is damaged")
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError("its trailer was written by a newer headpose-fast")
        checksums = {name: checksums_of(content, name) for name in Bundle._fields}
        if content["kind"] != layout.kind or content["arrays"] != _arrays(layout, checksums):
            raise ValueError("its trailer is that of another file")
        _check_options(layout, **content["options"])
        strings = [content["headpose_fast"], content["database"]]
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError("its trailer is not one of headpose-fast") from None
    if not all(isinstance(text, str) and text.isprintable() for text in strings):
        raise ValueError("its trailer is not one of headpose-fast")
    return content


def _check_options(
    layout: Layout,
    *,
    num_data_aug: int,
    num_data_aug_val: int,
    aspect_ratio: int,
    seed: int,
    test_persons: list[int],
    test_series: list[int],
) -> None:
    """Raise TypeError for what are not options, ValueError for those of other arrays."""
    for value in (num_data_aug, num_data_aug_val, aspect_ratio, seed, *test_persons, *test_series):
        if type(value) is not int:
            raise TypeError(f"{value!r} is no whole number")
    if not (isinstance(test_persons, list) and isinstance(test_series, list)):
        raise TypeError("people and series are no lists")
    if not 0 <= seed <= MOST_SEED:
        raise TypeError(f"{seed} is no seed")
    _, _, height, width = layout.arrays[0].shape
    sample_size(aspect_ratio, (width, height))
    for array, passes in zip(layout.arrays[:2], (num_data_aug, num_data_aug_val), strict=True):
        if not 1 <= passes <= array.shape[0] or array.shape[0] % passes:
            raise ValueError("its trailer is that of another file")


def _arrays(layout: Layout, checksums: Mapping[str, NDArray[np.uint32]]) -> dict[str, Any]:
    return {
        name: {
            "shape": list(array.shape),
            "dtype": "<f4",
            "text_blocks": array.text_blocks if layout.text else None,
            "pieces": [[piece.offset, piece.rows] for piece in array.pieces],
            "crc32": checksums[name].astype(">u4").tobytes().hex(),
        }
        for name, array in zip(Bundle._fields, layout.arrays, strict=True)
    }


def checksums_of(content: Mapping[str, Any], name: str) -> NDArray[np.uint32]:
    """Give the checksums of an array's spans."""
    data = bytes.fromhex(content["arrays"][name]["crc32"])
    return np.frombuffer(data, ">u4").astype(np.uint32)
