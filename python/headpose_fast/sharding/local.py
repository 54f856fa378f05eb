"""Running tasks in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headpose_fast.sharding.destinations import Destination
from headpose_fast.sharding.making import Made, make_shard
from headpose_fast.sharding.planning import Plan, of_stretch


class Local:
    """The engine that is this process."""

    def run(
        self,
        plan: Plan,
        destination: Destination,
        *,
        workers: int | None,
        sync: bool,
        progress: Callable[[int], object],
    ) -> Iterator[Made]:
        """Make all shards of a plan, see `Engine`."""
        before = 0
        for task in map(plan.task, range(plan.shards)):
            yield make_shard(
                task,
                of_stretch(plan.train, task.train),
                of_stretch(plan.test, task.test),
                destination,
                workers=workers,
                sync=sync,
                progress=lambda done, before=before: progress(before + done),  # type: ignore[misc]
            )
            before += task.counts.train + task.counts.test
            progress(before)
