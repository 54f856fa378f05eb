"""Reading, checking and comparing files of kind `small`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.bundle.arrays import DTYPE, Block, Bundle, Counts
from headpose_fast.bundle.kind_small import NAME, TEXT_UNIT, SmallPickle
from headpose_fast.bundle.small_parts import StoredPart, covered, most_pixels
from headpose_fast.bundle.trailer import checksums_of, hexadecimal, read_trailer
from headpose_fast.job import PREFIXES, Job
from headpose_fast.samples.options import MOST_SIDE
from headpose_fast.samples.rendering import raise_failures

#: Bytes of samples to render at once for inspection.
_BLOCK_BYTES = 1 << 24

#: The numbers of training and test photographs, after the first line.
_PHOTOGRAPHS = re.compile(rb"U.(\d{1,10}) (\d{1,10})0", re.DOTALL)


def read(path: Path, file: IO[bytes], counts: Counts) -> SmallReader:
    """Compare all opcodes of a file with those for its content.

    Raises ValueError if it is damaged or ends early.
    """
    pickle = SmallPickle(counts, _photographs(file, counts))
    tape = _Tape(file)
    tape.expect(pickle.start())
    parts = tuple(_read_part(tape, pickle, part) for part in range(2))
    tape.expect(pickle.end())
    return SmallReader(path, file, counts, parts, tape.position)


class _Tape:
    """Reads a file from its beginning and compares it with what must be there."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self.position = file.seek(0)

    def expect(self, ops: bytes) -> None:
        """Move past these opcodes. Raises ValueError if they are not there."""
        first, found = self.position, self._file.read(len(ops))
        self.position += len(ops)
        if found != ops:
            raise ValueError(
                "it ends early"
                if ops.startswith(found)
                else f"damaged between byte {first:,} and {self.position:,}"
            )

    def text(self, pickle: SmallPickle) -> tuple[int, int]:
        """Move past a text, and return its offset and length."""
        prefix = len(pickle.before_text(0))
        length = int.from_bytes(self._file.read(prefix)[-4:], "little", signed=True)
        self._file.seek(self.position)
        if length < TEXT_UNIT or length % TEXT_UNIT:
            length = TEXT_UNIT
        self.expect(pickle.before_text(length))
        offset = self.position
        self.position += length
        if self.position > self._size:
            raise ValueError("it ends early")
        self._file.seek(self.position)
        self.expect(pickle.after_text(length))
        return offset, length

    def data(self, pickle: SmallPickle, length: int) -> tuple[bytes, tuple[int, int]]:
        """Move past a text of this many bytes, and return the bytes and the text's place."""
        offset, stored = self.text(pickle)
        if stored != -(-length // 56) * TEXT_UNIT:
            raise ValueError(f"damaged between byte {offset:,} and {offset + stored:,}")
        behind = self._file.tell()
        self._file.seek(offset)
        text = self._file.read(stored)
        self._file.seek(behind)
        return _core.from_text(text)[:length], (offset, stored)


def _photographs(file: IO[bytes], counts: Counts) -> tuple[int, int]:
    """Read the numbers of photographs, which follow the first line."""
    file.seek(0)
    start = file.read(256)
    match = _PHOTOGRAPHS.search(start, start.find(b"0U"))
    if match is None:
        raise ValueError("its first line is invalid")
    train, test = int(match[1]), int(match[2])
    # A few bytes of crops could ask for samples of any size: allow only sizes that can be made.
    possible = max(counts.height, counts.width) <= MOST_SIDE
    if min(train, test) < 1 or counts.train % train or counts.test % test or not possible:
        raise ValueError("its first line is invalid")
    return train, test


def _read_part(tape: _Tape, pickle: SmallPickle, index: int) -> StoredPart:
    photographs, rows = pickle.photographs[index], pickle.counts[index]
    labels, labels_place = tape.data(pickle, 8 * photographs)
    tape.expect(pickle.labels(index))
    places, crops_place = tape.data(pickle, 8 * rows)
    crops = np.frombuffer(places, "<u2").astype(np.int32)
    crops = crops.reshape(photographs, rows // photographs, 4)
    if crops[..., 2:].min() < 1 or crops[..., :2].min(axis=1).any():
        raise ValueError("its crops are invalid")
    tape.expect(pickle.crops(index, most_pixels(crops)))
    texts = [labels_place, crops_place]
    for number in range(photographs):
        texts.append(tape.text(pickle))
        tape.expect(pickle.photograph(index, number, crops[number]))
    offsets, lengths = np.array(texts, np.uint64).T.copy()
    return StoredPart(
        list(PREFIXES.values())[index],
        np.frombuffer(labels, DTYPE).astype(np.float32).reshape(-1, 2),
        crops,
        offsets,
        lengths,
    )


class SmallReader:
    """Reads such a file; the compressed photographs have not been checked."""

    kind: str = NAME

    def __init__(
        self,
        path: Path,
        file: IO[bytes],
        counts: Counts,
        parts: tuple[StoredPart, ...],
        length: int,
    ) -> None:
        """Keep a file whose opcodes are right, up to the STOP at `length`."""
        self.counts: Counts | None = counts
        self._path, self._file, self._counts = path, file, counts
        self._parts, self._length = parts, length

    def use(self, file: IO[bytes]) -> None:
        """Go on with the same file, opened again."""
        self._file = file

    @cached_property
    def trailer(self) -> dict[str, Any] | None:
        """The trailer's content; None without one. Raises ValueError if it is damaged."""
        return read_trailer(self._file, self._length, NAME, self._counts, self._describes)

    def _describes(self, arrays: dict[str, Any]) -> bool:
        sums = {part.prefix: checksums_of(arrays, part.prefix).tolist() for part in self._parts}
        train, test = (part.photographs for part in self._parts)
        lengths = [len(sums[part.prefix]) == len(part.offsets) for part in self._parts]
        return all(lengths) and arrays == described((train, test), sums)

    def load(self, *, mmap: bool) -> Bundle:  # noqa: ARG002
        """Render all samples."""
        images = [self._images(part) for part in self._parts]
        labels = [np.tile(part.labels, (part.passes, 1)) for part in self._parts]
        return Bundle(*images, *labels)

    def _images(self, part: StoredPart) -> NDArray[np.float32]:
        everything = slice(None)
        return self._render(part, everything, part.crops.transpose(1, 0, 2))

    def _render(
        self,
        part: StoredPart,
        photographs: slice | NDArray[np.int64],
        crops: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Render crops (passes, photographs, 4) of some photographs, pass by pass."""
        _, _, height, width = self._counts
        out = np.empty((*crops.shape[:2], 3, height, width), np.float32)
        pieces = part.pieces(self._path, photographs)
        failures = _core.render_compressed(pieces, np.ascontiguousarray(crops), out, None)
        if failures:
            numbers = np.arange(part.photographs)[photographs]
            number, reason = failures[0]
            raise ValueError(f"{part.place(2 + int(numbers[number]))}: {reason}")
        return out.reshape(-1, 3, height, width)

    def blocks(self) -> Iterator[Block]:
        """Render all images, a few photographs at a time, and read the labels."""
        shapes = self._counts.shapes()
        sample = 4 * int(np.prod(shapes[0][1:]))
        for part, shape in zip(self._parts, shapes, strict=False):
            most = max(1, _BLOCK_BYTES // sample)
            together = max(1, most // part.passes)
            for first in range(0, part.photographs, together):
                some = slice(first, min(first + together, part.photographs))
                offset, length = (int(values[some.stop + 1]) for values in part[-2:])
                for begin in range(0, part.passes, most):
                    crops = part.crops[some, begin : begin + most].transpose(1, 0, 2)
                    rows = self._render(part, some, crops)
                    for k, samples in enumerate(np.split(rows, len(crops)), start=begin):
                        row = k * part.photographs + first
                        yield Block(f"{part.prefix}_im", shape, row, samples, offset + length)
        for part, shape in zip(self._parts, shapes[2:], strict=True):
            labels = np.tile(part.labels, (part.passes, 1))
            yield Block(f"{part.prefix}_output", shape, 0, labels, self._length)

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""
        prefix, what = array.split("_")
        part = next(part for part in self._parts if part.prefix == prefix)
        passes, photographs = np.divmod(np.array(wanted, np.int64), part.photographs)
        if what == "output":
            return part.labels[photographs]
        return self._render(part, photographs, part.crops[photographs, passes][np.newaxis])

    def damaged(self, workers: int | None) -> Iterator[str]:
        """Name the places whose bytes do not have their checksums."""
        if self.trailer is None:
            raise ValueError("it has no trailer to check it by")
        for part in self._parts:
            found = _core.checksums(self._path, part.offsets, part.lengths, workers)
            wrong = found != checksums_of(self.trailer["arrays"], part.prefix)
            yield from map(part.place, np.flatnonzero(wrong).tolist())

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:
        """Name the places that are not what a job makes: pixels, not how they are compressed."""
        for part, stored in zip(job.parts, self._parts, strict=True):
            cover, crops = covered(part.crops)
            labels = part.labels()[: len(part.photographs)]
            for text, (ours, theirs) in enumerate(((labels, stored.labels), (crops, stored.crops))):
                if not np.array_equal(ours, theirs):
                    yield stored.place(text)
            if crops.shape != stored.crops.shape:
                continue
            for stretch, jpegs in part.stretches():
                equal = np.zeros(len(jpegs), np.bool_)
                pieces = stored.pieces(self._path, stretch)
                own = np.ascontiguousarray(cover[:, stretch])
                failures = _core.compare_photographs(jpegs, own, pieces, equal, workers)
                raise_failures(part.photographs, failures, stretch.start)
                found = np.flatnonzero(~equal) + stretch.start + 2
                yield from map(stored.place, found.tolist())


def described(
    photographs: tuple[int, int], checksums: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """Describe the parts as the trailer has them."""
    return {
        prefix: {"photographs": count, "crc32": hexadecimal(checksums[prefix])}
        for prefix, count in zip(PREFIXES.values(), photographs, strict=True)
    }
