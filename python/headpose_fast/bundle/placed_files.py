"""Writing, reading, checking and comparing files of the kinds in `placed`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import IO, Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.bundle.arrays import Block, Bundle, Counts
from headpose_fast.bundle.placed import ArrayLayout, Layout, PlacedKind
from headpose_fast.bundle.trailer import checksums_of, hexadecimal, read_trailer, write_trailer
from headpose_fast.job import Job, Part
from headpose_fast.output import write_all
from headpose_fast.samples.rendering import raise_failures

#: Bytes of array data to read at once.
_BLOCK_BYTES = 1 << 20


class PlacedForm(NamedTuple):
    """How files of such a kind are written and read."""

    kind: PlacedKind

    def draft(self, job: Job) -> PlacedDraft:
        """Lay out a job's bundle."""
        return PlacedDraft(self.kind.layout(*Counts.of(job)), job)

    def open(self, path: Path, file: IO[bytes], counts: Counts) -> PlacedReader:
        """Compare all of a file but its array data with the layout for its counts.

        Raises ValueError if it is damaged or ends early.
        """
        size = file.seek(0, os.SEEK_END)
        if 4 * (counts.train + counts.test) * 3 * counts.height * counts.width > size:
            raise ValueError("it ends early")
        layout = self.kind.layout(*counts)
        if size < layout.length:
            raise ValueError(f"it ends after {size:,} of {layout.length:,} bytes")
        for offset, expected in layout.skeleton:
            file.seek(offset)
            if file.read(len(expected)) != expected:
                raise ValueError(_damaged(offset, len(expected)))
        # A reader needs only the places of the data.
        return PlacedReader(layout._replace(skeleton=[]), path, file)


class PlacedDraft:
    """A file that is laid out for a job, and not yet written; its length is known to the byte."""

    def __init__(self, layout: Layout, job: Job) -> None:
        """Begin with checksums of 0."""
        self._layout, self._job = layout, job
        self._checksums = {
            name: np.zeros(len(spans.offsets), np.uint32) for name, spans in layout.spans().items()
        }

    @property
    def reserved_bytes(self) -> int:
        """The bytes of the file. The trailer's length does not depend on the checksums."""
        return self._layout.length + len(self._trailer())

    def write(
        self,
        path: Path,
        file: FileIO,
        workers: int | None,
        progress: Callable[[int], object],
    ) -> int:
        """Write it, trailer included, into an open file of `reserved_bytes`; return its bytes.

        `progress` gets the number of samples that are done. Raises DatabaseError for photographs
        that cannot be rendered, OSError if writing fails.
        """

        def put(offset: int, data: bytes) -> None:
            file.seek(offset)
            write_all(file, data)

        def rendered(samples: int) -> None:
            progress(before + samples)

        for offset, data in self._layout.skeleton:
            put(offset, data)
        before = 0
        for name, part, places in _images(self._layout, self._job):
            all_sums = self._checksums[name].reshape(places.offsets.shape)
            for stretch, jpegs in part.stretches():
                own = places.cut(stretch)
                sums = np.zeros(own.offsets.size, np.uint32)
                failures = _core.render_to_file(jpegs, own, path, sums, workers, rendered)
                raise_failures(part.photographs, failures, stretch.start)
                all_sums[:, stretch] = sums.reshape(own.offsets.shape)
                rendered(len(sums))
                before += len(sums)
        for name, span, offset, encoded in _labels(self._layout, self._job):
            self._checksums[name][span] = crc32(encoded)
            put(offset, encoded)
        put(self._layout.length, self._trailer())
        return file.tell()

    def _trailer(self) -> bytes:
        arrays = _described(self._layout, self._checksums)
        return write_trailer(self._layout.kind.name, self._job, arrays)


class PlacedReader:
    """An open file, of which all but the array data was found to be right."""

    def __init__(self, layout: Layout, path: Path, file: IO[bytes]) -> None:
        """Keep a file that was compared with its layout."""
        self.kind: str = layout.kind.name
        self.counts: Counts | None = layout.counts
        self._layout, self._path, self._file = layout, path, file

    def use(self, file: IO[bytes]) -> None:
        """Go on with the same file, opened again."""
        self._file = file

    @cached_property
    def trailer(self) -> dict[str, Any] | None:
        """The trailer's content; None without one. Raises ValueError if it is damaged."""
        length, counts = self._layout.length, self._layout.counts
        return read_trailer(self._file, length, self.kind, counts, self._describes)

    def _describes(self, arrays: dict[str, Any]) -> bool:
        sums = {name: checksums_of(arrays, name) for name in Bundle._fields}
        return arrays == _described(self._layout, sums)

    def load(self, *, mmap: bool) -> Bundle:
        """Read all arrays, or map them if `mmap` and the kind allow it."""
        arrays = self._layout.arrays
        mapped = self._layout.kind.mapped(self._file, arrays) if mmap else None
        return mapped or Bundle(*map(self._read, arrays))

    def _read(self, array: ArrayLayout) -> NDArray[np.float32]:
        out = np.empty(array.shape, np.float32)
        for piece in array.pieces:
            self._fill(array, piece.offset, out[piece.first_row :][: piece.rows])
        return out

    def _fill(self, array: ArrayLayout, offset: int, out: NDArray[np.float32]) -> None:
        """Read consecutive rows from `offset` on; `out` is C-contiguous."""
        length = len(out) * array.stored_row_bytes
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("it ends early")
        try:
            self._layout.kind.decode(array, data, out)
        except ValueError:
            raise ValueError(_damaged(offset, length)) from None

    def blocks(self) -> Iterator[Block]:
        """Read all arrays block by block, in the order of the file."""
        for array in self._layout.arrays:
            most, stored = max(1, _BLOCK_BYTES // array.row_bytes), array.stored_row_bytes
            for piece in array.pieces:
                for start in range(0, piece.rows, most):
                    rows = np.empty((min(most, piece.rows - start), *array.shape[1:]), np.float32)
                    self._fill(array, piece.offset + start * stored, rows)
                    first, end = piece.first_row + start, self._file.tell()
                    yield Block(array.name, array.shape, first, rows, end)

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""
        place = self._layout.arrays[Bundle._fields.index(array)]
        out = np.empty((len(wanted), *place.shape[1:]), np.float32)
        for first, end in _runs(wanted, place.pieces[0].rows):
            self._fill(place, place.offset_of(int(wanted[first])), out[first:end])
        return out

    def damaged(self, workers: int | None) -> Iterator[str]:
        """Name the places whose bytes do not have their checksums."""
        if self.trailer is None:
            raise ValueError("it has no trailer to check it by")
        for name, spans in self._layout.spans().items():
            found = _core.checksums(self._path, spans.offsets, spans.lengths, workers)
            wrong = found != checksums_of(self.trailer["arrays"], name)
            yield from map(spans.place, np.flatnonzero(wrong).tolist())

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:
        """Name the places that are not what a job makes."""
        spans = self._layout.spans()
        for name, part, places in _images(self._layout, job):
            all_equal = np.zeros(places.offsets.shape, np.bool_)
            for stretch, jpegs in part.stretches():
                own = places.cut(stretch)
                equal = np.zeros(own.offsets.size, np.bool_)
                failures = _core.compare_with_file(jpegs, own, self._path, equal, workers)
                raise_failures(part.photographs, failures, stretch.start)
                all_equal[:, stretch] = equal.reshape(own.offsets.shape)
            yield from map(spans[name].place, np.flatnonzero(~all_equal).tolist())
        for name, span, offset, encoded in _labels(self._layout, job):
            self._file.seek(offset)
            if self._file.read(len(encoded)) != encoded:
                yield spans[name].place(span)


def _runs(wanted: Sequence[int], together: int) -> Iterator[tuple[int, int]]:
    """Yield where wanted rows that follow each other in a piece of so many rows begin and end."""
    if len(wanted) == 0:
        return
    rows = np.array(wanted, np.int64)
    cut = (np.diff(rows) != 1) | (np.diff(rows // together) != 0)
    ends = [*(np.flatnonzero(cut) + 1).tolist(), len(rows)]
    yield from zip([0, *ends], ends, strict=False)


class Places(NamedTuple):
    """Where samples are in a file, in the form that the native module expects."""

    #: int32 (passes, photographs, 4).
    crops: NDArray[np.int32]
    #: Size of a sample in pixels.
    width: int
    height: int
    #: See `PlacedKind.text_blocks`.
    text_blocks: int | None
    #: uint64 (passes, photographs), in bytes.
    offsets: NDArray[np.uint64]

    def cut(self, stretch: slice) -> Places:
        """Return those of some photographs."""
        crops, offsets = self.crops[:, stretch], self.offsets[:, stretch]
        return self._replace(
            crops=np.ascontiguousarray(crops), offsets=np.ascontiguousarray(offsets)
        )


def _images(layout: Layout, job: Job) -> Iterator[tuple[str, Part, Places]]:
    """Yield the names of a job's arrays of images, its parts, and where their samples are."""
    width, height = job.options.size
    for part, array in zip(job.parts, layout.arrays[:2], strict=True):
        offsets = array.row_offsets().reshape(part.crops.shape[:2])
        blocks = layout.kind.text_blocks(array)
        yield array.name, part, Places(part.crops, width, height, blocks, offsets)


def _labels(layout: Layout, job: Job) -> Iterator[tuple[str, int, int, bytes]]:
    """Yield the names of a job's arrays of labels, and of each piece number, offset and bytes."""
    for part, array in zip(job.parts, layout.arrays[2:], strict=True):
        rows = part.labels()
        for number, piece in enumerate(array.pieces):
            own = rows[piece.first_row :][: piece.rows]
            yield array.name, number, piece.offset, layout.kind.encode(array, own)


def _described(layout: Layout, checksums: Mapping[str, NDArray[np.uint32]]) -> dict[str, Any]:
    """Describe the arrays as the trailer has them."""
    return {
        array.name: {
            "shape": list(array.shape),
            "dtype": "<f4",
            "text_blocks": layout.kind.text_blocks(array),
            "pieces": [[piece.offset, piece.rows] for piece in array.pieces],
            "crc32": hexadecimal(checksums[array.name]),
        }
        for array in layout.arrays
    }


def _damaged(offset: int, length: int) -> str:
    return f"damaged between byte {offset:,} and {offset + length:,}"
