"""Which shards a job has, and what each of them takes to be made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import Counts
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.shards import Index, Shard, Stretch, new_index, numbered
from headpose_fast.database.databases import Database
from headpose_fast.database.photographs import Photograph
from headpose_fast.errors import DatabaseError
from headpose_fast.job import Job, Part, require_parts, shard_bounds
from headpose_fast.samples.options import Options
from headpose_fast.samples.rendering import plan_states, plan_stretch

#: States of the stream of random numbers that a plan keeps, of 2.5 KB each.
_MOST_STATES = 100_000


@dataclass(frozen=True, eq=False)
class Task:
    """A shard to make: all of it but the photographs, which are large or elsewhere."""

    kind: Kind
    options: Options
    #: Of the database.
    digest: str
    #: Which shard of how many.
    shard: int
    shards: int
    #: Of the photographs of each part that it has.
    train: Stretch
    test: Stretch
    #: uint32 (passes, 624): where in the stream of random numbers each pass over them begins.
    train_states: NDArray[np.uint32]
    test_states: NDArray[np.uint32]
    #: Of the shard's file.
    name: str

    def job(self, train: Sequence[Photograph], test: Sequence[Photograph]) -> Job:
        """Plan its crops again, for its photographs."""
        ratio = self.options.aspect_ratio
        return Job(
            self.options,
            self.digest,
            Part("train", train, plan_stretch(train, self.train_states, ratio)),
            Part("test", test, plan_stretch(test, self.test_states, ratio)),
            (self.shard, self.shards),
        )

    @property
    def counts(self) -> Counts:
        """Of its samples."""
        width, height = self.options.size
        train = self.train.photographs * self.options.num_data_aug
        test = self.test.photographs * self.options.num_data_aug_val
        return Counts(train, test, height, width)


@dataclass(frozen=True, eq=False)
class Plan:
    """A job in shards. Crops are not kept, only the states where each shard's begin."""

    kind: Kind
    options: Options
    digest: str
    shards: int
    train: Sequence[Photograph]
    test: Sequence[Photograph]
    #: uint32 (passes, shards, 624).
    train_states: NDArray[np.uint32]
    test_states: NDArray[np.uint32]
    #: Of the index.
    name: str

    @classmethod
    def make(
        cls,
        database: Database,
        digest: str,
        options: Options,
        kind: Kind,
        shards: int,
        name: str,
    ) -> Plan:
        """Split a database, and draw all crops once.

        Raises DatabaseError if a part would be empty, a shard would have nothing of it, or a face
        box allows no crop; ValueError for too many shards.
        """
        passes = options.num_data_aug + options.num_data_aug_val
        if shards * passes > _MOST_STATES:
            raise ValueError(
                f"{shards:,} shards are too many for {passes:,} passes: "
                f"ask for at most {_MOST_STATES // passes:,}"
            )
        train, test = database.split(options.test_persons, options.test_series)
        require_parts(database, train, test)
        fewest = min(len(train), len(test))
        if shards > fewest:
            raise DatabaseError(
                [
                    f"{database.path}: {shards} shards need as many photographs to train and to "
                    f"test with, but there are {fewest}: ask for at most that many"
                ]
            )
        train_states, test_states = plan_states(
            (train, test),
            (options.num_data_aug, options.num_data_aug_val),
            [[shard_bounds(len(p), i, shards)[0] for i in range(shards)] for p in (train, test)],
            options.aspect_ratio,
            options.seed,
        )
        return cls(kind, options, digest, shards, train, test, train_states, test_states, name)

    @property
    def samples(self) -> int:
        """Of all shards."""
        counts = self.index([]).counts
        return counts.train + counts.test

    def task(self, shard: int) -> Task:
        """Return what it takes to make a shard."""
        return Task(
            self.kind,
            self.options,
            self.digest,
            shard,
            self.shards,
            _stretch(self.train, shard, self.shards),
            _stretch(self.test, shard, self.shards),
            self.train_states[:, shard],
            self.test_states[:, shard],
            self.shard_name(shard),
        )

    def shard_name(self, shard: int) -> str:
        """Return the name of a shard's file."""
        return numbered(Path(self.name).stem, shard, self.shards)

    def index(self, shards: Sequence[Shard]) -> Index:
        """Return the index of shards that were made."""
        photographs = len(self.train), len(self.test)
        return new_index(self.kind, self.options, self.digest, photographs, shards)


def _stretch(photographs: Sequence[Photograph], shard: int, shards: int) -> Stretch:
    first, end = shard_bounds(len(photographs), shard, shards)
    return Stretch(first, end - first)


def of_stretch(photographs: Sequence[Photograph], stretch: Stretch) -> Sequence[Photograph]:
    """Return the photographs of a stretch."""
    return photographs[stretch.first : stretch.first + stretch.photographs]
