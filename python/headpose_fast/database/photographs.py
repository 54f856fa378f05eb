"""A database in memory: its photographs, its digest, what is missing, and the split."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from headpose_fast.database.names import NUMBERS, PERSONS, SERIES, FaceBox
from headpose_fast.errors import DatabaseError

#: `Database.digest` of the published database.
PUBLISHED_DIGEST = "190d44a194b2eb24f27163ea45de08f9d26328ccc44a01fdee46fa546a6e7ad9"


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of the database with its label."""

    #: Where it was found, with `/`, relative to the archive or folder.
    name: str
    person: int
    #: 1 or 2.
    series: int
    #: 0 to 92, one for each pose.
    number: int
    #: Vertical angle of the head in degrees, -90 (down) to 90 (up).
    tilt: int
    #: Horizontal angle in degrees, -90 to 90.
    pan: int
    face: FaceBox
    #: Size of the picture in pixels, turned according to its EXIF orientation.
    width: int
    height: int
    #: The file's bytes.
    jpeg: bytes = field(repr=False)
    #: The label file's bytes.
    label: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Database(Sequence[Photograph]):
    """The photographs of a database in the order of person, series and number."""

    path: Path
    photographs: tuple[Photograph, ...] = field(repr=False)

    def __len__(self) -> int:
        """Count the photographs."""
        return len(self.photographs)

    @overload
    def __getitem__(self, index: int) -> Photograph: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Photograph, ...]: ...
    def __getitem__(self, index: int | slice) -> Photograph | tuple[Photograph, ...]:
        """Return a photograph, or a tuple of them for a slice."""
        return self.photographs[index]

    def __iter__(self) -> Iterator[Photograph]:
        """Iterate over the photographs."""
        return iter(self.photographs)

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
        return tuple(sorted({photograph.person for photograph in self.photographs}))

    @property
    def digest(self) -> str:
        """A hash of the content, however it is packed: SHA-256 in hexadecimal digits.

        It covers the lines `SHA256  PersonPP/NAME`, one for each photograph and label, ascending
        by path. The published database has `PUBLISHED_DIGEST`.
        """
        lines = []
        for photograph in self.photographs:
            folder, stem = photograph.name.removesuffix(".jpg").split("/")[-2:]
            for kind, content in ((".jpg", photograph.jpeg), (".txt", photograph.label)):
                path = f"{folder}/{stem}{kind}"
                lines.append((path, f"{hashlib.sha256(content).hexdigest()}  {path}\n"))
        return hashlib.sha256("".join(line for _, line in sorted(lines)).encode()).hexdigest()

    def split(
        self, test_persons: Collection[int] = (), test_series: Collection[int] = ()
    ) -> tuple[tuple[Photograph, ...], tuple[Photograph, ...]]:
        """Return the photographs to train on, and those of the test people or series."""
        tests = [p.person in test_persons or p.series in test_series for p in self.photographs]
        pairs = list(zip(self.photographs, tests, strict=True))
        return tuple(p for p, test in pairs if not test), tuple(p for p, test in pairs if test)

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
        """Raise DatabaseError if published photographs, or all of a test person's, are missing."""
        missing = self.missing()
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
