"""Shards in a bucket of S3, or of a store that speaks its protocol."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from headpose_fast.bundle.shards import Index, Shard
from headpose_fast.sharding.destinations import identity, identity_of_job
from headpose_fast.sharding.planning import Plan, Task
from headpose_fast.stores.addresses import Destination as Address
from headpose_fast.stores.addresses import destination
from headpose_fast.stores.objects import Objects, etag_of
from headpose_fast.stores.s3 import send_file

#: In an object's metadata: what it follows from, its ETag, and its trailer's checksum.
_IDENTITY, _ETAG, _CHECKSUM = "headpose-fast-job", "headpose-fast-etag", "headpose-fast-trailer"


class Bucket:
    """A folder of a bucket. Shards are written to the folder for temporary files first."""

    def __init__(self, address: str) -> None:
        """Keep its address, `s3://bucket/folder`."""
        self.address = address
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._asked: Objects | None = None

    def __reduce__(self) -> tuple[type[Bucket], tuple[str]]:
        """Leave out what is of this process: the folder and the client."""
        return Bucket, (self.address,)

    def _of(self, name: str) -> Address:
        return destination(self.address, name)

    @property
    def _objects(self) -> Objects:
        if self._asked is None:
            self._asked = Objects()
        return self._asked

    def there(self, task: Task, workers: int | None) -> Shard | None:  # noqa: ARG002
        """Ask for an object that was made by the same task and has not changed since."""
        found = self._objects.found(self._of(task.name))
        if found is None or found.metadata.get(_IDENTITY) != identity(task):
            return None
        if found.etag not in (None, found.metadata.get(_ETAG)):
            return None
        return Shard(
            task.name, found.size, found.metadata.get(_CHECKSUM, ""), task.train, task.test
        )

    def file(self, name: str) -> Path:
        """Return a path in the folder for temporary files."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="headpose-fast-")
        return Path(self._folder.name) / name

    def keep(self, task: Task, shard: Shard, poll: Callable[[], object]) -> None:
        """Upload a shard that was written, check what arrived, and delete the file."""
        metadata = {_IDENTITY: identity(task), _CHECKSUM: shard.trailer_crc32}
        self._send(task.name, metadata, poll)

    def _send(self, name: str, metadata: dict[str, str], poll: Callable[[], object]) -> None:
        def polled(done: int, total: int) -> None:  # noqa: ARG001
            poll()

        path = self.file(name)
        try:
            metadata[_ETAG] = etag_of(path)
            send_file(
                path,
                self._of(name),
                extra_args={"Metadata": metadata},
                progress=polled,
            )
        finally:
            path.unlink()

    def before(self, plan: Plan) -> bool | None:
        """Ask for the index, and what job it is of; what says nothing of a job is none."""
        address = self._of(plan.name)
        self._objects.require_bucket(address)
        found = self._objects.found(address)
        if found is None:
            return None
        return found.metadata.get(_IDENTITY) in (None, identity_of_job(plan))

    def write_index(self, plan: Plan, index: Index, *, sync: bool) -> int:  # noqa: ARG002
        """Upload an index."""
        content = index.content()
        self.file(plan.name).write_bytes(content)
        self._send(plan.name, {_IDENTITY: identity_of_job(plan)}, lambda: None)
        return len(content)

    def drop_index(self, name: str) -> None:
        """Delete an index."""
        self._objects.delete(self._of(name))

    def place(self, name: str) -> tuple[Path, str | None]:
        """Return its name and address."""
        return Path(name), str(self._of(name))

    def close(self) -> None:
        """Delete the folder for temporary files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
