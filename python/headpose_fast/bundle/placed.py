"""Kinds of bundle in which the place of every sample follows from counts alone.

Every byte of such a file up to the pickle's STOP that is not array data, and the place of every
sample, follow from the counts and the size of the samples. Any group of samples can therefore be
rendered and written on its own, in any order. And reading needs no unpickling: it rebuilds the
layout and compares.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import DTYPE, Bundle, Counts, Shape
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.opcodes import POP, STOP, Stream, string

#: Bytes of array data in one piece of the kinds that Python 2 reads. Loading needs a few times this
#: on top of the arrays. Pieces of 4 MiB load more slowly, since they do not fit in the cache.
_PIECE_BYTES = 1 << 20


class Piece(NamedTuple):
    """Rows of an array that are in the file without a gap."""

    first_row: int
    rows: int
    #: Where the first byte is in the file.
    offset: int
    #: Bytes in the file.
    length: int


class Spans(NamedTuple):
    """The spans of an array's data that have a checksum each: images, or the labels of a piece."""

    array: str
    #: Rows in each, but maybe the last; and in all of them.
    rows: int
    all_rows: int
    #: uint64, bytes in the file.
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]

    def place(self, span: int) -> str:
        """Name the place of a span."""
        row, first = span * self.rows, int(self.offsets[span])
        end = min(row + self.rows, self.all_rows)
        rows = f"row {row}" if self.rows == 1 else f"rows {row} to {end - 1}"
        return f"{self.array} {rows} (bytes {first:,} to {first + int(self.lengths[span]) - 1:,})"


class ArrayLayout:
    """Where an array's data is in the file."""

    def __init__(self, name: str, shape: Shape) -> None:
        """Begin without pieces, which `PlacedKind.lay` adds."""
        self.name, self.shape = name, shape
        self.pieces: list[Piece] = []
        #: Bytes of array data in one row (one sample, or one sample's labels).
        self.row_bytes = math.prod(shape[1:]) * DTYPE.itemsize

    def leave(self, stream: Stream, first_row: int, rows: int, length: int) -> None:
        """Leave room for a piece of so many bytes in the file."""
        self.pieces.append(Piece(first_row, rows, stream.leave(length), length))

    @property
    def stored_row_bytes(self) -> int:
        """Bytes in the file of one row."""
        return self.pieces[0].length // self.pieces[0].rows

    def offset_of(self, row: int) -> int:
        """The offset of a row; all pieces but the last have the same number of rows."""
        piece, within = divmod(row, self.pieces[0].rows)
        return self.pieces[piece].offset + within * self.stored_row_bytes

    def row_offsets(self) -> NDArray[np.uint64]:
        """The offset of every row."""
        within = np.arange(self.pieces[0].rows, dtype=np.uint64) * np.uint64(self.stored_row_bytes)
        first = np.array([piece.offset for piece in self.pieces], np.uint64)
        return (first[:, np.newaxis] + within).reshape(-1)[: self.shape[0]]

    def spans(self) -> Spans:
        """List what has a checksum."""
        if self.name.endswith("_im"):
            offsets = self.row_offsets()
            lengths = np.full_like(offsets, self.stored_row_bytes)
            return Spans(self.name, 1, self.shape[0], offsets, lengths)
        _, rows, *places = zip(*self.pieces, strict=True)
        return Spans(self.name, rows[0], self.shape[0], *np.array(places, np.uint64))


class Layout(NamedTuple):
    """A file for given counts: all its bytes but the array data."""

    kind: PlacedKind
    counts: Counts
    #: In the order of `Bundle`.
    arrays: tuple[ArrayLayout, ...]
    #: What is between the array data: offsets and bytes.
    skeleton: list[tuple[int, bytes]]
    #: Bytes up to and including the pickle's STOP.
    length: int

    def spans(self) -> dict[str, Spans]:
        """List what has a checksum, by array."""
        return {array.name: array.spans() for array in self.arrays}


class PlacedKind(ABC):
    """A kind of such files. Array data is raw unless a kind overrides that."""

    name: Kind
    #: Of the pickle.
    protocol = 2

    @abstractmethod
    def lay(self, stream: Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out the arrays, and note their pieces."""

    def text_blocks(self, array: ArrayLayout) -> int | None:  # noqa: ARG002
        """Blocks that a row is divided into when it is written as text, see `docs/format.md`."""
        return None

    def encode(self, array: ArrayLayout, rows: NDArray[np.float32]) -> bytes:  # noqa: ARG002
        """Encode rows of an array as they are in the file."""
        return np.ascontiguousarray(rows, DTYPE).tobytes()

    def decode(self, array: ArrayLayout, data: bytes, out: NDArray[np.float32]) -> None:  # noqa: ARG002
        """Decode rows of an array; `out` is C-contiguous. Raises ValueError if they are damaged."""
        out[:] = np.frombuffer(data, DTYPE).reshape(out.shape)

    def mapped(self, file: IO[bytes], arrays: tuple[ArrayLayout, ...]) -> Bundle | None:  # noqa: ARG002
        """Map the arrays of a file that has them as memory does."""
        return None

    def layout(self, train: int, test: int, height: int, width: int) -> Layout:
        """Lay out a bundle of `train` and `test` samples of `height` x `width` pixels."""
        counts = Counts(train, test, height, width)
        arrays = tuple(map(ArrayLayout, Bundle._fields, counts.shapes()))
        stream = Stream()
        # A string that the pickle machine pushes and drops; it describes to a reader what follows.
        header = f"headpose-fast 1 {self.name} {train} {test} {height} {width}"
        stream.put(b"\x80", bytes([self.protocol]), string(header), POP)
        self.lay(stream, arrays)
        stream.put(STOP)
        skeleton = [(offset, bytes(ops)) for offset, ops in stream.skeleton]
        return Layout(self, counts, arrays, skeleton, stream.tell())


def piece_rows(array: ArrayLayout) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each piece.

    Python 2 holds no string over 2 GiB, and no loader should hold the data twice.
    """
    rows = max(1, _PIECE_BYTES // array.row_bytes)
    for first in range(0, array.shape[0], rows):
        yield first, min(rows, array.shape[0] - first)
