"""Reading the files of tables, CSV and Parquet, into columns of values that nobody has checked."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from headpose_fast.errors import DatabaseError

#: Columns that a table must have, and those that it may have.
REQUIRED = ("photograph", "tilt", "pan", "face_x", "face_y", "face_width", "face_height")
OPTIONAL = ("person", "series", "number", "split")

#: Rows that are handed on at once.
_TOGETHER = 4096

#: Separators of files that are not separated by commas.
_OTHER_SEPARATORS = ";\t|"


class Batch(NamedTuple):
    """Some rows."""

    #: The line of the file on which each ends; of a Parquet file, the number of each row from 1.
    lines: Sequence[int]
    #: Their values by column: text of a CSV file, anything of a Parquet file.
    columns: Mapping[str, Sequence[Any]]


#: Called with a line and what is wrong with it.
Bad = Callable[[int, str], None]


def read_csv(path: Path, own: Mapping[str, str], bad: Bad) -> Iterator[Batch]:
    """Yield the rows of a CSV file; rows of another length are bad.

    Raises DatabaseError if its first line does not name the columns.
    """
    # Bytes that are not UTF-8 stay recognisable, so that their line can be named.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, ())]
        except csv.Error as error:
            raise DatabaseError([f"{path}: line {reader.line_num}: {error}"]) from None
        _require_csv(path, header)
        wanted = _wanted(path, header, own)
        numbered = ((reader.line_num, row) for row in reader if row)
        while some := _taken(numbered, reader, bad):
            rows = []
            for line, row in some:
                if len(row) == len(header):
                    rows.append((line, *row))
                else:
                    bad(line, f"{len(row)} values, but {len(header)} columns")
            if rows:
                lines, *columns = zip(*rows, strict=True)
                yield Batch(lines, {name: columns[at] for name, at in wanted.items()})


def _taken(
    numbered: Iterator[tuple[int, list[str]]],
    reader: Any,  # noqa: ANN401 (csv does not name its type)
    bad: Bad,
) -> list[tuple[int, list[str]]]:
    """Take the next rows, up to one that cannot be told apart."""
    some = []
    try:
        for row in islice(numbered, _TOGETHER):
            some.append(row)  # noqa: PERF402 (those before an error stay)
    except csv.Error as error:
        bad(reader.line_num, str(error))
    return some


def _require_csv(path: Path, header: Sequence[str]) -> None:
    """Raise DatabaseError for a first line that is none of a CSV file."""
    first = "".join(header)
    problem = None
    if not first:
        problem = "it is empty or begins with an empty line; its first line names the columns"
    elif "\0" in first or any("\ud800" <= c <= "\udfff" for c in first):
        problem = "its first line is not text in UTF-8"
    elif len(header) == 1 and (found := [c for c in _OTHER_SEPARATORS if c in first]):
        problem = f"its columns are separated by {found[0]!r}; a table has commas"
    if problem:
        raise DatabaseError([f"{path}: {problem}"])


def read_parquet(path: Path, own: Mapping[str, str], bad: Bad) -> Iterator[Batch]:  # noqa: ARG001
    """Yield the rows of a Parquet file.

    Raises DatabaseError if it is none or does not have the columns, ModuleNotFoundError without
    pyarrow.
    """
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
                columns = {name: batch[header[i]].to_pylist() for name, i in wanted.items()}
                yield Batch(lines, columns)
                first += batch.num_rows
    except DatabaseError:
        raise
    except (ArrowException, OSError, ValueError) as error:
        raise DatabaseError([f"{path}: not a Parquet file that can be read: {error}"]) from None


def _wanted(path: Path, header: Sequence[str], own: Mapping[str, str]) -> dict[str, int]:
    """Return where each column is."""
    theirs = {name: own.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
    absent = [
        column
        for name, column in theirs.items()
        if column not in header and (name in REQUIRED or name in own)
    ]
    problems = [
        f"{path}: two columns are named {column!r}"
        for column in theirs.values()
        if header.count(column) > 1
    ]
    for column in set(own.values()):
        names = [name for name in theirs if theirs[name] == column]
        if len(names) > 1:
            problems.append(
                f"{path}: column {column!r} cannot be {' and '.join(names)}: "
                "name each column once with --columns OWN=OURS"
            )
    if absent:
        problems.append(
            f"{path}: it has no column {', '.join(absent)} (if it has another name, "
            f"say --columns OWN={absent[0]})"
            if absent[0] in REQUIRED
            else f"{path}: it has no column {', '.join(absent)}, which --columns names"
        )
    if problems:
        raise DatabaseError(problems)
    return {name: header.index(column) for name, column in theirs.items() if column in header}
