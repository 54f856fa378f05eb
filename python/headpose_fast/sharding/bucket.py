"""Shards in a bucket of S3, or of a store that speaks its protocol."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from headpose_fast.bundle.shards import Index, Shard
from headpose_fast.sharding.destinations import identity
from headpose_fast.sharding.planning import Task
from headpose_fast.stores.addresses import destination
from headpose_fast.stores.objects import delete, described, etag_of, read
from headpose_fast.stores.s3 import upload

#: Of an index.
_MOST_INDEX_BYTES = 1 << 28

#: In an object's metadata: what it follows from, its ETag, and its trailer's checksum.
_IDENTITY, _ETAG, _CHECKSUM = "headpose-fast-job", "headpose-fast-etag", "headpose-fast-trailer"


class Bucket:
    """A folder of a bucket. Shards are written to the folder for temporary files first."""

    def __init__(self, address: str) -> None:
        """Keep its address, `s3://bucket/folder`. Raises ValueError if it is malformed."""
        destination(address, "index.json")
        self.address = address.rstrip("/")
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave out the folder of this process."""
        return {"address": self.address, "_folder": None}

    def there(self, task: Task, workers: int | None) -> Shard | None:  # noqa: ARG002
        """Ask for an object that was made by the same task and has not changed since."""
        found = described(f"{self.address}/{task.name}")
        if found is None or found.metadata.get(_IDENTITY) != identity(task):
            return None
        if found.metadata.get(_ETAG) != found.etag:
            return None
        checksum = found.metadata.get(_CHECKSUM, "")
        return Shard(task.name, found.size, checksum, task.train, task.test)

    def file(self, name: str) -> Path:
        """Return a path in the folder for temporary files."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="headpose-fast-")
        return Path(self._folder.name) / name

    def keep(self, task: Task, shard: Shard) -> None:
        """Upload a shard that was written, check what arrived, and delete the file."""
        path = self.file(task.name)
        metadata = {
            _IDENTITY: identity(task),
            _ETAG: etag_of(path),
            _CHECKSUM: shard.trailer_crc32,
        }
        try:
            upload(path, f"{self.address}/{task.name}", extra_args={"Metadata": metadata})
        finally:
            path.unlink()

    def index(self, name: str) -> Index | None:
        """Read an index that is there."""
        content = read(f"{self.address}/{name}", _MOST_INDEX_BYTES)
        try:
            return None if content is None else Index.parse(content)
        except ValueError:
            return None

    def write_index(self, name: str, content: bytes, *, sync: bool) -> None:  # noqa: ARG002
        """Upload an index."""
        path = self.file(name)
        path.write_bytes(content)
        try:
            upload(path, f"{self.address}/{name}")
        finally:
            path.unlink()
            os.rmdir(path.parent)  # noqa: PTH106
            self._folder = None

    def drop_index(self, name: str) -> None:
        """Delete an index."""
        delete(f"{self.address}/{name}")

    def place(self, name: str) -> tuple[Path, str | None]:
        """Return its name and address."""
        return Path(name), f"{self.address}/{name}"
