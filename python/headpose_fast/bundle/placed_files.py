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
from headpose_fast.bundle.placed import ArrayLayout, Layout, PlacedKind, Spans
from headpose_fast.bundle.trailer import read_trailer, write_trailer
from headpose_fast.job import Job, Part
from headpose_fast.output import write_all
from headpose_fast.samples.rendering import raise_failures

#: Array data that is read at once.
_BLOCK_BYTES = 1 << 20


class PlacedForm(NamedTuple):
    """How files of such a kind are written and read."""

    kind: PlacedKind

    def draft(self, job: Job) -> PlacedDraft:
        """Lay out a job's bundle."""
        layout = self.kind.layout(*Counts.of(job))
        return PlacedDraft(layout, layout.spans(), job)

    def open(self, path: Path, file: IO[bytes], counts: Counts) -> PlacedReader:
        """Compare all of a file but its array data with the layout for its counts."""
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
        return PlacedReader(layout, path, file)


class PlacedDraft(NamedTuple):
    """A file that is laid out; its length is known to the byte."""

    layout: Layout
    spans: dict[str, Spans]
    job: Job

    @property
    def reserved_bytes(self) -> int:
        """The bytes of the file. The trailer's length does not depend on the checksums."""
        return self.layout.length + len(self._trailer(_no_checksums(self.spans)))

    def write(
        self,
        path: Path,
        file: FileIO,
        workers: int | None,
        progress: Callable[[int], object],
    ) -> int:
        """Write the skeleton, the samples, the labels and the trailer."""
        checksums, rendered = _no_checksums(self.spans), 0

        def images(array: str, part: Part, places: Places) -> None:
            nonlocal rendered
            jpegs, before = part.jpegs(), rendered
            failures = _core.render_to_file(
                jpegs, places, path, checksums[array], workers, lambda n: progress(before + n)
            )
            raise_failures(part.photographs, failures)
            rendered += part.rows
            progress(rendered)

        def labels(array: str, span: int, offset: int, encoded: bytes) -> None:
            checksums[array][span] = crc32(encoded)
            put(offset, encoded)

        def put(offset: int, data: bytes) -> None:
            file.seek(offset)
            write_all(file, data)

        for offset, data in self.layout.skeleton:
            put(offset, data)
        _walk(self.layout, self.spans, self.job, images, labels)
        put(self.layout.length, self._trailer(checksums))
        return file.tell()

    def _trailer(self, checksums: Mapping[str, NDArray[np.uint32]]) -> bytes:
        arrays = _described(self.layout, checksums)
        return write_trailer(self.layout.kind.name, self.job, arrays)


class PlacedReader:
    """Reads such a file; the array data has not been looked at."""

    def __init__(self, layout: Layout, path: Path, file: IO[bytes]) -> None:
        """Keep a file that was compared with its layout."""
        self.kind: str = layout.kind.name
        self.counts: Counts | None = layout.counts
        self._layout, self._path, self._file = layout, path, file

    @cached_property
    def trailer(self) -> dict[str, Any] | None:
        """The trailer's content; None without one. Raises ValueError if it is damaged."""
        if self._file.seek(0, os.SEEK_END) == self._layout.length:
            return None
        self._file.seek(self._layout.length)
        return read_trailer(self._file, self.kind, self._layout.counts, self._describes)

    def _describes(self, arrays: dict[str, Any]) -> bool:
        sums = {name: _checksums_of(arrays, name) for name in Bundle._fields}
        return arrays == _described(self._layout, sums)

    def load(self, *, mmap: bool) -> Bundle:
        """Read all arrays, or map them if `mmap` and the kind allow it."""
        mapped = self._layout.kind.mapped(self._file, self._layout) if mmap else None
        return mapped or Bundle(*map(self._read, self._layout.arrays))

    def _read(self, array: ArrayLayout) -> NDArray[np.float32]:
        out = np.empty(array.shape, np.float32)
        for piece in array.pieces:
            self._fill(array, piece.offset, out[piece.first_row :][: piece.rows])
        return out

    def _fill(self, array: ArrayLayout, offset: int, out: NDArray[np.float32]) -> None:
        """Read the rows that stand from `offset` on without a gap; `out` is C-contiguous."""
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
        for name, array in zip(Bundle._fields, self._layout.arrays, strict=True):
            most = max(1, _BLOCK_BYTES // array.row_bytes)
            for piece in array.pieces:
                for start in range(0, piece.rows, most):
                    rows = np.empty((min(most, piece.rows - start), *array.shape[1:]), np.float32)
                    self._fill(array, piece.offset + start * array.stored_row_bytes, rows)
                    end = self._file.tell()
                    yield Block(name, array.shape, piece.first_row + start, rows, end)

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""
        place = self._layout.arrays[Bundle._fields.index(array)]
        out = np.empty((len(wanted), *place.shape[1:]), np.float32)
        for i, offset in enumerate(place.row_offsets()[list(wanted)].tolist()):
            self._fill(place, offset, out[i : i + 1])
        return out

    def damaged(self, workers: int | None) -> Iterator[str]:
        """Name the places whose bytes do not have their checksums."""
        if self.trailer is None:
            raise ValueError("it has no trailer to check it by")
        for name, spans in self._layout.spans().items():
            found = _core.checksums(self._path, spans.offsets, spans.lengths, workers)
            wrong = found != _checksums_of(self.trailer["arrays"], name)
            yield from map(spans.place, np.flatnonzero(wrong).tolist())

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:
        """Name the places that are not what a job makes."""
        spans = self._layout.spans()
        places: list[str] = []

        def images(array: str, part: Part, at: Places) -> None:
            equal = np.zeros(part.rows, np.bool_)
            failures = _core.compare_with_file(part.jpegs(), at, self._path, equal, workers)
            raise_failures(part.photographs, failures)
            places.extend(map(spans[array].place, np.flatnonzero(~equal).tolist()))

        def labels(array: str, span: int, offset: int, encoded: bytes) -> None:
            self._file.seek(offset)
            if self._file.read(len(encoded)) != encoded:
                places.append(spans[array].place(span))

        _walk(self._layout, spans, job, images, labels)
        yield from places


class Places(NamedTuple):
    """Where samples are in a file, in the form that the native module takes."""

    #: int32 (passes, photographs, 4).
    crops: NDArray[np.int32]
    #: Of a sample in pixels.
    width: int
    height: int
    #: See `PlacedKind.text_blocks`.
    text_blocks: int | None
    #: uint64 (passes, photographs), in bytes.
    offsets: NDArray[np.uint64]


def _walk(
    layout: Layout,
    spans: Mapping[str, Spans],
    job: Job,
    images: Callable[[str, Part, Places], None],
    labels: Callable[[str, int, int, bytes], None],
) -> None:
    """Bring all samples of a job to their places, whatever is done with them there.

    `images` gets an array's name, its part and the places of its samples; `labels` an array's name,
    the number of a span, its offset and its bytes.
    """
    kind = layout.kind
    width, height = job.options.size
    for part, array in zip(job.parts, layout.arrays[:2], strict=True):
        offsets = array.row_offsets().reshape(part.crops.shape[:2])
        places = Places(part.crops, width, height, kind.text_blocks(array), offsets)
        images(f"{part.prefix}_im", part, places)
    for part, array in zip(job.parts, layout.arrays[2:], strict=True):
        name, rows = f"{part.prefix}_output", part.labels()
        for i, offset in enumerate(spans[name].offsets.tolist()):
            labels(name, i, offset, kind.encode(array, rows[spans[name].rows_of(i)]))


def _no_checksums(spans: Mapping[str, Spans]) -> dict[str, NDArray[np.uint32]]:
    return {name: np.zeros(len(each.offsets), np.uint32) for name, each in spans.items()}


def _described(layout: Layout, checksums: Mapping[str, NDArray[np.uint32]]) -> dict[str, Any]:
    """Describe the arrays as the trailer has them."""
    return {
        name: {
            "shape": list(array.shape),
            "dtype": "<f4",
            "text_blocks": layout.kind.text_blocks(array),
            "pieces": [[piece.offset, piece.rows] for piece in array.pieces],
            "crc32": checksums[name].astype(">u4").tobytes().hex(),
        }
        for name, array in zip(Bundle._fields, layout.arrays, strict=True)
    }


def _checksums_of(arrays: Mapping[str, Any], name: str) -> NDArray[np.uint32]:
    """Return the checksums of an array's spans."""
    return np.frombuffer(bytes.fromhex(arrays[name]["crc32"]), ">u4").astype(np.uint32)


def _damaged(offset: int, length: int) -> str:
    return f"damaged between byte {offset:,} and {offset + length:,}"
