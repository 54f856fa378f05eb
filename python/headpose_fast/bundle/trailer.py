"""The trailer: what a bundle records about itself, after the pickle's STOP, where no loader looks.

A line of JSON with versions, options, the database's digest and the arrays as their kind describes
them, checksums included; then a line with the checksum of the JSON. Nothing in it depends on time,
paths or workers. The checksums are CRC-32: they detect accidents, not forgeries.
"""

import json
from collections.abc import Callable, Mapping
from typing import IO, Any
from zlib import crc32

from headpose_fast import _core
from headpose_fast.bundle.arrays import Counts
from headpose_fast.job import Job
from headpose_fast.samples.options import Options

_FORMAT = 1
_END = b"crc32 %08x\n"
_END_LENGTH = len(_END % 0)

_STRANGE = "its trailer was not written by headpose-fast"
_OTHER = "its trailer belongs to another file"


def write_trailer(kind: str, job: Job, arrays: Mapping[str, Any]) -> bytes:
    """Make the trailer of a job's bundle, whose kind describes its arrays in values of JSON."""
    content = {
        "format": _FORMAT,
        "headpose_fast": _core.__version__,
        "kind": kind,
        "options": job.options.recorded(),
        "database": job.digest,
        "arrays": dict(arrays),
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"\n" + text + b"\n" + _END % crc32(text)


def read_trailer(
    file: IO[bytes],
    kind: str,
    counts: Counts,
    describes: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    """Read the trailer, at the file's current position.

    Args:
        file: The bundle.
        kind: Its kind.
        counts: What its first line says.
        describes: Whether a value of `arrays` describes the bundle's; may raise LookupError,
            TypeError or ValueError for what it does not expect.

    Raises:
        ValueError: There is no trailer, or it is damaged or of another file.

    """
    # More than any trailer has: whatever else is there is not brought into memory.
    data = file.read((1 << 20) + 128 * (counts.train + counts.test))
    if not data:
        raise ValueError("it has no trailer to check it by")
    text = data[1 : -_END_LENGTH - 1]
    if data != b"\n" + text + b"\n" + _END % crc32(text):
        raise ValueError("its trailer is damaged")
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError("its trailer was written by a newer headpose-fast")
        if content["kind"] != kind or not describes(content["arrays"]):
            raise ValueError(_OTHER)
        _require_options(counts, content["options"])
        strings = [content["headpose_fast"], content["database"]]
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError(_STRANGE) from None
    if not all(isinstance(text, str) and text.isprintable() for text in strings):
        raise ValueError(_STRANGE)
    return content


def _require_options(counts: Counts, record: dict[str, Any]) -> None:
    """Raise TypeError or ValueError for what are not the options of a file."""
    options = Options.from_record(record, (counts.width, counts.height))
    for rows, passes in (
        (counts.train, options.num_data_aug),
        (counts.test, options.num_data_aug_val),
    ):
        if rows % passes:
            raise ValueError(_OTHER)
