"""The label beside a photograph: where the face is."""

from __future__ import annotations

import re
from typing import NamedTuple

_LABEL_LINES = ("centre x", "centre y", "width", "height")
_INTEGER = re.compile(r"[+-]?\d{1,9}")


class FaceBox(NamedTuple):
    """A face's centre and size in pixels of the (oriented) picture, origin top left."""

    cx: int
    cy: int
    width: int
    height: int


def parse_label(content: bytes, picture: str) -> FaceBox:
    """Parse a label: the picture's name, an empty line, `Face`, and four integers, a line each.

    Other line ends, trailing blanks and empty lines at the end are accepted.

    Args:
        content: The label file.
        picture: The name its first line must have.

    Raises:
        ValueError: The content is something else; the message says where.

    """
    try:
        lines = [line.rstrip() for line in content.decode("ascii").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not ASCII") from None
    while lines and not lines[-1]:
        lines.pop()
    expected = 3 + len(_LABEL_LINES)
    if len(lines) != expected:
        raise ValueError(f"{len(lines)} lines instead of {expected}")
    if lines[0] != picture:
        raise ValueError(f"line 1 names another picture, {lines[0][:80]!r}")
    if lines[1] or lines[2] != "Face":
        raise ValueError("lines 2 and 3 are not an empty line and 'Face'")
    values = []
    for number, (line, what) in enumerate(zip(lines[3:], _LABEL_LINES, strict=True), start=4):
        if not _INTEGER.fullmatch(line):
            raise ValueError(f"line {number} ({what}) is {line[:80]!r}, not a whole number")
        values.append(int(line))
    return FaceBox(*values)
