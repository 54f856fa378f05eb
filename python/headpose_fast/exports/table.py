"""The database as a table, which is a database itself: see docs/tables.md."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headpose_fast.database.databases import Database, tested
from headpose_fast.database.limits import Limits
from headpose_fast.database.objects import is_object
from headpose_fast.database.photographs import Photograph, Place, file_lengths, jpegs_of
from headpose_fast.database.splits import TEST_PERSONS
from headpose_fast.database.table_files import OPTIONAL, REQUIRED
from headpose_fast.exports.jpegs import cleaned
from headpose_fast.output import output_file, require_writable
from headpose_fast.progress import Progress, bar
from headpose_fast.samples.options import require_workers
from headpose_fast.sources.finding import find_database, open_as_asked

#: Photographs that are cleaned at once.
_TOGETHER = 256


@dataclass(frozen=True)
class Tabled:
    """What `write_table` wrote."""

    path: Path
    #: Where the photographs are; None if they stayed where they were.
    folder: Path | None
    photographs: int
    #: Whether some photographs are outside the table's folder.
    outside: bool
    #: The `Database.digest` of the database, which is not that of the table.
    digest: str
    #: Wall time.
    seconds: float


def write_table(
    output: str | os.PathLike[str],
    input: str | os.PathLike[str] | None = None,  # noqa: A002 (the name of the option)
    *,
    workers: int | None = None,
    allow_incomplete: bool = False,
    limits: Limits | None = None,
    progress: Progress | bool = False,
) -> Tabled:
    """Write the database as a CSV file, from which the same samples are made.

    Unless they are files of a folder or a table, the photographs are written, without their
    comments, to a folder that has the file's name without its end; it must not be there yet. The
    column `split` has the default test people, or what the table had. Neither file nor folder is
    left behind by a failure.

    Args:
        output: The file, whose name ends in `.csv`; it is replaced once the new one is complete.
        input: The database, as for `prepare`.
        workers: Number of threads; None for one per core that this process may use.
        allow_incomplete: Whether photographs of the published database may be missing.
        limits: Limits on what the database may demand; None for `Limits()`.
        progress: Called with the number of photographs done and the total; True for a progress bar
            in a terminal or notebook.

    Raises:
        DatabaseError: The database is incomplete, malformed or damaged.
        OSError: Something could not be read, downloaded or written, or the folder is there.
        ValueError: The output would replace the table that is read, or does not end in `.csv`.

    """
    began = time.perf_counter()
    require_workers(workers)
    target = Path(output)
    if target.suffix.lower() != ".csv":
        raise ValueError(f"{target}: the name of a table must end in .csv")
    require_writable(target)
    with bar("download", "B", progress is True) as report:
        source = find_database(input, report, limits)
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise ValueError(f"{target}: the output would replace the database")
    asked = {"published": input is None, "complete": not allow_incomplete}
    database, digest = open_as_asked(source, limits, (), by_default=True, **asked)
    stays = database.is_table or database.path.is_dir()
    folder = None if stays else target.with_suffix("")
    if stays:
        names = [_staying(photograph, target.parent) for photograph in database]
    else:
        names = [f"{target.stem}/{_name(photograph)}" for photograph in database]
    content = _content(database, names)
    with bar("table", " photographs", progress) as report, contextlib.ExitStack() as stack:
        if folder is not None:
            stack.enter_context(_new_folder(folder))
            _write_photographs(database, names, target.parent, workers, report)
        with output_file(target, len(content), sync=False) as (_, file):
            file.write(content)
    return Tabled(
        path=target,
        folder=folder,
        photographs=len(database),
        outside=any(_is_outside(name) for name in names),
        digest=digest,
        seconds=time.perf_counter() - began,
    )


def _name(photograph: Photograph) -> str:
    """Return its name, whatever folders the database is packed in."""
    return "/".join(photograph.name.split("/")[-2:])


def _staying(photograph: Photograph, folder: Path) -> str:
    """Return the path of a photograph that stays where it is, relative to a table's folder."""
    if not isinstance(photograph.file, Place):
        raise AssertionError("only an archive's photographs are in memory")
    path = photograph.file.path
    if is_object(path):
        return path
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        # On Windows another drive has no relative path.
        return Path(path).resolve().as_posix()


def _is_outside(name: str) -> bool:
    return name.startswith("../") or Path(name).is_absolute()


def _content(database: Database, names: Sequence[str]) -> bytes:
    """Write the rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    divided = database.divided or not database.is_table
    writer.writerow([*REQUIRED, *(OPTIONAL if divided else OPTIONAL[:-1])])
    test = tested(database, () if database.is_table else TEST_PERSONS, ())
    for name, p, in_test in zip(names, database, test.tolist(), strict=True):
        split = ["test" if in_test else "train"] if divided else []
        known = (p.tilt, p.pan, *p.face, p.person, p.series, p.number)
        writer.writerow([name, *known, *split])
    return text.getvalue().encode()


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make a folder, which stays only if the block succeeds."""
    try:
        folder.mkdir()
    except FileExistsError:
        raise FileExistsError(
            f"{folder}: it is already there; delete it, or choose another name for the table"
        ) from None
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_photographs(
    database: Database,
    names: Sequence[str],
    folder: Path,
    workers: int | None,
    report: Progress,
) -> None:
    """Write the photographs without their comments."""
    free, needed = shutil.disk_usage(folder).free, sum(file_lengths(database.photographs))
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"the photographs need {needed:,} bytes, and {free:,} are free",
            str(folder),
        )
    for first in range(0, len(database), _TOGETHER):
        some = database[first : first + _TOGETHER]
        for name, jpeg in zip(names[first:], cleaned(some, jpegs_of(some), workers), strict=False):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(jpeg)
        report(first + len(some), len(database))
