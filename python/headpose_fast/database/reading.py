"""Reading a database from an archive or a folder."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np

from headpose_fast import _core
from headpose_fast.database.databases import Database
from headpose_fast.database.limits import Limits
from headpose_fast.database.names import (
    FOLDER,
    NAME,
    PAN_OF,
    TABLE_SUFFIXES,
    TILT_OF,
    identity_of,
    parse_label,
)
from headpose_fast.database.photographs import JpegFile, Photograph, Place
from headpose_fast.database.tables import Table, read_table
from headpose_fast.errors import DatabaseError


def open_database(path: str | os.PathLike[str], limits: Limits | None = None) -> Database:
    """Read a database from an archive or a folder, unpacking nothing, or from a table.

    Only files in a folder `PersonPP` (or `PersonnePP`) that are named like the database's
    photographs are read. Everything else is skipped, and links are never followed. Photographs in a
    folder, a plain archive or beside a table are read only when they are rendered.

    Args:
        path: The archive (`.tar`, `.tar.gz` or `.tgz`); or a folder, which may contain the
            `PersonPP` folders, directly or at some depth, or be one of them; or a table, `.csv` or
            `.parquet`, which docs/tables.md describes, as a path or a `Table`.
        limits: Limits on what it may demand; None for `Limits()`.

    Returns:
        The photographs with their labels. The set need not be complete: see `Database.missing`.

    Raises:
        DatabaseError: The file is not an archive, is damaged, exceeds a limit, or holds a
            photograph without a label or the reverse, two files for one person, series and
            number, a malformed name, label or JPEG header, or no photograph at all. Or rows of a
            table are bad.
        ModuleNotFoundError: It is a Parquet table, and pyarrow is not installed.
        OSError: `path` cannot be read.

    """
    limits = limits or Limits()
    if isinstance(path, Table) or os.fspath(path).lower().endswith(TABLE_SUFFIXES):
        return read_table(path if isinstance(path, Table) else Table(path), limits)
    path = Path(path)

    def wanted(name: str) -> tuple[int, bool] | None:
        """Return the most bytes of a member, and whether its place will do; None to skip it."""
        match = NAME.fullmatch(name)
        if match is None or name[0] == "/" or ".." in name.split("/"):
            return None
        is_photograph = match["kind"] == "jpg"
        return limits.photograph_bytes if is_photograph else limits.label_bytes, is_photograph

    try:
        if path.is_dir():
            members = list(_read_folder(path, wanted))
        else:
            members = [
                (name, content if isinstance(content, bytes) else Place(str(path), *content))
                for name, content in _core.read_archive(path, limits, wanted)
            ]
    except ValueError as error:
        raise DatabaseError([f"{path}: {error}"]) from None
    return Database(path, _pair(path, members, limits))


def _read_folder(
    root: Path, wanted: Callable[[str], tuple[int, bool] | None]
) -> Iterator[tuple[str, JpegFile]]:
    def fail(error: OSError) -> NoReturn:
        raise error

    if FOLDER.fullmatch(root.resolve().name):
        base, people = root.resolve().parent, [root.resolve()]
    else:
        base = root
        # If the folders are here, copies of them in subfolders are ignored.
        here = [p for p in root.iterdir() if FOLDER.fullmatch(p.name) and not p.is_symlink()]
        people = here or [root]
    for folder, folders, files in chain.from_iterable(os.walk(p, onerror=fail) for p in people):
        folders.sort()
        relative = Path(folder).relative_to(base).as_posix()
        for file in sorted(files):
            name = f"{relative}/{file}"
            path = Path(folder, file)
            allowed = wanted(name)
            if allowed is not None and not path.is_symlink() and path.is_file():
                most, by_place = allowed
                with path.open("rb") as opened:
                    length = os.fstat(opened.fileno()).st_size
                    content = b"" if by_place else opened.read(most + 1)
                if max(length, len(content)) > most:
                    raise ValueError(f"{name}: more than the {most} bytes allowed")
                yield name, Place(str(path), 0, length) if by_place else content


@dataclass(slots=True)
class _Pair:
    """The files found for one person, series and number."""

    jpegs: list[tuple[re.Match[str], JpegFile]] = field(default_factory=list)
    labels: list[tuple[re.Match[str], bytes]] = field(default_factory=list)


def _pair(
    path: Path, members: Iterable[tuple[str, JpegFile]], limits: Limits
) -> tuple[Photograph, ...]:
    """Pair each photograph with its label."""
    pairs: defaultdict[tuple[int, int, int], _Pair] = defaultdict(_Pair)
    problems = []
    for name, content in members:
        match = NAME.fullmatch(name)
        if match is None:
            raise AssertionError(f"{name} was not wanted")
        try:
            pair = pairs[identity_of(match)]
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        if match["kind"] == "jpg":
            pair.jpegs.append((match, content))
        elif isinstance(content, bytes):
            pair.labels.append((match, content))

    found = sorted(pairs.items())
    jpegs = [pair.jpegs[0][1] if pair.jpegs else b"" for _, pair in found]
    sizes = np.zeros((len(jpegs), 2), np.uint32)
    bad = dict(_core.jpeg_sizes(jpegs, limits.photograph_pixels, sizes, None))
    photographs = []
    for i, (identity, pair) in enumerate(found):
        try:
            photographs.append(_photograph(identity, pair, sizes[i].tolist(), bad.get(i)))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise DatabaseError(problems)
    if not photographs:
        raise DatabaseError(
            [f"{path}: no photographs found; their names are like Person01/person01100-90+0.jpg"]
        )
    return tuple(photographs)


def _photograph(
    identity: tuple[int, int, int], pair: _Pair, size: list[int], bad: str | None
) -> Photograph:
    """Make the record of a photograph and its label; raise ValueError naming the file at fault."""
    for files in (pair.jpegs, pair.labels):
        if len(files) > 1:
            names = " and ".join(sorted(match.string for match, _ in files))
            raise ValueError(f"{names}: two files for one person, series and number")
    if not pair.labels:
        raise ValueError(f"{pair.jpegs[0][0].string}: the photograph has no label (.txt) beside it")
    label, text = pair.labels[0]
    if not pair.jpegs:
        raise ValueError(f"{label.string}: the label has no photograph (.jpg) beside it")
    photograph, jpeg = pair.jpegs[0]
    if photograph["stem"] != label["stem"]:
        raise ValueError(f"{label.string}: the label is beside {photograph.string}")
    if bad is not None:
        raise ValueError(f"{photograph.string}: {bad}")
    try:
        face = parse_label(text, f"{label['stem']}.jpg")
    except ValueError as error:
        raise ValueError(f"{label.string}: {error}") from None
    width, height = size
    person, series, number = identity
    return Photograph(
        photograph.string,
        person,
        series,
        number,
        TILT_OF[photograph["tilt"]],
        PAN_OF[photograph["pan"]],
        face,
        width,
        height,
        jpeg,
        text,
    )
