"""Where a bundle's samples come from: its job, made again from its trailer and the database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headpose_fast.bundle.arrays import Counts
from headpose_fast.database.photographs import Database
from headpose_fast.errors import BundleError
from headpose_fast.job import Job
from headpose_fast.samples.options import Options


def job_of(
    path: Path,
    counts: Counts,
    trailer: Mapping[str, Any] | None,
    database: Database | None,
) -> Job:
    """Plan the job that a bundle was made by.

    Args:
        path: The bundle.
        counts: Of its samples.
        trailer: Its trailer, of which `options` and `database` are read.
        database: What it was made from.

    Raises:
        BundleError: The bundle does not record its options, or the database is another or None.

    """
    if trailer is None:
        raise BundleError(
            f"{path}: it has no trailer with its options, so its samples' photographs and "
            "crops are unknown"
        )
    if database is None:
        raise BundleError(
            f"{path}: the database it was made from is neither in the current folder nor in the "
            "cache: name it with --input"
        )
    digest = database.digest
    if digest != trailer["database"]:
        raise BundleError(f"{path}: made from a database other than {database.path}")
    options = Options.from_record(trailer["options"], (counts.width, counts.height))
    job = Job.plan(database, digest, options)
    for part, samples in zip(job.parts, counts, strict=False):
        if part.rows != samples:
            raise BundleError(
                f"{path}: its options do not produce its {samples:,} {part.name} samples"
            )
    return job
