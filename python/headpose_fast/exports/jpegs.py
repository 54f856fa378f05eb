"""JPEG files without data that may name the person: comments and application data."""

import re
import struct
from collections.abc import Sequence

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph
from headpose_fast.errors import DatabaseError

#: Markers (ITU-T T.81, table B.1). Those that stand alone are followed by no length.
_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_ALONE = {0x01, _START}

_APPLICATIONS = range(0xE0, 0xF0)

#: Application data that colours depend on.
_COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}

_EXIF = (0xE1, b"Exif\0\0")

#: A marker in or after entropy-coded data; stuffed zeros and restarts do not count as markers.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)

#: Tag and type (of a whole number of 16 bits) in EXIF data.
_ORIENTATION = (0x0112, 3)


def cleaned(
    photographs: Sequence[Photograph], jpegs: Sequence[bytes], workers: int | None
) -> list[bytes]:
    """Return photographs' files without comments; each is known to have the pixels it had before.

    Raises DatabaseError for those that are damaged.
    """
    clean, problems = [], []
    for photograph, jpeg in zip(photographs, jpegs, strict=True):
        try:
            clean.append(without_comments(jpeg))
        except ValueError as error:
            problems.append(f"{photograph.name}: {error}")
    if problems:
        raise DatabaseError(problems)
    checksums: list[int] = []
    failures = _core.decode_photographs(
        [*jpegs, *clean], workers, lambda _, crc32: checksums.append(crc32)
    )
    if failures:
        names = [p.name for p in photographs]
        raise DatabaseError([f"{names[i % len(names)]}: {why}" for i, why in failures])
    before, after = checksums[: len(photographs)], checksums[len(photographs) :]
    problems = [
        f"{photograph.name}: it has other pixels without its comments and application data"
        for photograph, one, other in zip(photographs, before, after, strict=True)
        if one != other
    ]
    if problems:
        raise DatabaseError(problems)
    return clean


def without_comments(jpeg: bytes) -> bytes:
    """Remove from a JPEG file everything that its pixels do not depend on, without re-encoding.

    That is comments, application data other than JFIF's and Adobe's, whatever is between segments,
    and what follows the end of the image. Of EXIF data only an orientation that turns the picture
    stays.

    Raises:
        ValueError: It is no JPEG file, or ends in the middle of a segment.

    """
    if jpeg[:2] != bytes((0xFF, _START)):
        raise ValueError("it does not begin like a JPEG file")
    kept, place, in_scan = [jpeg[:2]], 2, False
    while (found := _MARKER.search(jpeg, place)) is not None:
        if in_scan:
            kept.append(jpeg[place : found.start()])
        marker, place = found[1][0], found.end()
        in_scan = marker == _SCAN
        if marker == _END:
            return b"".join([*kept, bytes((0xFF, _END))])
        if marker in _ALONE:
            continue
        length = int.from_bytes(jpeg[place : place + 2], "big")
        content = jpeg[place + 2 : place + length]
        if len(content) != length - 2:
            raise ValueError(f"the segment at byte {found.start()} is cut off")
        place += length
        if _is_needed(marker, content):
            kept.append(_segment(marker, content))
        elif marker == _EXIF[0] and content.startswith(_EXIF[1]):
            kept.append(_turn(content[len(_EXIF[1]) :]))
    # Decoders do without an end marker.
    return b"".join([*kept, jpeg[place:] if in_scan else b""])


def _is_needed(marker: int, content: bytes) -> bool:
    if marker in _APPLICATIONS:
        return marker in _COLOURS and content.startswith(_COLOURS[marker])
    return marker != _COMMENT


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _turn(tiff: bytes) -> bytes:
    """Make a segment with only the orientation from EXIF data; nothing if it turns nothing."""
    orientation = _orientation(tiff)
    if orientation not in range(2, 9):
        return b""
    entry = struct.pack(">HHIHH", *_ORIENTATION, 1, orientation, 0)
    alone = struct.pack(">2sHIH", b"MM", 42, 8, 1) + entry + struct.pack(">I", 0)
    return _segment(_EXIF[0], _EXIF[1] + alone)


def _orientation(tiff: bytes) -> int:
    """Read the orientation, 1 to 8, from a TIFF's first directory; 1 if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for place in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if (tag, kind) == _ORIENTATION:
                return int(value)
    except struct.error:
        # Decoders ignore damaged EXIF data.
        pass
    return 1
