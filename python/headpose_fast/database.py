"""Reading the Head Pose Image Database: names, labels, completeness, and the split."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple, NoReturn, overload

from headpose_fast import _core

#: The published database: 15 people x 2 series x 93 photographs.
PERSONS = range(1, 16)
SERIES = range(1, 3)
NUMBERS = range(93)

#: `Database.digest` of the published database.
PUBLISHED_DIGEST = "190d44a194b2eb24f27163ea45de08f9d26328ccc44a01fdee46fa546a6e7ad9"

TILTS = (-90, -60, -30, -15, 0, 15, 30, 60, 90)
PANS = (-90, -75, -60, -45, -30, -15, 0, 15, 30, 45, 60, 75, 90)

#: Problems that an error message lists; the rest are counted.
_MOST_LISTED = 20

#: Characters of a problem that are shown.
_MOST_SHOWN = 500

#: Members that belong to the database: `Person01/person01100-90+0.jpg` and its label, below any
#: folders, or the same with `Personne` and `personne` of an older distribution. `wanted` lets a
#: little more pass than is right, so that a misspelt angle is an error and not a stranger.
_NAME = re.compile(
    r"(?:.*/)?(?P<name>Person(?P<ne>ne)?(?P<folder>\d\d)/"
    r"(?P<stem>person(?(ne)ne)(?P<person>\d\d)(?P<series>\d)(?P<number>\d\d)"
    r"(?P<tilt>[+-]\d+)(?P<pan>[+-]\d+))\.(?P<kind>jpg|txt))",
    re.DOTALL | re.ASCII,
)
_FOLDER = re.compile(r"Person(ne)?\d\d", re.ASCII)
_TILT_OF = {f"{tilt:+d}": tilt for tilt in TILTS}
_PAN_OF = {f"{pan:+d}": pan for pan in PANS}
_LABEL_LINES = ("centre x", "centre y", "width", "height")
_INTEGER = re.compile(r"[+-]?\d{1,9}")


class DatabaseError(ValueError):
    """The database cannot be used. `problems` has one line each, which names the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all problems; the message lists the first of them."""
        self.problems = tuple(map(one_line, problems))
        lines = list(self.problems[:_MOST_LISTED])
        if len(self.problems) > _MOST_LISTED:
            lines.append(f"and {len(self.problems) - _MOST_LISTED} more such problems")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Limits:
    """What a database may ask of the machine: whatever exceeds it is refused before it is read.

    The published database is far below all of them. A larger one of your own may need larger ones.
    """

    #: Members of an archive, those included that do not belong to the database.
    members: int = 100_000
    #: Bytes of an archive.
    archive_bytes: int = 2 << 30
    #: Bytes that a gzipped archive unpacks to.
    unpacked_bytes: int = 2 << 30
    #: Bytes that each byte of a gzipped archive may unpack to, beyond 64 MiB that are free. The
    #: published database unpacks to 1.2 times its size, a bomb to a thousand times.
    expansion: int = 20
    #: Bytes of one photograph. The published ones have 8 to 17 KB.
    photograph_bytes: int = 32 << 20
    #: Pixels of one photograph, 2**26 at most. The published ones have 384 x 288.
    photograph_pixels: int = 1 << 24
    #: Bytes of one label. The published ones have 42 to 47.
    label_bytes: int = 4096


def printable(text: str) -> str:
    """Keep names and damaged headers from writing more than a line, or to the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Make a printable line of a text, of a length to be read."""
    text = printable(text)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


class FaceBox(NamedTuple):
    """A face's centre and size in pixels of the (oriented) picture, origin top left."""

    cx: int
    cy: int
    width: int
    height: int


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
    #: Of the picture in pixels, turned as its EXIF orientation says.
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
        """Show itself in a notebook: how much there is, and some photographs."""
        from headpose_fast.notebook import database_html

        return database_html(self)

    @property
    def persons(self) -> tuple[int, ...]:
        """The people in the database, ascending."""
        return tuple(sorted({photograph.person for photograph in self.photographs}))

    @property
    def digest(self) -> str:
        """Hash the content, however it is packed: SHA-256 in hexadecimal digits.

        That is of the lines `SHA256  PersonPP/NAME`, one for each photograph and label, ascending
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
        """Divide them into those to train with and those of the test people or series."""
        tests = [p.person in test_persons or p.series in test_series for p in self.photographs]
        pairs = list(zip(self.photographs, tests, strict=True))
        return tuple(p for p, test in pairs if not test), tuple(p for p, test in pairs if test)

    def missing(self) -> dict[tuple[int, int], list[int]]:
        """Find what lacks of the published 2,790 photographs: numbers by person and series."""
        there = {(p.person, p.series, p.number) for p in self.photographs}
        lacking = {
            (person, series): [n for n in NUMBERS if (person, series, n) not in there]
            for person in PERSONS
            for series in SERIES
        }
        return {of: numbers for of, numbers in lacking.items() if numbers}

    def require_complete(self, test_persons: Collection[int]) -> None:
        """Raise DatabaseError if published photographs lack, or all of a test person's."""
        missing = self.missing()
        problems = [
            f"{self.path}: person {person:02d} series {series} lacks {_ranges(numbers)}"
            for (person, series), numbers in missing.items()
        ]
        if missing:
            published = len(PERSONS) * len(SERIES) * len(NUMBERS)
            problems.insert(
                0,
                f"{self.path}: {sum(map(len, missing.values())):,} of the {published:,} published "
                "photographs lack (to go on without them: --allow-incomplete)",
            )
        problems += [
            f"{self.path}: test person {person:02d} has no photographs"
            for person in sorted(set(test_persons) - set(self.persons))
        ]
        if problems:
            raise DatabaseError(problems)


def _ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers briefly: `00-04, 17`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]:02d}" if len(run) == 1 else f"{run[0]:02d}-{run[-1]:02d}" for run in runs
    )


def open_database(path: str | os.PathLike[str], limits: Limits | None = None) -> Database:
    """Read a database from a `.tar`, `.tar.gz` or `.tgz` archive or a folder, unpacking nothing.

    Only files inside a folder `PersonPP` (or `PersonnePP`) that are named like the database's
    photographs count; whatever else is there is passed over, and links are never followed.

    Args:
        path: The archive, or a folder that holds the `PersonPP` folders, or else has them at some
            depth, or is one.
        limits: What it may ask of the machine; None for `Limits()`.

    Returns:
        The photographs with their labels. They need not be complete: see `Database.missing`.

    Raises:
        DatabaseError: The archive is damaged or none, or exceeds a limit, or holds a photograph
            without label or the reverse, two files for one person, series and number, a malformed
            name, label or JPEG header, or no photograph at all.
        OSError: `path` cannot be read.

    """
    path = Path(path)
    limits = limits or Limits()

    def wanted(name: str) -> int | None:
        match = _NAME.fullmatch(name)
        if match is None or name[0] == "/" or ".." in name.split("/"):
            return None
        return limits.photograph_bytes if match["kind"] == "jpg" else limits.label_bytes

    archive_limits = (
        limits.members,
        limits.archive_bytes,
        limits.unpacked_bytes,
        limits.expansion,
    )
    try:
        if path.is_dir():
            members = list(_read_folder(path, wanted))
        else:
            members = _core.read_archive(path, archive_limits, wanted)
    except ValueError as error:
        raise DatabaseError([f"{path}: {error}"]) from None
    return Database(path, _pair(path, members, limits))


def _read_folder(root: Path, wanted: Callable[[str], int | None]) -> Iterator[tuple[str, bytes]]:
    def fail(error: OSError) -> NoReturn:
        raise error

    if _FOLDER.fullmatch(root.resolve().name):
        base, people = root.resolve().parent, [root.resolve()]
    else:
        base = root
        # Where the folders are at hand, copies of them further down are not looked for.
        here = [p for p in root.iterdir() if _FOLDER.fullmatch(p.name) and not p.is_symlink()]
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
    """Bring each photograph and its label together."""
    pairs: defaultdict[tuple[int, int, int], _Pair] = defaultdict(_Pair)
    problems = []
    for name, content in members:
        match = _NAME.fullmatch(name)
        if match is None:
            raise AssertionError(f"{name} was not wanted")
        try:
            pair = pairs[_identity(match)]
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
            [f"{path}: no photographs found, which are named like Person01/person01100-90+0.jpg"]
        )
    return tuple(photographs)


def _identity(match: re.Match[str]) -> tuple[int, int, int]:
    """Person, series and number of a name, or ValueError saying what is wrong with it."""
    person, series, number = int(match["person"]), int(match["series"]), int(match["number"])
    if match["person"] != match["folder"]:
        raise ValueError(f"person {match['person']} in the folder of person {match['folder']}")
    if person == 0:
        raise ValueError("people are numbered from 01")
    if series not in SERIES:
        raise ValueError(f"series {series} is neither 1 nor 2")
    if number not in NUMBERS:
        raise ValueError(f"number {number} is not one of 00 to 92")
    if match["tilt"] not in _TILT_OF:
        raise ValueError(f"tilt {match['tilt']} is not one of {', '.join(_TILT_OF)}")
    if match["pan"] not in _PAN_OF:
        raise ValueError(f"pan {match['pan']} is not one of {', '.join(_PAN_OF)}")
    if abs(_TILT_OF[match["tilt"]]) == 90 and match["pan"] != "+0":
        raise ValueError(f"at tilt {match['tilt']} pan must be +0")
    return person, series, number


def _photograph(
    identity: tuple[int, int, int], pair: _Pair, size: tuple[int, int], bad: str | None
) -> Photograph:
    """Make the record of a photograph and its label, or ValueError naming the file at fault."""
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
        _TILT_OF[photograph["tilt"]],
        _PAN_OF[photograph["pan"]],
        face,
        *size,
        jpeg,
        text,
    )


def parse_label(content: bytes, picture: str) -> FaceBox:
    """Parse a label: the picture's name, an empty line, `Face`, and four integers, a line each.

    Other line ends, trailing blanks and empty lines at the end are accepted.

    Args:
        content: The label file.
        picture: The name its first line must have.

    Raises:
        ValueError: The content is something else; the message says where.

    """
    try:
        lines = [line.rstrip() for line in content.decode("ascii").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not ASCII") from None
    while lines and not lines[-1]:
        lines.pop()
    expected = 3 + len(_LABEL_LINES)
    if len(lines) != expected:
        raise ValueError(f"{len(lines)} lines instead of {expected}")
    if lines[0] != picture:
        raise ValueError(f"line 1 names another picture, {lines[0][:80]!r}")
    if lines[1] or lines[2] != "Face":
        raise ValueError("lines 2 and 3 are not an empty line and 'Face'")
    values = []
    for number, (line, what) in enumerate(zip(lines[3:], _LABEL_LINES, strict=True), start=4):
        if not _INTEGER.fullmatch(line):
            raise ValueError(f"line {number} ({what}) is {line[:80]!r}, not a whole number")
        values.append(int(line))
    return FaceBox(*values)
