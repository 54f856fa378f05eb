"""What names and labels contain: person, series, number, tilt and pan; where the face is."""

import re
from typing import NamedTuple

#: The published database: 15 people x 2 series x 93 photographs.
PERSONS = range(1, 16)
SERIES = range(1, 3)
NUMBERS = range(93)

TILTS = (-90, -60, -30, -15, 0, 15, 30, 60, 90)
PANS = (-90, -75, -60, -45, -30, -15, 0, 15, 30, 45, 60, 75, 90)

#: Members that belong to the database: `Person01/person01100-90+0.jpg` and its label, below any
#: folders, or the same with `Personne` and `personne` of an older distribution. The pattern accepts
#: slightly more than is valid, so that a misspelt angle is an error rather than ignored.
NAME = re.compile(
    r"(?:.*/)?(?P<name>Person(?P<ne>ne)?(?P<folder>\d\d)/"
    r"(?P<stem>person(?(ne)ne)(?P<person>\d\d)(?P<series>\d)(?P<number>\d\d)"
    r"(?P<tilt>[+-]\d+)(?P<pan>[+-]\d+))\.(?P<kind>jpg|txt))",
    re.DOTALL | re.ASCII,
)
#: How the names of tables end.
TABLE_SUFFIXES = (".csv", ".parquet")

FOLDER = re.compile(r"Person(ne)?\d\d", re.ASCII)
TILT_OF = {f"{tilt:+d}": tilt for tilt in TILTS}
PAN_OF = {f"{pan:+d}": pan for pan in PANS}


def identity_of(match: re.Match[str]) -> tuple[int, int, int]:
    """Return person, series and number of a name; raise ValueError if something is wrong."""
    person, series, number = int(match["person"]), int(match["series"]), int(match["number"])
    if match["person"] != match["folder"]:
        raise ValueError(f"person {match['person']} in the folder of person {match['folder']}")
    if person == 0:
        raise ValueError("people are numbered from 01")
    if series not in SERIES:
        raise ValueError(f"series {series} is neither 1 nor 2")
    if number not in NUMBERS:
        raise ValueError(f"number {number} is not one of 00 to 92")
    if match["tilt"] not in TILT_OF:
        raise ValueError(f"tilt {match['tilt']} is not one of {', '.join(TILT_OF)}")
    if match["pan"] not in PAN_OF:
        raise ValueError(f"pan {match['pan']} is not one of {', '.join(PAN_OF)}")
    if abs(TILT_OF[match["tilt"]]) == 90 and match["pan"] != "+0":
        raise ValueError(f"at tilt {match['tilt']} pan must be +0")
    return person, series, number


_LABEL_LINES = ("centre x", "centre y", "width", "height")
_INTEGER = re.compile(r"[+-]?\d{1,9}")


class FaceBox(NamedTuple):
    """A face's centre and size in pixels of the (oriented) picture, origin top left."""

    cx: int
    cy: int
    width: int
    height: int


def parse_label(content: bytes, picture: str) -> FaceBox:
    """Parse a label: the picture's name, an empty line, `Face`, and four integers, one per line.

    Other line ends, trailing blanks and empty lines at the end are accepted. Raises ValueError if
    the label is malformed; the message says where.
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
