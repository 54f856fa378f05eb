"""Checking a bundle: by its checksums, and by rendering it again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from headpose_fast import _core
from headpose_fast.bundle import Bundle, Layout, read_layout
from headpose_fast.database import Limits, open_database
from headpose_fast.pipeline import labels, places, plan
from headpose_fast.rendering import raise_failures
from headpose_fast.trailer import Checked, checked_spans, checksums_of, read_trailer

#: Damaged spans that a message lists; the rest are counted.
_MOST_LISTED = 20


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
        input: The database that it was made of: archive or folder.
        workers: Threads; None for as many as there are cores that this process may use.
        limits: What the database may ask of the machine; None for `Limits()`.

    Raises:
        BundleError: The file is damaged, ends early, has no trailer, or differs from what the
            database makes.
        DatabaseError: The database cannot be used.
        OSError: A file cannot be read.

    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            layout = read_layout(file)
            file.seek(layout.length)
            trailer = read_trailer(file.read(), layout)
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from None
        spans = checked_spans(layout)
        every = [span for name in Bundle._fields for span in spans[name]]
        expected = [sum_ for name in Bundle._fields for sum_ in checksums_of(trailer, name)]
        found = _core.checksums(path, [(span.offset, span.length) for span in every], workers)
        pairs = zip(every, expected, found, strict=True)
        _raise_damaged(path, (span for span, a, b in pairs if a != b), "is damaged")
        if input is not None:
            _render_again(path, file, layout, trailer, Path(input), workers, limits)
    samples = sum(array.shape[0] for array in layout.arrays[:2])
    return Verified(path, trailer, samples, input is not None)


def _render_again(
    path: Path,
    file: IO[bytes],
    layout: Layout,
    trailer: dict[str, Any],
    source: Path,
    workers: int | None,
    limits: Limits | None,
) -> None:
    database = open_database(source, limits)
    if database.digest != trailer["database"]:
        raise BundleError(f"{path}: made of another database than {source}")
    job = plan(database, **trailer["options"])
    spans = checked_spans(layout)
    for name, array, part, crops in (
        ("trn_im", layout.arrays[0], job.train, job.crops.train),
        ("test_im", layout.arrays[1], job.test, job.crops.test),
    ):
        where = places(layout, array, crops)
        equal, failures = _core.compare_with_file([p.jpeg for p in part], where, path, workers)
        raise_failures(part, failures)
        different = (span for span, same in zip(spans[name], equal, strict=True) if not same)
        _raise_damaged(path, different, "is not what the database makes")
    for name, array, part, crops in (
        ("trn_output", layout.arrays[2], job.train, job.crops.train),
        ("test_output", layout.arrays[3], job.test, job.crops.test),
    ):
        rows = labels(part, len(crops))
        for span in spans[name]:
            file.seek(span.offset)
            expected = layout.encode(array, rows[span.first_row : span.first_row + span.rows])
            if file.read(span.length) != expected:
                _raise_damaged(path, [span], "is not what the database makes")


def _raise_damaged(path: Path, spans: Iterable[Checked], what: str) -> None:
    damaged = list(spans)
    if not damaged:
        return
    lines = [
        f"{path}: {span.array} "
        + (
            f"row {span.first_row}"
            if span.rows == 1
            else f"rows {span.first_row} to {span.first_row + span.rows - 1}"
        )
        + f" (bytes {span.offset:,} to {span.offset + span.length - 1:,}) {what}"
        for span in damaged[:_MOST_LISTED]
    ]
    if len(damaged) > _MOST_LISTED:
        lines.append(f"{path}: and {len(damaged) - _MOST_LISTED:,} more such places")
    raise BundleError("\n".join(lines))
