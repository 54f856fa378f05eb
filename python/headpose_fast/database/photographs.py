"""A database: its photographs, its digest, what is missing, and the split."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.columns import Columns
from headpose_fast.database.names import NUMBERS, PERSONS, SERIES, FaceBox
from headpose_fast.errors import DatabaseError

#: `Database.digest` of the published database.
PUBLISHED_DIGEST = "190d44a194b2eb24f27163ea45de08f9d26328ccc44a01fdee46fa546a6e7ad9"

#: Photographs whose places are handed to the native module at once.
_TOGETHER = 4096


class Place(NamedTuple):
    """Bytes of a file on disk, which are read when they are needed."""

    path: str
    #: Where they begin.
    offset: int
    #: How many there are.
    length: int


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
        """The file's bytes, read from the disk unless they are in memory.

        Raises OSError if they cannot be read.
        """
        if isinstance(self.file, bytes):
            return self.file
        with open(self.file.path, "rb") as file:  # noqa: PTH123 (it may be one of a million)
            file.seek(self.file.offset)
            jpeg = file.read(self.file.length)
        if len(jpeg) < self.file.length:
            raise OSError(f"{self.file.path}: it ends early: the file has changed")
        return jpeg


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
        return Place(str(self.folder / self.names[index]), 0, int(self.lengths[index]))

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


def files_of(photographs: Sequence[Photograph]) -> list[JpegFile]:
    """Return the files of photographs, or where they are."""
    if isinstance(photographs, Rows):
        return [photographs.file(i) for i in range(len(photographs))]
    return [photograph.file for photograph in photographs]


def select(photographs: Sequence[Photograph], wanted: NDArray[np.bool_]) -> Sequence[Photograph]:
    """Return the photographs of which this is true."""
    chosen = np.flatnonzero(wanted)
    if isinstance(photographs, Rows):
        return photographs.select(chosen)
    return tuple(photographs[i] for i in chosen.tolist())


def file_digests(photographs: Sequence[Photograph], workers: int | None = None) -> list[str]:
    """Return the SHA-256 of each photograph's file in hexadecimal digits.

    Raises DatabaseError for those that cannot be read.
    """
    found: list[str] = []
    problems = []
    for first in range(0, len(photographs), _TOGETHER):
        some = photographs[first : first + _TOGETHER]
        out = np.empty((len(some), 32), np.uint8)
        failures = _core.digests(files_of(some), out, workers)
        problems += [f"{some[i].name}: {reason}" for i, reason in failures]
        found += [row.tobytes().hex() for row in out]
    if problems:
        raise DatabaseError(problems)
    return found


@dataclass(frozen=True, slots=True)
class Database(Sequence[Photograph]):
    """The photographs of a database: in the order of person, series and number, or of a table."""

    path: Path
    photographs: Sequence[Photograph] = field(repr=False)

    def __len__(self) -> int:
        """Count the photographs."""
        return len(self.photographs)

    @overload
    def __getitem__(self, index: int) -> Photograph: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Photograph]: ...
    def __getitem__(self, index: int | slice) -> Photograph | Sequence[Photograph]:
        """Return a photograph, or several for a slice."""
        return self.photographs[index]

    def __iter__(self) -> Iterator[Photograph]:
        """Iterate over the photographs."""
        return iter(self.photographs)

    @property
    def is_table(self) -> bool:
        """Whether it was read from a table, so that nothing is known of what should be there."""
        return isinstance(self.photographs, Rows)

    def _repr_html_(self) -> str:
        """Describe it in a notebook: how much there is, and a selection of photographs."""
        from headpose_fast import notebook
        from headpose_fast.images import photograph_image

        missing, digest = sum(map(len, self.missing().values())), self.digest
        facts = [
            ("database", str(self.path)),
            ("photographs", f"{len(self):,}"),
            ("people", ", ".join(map(str, self.persons))),
            ("missing", f"{missing:,} of the published photographs" if missing else "nothing"),
            ("digest", f"{digest}{' (the published one)' if digest == PUBLISHED_DIGEST else ''}"),
        ]
        figures: list[notebook.Figure] = []
        for photograph in map(self.__getitem__, notebook.spread(len(self))):
            caption = f"person {photograph.person}, {photograph.tilt:+d}, {photograph.pan:+d}"
            try:
                figures.append((caption, photograph_image(photograph.name, photograph.jpeg)))
            except DatabaseError as error:
                # Show the others, and the reason instead of this picture.
                figures.append((f"{caption}: {error}", None))
        return notebook.page("Database", facts, figures)

    @property
    def persons(self) -> tuple[int, ...]:
        """The people in the database, ascending."""
        return tuple(np.unique(columns_of(self.photographs).persons).tolist())

    @property
    def digest(self) -> str:
        """A hash of the content, however it is packed: SHA-256 in hexadecimal digits.

        That is of the lines `SHA256  PersonPP/NAME`, one for each photograph and label, ascending
        by path; the published database has `PUBLISHED_DIGEST`. Of a table it is of the lines that
        `docs/tables.md` describes: each photograph's SHA-256 and its row, without its path.

        Raises DatabaseError for photographs that cannot be read.
        """
        if isinstance(self.photographs, Rows):
            return digest_of_rows(self.photographs)
        lines = []
        for photograph, digest in zip(self, file_digests(self.photographs), strict=True):
            folder, stem = photograph.name.removesuffix(".jpg").split("/")[-2:]
            label = hashlib.sha256(photograph.label).hexdigest()
            for kind, digits in ((".jpg", digest), (".txt", label)):
                path = f"{folder}/{stem}{kind}"
                lines.append((path, f"{digits}  {path}\n"))
        return hashlib.sha256("".join(line for _, line in sorted(lines)).encode()).hexdigest()

    def split(
        self, test_persons: Collection[int] = (), test_series: Collection[int] = ()
    ) -> tuple[Sequence[Photograph], Sequence[Photograph]]:
        """Divide them into those to train with and those of the test people or series.

        Without test people and series, a table is divided by its column `split`, if it has one.
        """
        columns = columns_of(self.photographs)
        tested = np.isin(columns.persons, [*test_persons])
        tested |= np.isin(columns.series, [*test_series])
        by_column = self.photographs.tested if isinstance(self.photographs, Rows) else None
        if by_column is not None and not test_persons and not test_series:
            tested = by_column
        return select(self.photographs, ~tested), select(self.photographs, tested)

    def missing(self) -> dict[tuple[int, int], list[int]]:
        """Find the published photographs that are missing: their numbers by person and series."""
        there = {(p.person, p.series, p.number) for p in self.photographs}
        absent = {
            (person, series): [n for n in NUMBERS if (person, series, n) not in there]
            for person in PERSONS
            for series in SERIES
        }
        return {of: numbers for of, numbers in absent.items() if numbers}

    def require_complete(self, test_persons: Collection[int]) -> None:
        """Raise DatabaseError if published photographs are missing, or all of a test person's.

        Of a table, which may be of anyone, only the latter.
        """
        missing = {} if self.is_table else self.missing()
        problems = [
            f"{self.path}: person {person:02d} series {series}: missing {_ranges(numbers)}"
            for (person, series), numbers in missing.items()
        ]
        if missing:
            published = len(PERSONS) * len(SERIES) * len(NUMBERS)
            problems.insert(
                0,
                f"{self.path}: {sum(map(len, missing.values())):,} of the {published:,} published "
                "photographs are missing (to continue without them: --allow-incomplete)",
            )
        problems += [
            f"{self.path}: test person {person:02d} has no photographs"
            for person in sorted(set(test_persons) - set(self.persons))
        ]
        if problems:
            raise DatabaseError(problems)


def digest_of_rows(rows: Rows) -> str:
    """Hash the rows of a table and their photographs."""
    found = hashlib.sha256(b"headpose-fast table 1\n")
    columns = rows.columns
    parts = ["-"] * len(rows)
    if rows.tested is not None:
        parts = ["test" if tested else "train" for tested in rows.tested.tolist()]
    known = zip(
        file_digests(rows),
        *(column.tolist() for column in columns[:5]),
        columns.frames[:, 2:].tolist(),
        parts,
        strict=True,
    )
    for digest, person, series, number, tilt, pan, face, part in known:
        values = (digest, person, series, number, tilt, pan, *face, part)
        found.update(f"{' '.join(map(str, values))}\n".encode())
    return found.hexdigest()


def _ranges(numbers: Sequence[int]) -> str:
    """Abbreviate ascending numbers: `00-04, 17`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]:02d}" if len(run) == 1 else f"{run[0]:02d}-{run[-1]:02d}" for run in runs
    )
