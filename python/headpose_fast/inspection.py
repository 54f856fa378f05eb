"""What is in a bundle: facts for people and programs, and an index of its samples.

Nothing here runs code that a file might hold, and no file is in memory whole.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle import Bundle, Kind, is_original, read_layout, read_old, read_rows
from headpose_fast.database import (
    PANS,
    PUBLISHED_DIGEST,
    TILTS,
    Database,
    DatabaseError,
    open_database,
    printable,
)
from headpose_fast.download import databases_at_hand, find_database
from headpose_fast.output import output_file, require_writable
from headpose_fast.pipeline import Job, plan
from headpose_fast.progress import Progress, bar
from headpose_fast.trailer import read_trailer
from headpose_fast.verification import BundleError

#: Array data that is looked at at once.
_BLOCK_BYTES = 1 << 20

#: The parts of a bundle, and how the names of their arrays begin.
PARTS = {"train": "trn", "test": "test"}

#: Columns of an index.
_COLUMNS = (
    *("array", "row", "person", "series", "number", "tilt", "pan"),
    *("crop_x", "crop_y", "crop_width", "crop_height"),
)

#: Degrees by which a label may miss a pose: float32 misses by 1e-6.
_NEAR = 0.01


class PoseRows(NamedTuple):
    """The samples of a pose."""

    samples: int
    #: Row of the first of them.
    first_row: int


@dataclass(frozen=True)
class Values:
    """The range of an array's values, of those that are finite."""

    #: None if there are none.
    minimum: float | None
    maximum: float | None
    mean: float | None
    #: Infinities and NaNs, of which a bundle of this program has none.
    not_finite: int


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found in a bundle."""

    path: Path
    #: Bytes in the file.
    size: int
    #: `original` for a file of the original script.
    kind: Kind | Literal["original"]
    #: By array, in the order of `Bundle`.
    shapes: dict[str, tuple[int, ...]]
    #: The headpose-fast that wrote it. This and the next two come from the trailer: None without.
    version: str | None
    #: What the samples follow from besides the database: options of `prepare`.
    options: dict[str, Any] | None
    #: The `Database.digest` of the database it was made of.
    database: str | None
    #: Value ranges by array.
    values: dict[str, Values]
    #: By `train` and `test`, and tilt and pan in degrees, the poses that occur.
    poses: dict[str, dict[tuple[int, int], PoseRows]]
    #: Samples with labels that are no pose of the database, by `train` and `test`.
    other_labels: dict[str, int]

    @property
    def published(self) -> bool | None:
        """Whether it was made of the published database; None if that is not known."""
        return None if self.database is None else self.database == PUBLISHED_DIGEST

    def facts(self) -> dict[str, Any]:
        """Tell all of it in values that JSON has; `docs/inspect.md` explains them."""
        return {
            "path": os.fspath(self.path),
            "size": self.size,
            "kind": self.kind,
            "version": self.version,
            "options": self.options,
            "database": self.database,
            "published": self.published,
            "arrays": {
                name: {"shape": list(self.shapes[name]), **vars(self.values[name])}
                for name in self.shapes
            },
            "poses": {
                part: [
                    {"tilt": tilt, "pan": pan, **rows._asdict()}
                    for (tilt, pan), rows in self.poses[part].items()
                ]
                for part in PARTS
            },
            "other_labels": self.other_labels,
        }

    def __str__(self) -> str:
        """Tell all of it in lines of at most 100 characters, but for long names and options."""
        lines = [f"{plain(self.path)}: {self.size:,} bytes, {self.origin}"]
        if self.options is None or self.database is None:
            lines.append("options, seed, database: unknown, the file has no trailer")
        else:
            options = (f"{name} {json.dumps(value)}" for name, value in self.options.items())
            lines.append(f"options: {', '.join(options)}")
            published = "the published one" if self.published else "not the published one"
            lines.append(f"database: {plain(self.database)} ({published})")
        lines += ["", f"{'array':<12}{'shape':<24}{'minimum':>10}{'maximum':>10}{'mean':>10}"]
        for name, shape in self.shapes.items():
            values = self.values[name]
            numbers = (values.minimum, values.maximum, values.mean)
            told = "".join(f"{'-' if x is None else format(x, '.4g'):>10}" for x in numbers)
            strange = f"   {values.not_finite:,} not finite" if values.not_finite else ""
            lines.append(f"{name:<12}{' x '.join(map(str, shape)):<24}{told}{strange}")
        for part, poses in self.poses.items():
            lines += ["", f"{part} samples by tilt (rows) and pan (columns) in degrees"]
            lines += _table(poses)
            if self.other_labels[part]:
                lines.append(f"{self.other_labels[part]:,} with labels that are none of its poses")
        return "\n".join(lines)

    @property
    def origin(self) -> str:
        """What wrote the file, in words."""
        if self.kind == "original":
            return "as the original script writes it"
        return f"kind {self.kind}" + (
            f", written by headpose-fast {plain(self.version)}" if self.version else ""
        )


def axes(poses: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Give the tilts and pans of a table of poses: up is above, and pan grows to the right."""
    poses = list(poses)
    return sorted({tilt for tilt, _ in poses}, reverse=True), sorted({pan for _, pan in poses})


def _table(poses: dict[tuple[int, int], PoseRows]) -> Iterator[str]:
    tilts, pans = axes(poses)
    width = max([5, *(len(f" {rows.samples}") for rows in poses.values())])
    if poses:
        yield " " * 6 + "".join(f"{pan:>+{width}d}" for pan in pans)
    for tilt in tilts:
        row = (poses.get((tilt, pan)) for pan in pans)
        yield f"{tilt:>+6d}" + "".join(f"{rows.samples if rows else '.':>{width}}" for rows in row)


def plain(text: object) -> str:
    """Write a name in one line of ASCII, which no terminal obeys and every font has."""
    return printable(str(text).encode("ascii", "backslashreplace").decode())


def inspect(path: str | os.PathLike[str], *, progress: Progress | bool = False) -> Inspection:
    """Look into a bundle of any kind, or a file of the original script, without the pickle machine.

    All of it is read once, in pieces of a few megabytes.

    Args:
        path: The file.
        progress: Is told the bytes read and the file's from time to time; True for a bar, in a
            terminal or notebook.

    Raises:
        BundleError: The file is no such bundle, is damaged, or ends early. Array data is not
            compared with its checksums: `verify` does that.
        OSError: It cannot be read.

    """
    path = Path(path)
    with reading(path) as reader, bar("inspect", "B", progress) as shown:
        size = os.fstat(reader.file.fileno()).st_size
        shapes: dict[str, tuple[int, ...]] = {}
        ranges = {name: _Range() for name in Bundle._fields}
        counts = {f"{name}_output": _PoseCount() for name in PARTS.values()}
        for name, shape, first, rows in reader.blocks():
            shapes[name] = shape
            ranges[name].add(rows)
            if name in counts:
                counts[name].add(first, rows)
            if shown is not None:
                shown(reader.file.tell(), size)
        if shown is not None:
            shown(size, size)
        trailer = reader.trailer or {}
        by_part = {part: counts[f"{name}_output"] for part, name in PARTS.items()}
        return Inspection(
            path=path,
            size=size,
            kind=reader.kind,
            shapes=shapes,
            version=trailer.get("headpose_fast"),
            options=trailer.get("options"),
            database=trailer.get("database"),
            values={name: values.result() for name, values in ranges.items()},
            poses={part: count.poses() for part, count in by_part.items()},
            other_labels={part: count.others for part, count in by_part.items()},
        )


class _Range:
    """Gathers an array's range, piece by piece."""

    def __init__(self) -> None:
        self._minimum, self._maximum = math.inf, -math.inf
        self._sum = 0.0
        self._values = self._not_finite = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        with np.errstate(invalid="ignore"):
            total = float(rows.sum(dtype=np.float64))
        if not math.isfinite(total):
            finite = rows[np.isfinite(rows)]
            self._not_finite += rows.size - finite.size
            if finite.size == 0:
                return
            rows, total = finite, float(finite.sum(dtype=np.float64))
        self._minimum = min(self._minimum, float(rows.min()))
        self._maximum = max(self._maximum, float(rows.max()))
        self._sum += total
        self._values += rows.size

    def result(self) -> Values:
        if not self._values:
            return Values(None, None, None, self._not_finite)
        mean = self._sum / self._values
        return Values(self._minimum, self._maximum, mean, self._not_finite)


class _PoseCount:
    """Counts the poses of labels, piece by piece."""

    def __init__(self) -> None:
        self._samples = np.zeros(len(TILTS) * len(PANS), np.int64)
        self._first_rows: dict[int, int] = {}
        self.others = 0

    def add(self, first: int, labels: NDArray[np.float32]) -> None:
        # A signalling NaN warns when it is converted.
        with np.errstate(invalid="ignore"):
            degrees = labels.astype(np.float64) * 90
        tilts = np.abs(degrees[:, :1] - TILTS) < _NEAR
        pans = np.abs(degrees[:, 1:] - PANS) < _NEAR
        # Straight up and down, heads do not turn.
        level = np.abs(degrees[:, 0]) < 90 - _NEAR
        ahead = pans[:, PANS.index(0)]
        known = np.flatnonzero(tilts.any(axis=1) & pans.any(axis=1) & (level | ahead))
        self.others += len(labels) - len(known)
        poses = (tilts.argmax(axis=1) * len(PANS) + pans.argmax(axis=1))[known]
        self._samples += np.bincount(poses, minlength=len(self._samples))
        for pose, at in zip(*np.unique(poses, return_index=True), strict=True):
            self._first_rows.setdefault(int(pose), first + int(known[at]))

    def poses(self) -> dict[tuple[int, int], PoseRows]:
        return {
            (TILTS[pose // len(PANS)], PANS[pose % len(PANS)]): PoseRows(
                int(self._samples[pose]), self._first_rows[pose]
            )
            for pose in sorted(self._first_rows)
        }


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BundleReader]:
    """Open a bundle to read pieces of it; what is wrong with it is a BundleError that names it."""
    with path.open("rb") as file:
        try:
            yield BundleReader(file)
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from None


class BundleReader:
    """Reads a bundle's arrays in pieces."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read what stands around the array data; of the original script's files, nothing yet.

        Raises:
            ValueError: The file is no bundle, is damaged, or ends early.

        """
        self.file = file
        #: None for a file of the original script, or one without.
        self.trailer: dict[str, Any] | None = None
        self._layout = None if is_original(file) else read_layout(file)
        if self._layout is not None:
            has_trailer = file.seek(0, os.SEEK_END) > self._layout.length
            self.trailer = read_trailer(file, self._layout) if has_trailer else None

    @property
    def kind(self) -> Kind | Literal["original"]:
        """The kind of file."""
        return "original" if self._layout is None else self._layout.kind

    def blocks(self) -> Iterator[tuple[str, tuple[int, ...], int, NDArray[np.float32]]]:
        """Give all rows in the order of the file: array, its shape, number of the first, rows."""
        if self._layout is None:
            yield from self._old_blocks()
            return
        for name, array in zip(Bundle._fields, self._layout.arrays, strict=True):
            most = max(1, _BLOCK_BYTES // array.row_bytes)
            for piece in array.pieces:
                for start in range(0, piece.rows, most):
                    rows = np.empty((min(most, piece.rows - start), *array.shape[1:]), np.float32)
                    offset = piece.offset + start * array.stored_row_bytes
                    read_rows(self.file, self._layout, array, offset, rows)
                    yield name, array.shape, piece.first_row + start, rows

    def _old_blocks(self) -> Iterator[tuple[str, tuple[int, ...], int, NDArray[np.float32]]]:
        for name, (shape, chunks) in zip(Bundle._fields, read_old(self.file), strict=True):
            row_bytes = math.prod(shape[1:]) * 4
            first, data = 0, b""
            for chunk in chunks:
                data += chunk
                whole = len(data) // row_bytes
                if whole:
                    values = np.frombuffer(data, "<f4", whole * row_bytes // 4)
                    yield name, shape, first, values.reshape(whole, *shape[1:])
                    data = data[whole * row_bytes :]
                    first += whole

    def rows(self, name: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array. The original script's files are read from their beginning."""
        if self._layout is None:
            found = {
                row: rows[row - first].copy()
                for array, _, first, rows in self.blocks()
                if array == name
                for row in wanted
                if first <= row < first + len(rows)
            }
            return np.stack([found[row] for row in wanted])
        array = self._layout.arrays[Bundle._fields.index(name)]
        out = np.empty((len(wanted), *array.shape[1:]), np.float32)
        for i, offset in enumerate(array.row_offsets()[list(wanted)].tolist()):
            read_rows(self.file, self._layout, array, offset, out[i : i + 1])
        return out


def database_of(
    inspection: Inspection, source: str | os.PathLike[str] | None = None
) -> Database | None:
    """Open the database that a bundle was made of.

    Args:
        inspection: What `inspect` found in the bundle.
        source: The database, a path or an address, which is not compared; None to look in the
            current folder and the cache folder for the one of the right digest.

    Returns:
        The database; None if `source` is None and it is not there.

    Raises:
        DatabaseError: `source` is damaged.
        OSError: It cannot be read.

    """
    if source is not None:
        return open_database(find_database(source))
    for path in databases_at_hand():
        with contextlib.suppress(DatabaseError):
            database = open_database(path)
            if database.digest == inspection.database:
                return database
    return None


def plan_again(inspection: Inspection, database: Database | None) -> Job:
    """Tell which photograph and crop every sample of a bundle is.

    Raises:
        BundleError: The bundle does not tell its options, or the database is another or None.

    """
    path, options = inspection.path, inspection.options
    if options is None:
        raise BundleError(
            f"{path}: it has no trailer with its options, so that its samples' photographs and "
            "crops are unknown"
        )
    if database is None:
        raise BundleError(
            f"{path}: the database it was made of is neither in the current folder nor in the "
            "cache: name it with --input"
        )
    if database.digest != inspection.database:
        raise BundleError(f"{path}: made of another database than {database.path}")
    job = plan(database, **options)
    for part, crops in (("train", job.crops.train), ("test", job.crops.test)):
        samples = inspection.shapes[f"{PARTS[part]}_im"][0]
        if math.prod(crops.shape[:2]) != samples:
            raise BundleError(f"{path}: its options do not make its {samples:,} {part} samples")
    return job


def write_index(
    inspection: Inspection, output: str | os.PathLike[str], database: Database | None
) -> Path:
    """Write a CSV file that tells of every sample which photograph and crop it is.

    Its columns are `array` (trn or test), `row`, `person`, `series`, `number`, `tilt` and `pan` in
    degrees, and `crop_x`, `crop_y`, `crop_width` and `crop_height` in pixels of the photograph.

    Args:
        inspection: What `inspect` found in the bundle.
        output: The file to write; an existing one is replaced once the new one is complete.
        database: What the bundle was made of, as `database_of` gives it.

    Raises:
        BundleError: The bundle does not tell its options, or the database is another or None.
        OSError: The file cannot be written.
        ValueError: The file would replace the bundle or the database.

    """
    job = plan_again(inspection, database)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for array, part, crops in (
        ("trn", job.train, job.crops.train),
        ("test", job.test, job.crops.test),
    ):
        known = [(p.person, p.series, p.number, p.tilt, p.pan) for p in part]
        for row, crop in enumerate(crops.reshape(-1, 4).tolist()):
            writer.writerow((array, row, *known[row % len(part)], *crop))
    return write_beside(inspection, output, text.getvalue().encode(), database)


def write_beside(
    inspection: Inspection,
    output: str | os.PathLike[str],
    content: bytes,
    database: Database | None,
) -> Path:
    """Write what belongs to a bundle into a file, complete or not at all.

    Raises:
        OSError: The file cannot be written.
        ValueError: The file would replace the bundle or the database.

    """
    output = Path(output)
    require_writable(output)
    for source in (inspection.path, *([database.path] if database else [])):
        if output.exists() and source.exists() and output.samefile(source):
            raise ValueError(f"{output}: it would replace what it is made of")
    with output_file(output, len(content), sync=False) as (_, file):
        file.write(content)
    return output
