"""Running tasks on a Ray cluster. Nothing else imports Ray."""

# ruff: noqa: ANN401 (Ray need not be there, so its objects are of no known type)
from __future__ import annotations

import logging
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph, Place, Rows
from headpose_fast.sharding.destinations import Destination
from headpose_fast.sharding.making import Made, make_shard
from headpose_fast.sharding.planning import Plan, Task, of_stretch
from headpose_fast.text import one_line

#: Times that a task is run again after its worker or node was lost. Until Ray has noticed that a
#: node is gone, older versions use up several of them there.
_RETRIES = 10

#: Tasks that are submitted for each that the cluster can run: the next one is there in time.
_AHEAD = 2

#: Seconds that a cluster has to answer, and cancelled tasks to delete what they did not finish.
_PATIENCE = 10.0

#: Stands for a path: of a photograph whose bytes are in the object store.
_HELD = ""

#: The bytes of many photographs.
_Bytes = NDArray[np.uint8]

#: A shard's number, and what its task returns or raises.
_Ended = tuple[int, "Future[Made]"]


class OnRay:
    """The engine that is a Ray cluster. All its nodes see the same files, at the same paths."""

    def __init__(self, address: str | None) -> None:
        """Keep the cluster's address; None for the one that Ray finds, or else starts here.

        Raises ModuleNotFoundError without Ray.
        """
        self._ray, self._address = _import_ray(), address

    def run(
        self,
        plan: Plan,
        destination: Destination,
        *,
        workers: int | None,
        sync: bool,
        progress: Callable[[int], object],
    ) -> Iterator[Made]:
        """Make all shards of a plan, each in a task of `workers` threads and CPUs; see `Engine`.

        `progress` is called after each shard. Raises OSError if Ray lost a task too often, and
        ValueError if no node has as many CPUs as a task needs.
        """
        ray, threads = self._ray, workers or 1
        with _connected(ray, self._address):
            _require_cpus(ray, threads)
            submit = _submitter(ray, plan, destination, threads, sync=sync)
            done = 0
            for made in _all_made(ray, submit, plan.shards, threads):
                counts = plan.task(made.number).counts
                done += counts.train + counts.test
                progress(done)
                yield made


def _import_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "to make shards on Ray, pip install 'headpose-fast[ray]'"
        ) from None
    return ray


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connect to a cluster, unless this process already is; what was started here is ended."""
    if ray.is_initialized():
        yield
        return
    _require_answer(address)
    with _same_sigterm(), warnings.catch_warnings():
        # Of versions to come.
        warnings.simplefilter("ignore", FutureWarning)
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Raise ConnectionError if nothing is at `host:port`, where Ray would try for five minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal() and "://" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        except OSError as error:
            raise ConnectionError(f"{address}: no Ray cluster answers there: {error}") from None


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM, for which Ray sets its own as it connects."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _require_cpus(ray: Any, threads: int) -> None:
    """Raise ValueError if a task would wait for ever; a cluster may still wait for its nodes."""
    most = max(
        (node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0
    )
    if 0 < most < threads:
        raise ValueError(
            f"no node of the Ray cluster has {threads} CPUs: ask for at most {most:.0f} workers"
        )


def _submitter(
    ray: Any, plan: Plan, destination: Destination, threads: int, *, sync: bool
) -> Callable[[int], Any]:
    """Return what submits the task of a shard by its number, and returns a reference to it."""
    held: list[bytes] = []
    parts = [_to_send(photographs, held) for photographs in (plan.train, plan.test)]
    # Each node gets them once, and all its tasks read them there.
    stored = ray.put(np.frombuffer(b"".join(held), np.uint8)) if held else None
    # An error in the data is no reason to run a task again: by default it is not.
    remote = ray.remote(num_cpus=threads, max_retries=_RETRIES)(_make)

    def submit(number: int) -> Any:
        task = plan.task(number)
        train, test = (
            of_stretch(part, stretch)
            for part, stretch in zip(parts, (task.train, task.test), strict=True)
        )
        return remote.options(name=task.name).remote(
            _core.__version__, task, train, test, stored, destination, threads, sync
        )

    return submit


def _to_send(photographs: Sequence[Photograph], held: list[bytes]) -> Sequence[Photograph]:
    """Return photographs without their bytes, which are added to `held`; all paths are absolute."""
    if isinstance(photographs, Rows):
        p = photographs
        return Rows(p.folder.absolute(), p.names, p.lengths, p.columns, p.tested)
    sent, offset = [], sum(map(len, held))
    for photograph in photographs:
        if isinstance(photograph.file, bytes):
            held.append(photograph.file)
            place = Place(_HELD, offset, len(photograph.file))
            offset += place.length
        else:
            place = photograph.file._replace(path=str(Path(photograph.file.path).absolute()))
        sent.append(replace(photograph, file=place))
    return sent


def _make(
    version: str,
    task: Task,
    train: Sequence[Photograph],
    test: Sequence[Photograph],
    held: _Bytes | None,
    destination: Destination,
    threads: int,
    sync: bool,
) -> Made:
    """Make a shard, in a process of the cluster."""
    if version != _core.__version__:
        raise ValueError(
            f"a node of the Ray cluster has headpose-fast {_core.__version__}, the others "
            f"{version}: all need the same"
        )
    return make_shard(
        task,
        _with_bytes(train, held),
        _with_bytes(test, held),
        destination,
        workers=threads,
        sync=sync,
        # Cancelling raises KeyboardInterrupt here.
        progress=lambda done: None,  # noqa: ARG005
    )


def _with_bytes(photographs: Sequence[Photograph], held: _Bytes | None) -> Sequence[Photograph]:
    """Return photographs with the bytes that are held for them."""
    if held is None:
        return photographs
    found = []
    for photograph in photographs:
        path, offset, length = photograph.file
        if path == _HELD:
            photograph = replace(photograph, file=held[offset : offset + length].tobytes())
        found.append(photograph)
    return found


def _all_made(ray: Any, submit: Callable[[int], Any], shards: int, threads: int) -> Iterator[Made]:
    """Submit tasks, never many more than run at once, and yield shards in the order they end.

    The others are cancelled if one fails or this generator is closed.
    """
    ended: SimpleQueue[_Ended] = SimpleQueue()
    running: dict[int, Any] = {}
    numbers = iter(range(shards))
    try:
        while True:
            for number in islice(numbers, max(0, _room(ray, threads) - len(running))):
                running[number] = submit(number)
                running[number].future().add_done_callback(partial(_note, ended, number))
            if not running:
                return
            # Not ray.wait: within it, the exception of a signal's handler would be lost.
            number, future = ended.get()
            del running[number]
            yield _result(ray, future, number)
    finally:
        _cancel(ray, running, ended)


def _note(ended: SimpleQueue[_Ended], number: int, future: Future[Made]) -> None:
    ended.put((number, future))


def _room(ray: Any, threads: int) -> int:
    """Return how many tasks the cluster, as large as it is now, may have at once."""
    return _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 0)) // threads)


def _result(ray: Any, future: Future[Made], number: int) -> Made:
    """Return what a task returned, or raise what it raised."""
    try:
        return future.result()
    except ray.exceptions.RayError as error:
        cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
        if not isinstance(cause, ray.exceptions.RayError):
            raise cause from error
        if isinstance(cause, ray.exceptions.RaySystemError):
            # What was sent names modules and classes; the lines after the first are a traceback.
            reason, *_ = str(cause).splitlines()
            raise ValueError(
                f"a node of the Ray cluster cannot read its task: {one_line(reason)}: all need "
                f"headpose-fast {_core.__version__}"
            ) from error
        reason = one_line(str(cause))
        raise OSError(f"shard {number}: Ray could not run its task: {reason}") from error


def _cancel(ray: Any, running: dict[int, Any], ended: SimpleQueue[_Ended]) -> None:
    """Stop tasks, and give them time to delete what they did not finish."""
    for reference in running.values():
        ray.cancel(reference)
    until = time.monotonic() + _PATIENCE
    with suppress(Empty):
        while running:
            number, _ = ended.get(timeout=max(0, until - time.monotonic()))
            del running[number]
    for reference in running.values():
        ray.cancel(reference, force=True)
