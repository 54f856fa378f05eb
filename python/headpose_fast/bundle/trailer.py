"""The trailer: what a bundle records about itself, after the pickle's STOP, where no loader looks.

A line of JSON with versions, options, the database's digest and the arrays as their kind describes
them, checksums included; then a line with the checksum of the JSON. Nothing in it depends on time,
paths or workers. The checksums are CRC-32: they detect accidents, not forgeries.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_fast import _core
from headpose_fast.bundle.arrays import Counts
from headpose_fast.job import Job
from headpose_fast.samples.options import Options

_FORMAT = 1
_END = b"crc32 %08x\n"
_END_LENGTH = len(_END % 0)

_STRANGE = "its trailer was not written by headpose-fast"
_OTHER = "its trailer belongs to another file"


def checksum_of(path: Path) -> str:
    """Return the CRC-32 that a bundle's trailer ends with: eight hexadecimal digits."""
    with path.open("rb") as file:
        file.seek(-min(_END_LENGTH, file.seek(0, os.SEEK_END)), os.SEEK_END)
        end = file.read()
    return end[-9:-1].decode("ascii", "replace")


def recorded(version: str, kind: str, options: Options, digest: str) -> dict[str, Any]:
    """Return what a trailer says of a job besides the arrays, as values of JSON."""
    return {
        "format": _FORMAT,
        "headpose_fast": version,
        "kind": kind,
        "options": options.recorded(),
        "database": digest,
    }


def is_of(
    trailer: Mapping[str, Any] | None, facts: Mapping[str, Any], shard: int, shards: int
) -> bool:
    """Whether a trailer is that of a shard of the job that `recorded` describes by these facts."""
    expected = {**facts, "shard": [shard, shards]}
    return trailer is not None and all(trailer.get(name) == expected[name] for name in expected)


def write_trailer(kind: str, job: Job, arrays: Mapping[str, Any]) -> bytes:
    """Make the trailer of a job's bundle, whose kind describes its arrays in values of JSON."""
    content = recorded(_core.__version__, kind, job.options, job.digest)
    content["arrays"] = dict(arrays)
    if job.shard is not None:
        content["shard"] = list(job.shard)
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"\n" + text + b"\n" + _END % crc32(text)


def read_trailer(
    file: IO[bytes],
    begin: int,
    kind: str,
    counts: Counts,
    describes: Callable[[dict[str, Any]], bool],
) -> dict[str, Any] | None:
    """Read the trailer of a bundle of a kind, which begins at a byte; None if the file ends there.

    `describes` says whether a value of `arrays` describes the bundle's; it may raise LookupError,
    TypeError or ValueError for what it does not expect.

    Raises ValueError if the trailer is damaged or of another file.
    """
    file.seek(begin)
    # More than any trailer has: whatever else is there is not brought into memory.
    data = file.read((1 << 20) + 128 * (counts.train + counts.test))
    if not data:
        return None
    text = data[1 : -_END_LENGTH - 1]
    if data != b"\n" + text + b"\n" + _END % crc32(text):
        raise ValueError("its trailer is damaged")
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError("its trailer was written by a newer headpose-fast")
        if content["kind"] != kind or not describes(content["arrays"]):
            raise ValueError(_OTHER)
        options = Options.from_record(content["options"], (counts.width, counts.height))
        if counts.train % options.num_data_aug or counts.test % options.num_data_aug_val:
            raise ValueError(_OTHER)
        strings = [content["headpose_fast"], content["database"]]
        shard, shards = content.get("shard", (0, 1))
        if type(shard) is not int or type(shards) is not int or not 0 <= shard < shards:
            raise ValueError(_STRANGE)
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError(_STRANGE) from None
    if not all(isinstance(text, str) and text.isprintable() for text in strings):
        raise ValueError(_STRANGE)
    return content


def hexadecimal(checksums: ArrayLike) -> str:
    """Write checksums as the trailer has them."""
    return np.array(checksums, ">u4").tobytes().hex()


def checksums_of(arrays: Mapping[str, Any], name: str) -> NDArray[np.uint32]:
    """Read the checksums that a value of `arrays` has by a name."""
    return np.frombuffer(bytes.fromhex(arrays[name]["crc32"]), ">u4").astype(np.uint32)
