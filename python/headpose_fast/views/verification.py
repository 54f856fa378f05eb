"""Checking a bundle: by its checksums, and by rendering it again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpose_fast.bundle.forms import reading, require_none
from headpose_fast.database.limits import Limits
from headpose_fast.database.reading import open_database
from headpose_fast.samples.options import require_workers
from headpose_fast.sources.finding import find_database
from headpose_fast.views.inspection import job_of


@dataclass(frozen=True)
class Verified:
    """The result of `verify`, which raises if anything is wrong."""

    path: Path
    #: The file's trailer; `docs/format.md` describes it.
    trailer: dict[str, Any]
    #: Samples of `trn_im` and `test_im`.
    samples: int
    #: Whether they were rendered again.
    rendered: bool


def verify(
    path: str | os.PathLike[str],
    input: str | os.PathLike[str] | None = None,  # noqa: A002 (the name of the option)
    *,
    workers: int | None = None,
    limits: Limits | None = None,
) -> Verified:
    """Check every byte of a bundle of any kind, without unpickling it.

    The array data is compared with the checksums in the file's trailer, which detect accidents.
    With the database, all samples are also rendered again and compared to the bit.

    Args:
        path: The bundle, or the index of shards.
        input: The database that it was made from: archive, folder, table or address.
        workers: Number of threads; None for one per core that this process may use.
        limits: Limits on what the database may demand; None for `Limits()`.

    Raises:
        BundleError: The file is damaged, ends early, has no trailer, or differs from what the
            database makes.
        DatabaseError: The database cannot be used.
        OSError: A file cannot be read, or the database cannot be downloaded.
        ValueError: An option is out of range.

    """
    path = Path(path)
    require_workers(workers)
    with reading(path) as reader:
        require_none(path, reader.damaged(workers), "is damaged")
        counts, trailer = reader.counts, reader.trailer
    if counts is None or trailer is None:
        raise AssertionError("what has checksums has both")
    if input is not None:
        database = open_database(find_database(input, limits=limits), limits)
        options, digest, shard = map(trailer.get, ("options", "database", "shard"))
        job = job_of(path, counts, options, digest, database, shard)
        with reading(path) as reader:
            require_none(path, reader.differing(job, workers), "is not what the database makes")
    return Verified(path, trailer, counts.train + counts.test, input is not None)
