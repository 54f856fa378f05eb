"""Reading a table as a database: a row for each photograph."""

from __future__ import annotations

import csv
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.columns import Columns
from headpose_fast.database.databases import Database
from headpose_fast.database.limits import Limits
from headpose_fast.database.photographs import Place, Rows
from headpose_fast.errors import DatabaseError

#: How the names of tables end.
SUFFIXES = (".csv", ".parquet")

#: Columns that a table must have, and those that it may have.
REQUIRED = ("photograph", "tilt", "pan", "face_x", "face_y", "face_width", "face_height")
OPTIONAL = ("person", "series", "number", "split")

#: In the order of `Columns`, without the size of the picture.
_IN_ORDER = ("person", "series", "number", "tilt", "pan", *REQUIRED[3:])

_ANGLES = ("tilt", "pan")

#: Whole numbers are not larger.
_LARGEST = 2**31 - 1

#: Rows that are checked at once.
_TOGETHER = 4096

#: Bad rows after which the rest of a table is not read.
_MOST_PROBLEMS = 1000

#: Characters that a row's value may have.
_LONGEST = 4096


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


def read_table(table: Table, limits: Limits) -> Database:
    """Read a table, and the headers of its photographs.

    Raises:
        DatabaseError: Rows are bad, or photographs are missing or not usable JPEGs; the first
            thousand or so of them. Or the file is not a table.
        OSError: It cannot be read.

    """
    path = Path(table)
    reader = _Reader(path, table.absolute_paths, limits)
    read = _parquet if path.suffix.lower() == ".parquet" else _csv
    for lines, columns in read(path, table.columns, reader.bad):
        reader.add(lines, columns)
        if len(reader.problems) > _MOST_PROBLEMS:
            break
    return Database(path, reader.rows())


class _Reader:
    """Checks rows and keeps them."""

    def __init__(self, path: Path, absolute_paths: bool, limits: Limits) -> None:
        self.path, self.folder = path, path.parent
        self.problems: list[str] = []
        self._absolute_paths, self._limits = absolute_paths, limits
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
        if len(self.problems) == before:
            values[:, 5:7], lengths = self._sizes(lines, names)
            self._names += names
            self._lengths.append(lengths)
            self._values.append(values)

    def bad(self, line: int, problem: str) -> None:
        """Note what is wrong with a row."""
        self.problems.append(f"{self.path}: line {line}: {problem}")

    def _numbers(
        self, lines: Sequence[int], name: str, texts: Sequence[Any]
    ) -> NDArray[np.float64]:
        """Return the numbers of a column, all at once if they are good."""
        angles = name in _ANGLES
        least = 0 if name in OPTIONAL else -_LARGEST

        def good(values: NDArray[np.float64]) -> bool:
            if angles:
                return bool(np.isfinite(values).all())
            within = (values >= least) & (values <= _LARGEST)
            return bool((within & (values == np.floor(values))).all())

        try:
            values = np.array(texts, np.float64)
            if good(values):
                return values
        except (ValueError, TypeError):
            pass
        values = np.zeros(len(texts))
        kind = "a finite number" if angles else "a whole number"
        for i, text in enumerate(texts):
            try:
                values[i] = float(text)
                if good(values[i : i + 1]):
                    continue
            except (ValueError, TypeError):
                pass
            self.bad(lines[i], f"{name} is {_shown(text)}, not {kind}")
        return values

    def _name(self, line: int, name: Any) -> str:  # noqa: ANN401 (of a file of anyone)
        """Return the path of a photograph, which must be one that is allowed."""
        if not isinstance(name, str) or not name or "\0" in name or len(name) > _LONGEST:
            self.bad(line, f"photograph is {_shown(name)}, not a path")
            return ""
        if not self._absolute_paths:
            if Path(name).is_absolute():
                self.bad(line, f"{_shown(name)} is absolute, which --absolute-paths allows")
            elif posixpath.normpath(name.replace(os.sep, "/")).split("/")[0] == "..":
                self.bad(
                    line,
                    f"{_shown(name)} is outside the table's folder, which --absolute-paths allows",
                )
        return name

    def _split(self, lines: Sequence[int], texts: Sequence[Any]) -> NDArray[np.bool_]:
        for i, text in enumerate(texts):
            if text not in ("train", "test"):
                self.bad(lines[i], f"split is {_shown(text)}, neither train nor test")
        return np.array([text == "test" for text in texts], np.bool_)

    def _sizes(
        self, lines: Sequence[int], names: Sequence[str]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Read the size of each picture in pixels, and of its file in bytes."""
        places, lengths = [], np.zeros(len(names), np.int64)
        bad = set()
        for i, name in enumerate(names):
            path = str(self.folder / name)
            try:
                lengths[i] = os.stat(path).st_size  # noqa: PTH116 (it is one of a million)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self.bad(lines[i], f"{name}: {reason}")
                bad.add(i)
            if lengths[i] > self._limits.photograph_bytes:
                most = self._limits.photograph_bytes
                self.bad(lines[i], f"{name}: more than the {most} bytes allowed")
                bad.add(i)
                lengths[i] = 0
            places.append(Place(path, 0, int(lengths[i])))
        sizes = np.zeros((len(names), 2), np.uint32)
        for i, reason in _core.jpeg_sizes(places, self._limits.photograph_pixels, sizes, None):
            if i not in bad:
                self.bad(lines[i], f"{names[i]}: {reason}")
        return sizes, lengths

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


def _shown(text: object) -> str:
    return repr(text)[:80]


#: Lines, and the values of their rows by column.
_Batches = Iterator[tuple[Sequence[int], dict[str, Sequence[Any]]]]

#: Called with a line and what is wrong with it.
_Bad = Callable[[int, str], None]


def _csv(path: Path, own: Mapping[str, str], bad: _Bad) -> _Batches:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header is None:
                raise DatabaseError([f"{path}: it is empty; its first line names the columns"])
            wanted = _wanted(path, [name.strip() for name in header], own)
            numbered = ((reader.line_num, row) for row in reader if row)
            while some := list(islice(numbered, _TOGETHER)):
                rows = []
                for line, row in some:
                    if len(row) == len(header):
                        rows.append((line, *row))
                    else:
                        bad(line, f"{len(row)} values, but {len(header)} columns")
                if rows:
                    lines, *columns = zip(*rows, strict=True)
                    yield lines, {name: columns[at] for name, at in wanted.items()}
    except csv.Error as error:
        raise DatabaseError([f"{path}: line {reader.line_num}: {error}"]) from None
    except UnicodeDecodeError as error:
        raise DatabaseError([f"{path}: not text in UTF-8: {error.reason}"]) from None


def _parquet(path: Path, own: Mapping[str, str], bad: _Bad) -> _Batches:  # noqa: ARG001
    """Read a Parquet file, where a row's number stands for its line."""
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path}: to read it, pip install 'headpose-fast[parquet]'"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            header = file.schema_arrow.names
            wanted = _wanted(path, header, own)
            first = 1
            for batch in file.iter_batches(_TOGETHER, columns=[header[i] for i in wanted.values()]):
                lines = range(first, first + batch.num_rows)
                yield lines, {name: batch[header[i]].to_pylist() for name, i in wanted.items()}
                first += batch.num_rows
    except ArrowException as error:
        raise DatabaseError([f"{path}: not a Parquet file that can be read: {error}"]) from None


def _wanted(path: Path, header: Sequence[str], own: Mapping[str, str]) -> dict[str, int]:
    """Return where each column is."""
    found, problems = {}, []
    for name in (*REQUIRED, *OPTIONAL):
        theirs = own.get(name, name)
        if header.count(theirs) > 1:
            problems.append(f"{path}: two columns are named {_shown(theirs)}")
        elif theirs in header:
            found[name] = header.index(theirs)
        elif name in REQUIRED or name in own:
            problems.append(
                f"{path}: there is no column {theirs!r}; if it has another name: "
                f"--columns NAME={name}"
            )
    if problems:
        raise DatabaseError(problems)
    return found
