"""What a photograph is, and many of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.columns import Columns
from headpose_fast.database.names import FaceBox
from headpose_fast.database.objects import Failure, contents, is_object
from headpose_fast.errors import DatabaseError

#: Photographs whose places are handed to the native module at once.
_TOGETHER = 4096

#: Bytes of objects that are fetched to be used together, and how many objects.
_FETCHED_BYTES, _FETCHED = 64 << 20, 1024


class Place(NamedTuple):
    """Bytes of a file on disk, which are read when they are needed; or a whole object of S3."""

    #: The file's path, or the object's address.
    path: str
    #: Where they begin.
    offset: int
    #: How many there are.
    length: int

    def read(self) -> bytes:
        """Read or fetch them. Raises OSError if that fails."""
        if is_object(self.path):
            (content,) = contents([self.path], [self.length])
            if isinstance(content, Failure):
                raise OSError(f"{self.path}: {content.reason}")
            return content
        with open(self.path, "rb") as file:  # noqa: PTH123 (it may be one of a million)
            file.seek(self.offset)
            jpeg = file.read(self.length)
        if len(jpeg) < self.length:
            raise OSError(f"{self.path}: it ends early: the file has changed")
        return jpeg


#: A photograph's file: its bytes, or where they are.
JpegFile = bytes | Place


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of a database with its label."""

    #: Where it was found, with `/`, relative to the archive, folder or table.
    name: str
    #: 0 if unknown, as series and number.
    person: int
    #: Of the published database 1 or 2.
    series: int
    #: Of the published database 0 to 92, one for each pose.
    number: int
    #: Vertical angle of the head in degrees, -90 (down) to 90 (up).
    tilt: float
    #: Horizontal angle in degrees, -90 to 90.
    pan: float
    face: FaceBox
    #: Size of the picture in pixels, turned according to its EXIF orientation.
    width: int
    height: int
    #: The file's bytes, or where they are.
    file: JpegFile = field(repr=False)
    #: The label file's bytes; empty for a row of a table.
    label: bytes = field(repr=False)

    @property
    def jpeg(self) -> bytes:
        """The file's bytes, read from the disk, or fetched, unless they are in memory.

        Raises OSError if they cannot be read.
        """
        return self.file if isinstance(self.file, bytes) else self.file.read()


class Rows(Sequence[Photograph]):
    """Photographs of a table: arrays, of which each photograph is made when it is asked for."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        lengths: NDArray[np.int64],
        columns: Columns,
        tested: NDArray[np.bool_] | None,
    ) -> None:
        """Keep them.

        Args:
            folder: What paths are relative to.
            names: Their paths, as the table has them.
            lengths: Of their files in bytes.
            columns: What is known of them.
            tested: Which of them are tested with; None if the table does not say.

        """
        self.folder, self.names, self.lengths = folder, names, lengths
        self.columns, self.tested = columns, tested

    def __len__(self) -> int:
        """Count the photographs."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Photograph: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Photograph | Rows:
        """Return a photograph, or several for a slice."""
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        at = range(len(self))[index]
        columns = self.columns
        width, height, *face = columns.frames[at].tolist()
        return Photograph(
            self.names[at],
            int(columns.persons[at]),
            int(columns.series[at]),
            int(columns.numbers[at]),
            _number(columns.tilts[at]),
            _number(columns.pans[at]),
            FaceBox(*face),
            width,
            height,
            self.file(at),
            b"",
        )

    def file(self, index: int) -> Place:
        """Return where a photograph is."""
        name = self.names[index]
        # It is one of a million.
        path = name if is_object(name) else os.path.join(self.folder, name)  # noqa: PTH118
        return Place(path, 0, int(self.lengths[index]))

    def select(self, wanted: NDArray[np.int64]) -> Rows:
        """Return some of the photographs."""
        return Rows(
            self.folder,
            [self.names[i] for i in wanted.tolist()],
            self.lengths[wanted],
            self.columns.select(wanted),
            None if self.tested is None else self.tested[wanted],
        )


def _number(value: np.float64) -> float:
    """Return a whole number as int."""
    number = float(value)
    return int(number) if number.is_integer() else number


def columns_of(photographs: Sequence[Photograph]) -> Columns:
    """Return what is known of photographs as arrays."""
    if isinstance(photographs, Rows):
        return photographs.columns
    rows = [
        (p.person, p.series, p.number, p.tilt, p.pan, p.width, p.height, *p.face)
        for p in photographs
    ]
    return Columns.of_rows(np.array(rows, np.float64).reshape(-1, 11))


def persons_of(photographs: Sequence[Photograph]) -> tuple[int, ...]:
    """Return the people in photographs, ascending."""
    return tuple(np.unique(columns_of(photographs).persons).tolist())


def series_of(photographs: Sequence[Photograph]) -> tuple[int, ...]:
    """Return the series in photographs, ascending."""
    return tuple(np.unique(columns_of(photographs).series).tolist())


def files_of(photographs: Sequence[Photograph]) -> list[JpegFile]:
    """Return the files of photographs, or where they are on disk; those in S3 are fetched.

    Raises DatabaseError for those that cannot be fetched.
    """
    files = _places(photographs)
    away = [(i, f) for i, f in enumerate(files) if isinstance(f, Place) and is_object(f.path)]
    if away:
        fetched = contents([file.path for _, file in away], [file.length for _, file in away])
        problems = []
        for (i, file), content in zip(away, fetched, strict=True):
            if isinstance(content, Failure):
                problems.append(f"{file.path}: {content.reason}")
            else:
                files[i] = content
        if problems:
            raise DatabaseError(problems)
    return files


def jpegs_of(photographs: Sequence[Photograph]) -> list[bytes]:
    """Return the bytes of the files of photographs.

    Raises DatabaseError for those that cannot be fetched, OSError for one that cannot be read.
    """
    files = files_of(photographs)
    return [file if isinstance(file, bytes) else file.read() for file in files]


def file_lengths(photographs: Sequence[Photograph]) -> list[int]:
    """Return the bytes of the files of photographs, none of which is read."""
    if isinstance(photographs, Rows):
        return list(map(int, photographs.lengths))
    return [len(f) if isinstance(f, bytes) else f.length for f in _places(photographs)]


def stretches(photographs: Sequence[Photograph]) -> Iterator[tuple[slice, list[JpegFile]]]:
    """Yield the photographs and their files: all at once, or if they are in S3 one by one stretch.

    A stretch that was fetched is in memory until the next is asked for. Raises DatabaseError as
    `files_of` does.
    """
    parts = [slice(0, len(photographs))]
    if isinstance(photographs, Rows) and any(map(is_object, photographs.names)):
        parts = fetched_together(photographs.lengths.tolist())
    for part in parts:
        yield part, files_of(photographs[part])


def _places(photographs: Sequence[Photograph]) -> list[JpegFile]:
    if isinstance(photographs, Rows):
        return [photographs.file(i) for i in range(len(photographs))]
    return [photograph.file for photograph in photographs]


def fetched_together(lengths: Sequence[int]) -> list[slice]:
    """Divide objects of some lengths into stretches that may be in memory at a time."""
    parts, first, total = [], 0, 0
    for i, length in enumerate(lengths):
        if i > first and (total + length > _FETCHED_BYTES or i - first == _FETCHED):
            parts.append(slice(first, i))
            first, total = i, 0
        total += length
    return [*parts, slice(first, len(lengths))] if lengths else []


def select(photographs: Sequence[Photograph], wanted: NDArray[np.bool_]) -> Sequence[Photograph]:
    """Return the photographs of which this is true."""
    chosen = np.flatnonzero(wanted)
    if isinstance(photographs, Rows):
        return photographs.select(chosen)
    return tuple(photographs[i] for i in chosen.tolist())


_Many = TypeVar("_Many", bound=Sequence[Photograph])


def file_digests(photographs: _Many) -> Iterator[tuple[_Many, list[str]]]:
    """Yield some photographs after the other, with the SHA-256 of each file in hexadecimal digits.

    Raises DatabaseError at the end if some could not be read.
    """
    problems = []
    for first in range(0, len(photographs), _TOGETHER):
        some = cast("_Many", photographs[first : first + _TOGETHER])
        digests: list[str] = []
        for stretch, files in stretches(some):
            out = np.zeros((len(files), 32), np.uint8)
            failures = _core.digests(files, out, None)
            problems += [f"{some[stretch.start + i].name}: {reason}" for i, reason in failures]
            digests += [row.tobytes().hex() for row in out]
        yield some, digests
    if problems:
        raise DatabaseError(problems)
