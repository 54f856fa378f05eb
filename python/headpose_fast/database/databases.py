"""A database: its photographs, its digest, what is missing, and the split."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from headpose_fast.database.names import NUMBERS, PERSONS, SERIES
from headpose_fast.database.photographs import (
    Photograph,
    Rows,
    columns_of,
    file_digests,
    persons_of,
    select,
)
from headpose_fast.errors import DatabaseError

#: `Database.digest` of the published database.
PUBLISHED_DIGEST = "190d44a194b2eb24f27163ea45de08f9d26328ccc44a01fdee46fa546a6e7ad9"


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

    @property
    def is_table(self) -> bool:
        """Whether it was read from a table, which does not say what may be missing."""
        return isinstance(self.photographs, Rows)

    @property
    def divided(self) -> bool:
        """Whether it is a table that says which photographs are tested with."""
        return isinstance(self.photographs, Rows) and self.photographs.tested is not None

    def _repr_html_(self) -> str:
        """Describe it in a notebook: how much there is, and a selection of photographs."""
        from headpose_fast import notebook
        from headpose_fast.images import photograph_image

        missing, digest = sum(map(len, self.missing().values())), self.digest
        people = ", ".join(map(str, self.persons))
        facts = [
            ("database", str(self.path)),
            ("photographs", f"{len(self):,}"),
            ("people", "unknown" if self.persons == (0,) else people),
            ("missing", f"{missing:,} of the published photographs" if missing else "nothing"),
            ("digest", f"{digest}{' (the published one)' if digest == PUBLISHED_DIGEST else ''}"),
        ]
        if self.is_table:
            facts = [fact for fact in facts if fact[0] != "missing"]
        figures: list[notebook.Figure] = []
        for photograph in map(self.__getitem__, notebook.spread(len(self))):
            caption = f"person {photograph.person or 'unknown'}, "
            caption += f"{photograph.tilt:+g}, {photograph.pan:+g}"
            try:
                figures.append((caption, photograph_image(photograph.name, photograph.jpeg)))
            except (DatabaseError, OSError) as error:
                # Show the others, and the reason instead of this picture.
                figures.append((f"{caption}: {error}", None))
        return notebook.page("Database", facts, figures)

    @property
    def persons(self) -> tuple[int, ...]:
        """The people in the database, ascending."""
        return persons_of(self.photographs)

    @property
    def digest(self) -> str:
        """A hash of the content, however it is packed: SHA-256 in hexadecimal digits.

        It covers the lines `SHA256  PersonPP/NAME`, one for each photograph and label, ascending
        by path; the published database has `PUBLISHED_DIGEST`. For a table it covers the lines that
        `docs/tables.md` describes: each photograph's SHA-256 and its row, without its path.

        Raises DatabaseError for photographs that cannot be read.
        """
        if isinstance(self.photographs, Rows):
            return _digest_of_rows(self.photographs)
        lines = []
        for some, digests in file_digests(self.photographs):
            for photograph, digest in zip(some, digests, strict=True):
                folder, stem = photograph.name.removesuffix(".jpg").split("/")[-2:]
                label = hashlib.sha256(photograph.label).hexdigest()
                for kind, digits in ((".jpg", digest), (".txt", label)):
                    path = f"{folder}/{stem}{kind}"
                    lines.append((path, f"{digits}  {path}\n"))
        return hashlib.sha256("".join(line for _, line in sorted(lines)).encode()).hexdigest()

    def split(
        self, test_persons: Collection[int] = (), test_series: Collection[int] = ()
    ) -> tuple[Sequence[Photograph], Sequence[Photograph]]:
        """Return the photographs to train on, and those of the test people or series.

        Without test people and series, a table is divided by its column `split`, if it has one.
        """
        test = tested(self, test_persons, test_series)
        return select(self.photographs, ~test), select(self.photographs, test)

    def missing(self) -> dict[tuple[int, int], list[int]]:
        """Find the published photographs that are missing: their numbers by person and series."""
        there = {(p.person, p.series, p.number) for p in self.photographs}
        absent = {
            (person, series): [n for n in NUMBERS if (person, series, n) not in there]
            for person in PERSONS
            for series in SERIES
        }
        return {of: numbers for of, numbers in absent.items() if numbers}

    def require_divided(self) -> None:
        """Raise DatabaseError for a table that does not say which photographs are tested with."""
        if self.is_table and not self.divided:
            raise DatabaseError(
                [
                    f"{self.path}: nothing says which photographs are tested with: add a "
                    "column split (train or test), or a column person and use --test-persons"
                ]
            )

    def require_complete(self, test_persons: Collection[int]) -> None:
        """Raise DatabaseError if published photographs, or all of a test person's, are missing.

        For a table, which may show anyone, only the latter is checked.
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


def tested(
    database: Database, test_persons: Collection[int], test_series: Collection[int]
) -> NDArray[np.bool_]:
    """Return which photographs are tested with, as `Database.split` has it: (photographs,)."""
    photographs = database.photographs
    by_column = photographs.tested if isinstance(photographs, Rows) else None
    if by_column is not None and not test_persons and not test_series:
        return by_column
    columns = columns_of(photographs)
    of_persons = np.isin(columns.persons, [*test_persons])
    return of_persons | np.isin(columns.series, [*test_series])


def _digest_of_rows(rows: Rows) -> str:
    """Hash the rows of a table and their photographs."""
    found = hashlib.sha256(b"headpose-fast table 1\n")
    for some, digests in file_digests(rows):
        columns = some.columns
        parts = ["-"] * len(some)
        if some.tested is not None:
            parts = ["test" if tested else "train" for tested in some.tested.tolist()]
        known = [column.tolist() for column in (*columns[:5], columns.frames[:, 2:])]
        for digest, *numbers, face, part in zip(digests, *known, parts, strict=True):
            values = (digest, *numbers, *face, part)
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
