"""Running tasks in this process, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from headpose_fast.bundle.shards import Shard
from headpose_fast.sharding.destinations import Destination
from headpose_fast.sharding.making import Made, write_shard
from headpose_fast.sharding.planning import Plan, Task, of_stretch


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
        """Make all shards of a plan, see `Engine`; each is kept while the next one is written."""
        before = 0
        with _Keeper(destination) as keeper:

            def rendered(done: int) -> None:
                keeper.check()
                progress(before + done)

            for task in map(plan.task, range(plan.shards)):
                shard = destination.there(task, workers)
                if shard is not None:
                    yield Made(task.shard, shard, found=True)
                else:
                    train, test = (
                        of_stretch(plan.train, task.train),
                        of_stretch(plan.test, task.test),
                    )
                    shard = write_shard(
                        task,
                        task.job(train, test),
                        destination,
                        workers=workers,
                        sync=sync,
                        progress=rendered,
                    )
                    yield from keeper.kept()
                    keeper.keep(task, shard)
                before += task.counts.train + task.counts.test
                progress(before)
            yield from keeper.kept()


class _Keeper:
    """Has a destination keep shards in a thread, one at a time."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._thread = ThreadPoolExecutor(1)
        self._stopped = threading.Event()
        self._keeping: tuple[Made, Future[None]] | None = None

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.shutdown()

    def keep(self, task: Task, shard: Shard) -> None:
        """Begin to keep a shard; the one before must be kept."""
        future = self._thread.submit(self._destination.keep, task, shard, self._poll)
        self._keeping = Made(task.shard, shard, found=False), future

    def _poll(self) -> None:
        if self._stopped.is_set():
            raise InterruptedError("the job has ended")

    def check(self) -> None:
        """Raise what went wrong with the shard that is being kept."""
        if self._keeping is not None and self._keeping[1].done():
            self._keeping[1].result()

    def kept(self) -> Iterator[Made]:
        """Wait for the shard that is being kept, if there is one, and yield it."""
        if self._keeping is not None:
            made, future = self._keeping
            future.result()
            self._keeping = None
            yield made
