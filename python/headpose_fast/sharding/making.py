"""Making a shard, and all of them with their index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.shards import Shard
from headpose_fast.bundle.writing import Written, write_bundle
from headpose_fast.database.databases import Database
from headpose_fast.database.photographs import Photograph
from headpose_fast.job import Job
from headpose_fast.progress import Progress
from headpose_fast.samples.options import Options
from headpose_fast.sharding.destinations import Destination
from headpose_fast.sharding.planning import Plan, Task


class Made(NamedTuple):
    """A shard that is in its place."""

    number: int
    shard: Shard
    #: Whether it was there already.
    found: bool


class Engine(Protocol):
    """What runs tasks, in any order."""

    def run(
        self,
        plan: Plan,
        destination: Destination,
        *,
        workers: int | None,
        sync: bool,
        progress: Callable[[int], object],
    ) -> Iterator[Made]:
        """Make all shards of a plan; `progress` gets the number of samples that are done.

        Raises what making one raises; what runs then is stopped, and finished shards stay.
        """


def make_shard(
    task: Task,
    train: Sequence[Photograph],
    test: Sequence[Photograph],
    destination: Destination,
    *,
    workers: int | None,
    sync: bool,
    progress: Callable[[int], object],
) -> Made:
    """Make a shard of its photographs, unless it is there: the same task makes the same bytes."""
    try:
        there = destination.there(task, workers)
        if there is not None:
            return Made(task.shard, there, found=True)
        job = task.job(train, test)
        shard = write_shard(task, job, destination, workers=workers, sync=sync, progress=progress)
        destination.keep(task, shard, lambda: None)
        return Made(task.shard, shard, found=False)
    finally:
        destination.close()


def write_shard(
    task: Task,
    job: Job,
    destination: Destination,
    *,
    workers: int | None,
    sync: bool,
    progress: Callable[[int], object],
) -> Shard:
    """Write a shard's file, which the destination has yet to keep."""
    file = destination.file(task.name)
    write_bundle(job, task.kind, file, workers=workers, sync=sync, progress=progress)
    return Shard.of(file, task.train, task.test)


def write_shards(
    destination: Destination,
    name: str,
    shards: int,
    engine: Engine,
    database: Database,
    digest: str,
    options: Options,
    kind: Kind,
    *,
    workers: int | None,
    sync: bool,
    progress: Progress,
) -> Written:
    """Make all shards that are not there, and then the index, which has a name.

    Raises DatabaseError as `Plan.make` does and for photographs that cannot be rendered, OSError
    if writing fails; finished shards stay.
    """
    plan = Plan.make(database, digest, options, kind, shards, name)
    samples = plan.samples
    try:
        before = destination.before(plan)
        if before is False:
            # Its shards are about to be replaced.
            destination.drop_index(name)
        run = engine.run(
            plan,
            destination,
            workers=workers,
            sync=sync,
            progress=lambda done: progress(done, samples),
        )
        made = sorted(run)
        index = plan.index([each.shard for each in made])
        index_bytes = destination.write_index(plan, index, sync=sync)
    finally:
        destination.close()
    progress(samples, samples)
    path, address = destination.place(name)
    return Written(
        path=path,
        address=address,
        size=sum(each.shard.bytes for each in made) + index_bytes,
        replaced=before is not None,
        found=sum(each.found for each in made),
        train=plan.train,
        test=plan.test,
    )
