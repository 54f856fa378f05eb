"""Where shards go: a folder, or a bucket of S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from headpose_fast import _core
from headpose_fast.bundle.forms import reading
from headpose_fast.bundle.shards import Index, Shard
from headpose_fast.bundle.trailer import is_of, recorded
from headpose_fast.errors import BundleError
from headpose_fast.output import output_file, require_writable, write_all
from headpose_fast.sharding.planning import Plan, Task


class Destination(Protocol):
    """A place for files. It is sent to whoever makes a shard."""

    def there(self, task: Task, workers: int | None) -> Shard | None:
        """Return a shard that is there already, whole and right."""

    def file(self, name: str) -> Path:
        """Return where a file is written to, before `keep` brings it to its place."""

    def keep(self, task: Task, shard: Shard, poll: Callable[[], object]) -> None:
        """Bring a shard that was written to its place.

        `poll` is called from time to time; what it raises ends this and leaves nothing behind.
        """

    def before(self, plan: Plan) -> bool | None:
        """Whether what has the index's name may stay until the index is written.

        Not if it lists shards that will be replaced. None if there is nothing of that name.
        """

    def write_index(self, plan: Plan, index: Index, *, sync: bool) -> int:
        """Write a plan's index, complete or not at all; return its bytes."""

    def drop_index(self, name: str) -> None:
        """Delete an index, whose shards are about to be replaced."""

    def place(self, name: str) -> tuple[Path, str | None]:
        """Return the path and the address of a file; of one in a bucket the path is its name."""

    def close(self) -> None:
        """Delete what is temporary."""


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
            # Before it is read, so that what is listed is never a file that came after.
            shard = Shard.of(path, task.train, task.test)
            with reading(path) as reader:
                right = reader.counts == task.counts
                right = right and is_of(reader.trailer, _facts(task), task.shard, task.shards)
                if not right or any(reader.damaged(workers)):
                    return None
        except (FileNotFoundError, BundleError):
            return None
        return shard

    def file(self, name: str) -> Path:
        """Return the file's path. Raises OSError if it cannot be written there."""
        require_writable(self.path / name)
        return self.path / name

    def keep(self, task: Task, shard: Shard, poll: Callable[[], object]) -> None:
        """Do nothing: it is in its place."""

    def before(self, plan: Plan) -> bool | None:
        """Read an index that is there; what is none lists nothing."""
        path = self.path / plan.name
        require_writable(path)
        try:
            with path.open("rb") as file:
                found = Index.read(file)
        except FileNotFoundError:
            return None
        except ValueError:
            return True
        replaced = {plan.shard_name(i) for i in range(plan.shards)}
        others = replaced.isdisjoint(shard.file for shard in found.shards)
        return others or plan.index(found.shards) == found

    def write_index(self, plan: Plan, index: Index, *, sync: bool) -> int:
        """Write an index, complete or not at all.

        Raises OSError if another run has replaced shards since.
        """
        try:
            index.require_there(self.path)
        except (FileNotFoundError, ValueError) as error:
            raise OSError(f"{error}: another run has changed it; run this again") from None
        content = index.content()
        with output_file(self.path / plan.name, len(content), sync=sync) as (_, file):
            write_all(file, content)
        return len(content)

    def drop_index(self, name: str) -> None:
        """Delete an index."""
        (self.path / name).unlink(missing_ok=True)

    def place(self, name: str) -> tuple[Path, str | None]:
        """Return the file's path."""
        return self.path / name, None

    def close(self) -> None:
        """Do nothing: nothing is temporary."""


def identity(task: Task) -> str:
    """Hash what a shard follows from: the same for the same bytes."""
    return _hashed(task, task.shard)


def identity_of_job(plan: Plan) -> str:
    """Hash what all shards and their index follow from."""
    return _hashed(plan, None)


def _hashed(of: Task | Plan, shard: int | None) -> str:
    text = json.dumps([_facts(of), of.options.size, shard, of.shards])
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(of: Task | Plan) -> dict[str, Any]:
    """Return what the trailers say that this version writes for a job."""
    return recorded(_core.__version__, of.kind, of.options, of.digest)
