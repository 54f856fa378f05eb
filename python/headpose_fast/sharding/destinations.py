"""Where shards go: a folder, or a bucket of S3."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Protocol

from headpose_fast import _core
from headpose_fast.bundle.forms import reading
from headpose_fast.bundle.shards import Index, Shard
from headpose_fast.errors import BundleError
from headpose_fast.output import output_file, require_writable
from headpose_fast.sharding.planning import Task


class Destination(Protocol):
    """A place for files. It is sent to whoever makes a shard."""

    def there(self, task: Task, workers: int | None) -> Shard | None:
        """Return a shard that is there already, whole and right."""

    def file(self, name: str) -> Path:
        """Return where a file is written to, before `keep` brings it to its place."""

    def keep(self, task: Task, shard: Shard) -> None:
        """Bring a shard that was written to its place."""

    def index(self, name: str) -> Index | None:
        """Read an index that is there."""

    def write_index(self, name: str, content: bytes, *, sync: bool) -> None:
        """Write an index, complete or not at all."""

    def drop_index(self, name: str) -> None:
        """Delete an index, whose shards are about to be replaced."""

    def place(self, name: str) -> tuple[Path, str | None]:
        """Return the path and the address of a file; of one in a bucket the path is its name."""


class Folder:
    """A folder of a file system that all who make shards see."""

    def __init__(self, path: Path) -> None:
        """Keep its path."""
        self.path = path

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        """Send the absolute path: other processes are in other folders."""
        return type(self), (self.path.absolute(),)

    def there(self, task: Task, workers: int | None) -> Shard | None:
        """Read all of a file of that name, and compare its trailer and checksums."""
        path = self.path / task.name
        try:
            with reading(path) as reader:
                trailer = reader.trailer
                right = reader.counts == task.counts and trailer is not None
                right = right and is_of(task, trailer or {})
                if not right or any(reader.damaged(workers)):
                    return None
        except (FileNotFoundError, BundleError):
            return None
        return Shard.of(path, task.train, task.test)

    def file(self, name: str) -> Path:
        """Return the file's path."""
        return self.path / name

    def keep(self, task: Task, shard: Shard) -> None:
        """Do nothing: it is in its place."""

    def index(self, name: str) -> Index | None:
        """Read an index that is there."""
        try:
            return Index.parse((self.path / name).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def write_index(self, name: str, content: bytes, *, sync: bool) -> None:
        """Write an index, complete or not at all."""
        with output_file(self.path / name, len(content), sync=sync) as (_, file):
            file.write(content)

    def drop_index(self, name: str) -> None:
        """Delete an index."""
        (self.path / name).unlink(missing_ok=True)

    def place(self, name: str) -> tuple[Path, str | None]:
        """Return the file's path."""
        return self.path / name, None


def destination_for(output: str | os.PathLike[str] | None, name: str) -> tuple[Destination, str]:
    """Return where shards go, and the name of their index.

    Args:
        output: A folder, a path that ends in `.json`, an address; None for the current folder.
        name: Of the index in a folder, without `.json`.

    Raises OSError if nothing can be written there, ValueError for a malformed address.

    """
    if isinstance(output, str) and "://" in output:
        from headpose_fast.sharding.bucket import Bucket

        return Bucket(output), f"{name}.json"
    path = Path() if output is None else Path(output)
    if path.suffix == ".json":
        require_writable(path)
        return Folder(path.parent), path.name
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder to write shards to")
    return Folder(path), f"{name}.json"


def is_of(task: Task, trailer: dict[str, object]) -> bool:
    """Whether a trailer is that of a task's shard, written by this version."""
    expected = {
        "headpose_fast": _core.__version__,
        "kind": task.kind,
        "options": task.options.recorded(),
        "database": task.digest,
        "shard": [task.shard, task.shards],
    }
    return {name: trailer.get(name) for name in expected} == expected


def identity(task: Task) -> str:
    """Hash what a shard follows from: the same for the same bytes."""
    of = [_core.__version__, task.kind, task.options.recorded(), task.options.size, task.digest]
    text = json.dumps([*of, task.shard, task.shards])
    return hashlib.sha256(text.encode()).hexdigest()
