"""Reading a database from an archive or a folder."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NoReturn

from headpose_fast import _core
from headpose_fast.database.names import FOLDER, NAME, PAN_OF, TILT_OF, identity_of, parse_label
from headpose_fast.database.photographs import Database, Photograph
from headpose_fast.errors import DatabaseError


@dataclass(frozen=True)
class Limits:
    """Limits on what a database may demand: anything that exceeds them is refused unread.

    The published database is far below all of them. A larger one of your own may need other values.
    """

    #: Members of an archive, including those that do not belong to the database.
    members: int = 100_000
    #: Bytes of an archive.
    archive_bytes: int = 2 << 30
    #: Bytes that a gzipped archive may unpack to.
    unpacked_bytes: int = 2 << 30
    #: Bytes that each byte of a gzipped archive may unpack to, beyond the first 64 MiB. The
    #: published database unpacks to 1.2 times its size, a bomb to a thousand times.
    expansion: int = 20
    #: Bytes of one photograph. The published ones have 8 to 17 KB.
    photograph_bytes: int = 32 << 20
    #: Pixels of one photograph, 2**26 at most. The published ones have 384 x 288.
    photograph_pixels: int = 1 << 24
    #: Bytes of one label. The published ones have 42 to 47.
    label_bytes: int = 4096


def open_database(path: str | os.PathLike[str], limits: Limits | None = None) -> Database:
    """Read a database from a `.tar`, `.tar.gz` or `.tgz` archive or a folder, unpacking nothing.

    Only files in a folder `PersonPP` (or `PersonnePP`) that are named like the database's
    photographs are read. Everything else is skipped, and links are never followed.

    Args:
        path: The archive, or a folder. It may contain the `PersonPP` folders, directly or at some
            depth, or be one of them.
        limits: Limits on what it may demand; None for `Limits()`.

    Returns:
        The photographs with their labels. The set need not be complete: see `Database.missing`.

    Raises:
        DatabaseError: The file is not an archive, is damaged, exceeds a limit, or holds a
            photograph without a label or the reverse, two files for one person, series and
            number, a malformed name, label or JPEG header, or no photograph at all.
        OSError: `path` cannot be read.

    """
    path = Path(path)
    limits = limits or Limits()

    def wanted(name: str) -> int | None:
        match = NAME.fullmatch(name)
        if match is None or name[0] == "/" or ".." in name.split("/"):
            return None
        return limits.photograph_bytes if match["kind"] == "jpg" else limits.label_bytes

    try:
        if path.is_dir():
            members = list(_read_folder(path, wanted))
        else:
            members = _core.read_archive(path, limits, wanted)
    except ValueError as error:
        raise DatabaseError([f"{path}: {error}"]) from None
    return Database(path, _pair(path, members, limits))


def _read_folder(root: Path, wanted: Callable[[str], int | None]) -> Iterator[tuple[str, bytes]]:
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
            most = wanted(name)
            if most is not None and not path.is_symlink() and path.is_file():
                with path.open("rb") as opened:
                    content = opened.read(most + 1)
                if len(content) > most:
                    raise ValueError(f"{name}: more than the {most} bytes allowed")
                yield name, content


@dataclass(slots=True)
class _Pair:
    """The files found for one person, series and number."""

    jpegs: list[tuple[re.Match[str], bytes]] = field(default_factory=list)
    labels: list[tuple[re.Match[str], bytes]] = field(default_factory=list)


def _pair(
    path: Path, members: Iterable[tuple[str, bytes]], limits: Limits
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
        (pair.jpegs if match["kind"] == "jpg" else pair.labels).append((match, content))

    found = sorted(pairs.items())
    jpegs = [pair.jpegs[0][1] if pair.jpegs else b"" for _, pair in found]
    sizes, failures = _core.jpeg_sizes(jpegs, limits.photograph_pixels)
    bad = dict(failures)
    photographs = []
    for i, (identity, pair) in enumerate(found):
        try:
            photographs.append(_photograph(identity, pair, sizes[i], bad.get(i)))
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
    identity: tuple[int, int, int], pair: _Pair, size: tuple[int, int], bad: str | None
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
    return Photograph(
        photograph.string,
        *identity,
        TILT_OF[photograph["tilt"]],
        PAN_OF[photograph["pan"]],
        face,
        *size,
        jpeg,
        text,
    )
