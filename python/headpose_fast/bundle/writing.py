"""Writing the bundle of a job."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from headpose_fast.bundle.forms import FORMS
from headpose_fast.bundle.kinds import Kind
from headpose_fast.database.photographs import Photograph
from headpose_fast.job import Job
from headpose_fast.output import output_file


class Written(NamedTuple):
    """What was written of a database: a bundle, or shards and their index."""

    #: The bundle, or the index.
    path: Path
    #: Of an index in a bucket, whose path is its name alone.
    address: str | None
    #: Bytes in all.
    size: int
    #: Whether there was a file of that name.
    replaced: bool
    #: Shards that were there already.
    found: int
    #: The photographs to train with, and to test with.
    train: Sequence[Photograph]
    test: Sequence[Photograph]


def write_bundle(
    job: Job,
    kind: Kind,
    target: Path,
    *,
    workers: int | None,
    sync: bool,
    progress: Callable[[int], object],
) -> int:
    """Write a job's bundle, complete or not at all; return its bytes.

    `progress` gets the number of samples that are done. Raises DatabaseError for photographs that
    cannot be rendered, OSError if writing fails.
    """
    draft = FORMS[kind].draft(job)
    with output_file(target, draft.reserved_bytes, sync=sync) as (path, file):
        return draft.write(path, file, workers, progress)
