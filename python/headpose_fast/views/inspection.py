"""What is in a bundle: facts for people and programs.

Nothing here runs code that a file might contain, and no file is held in memory as a whole.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import Bundle, Counts
from headpose_fast.bundle.forms import reading
from headpose_fast.bundle.sharded_reading import ShardedReader
from headpose_fast.database.databases import PUBLISHED_DIGEST, Database
from headpose_fast.database.names import PANS, TILTS
from headpose_fast.errors import BundleError
from headpose_fast.job import PREFIXES, Job
from headpose_fast.progress import Progress, bar
from headpose_fast.samples.options import Options
from headpose_fast.text import plain

#: Degrees by which a label may miss a pose: float32 misses by 1e-6.
_NEAR = 0.01


class PoseRows(NamedTuple):
    """The samples of a pose."""

    samples: int
    #: Row of the first of them.
    first_row: int


@dataclass(frozen=True)
class Values:
    """The range of an array's finite values."""

    #: None if there are none.
    minimum: float | None
    maximum: float | None
    mean: float | None
    #: Infinities and NaNs, which no bundle of this program contains.
    not_finite: int


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found in a bundle."""

    path: Path
    #: Bytes in the file, or in all shards of an index.
    size: int
    #: `original` for a file of the original script.
    kind: str
    #: Shapes by array, in the order of `Bundle`.
    shapes: dict[str, tuple[int, ...]]
    #: Version of headpose-fast. This and the next two come from the trailer; None without one.
    version: str | None
    #: The options of `prepare` that, besides the database, determine the samples.
    options: dict[str, Any] | None
    #: The `Database.digest` of the database it was made from.
    database: str | None
    #: Which shard of how many it is, from 0; None for one that has all samples.
    shard: list[int] | None
    #: Number of shards that an index lists; None for one file.
    shards: int | None
    #: Value ranges by array.
    values: dict[str, Values]
    #: The poses that occur, by `train` and `test`, then by tilt and pan in degrees.
    poses: dict[str, dict[tuple[int, int], PoseRows]]
    #: The number of samples whose label matches no pose of the database, by `train` and `test`.
    other_labels: dict[str, int]

    @property
    def published(self) -> bool | None:
        """Whether it was made from the published database; None if that is not known."""
        return None if self.database is None else self.database == PUBLISHED_DIGEST

    def job(self, database: Database | None) -> Job:
        """Plan the job that it was made by, as `job_of` does."""
        (train, _, height, width), (test, *_) = self.shapes["trn_im"], self.shapes["test_im"]
        counts = Counts(train, test, height, width)
        return job_of(self.path, counts, self.options, self.database, database, self.shard)

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON values; `docs/inspect.md` explains them."""
        return {
            "path": os.fspath(self.path),
            "size": self.size,
            "kind": self.kind,
            "version": self.version,
            "options": self.options,
            "database": self.database,
            "shard": self.shard,
            "shards": self.shards,
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
                for part in PREFIXES
            },
            "other_labels": self.other_labels,
        }

    def __str__(self) -> str:
        """Describe all of it in lines of at most 100 characters, but for long names and options."""
        shards = "" if self.shards is None else f" in {self.shards:,} shards"
        lines = [f"{plain(self.path)}: {self.size:,} bytes{shards}, {self.origin}"]
        if self.options is None or self.database is None:
            lines.append("options, seed and database unknown: the file has no trailer")
        else:
            options = (f"{name} {json.dumps(value)}" for name, value in self.options.items())
            lines.append(f"options: {', '.join(options)}")
            published = "the published one" if self.published else "not the published one"
            lines.append(f"database: {plain(self.database)} ({published})")
            if self.shard is not None:
                lines.append(f"shard {self.shard[0]} of {self.shard[1]}, counted from 0")
        lines += ["", f"{'array':<12}{'shape':<24}{'minimum':>10}{'maximum':>10}{'mean':>10}"]
        for name, shape in self.shapes.items():
            values = self.values[name]
            numbers = (values.minimum, values.maximum, values.mean)
            numbers_text = "".join(f"{'-' if x is None else format(x, '.4g'):>10}" for x in numbers)
            strange = f"   {values.not_finite:,} not finite" if values.not_finite else ""
            lines.append(f"{name:<12}{' x '.join(map(str, shape)):<24}{numbers_text}{strange}")
        for part, poses in self.poses.items():
            lines += ["", f"{part} samples by tilt (rows) and pan (columns) in degrees"]
            lines += _table(poses)
            if self.other_labels[part]:
                lines.append(f"{self.other_labels[part]:,} with labels that match no pose")
        return "\n".join(lines)

    @property
    def origin(self) -> str:
        """What wrote the file, in words."""
        if self.kind == "original":
            return "in the original script's format"
        return f"kind {self.kind}" + (
            f", written by headpose-fast {plain(self.version)}" if self.version else ""
        )


def axes(poses: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return the tilts, highest first, and the pans of a table of poses."""
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


def inspect(path: str | os.PathLike[str], *, progress: Progress | bool = False) -> Inspection:
    """Look into a bundle, shards, or a file of the original script, without unpickling it.

    All of it is read once, in pieces of a few megabytes.

    Args:
        path: The file, or the index of shards.
        progress: Called from time to time with the bytes read and the size of all; True for a
            progress bar in a terminal or notebook.

    Raises:
        BundleError: The file is not a bundle, is damaged, or ends early. Array data is not
            compared with its checksums: `verify` does that.
        OSError: It cannot be read.

    """
    path = Path(path)
    with reading(path) as reader, bar("inspect", "B", progress) as report:
        size = reader.size if isinstance(reader, ShardedReader) else path.stat().st_size
        shapes: dict[str, tuple[int, ...]] = {}
        ranges = {name: _Range() for name in Bundle._fields}
        counts = {f"{prefix}_output": _PoseCount() for prefix in PREFIXES.values()}
        for block in reader.blocks():
            shapes[block.array] = block.shape
            ranges[block.array].add(block.rows)
            if block.array in counts:
                counts[block.array].add(block.first_row, block.rows)
            report(block.end, size)
        report(size, size)
        trailer = reader.trailer or {}
        by_part = {part: counts[f"{prefix}_output"] for part, prefix in PREFIXES.items()}
        return Inspection(
            path=path,
            size=size,
            kind=reader.kind,
            shapes=shapes,
            version=trailer.get("headpose_fast"),
            options=trailer.get("options"),
            database=trailer.get("database"),
            shard=trailer.get("shard"),
            shards=trailer.get("shards"),
            values={name: values.result() for name, values in ranges.items()},
            poses={part: count.poses() for part, count in by_part.items()},
            other_labels={part: count.others for part, count in by_part.items()},
        )


def job_of(
    path: Path,
    counts: Counts,
    options: dict[str, Any] | None,
    digest: str | None,
    database: Database | None,
    shard: Sequence[int] | None = None,
) -> Job:
    """Plan the job that a bundle was made by, from what its trailer records and the database.

    Raises BundleError if it has no trailer, or the database is another or None.
    """
    if options is None:
        raise BundleError(
            f"{path}: it has no trailer with its options, so its samples' photographs and "
            "crops are unknown"
        )
    if database is None:
        raise BundleError(
            f"{path}: the database it was made from is neither in the current folder nor in the "
            "cache: name it with --input"
        )
    if database.digest != digest:
        raise BundleError(f"{path}: made from a database other than {database.path}")
    size = (counts.width, counts.height)
    job = Job.plan(database, digest, Options.from_record(options, size))
    if shard is not None:
        job = job.cut(*shard)
    for part, samples in zip(job.parts, counts, strict=False):
        if part.rows != samples:
            raise BundleError(
                f"{path}: its options do not produce its {samples:,} {part.name} samples"
            )
    return job


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
        # Heads that look straight up or down do not turn.
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
