"""Writing files of kind `small`, and opening them."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import IO, NamedTuple
from zlib import crc32

import numpy as np

from headpose_fast import _core
from headpose_fast.bundle.arrays import DTYPE, Counts
from headpose_fast.bundle.kind_small import NAME, SmallPickle
from headpose_fast.bundle.small_parts import covered, most_pixels
from headpose_fast.bundle.small_reading import SmallReader, described, read
from headpose_fast.bundle.trailer import write_trailer
from headpose_fast.job import Job, Part
from headpose_fast.output import write_all
from headpose_fast.samples.rendering import raise_failures


class SmallForm:
    """How files of kind `small` are written and read."""

    def draft(self, job: Job) -> SmallDraft:
        """Lay out a job's bundle."""
        return SmallDraft(job)

    def open(self, path: Path, file: IO[bytes], counts: Counts) -> SmallReader:
        """Compare all opcodes of a file with those for its content."""
        return read(path, file, counts)


class SmallDraft(NamedTuple):
    """A file whose length is known only once it is written."""

    job: Job

    @property
    def reserved_bytes(self) -> int:
        """Zero, since the length is not known."""
        return 0

    def write(
        self,
        path: Path,  # noqa: ARG002
        file: FileIO,
        workers: int | None,
        progress: Callable[[int], object],
    ) -> int:
        """Write the compressed photographs, the opcodes that render them, and the trailer."""
        counts, sums = Counts.of(self.job), {}
        train, test = (len(part.photographs) for part in self.job.parts)
        pickle = SmallPickle(counts, (train, test))
        write_all(file, pickle.start())
        done = 0
        for index, part in enumerate(self.job.parts):
            sums[part.prefix] = _write_part(file, pickle, index, part, workers, progress, done)
            done += part.rows
        write_all(file, pickle.end())
        write_all(file, write_trailer(NAME, self.job, described(pickle.photographs, sums)))
        return file.tell()


def _write_part(
    file: FileIO,
    pickle: SmallPickle,
    index: int,
    part: Part,
    workers: int | None,
    progress: Callable[[int], object],
    done: int,
) -> list[int]:
    """Write a part and return the checksums of its texts."""
    cover, crops = covered(part.crops)
    sums: list[int] = []

    def put(text: bytes, checksum: int, then: bytes) -> None:
        before, after = pickle.before_text(len(text)), pickle.after_text(len(text))
        write_all(file, b"".join([before, text, after, then]))
        sums.append(checksum)

    def photograph(text: bytes, checksum: int) -> None:
        number = len(sums) - 2
        put(text, checksum, pickle.photograph(index, number, crops[number]))
        progress(done + (number + 1) * len(part.crops))

    labels = _core.to_text(part.labels()[: len(part.photographs)].astype(DTYPE).tobytes())
    put(labels, crc32(labels), pickle.labels(index))
    places = _core.to_text(crops.astype("<u2").tobytes())
    put(places, crc32(places), pickle.crops(index, most_pixels(crops)))
    for stretch, jpegs in part.stretches():
        own = np.ascontiguousarray(cover[:, stretch])
        failures = _core.compress_photographs(jpegs, own, workers, photograph)
        raise_failures(part.photographs, failures, stretch.start)
    return sums
