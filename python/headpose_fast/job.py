"""The job: the samples of a bundle, described before any of them is rendered.

Everything that makes, checks or explains samples starts from a `Job`. It holds photographs and
crops but no pixels of samples. It depends only on a database and options: the same two make the
same job on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_fast.database.databases import Database
from headpose_fast.database.photographs import (
    JpegFile,
    Photograph,
    columns_of,
    persons_of,
    series_of,
    stretches,
)
from headpose_fast.errors import DatabaseError
from headpose_fast.samples.options import Options
from headpose_fast.samples.rendering import plan_crops

#: The parts of a job, and the prefixes of their arrays' names.
PREFIXES = {"train": "trn", "test": "test"}


def require_parts(
    database: Database, train: Sequence[Photograph], test: Sequence[Photograph]
) -> None:
    """Raise DatabaseError if a part of a database is empty."""
    for part, verb in ((train, "train"), (test, "test")):
        if not part:
            raise DatabaseError([f"{database.path}: there are no photographs to {verb} on"])


def shard_bounds(photographs: int, shard: int, shards: int) -> tuple[int, int]:
    """Return the first of the photographs that a shard has, and the end of them."""
    return photographs * shard // shards, photographs * (shard + 1) // shards


@dataclass(frozen=True, eq=False)
class Part:
    """The training samples or the test samples."""

    #: `train` or `test`.
    name: str
    photographs: Sequence[Photograph]
    #: int32 (passes, photographs, 4): x, y, width and height in pixels. Row `k * n + i` of the
    #: part's arrays is pass k of photograph i of n.
    crops: NDArray[np.int32]

    @property
    def prefix(self) -> str:
        """The prefix of its arrays' names."""
        return PREFIXES[self.name]

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.crops) * len(self.photographs)

    def cut(self, shard: int, shards: int) -> Part:
        """Return the stretch of it that a shard has."""
        first, end = shard_bounds(len(self.photographs), shard, shards)
        crops = np.ascontiguousarray(self.crops[:, first:end])
        return Part(self.name, self.photographs[first:end], crops)

    def stretches(self) -> Iterator[tuple[slice, list[JpegFile]]]:
        """Yield the photographs and their JPEG files, see `database.photographs.stretches`."""
        return stretches(self.photographs)

    def labels(self) -> NDArray[np.float32]:
        """Tilt and pan of every sample in units of 90 degrees, divided in float32: (rows, 2)."""
        columns = columns_of(self.photographs)
        once = np.column_stack([columns.tilts, columns.pans]).astype(np.float32) / np.float32(90)
        return np.tile(once, (len(self.crops), 1))

    def persons(self) -> tuple[int, ...]:
        """The people in it, ascending."""
        return persons_of(self.photographs)

    def series(self) -> tuple[int, ...]:
        """The series in it, ascending."""
        return series_of(self.photographs)


@dataclass(frozen=True, eq=False)
class Job:
    """What is rendered: two parts, whose samples have one size."""

    options: Options
    #: The `Database.digest` of the database.
    digest: str
    train: Part
    test: Part
    #: Which shard of how many it is, from 0; None for a whole job.
    shard: tuple[int, int] | None = None

    @classmethod
    def plan(cls, database: Database, digest: str, options: Options) -> Job:
        """Split a database and plan its crops.

        Raises DatabaseError if a part would be empty, or a face box allows no crop.
        """
        train, test = database.split(options.test_persons, options.test_series)
        require_parts(database, train, test)
        crops = plan_crops(
            train,
            test,
            num_data_aug=options.num_data_aug,
            num_data_aug_val=options.num_data_aug_val,
            aspect_ratio=options.aspect_ratio,
            seed=options.seed,
        )
        return cls(
            options, digest, Part("train", train, crops.train), Part("test", test, crops.test)
        )

    def cut(self, shard: int, shards: int) -> Job:
        """Return one of the shards of a whole job."""
        train, test = (part.cut(shard, shards) for part in self.parts)
        return Job(self.options, self.digest, train, test, (shard, shards))

    @property
    def parts(self) -> tuple[Part, Part]:
        """Both parts, in the order of a bundle's arrays."""
        return self.train, self.test
