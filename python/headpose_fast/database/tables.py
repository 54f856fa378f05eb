"""Reading a table as a database: a row for each photograph."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.columns import Columns
from headpose_fast.database.databases import Database
from headpose_fast.database.limits import Limits
from headpose_fast.database.objects import Failure, is_object, starts
from headpose_fast.database.photographs import Place, Rows
from headpose_fast.database.table_files import OPTIONAL, REQUIRED, read_csv, read_parquet
from headpose_fast.errors import DatabaseError

#: In the order of `Columns`, without the size of the picture.
_IN_ORDER = ("person", "series", "number", "tilt", "pan", *REQUIRED[3:])

_ANGLES = ("tilt", "pan")

#: Whole numbers are not larger.
_LARGEST = 2**31 - 1

#: Labels are float32.
_LARGEST_ANGLE = float(np.finfo(np.float32).max)

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)

#: Texts of these characters are numbers if Python takes them for some.
_OF_NUMBERS = frozenset("0123456789+-.eE ")

#: Bad rows after which the rest of a table is not read.
_MOST_PROBLEMS = 1000

#: Characters that a path may have.
_LONGEST = 4096

#: Photographs whose headers are read at once.
_OPENED_TOGETHER = 1024

#: Bytes of an object of S3 in which a JPEG's header mostly is: `jpeg_sizes` asks for no end then.
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class Table:
    """A CSV or Parquet file with a row for each photograph, and how to read it.

    It stands wherever the path of a database does.
    """

    path: str | os.PathLike[str]
    #: The names of the file's own columns by the names that they have here, where they differ.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: Whether photographs may be outside the table's folder.
    absolute_paths: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for columns that no table has."""
        unknown = sorted(set(self.columns) - {*REQUIRED, *OPTIONAL})
        if unknown:
            known = ", ".join((*REQUIRED, *OPTIONAL))
            raise ValueError(f"there is no column {', '.join(unknown)}, only {known}")

    def __fspath__(self) -> str:
        """Return the path."""
        return os.fspath(self.path)

    def __str__(self) -> str:
        """Return the path."""
        return os.fspath(self.path)


def read_table(table: Table, limits: Limits) -> Database:
    """Read a table, and the headers of its photographs.

    Raises:
        DatabaseError: Rows are bad, or photographs are missing or not usable JPEGs; the first
            thousand or so of them. Or the file is not a table.
        ModuleNotFoundError: It is a Parquet file, and pyarrow is not installed.
        OSError: It cannot be read.

    """
    path = Path(table)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseError([f"{path}: not a file"])
    if status.st_size > limits.archive_bytes:
        raise DatabaseError([f"{path}: more than the {limits.archive_bytes} bytes allowed"])
    is_parquet = path.suffix.lower() == ".parquet"
    reader = _Reader(path, "row" if is_parquet else "line", table.absolute_paths, limits)
    for lines, columns in (read_parquet if is_parquet else read_csv)(
        path, table.columns, reader.bad
    ):
        reader.add(lines, columns)
        if len(reader.problems) > _MOST_PROBLEMS:
            break
    return Database(path, reader.rows())


class _Reader:
    """Checks rows and keeps them."""

    def __init__(self, path: Path, unit: str, absolute_paths: bool, limits: Limits) -> None:
        self.path, self.folder = path, path.parent
        self.problems: list[str] = []
        self._unit, self._absolute_paths, self._limits = unit, absolute_paths, limits
        self._names: list[str] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []
        self._tested: list[NDArray[np.bool_]] = []

    def add(self, lines: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """Check rows, which end on these lines, and keep them."""
        before = len(self.problems)
        count = len(columns["photograph"])
        values = np.zeros((count, 11))
        for column, name in zip((0, 1, 2, 3, 4, 7, 8, 9, 10), _IN_ORDER, strict=True):
            if name in columns:
                values[:, column] = self._numbers(lines, name, columns[name])
        names = [self._name(lines[i], name) for i, name in enumerate(columns["photograph"])]
        if "split" in columns:
            self._tested.append(self._split(lines, columns["split"]))
        if len(self.problems) > before:
            return
        for first in range(0, count, _OPENED_TOGETHER):
            some = slice(first, first + _OPENED_TOGETHER)
            values[some, 5:7], lengths = self._sizes(lines[some], names[some])
            self._lengths.append(lengths)
        self._names += names
        self._values.append(values)

    def bad(self, line: int, problem: str) -> None:
        """Note what is wrong with a row."""
        self.problems.append(f"{self.path}: {self._unit} {line}: {problem}")

    def _numbers(
        self, lines: Sequence[int], name: str, given: Sequence[Any]
    ) -> NDArray[np.float64]:
        """Return the numbers of a column, all at once if they are good."""
        angles = name in _ANGLES
        least, most = (-_LARGEST_ANGLE, _LARGEST_ANGLE) if angles else (-_LARGEST, _LARGEST)
        if name in OPTIONAL:
            least = 0

        def good(values: NDArray[np.float64]) -> bool:
            # Comparisons with NaN are false.
            within = (values >= least) & (values <= most)
            return bool((within if angles else within & (values == np.floor(values))).all())

        values = _converted(given)
        if values is None or not good(values):
            kind = "a finite number" if angles else f"a whole number from {least} to {most}"
            values = np.zeros(len(given))
            for i, one in enumerate(given):
                value = _converted([one])
                if value is not None and good(value):
                    values[i] = value[0]
                else:
                    self.bad(lines[i], f"{name} is {_shown(one)}, not {kind}")
        # There is one zero, not two.
        return values + 0.0

    def _name(self, line: int, name: Any) -> str:  # noqa: ANN401 (of a file of anyone)
        """Return the path of a photograph, which must be one that is allowed."""
        if not isinstance(name, str) or not name or "\0" in name or len(name) > _LONGEST:
            self.bad(line, f"photograph is {_shown(name)}, not a path")
        elif not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
            self.bad(line, f"photograph is {_shown(name)}, which is not text in UTF-8")
        elif not self._absolute_paths and not is_object(name):
            # On Windows a path without a drive counts as relative.
            if name.startswith(("/", os.sep)) or os.path.splitdrive(name)[0]:
                self.bad(line, f"{_shown(name)} is absolute, which --absolute-paths allows")
            elif ".." in name and _leaves(name):
                self.bad(
                    line,
                    f"{_shown(name)} is outside the table's folder, which --absolute-paths allows",
                )
        return name if isinstance(name, str) else ""

    def _split(self, lines: Sequence[int], texts: Sequence[Any]) -> NDArray[np.bool_]:
        for i, text in enumerate(texts):
            if text not in ("train", "test"):
                self.bad(lines[i], f"split is {_shown(text)}, neither train nor test")
        return np.array([text == "test" for text in texts], np.bool_)

    def _sizes(
        self, lines: Sequence[int], names: Sequence[str]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Read the size of each picture in pixels, and of its file in bytes."""
        folder = str(self.folder)
        lengths = np.zeros(len(names), np.int64)
        files: list[bytes | Place] = [b""] * len(names)
        bad: dict[int, str] = {}
        objects = [i for i, name in enumerate(names) if is_object(name)]
        for i, start in zip(objects, self._starts([names[i] for i in objects]), strict=True):
            if isinstance(start, Failure):
                bad[i] = start.reason
            else:
                files[i], lengths[i] = start
        for i in sorted(set(range(len(names))).difference(objects)):
            path = os.path.join(folder, names[i])  # noqa: PTH118 (it is one of a million)
            try:
                status = os.stat(path)  # noqa: PTH116 (the same)
            except (OSError, ValueError) as error:
                bad[i] = getattr(error, "strerror", None) or str(error)
                continue
            if not stat.S_ISREG(status.st_mode):
                bad[i] = "not a file"
            lengths[i] = status.st_size
            files[i] = Place(path, 0, status.st_size)
        most = self._limits.photograph_bytes
        bad |= {
            int(i): f"more than the {most} bytes allowed" for i in np.flatnonzero(lengths > most)
        }
        for i in bad:
            files[i] = b""
        sizes = np.zeros((len(names), 2), np.uint32)
        failures = _core.jpeg_sizes(files, self._limits.photograph_pixels, sizes, None)
        for i, reason in sorted((dict(failures) | bad).items()):
            self.bad(lines[i], f"{names[i]}: {reason}")
        return sizes, lengths

    def _starts(self, addresses: Sequence[str]) -> list[tuple[bytes, int] | Failure]:
        """Fetch the headers of objects."""
        if not addresses:
            return []
        found: list[tuple[bytes, int] | Failure] = list(starts(addresses, _HEADER_BYTES))
        most = self._limits.photograph_bytes
        again = []
        for i, start in enumerate(found):
            # Some have more before their picture.
            if (
                not isinstance(start, Failure)
                and len(start[0]) < start[1] <= most
                and not _has_header(start[0], self._limits)
            ):
                again.append(i)
        for i, whole in zip(again, starts([addresses[i] for i in again], most), strict=True):
            found[i] = whole
        return found

    def rows(self) -> Rows:
        """Return the rows, all of which must be good."""
        if self.problems:
            raise DatabaseError(self.problems)
        if not self._names:
            raise DatabaseError([f"{self.path}: it has no rows"])
        return Rows(
            self.folder,
            self._names,
            np.concatenate(self._lengths),
            Columns.of_rows(np.concatenate(self._values)),
            np.concatenate(self._tested) if self._tested else None,
        )


def _converted(given: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return values of a column as numbers; None if some are not, or are written strangely."""
    kinds = set(map(type, given))
    if kinds == {str}:
        # What Python takes for a number besides: 1_000, other scripts' digits, inf, nan.
        plain = _OF_NUMBERS.issuperset("".join(given)) or all(map(_NUMBER.fullmatch, given))
        if not plain:
            return None
    elif not kinds <= {int, float}:
        return None
    try:
        return np.array(given, np.float64)
    except (ValueError, OverflowError):
        return None


def _leaves(name: str) -> bool:
    """Whether a relative path leads out of the folder that it begins in."""
    return posixpath.normpath(name.replace(os.sep, "/")).split("/")[0] == ".."


def _has_header(start: bytes, limits: Limits) -> bool:
    """Whether the size of a picture can be read from the beginning of its file."""
    size = np.zeros((1, 2), np.uint32)
    return not _core.jpeg_sizes([start], limits.photograph_pixels, size, None)


def _shown(text: object) -> str:
    return repr(text)[:80]
