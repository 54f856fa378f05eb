"""Reading a table as a database: a row for each photograph."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.columns import Columns
from headpose_fast.database.databases import Database
from headpose_fast.database.limits import Limits
from headpose_fast.database.objects import Failure, Start, is_object, starts
from headpose_fast.database.photographs import Place, Rows, fetched_together
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
        #: Lines, and what is wrong with them.
        self.problems: list[tuple[int, str]] = []
        self._unit, self._absolute_paths, self._limits = unit, absolute_paths, limits
        self._names: list[str] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []
        self._tested: list[NDArray[np.bool_]] = []

    def add(self, lines: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """Check rows, which end on these lines, and keep them."""
        count = len(columns["photograph"])
        values = np.zeros((count, 11))
        for column, name in zip((0, 1, 2, 3, 4, 7, 8, 9, 10), _IN_ORDER, strict=True):
            if name in columns:
                values[:, column] = self._numbers(lines, name, columns[name])
        names = [self._name(lines[i], name) for i, name in enumerate(columns["photograph"])]
        if "split" in columns:
            self._tested.append(self._split(lines, columns["split"]))
        for first in range(0, count, _OPENED_TOGETHER):
            some = slice(first, first + _OPENED_TOGETHER)
            values[some, 5:7], lengths = self._sizes(lines[some], names[some])
            self._lengths.append(lengths)
        self._names += names
        self._values.append(values)

    def bad(self, line: int, problem: str) -> None:
        """Note what is wrong with a row."""
        self.problems.append((line, problem))

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
        """Return the path of a photograph; nothing if it is none, or is not allowed."""
        problem = self._problem_of(name)
        if problem is None:
            return str(name)
        self.bad(line, problem)
        return ""

    def _problem_of(self, name: Any) -> str | None:  # noqa: ANN401 (the same)
        """Return what is wrong with the path of a photograph."""
        if not isinstance(name, str) or not name or "\0" in name or len(name) > _LONGEST:
            return f"photograph is {_shown(name)}, not a path"
        if not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name):
            return f"photograph is {_shown(name)}, which is not text in UTF-8"
        if self._absolute_paths or is_object(name):
            return None
        # On Windows a path without a drive counts as relative.
        if name.startswith(("/", os.sep)) or os.path.splitdrive(name)[0]:
            return f"{_shown(name)} is absolute, which --absolute-paths allows"
        if ".." in name and _leaves(name):
            return f"{_shown(name)} is outside the table's folder, which --absolute-paths allows"
        return None

    def _split(self, lines: Sequence[int], texts: Sequence[Any]) -> NDArray[np.bool_]:
        for i, text in enumerate(texts):
            if text not in ("train", "test"):
                self.bad(lines[i], f"split is {_shown(text)}, neither train nor test")
        return np.array([text == "test" for text in texts], np.bool_)

    def _sizes(
        self, lines: Sequence[int], names: Sequence[str]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Read the size of each picture in pixels, and of its file in bytes."""
        files, lengths, bad = self._files(names)
        sizes = np.zeros((len(names), 2), np.uint32)
        unread = self._read_sizes(files, sizes)
        # Some objects have more before their picture than was fetched.
        longer = [
            i
            for i in unread
            if i not in bad and isinstance(files[i], bytes) and len(files[i]) < lengths[i]
        ]
        for i in longer:
            del unread[i]
        bad = unread | bad | self._sizes_of_objects(names, longer, lengths, sizes)
        for i, reason in sorted(bad.items()):
            # What is wrong with a name was said.
            if names[i]:
                self.bad(lines[i], f"{names[i]}: {reason}")
        return sizes, lengths

    def _files(
        self, names: Sequence[str]
    ) -> tuple[list[bytes | Place], NDArray[np.int64], dict[int, str]]:
        """Return the photographs' files, of objects the beginnings; bytes; and what failed."""
        files: list[bytes | Place] = [b""] * len(names)
        lengths = np.zeros(len(names), np.int64)
        objects = [i for i, name in enumerate(names) if is_object(name)]
        found = starts([names[i] for i in objects], _HEADER_BYTES)
        begun = dict(zip(objects, found, strict=True))
        bad: dict[int, str] = {}
        folder, most = str(self.folder), self._limits.photograph_bytes
        for i, name in enumerate(names):
            one = begun[i] if i in begun else _place(folder, name)
            if isinstance(one, Failure):
                bad[i] = one.reason
                continue
            lengths[i] = one.length
            if one.length > most:
                bad[i] = f"more than the {most} bytes allowed"
            else:
                files[i] = one.content if isinstance(one, Start) else one
        return files, lengths, bad

    def _read_sizes(
        self, files: Sequence[bytes | Place], sizes: NDArray[np.uint32]
    ) -> dict[int, str]:
        """Read the size of each picture; return why that failed."""
        return dict(_core.jpeg_sizes(files, self._limits.photograph_pixels, sizes, None))

    def _sizes_of_objects(
        self,
        names: Sequence[str],
        wanted: Sequence[int],
        lengths: NDArray[np.int64],
        sizes: NDArray[np.uint32],
    ) -> dict[int, str]:
        """Fetch whole objects, some at a time, and read the sizes of their pictures."""
        bad = {}
        for part in fetched_together(lengths[wanted].tolist()):
            some = wanted[part]
            found = starts([names[i] for i in some], self._limits.photograph_bytes)
            own = np.zeros((len(some), 2), np.uint32)
            files = [b"" if isinstance(one, Failure) else one.content for one in found]
            unread = self._read_sizes(files, own)
            sizes[some] = own
            for i, one in enumerate(found):
                if isinstance(one, Failure):
                    bad[some[i]] = one.reason
                elif i in unread:
                    bad[some[i]] = unread[i]
        return bad

    def rows(self) -> Rows:
        """Return the rows, all of which must be good."""
        if self.problems:
            in_order = sorted(self.problems, key=itemgetter(0))
            raise DatabaseError(
                [f"{self.path}: {self._unit} {line}: {problem}" for line, problem in in_order]
            )
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


def _place(folder: str, name: str) -> Place | Failure:
    """Return where a file is, and its length."""
    # `pathlib` would take seconds for a million.
    path = os.path.join(folder, name)  # noqa: PTH118
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError) as error:
        return Failure(getattr(error, "strerror", None) or str(error))
    if not stat.S_ISREG(status.st_mode):
        return Failure("not a file")
    return Place(path, 0, status.st_size)


def _leaves(name: str) -> bool:
    """Whether a relative path leads out of the folder that it begins in."""
    return posixpath.normpath(name.replace(os.sep, "/")).split("/")[0] == ".."


def _shown(text: object) -> str:
    return repr(text)[:80]
