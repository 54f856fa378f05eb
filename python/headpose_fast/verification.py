"""Checking a bundle: by its checksums, and by rendering it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.bundle import Layout, read_layout
from headpose_fast.database import Limits, open_database
from headpose_fast.download import find_database
from headpose_fast.pipeline import labels, places, plan
from headpose_fast.rendering import raise_failures, require_workers
from headpose_fast.trailer import Spans, checked_spans, checksums_of, read_trailer

#: Damaged spans that a message lists; the rest are counted.
_MOST_LISTED = 20

_OTHER = "is not what the database makes"


class BundleError(ValueError):
    """A bundle is damaged, or is not what the database makes. It names the file and the places."""


@dataclass(frozen=True)
class Verified:
    """What was found to be right."""

    path: Path
    #: The file's trailer, as `docs/format.md` tells.
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
    """Check every byte of a bundle, of any kind, without the pickle machine.

    The array data is compared with the checksums in the file's trailer, which find accidents. With
    the database all samples are rendered again and compared to the bit.

    Args:
        path: The bundle.
        input: The database that it was made of: archive, folder or address.
        workers: Threads; None for as many as there are cores that this process may use.
        limits: What the database may ask of the machine; None for `Limits()`.

    Raises:
        BundleError: The file is damaged, ends early, has no trailer, or differs from what the
            database makes.
        DatabaseError: The database cannot be used.
        OSError: A file cannot be read, or the database not be downloaded.
        ValueError: An option is out of range.

    """
    path = Path(path)
    require_workers(workers)
    damaged: list[str] = []
    with path.open("rb") as file:
        try:
            layout = read_layout(file)
            trailer = read_trailer(file, layout)
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from None
        spans = checked_spans(layout)
        for name in spans:
            found = _core.checksums(path, spans[name].offsets, spans[name].lengths, workers)
            wrong = np.flatnonzero(found != checksums_of(trailer, name))
            damaged += _describe(path, name, spans[name], wrong, "is damaged")
        _raise(path, damaged)
        if input is not None:
            source = find_database(input, limits=limits)
            _render_again(path, file, layout, spans, trailer, source, workers, limits)
    samples = sum(array.shape[0] for array in layout.arrays[:2])
    return Verified(path, trailer, samples, input is not None)


def _render_again(
    path: Path,
    file: IO[bytes],
    layout: Layout,
    spans: dict[str, Spans],
    trailer: dict[str, Any],
    source: Path,
    workers: int | None,
    limits: Limits | None,
) -> None:
    database = open_database(source, limits)
    if database.digest != trailer["database"]:
        raise BundleError(f"{path}: made of another database than {source}")
    job = plan(database, **trailer["options"])
    wrong: list[str] = []
    for name, array, part, crops in (
        ("trn_im", layout.arrays[0], job.train, job.crops.train),
        ("test_im", layout.arrays[1], job.test, job.crops.test),
    ):
        where = places(layout, array, crops)
        equal = np.zeros(array.shape[0], np.bool_)
        jpegs = [photograph.jpeg for photograph in part]
        raise_failures(part, _core.compare_with_file(jpegs, where, path, equal, workers))
        wrong += _describe(path, name, spans[name], np.flatnonzero(~equal), _OTHER)
    for name, array, part, crops in (
        ("trn_output", layout.arrays[2], job.train, job.crops.train),
        ("test_output", layout.arrays[3], job.test, job.crops.test),
    ):
        rows = labels(part, len(crops))
        for i, offset in enumerate(spans[name].offsets.tolist()):
            expected = layout.encode(array, rows[spans[name].rows_of(i)])
            file.seek(offset)
            if file.read(len(expected)) != expected:
                wrong += _describe(path, name, spans[name], np.array([i]), _OTHER)
    _raise(path, wrong)


def _describe(
    path: Path, name: str, spans: Spans, wrong: NDArray[np.intp], what: str
) -> Iterator[str]:
    """Make a line for each wrong span of an array."""
    for i in wrong.tolist():
        rows = spans.rows_of(i)
        first = int(spans.offsets[i])
        last = first + int(spans.lengths[i]) - 1
        row = f"row {rows.start}" if spans.rows == 1 else f"rows {rows.start} to {rows.stop - 1}"
        yield f"{path}: {name} {row} (bytes {first:,} to {last:,}) {what}"


def _raise(path: Path, problems: list[str]) -> None:
    if len(problems) > _MOST_LISTED:
        more = len(problems) - _MOST_LISTED
        problems = [*problems[:_MOST_LISTED], f"{path}: and {more:,} more such places"]
    if problems:
        raise BundleError("\n".join(problems))
