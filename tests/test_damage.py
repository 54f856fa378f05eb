"""Damaged photographs, and names and options of any kind: an error that says which, or success."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import GOLDEN, SMALL_DATABASE, write_tar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headpose_fast import DatabaseError, open_database, prepare
from headpose_fast.cli.main import main

JPEG = (GOLDEN / "jpeg" / "420_64x40_q70_restart.jpg").read_bytes()

#: Offsets of its frame header, a Huffman table, and a restart marker.
SOF, DHT, RST = (JPEG.index(bytes((0xFF, marker))) for marker in (0xC0, 0xC4, 0xD0))


def patched(offset: int, *values: int) -> bytes:
    return JPEG[:offset] + bytes(values) + JPEG[offset + len(values) :]


def four_channels() -> bytes:
    """The frame header, with one more component of the first one's kind."""
    header = JPEG[SOF + 4 : SOF + 19]
    more = header[:5] + b"\x04" + header[6:] + b"\x04\x11\x00"
    return JPEG[: SOF + 2] + (len(more) + 2).to_bytes(2, "big") + more + JPEG[SOF + 19 :]


#: By what is wrong: a JPEG, and what its error says.
DAMAGED = {
    "empty": (b"", "not a JPEG: the file is empty"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + JPEG[8:], "not a JPEG"),
    "65535 x 65535": (patched(SOF + 5, 255, 255, 255, 255), "65535 x 65535 pixels are more than"),
    "no width": (patched(SOF + 7, 0, 0), "width"),
    "no height": (patched(SOF + 5, 0, 0), "height|0 pixels"),
    "12 bits": (patched(SOF + 4, 12), "not supported: 12 bits"),
    "arithmetic": (patched(SOF + 1, 0xC9), "not supported: arithmetic"),
    "lossless": (patched(SOF + 1, 0xC3), "not supported: lossless"),
    "CMYK": (four_channels(), "four channels"),
    "garbage for a marker": (patched(DHT, 0x13, 0x37), "damaged JPEG.*extraneous"),
    "garbage for a table": (patched(DHT + 5, *[255] * 16), "damaged JPEG"),
    "no end marker": (JPEG[:-2], "damaged JPEG: it ends before its end marker"),
    "pixels removed": (JPEG[:-60] + JPEG[-2:], "damaged JPEG"),
    "a marker among the pixels": (patched(len(JPEG) - 40, 0xFF, 0xC4), "damaged JPEG"),
    "a restart marker removed": (JPEG[:RST] + JPEG[RST + 2 :], "damaged JPEG.*RST"),
}


def database(path: Path, jpegs: Mapping[str, bytes]) -> Path:
    """Write a database of photographs, by their stems, with small faces in the middle."""
    files = {}
    for stem, jpeg in jpegs.items():
        files[f"Person{stem[6:8]}/{stem}.jpg"] = jpeg
        files[f"Person{stem[6:8]}/{stem}.txt"] = f"{stem}.jpg\n\nFace\n32\n20\n6\n6\n".encode()
    return write_tar(path, files)


#: Names of photographs, one for each person, series and number.
STEMS = [
    f"person{person:02}{series}{number:02}+0+0"
    for person, series, number in itertools.product(range(1, 100), (1, 2), range(93))
]


def problems_of(path: Path, tmp_path: Path) -> tuple[str, ...]:
    with pytest.raises(DatabaseError) as caught:
        prepare(path, tmp_path, test_persons=[99], allow_incomplete=True, num_data_aug=1)
    assert all(line.isprintable() for line in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("wrong", DAMAGED)
def test_a_damaged_photograph_is_named_with_the_reason(wrong: str, tmp_path: Path) -> None:
    jpeg, reason = DAMAGED[wrong]
    jpegs = {"person01100+0+0": JPEG, "person01101+0+0": jpeg, "person99100+0+0": JPEG}
    (line,) = problems_of(database(tmp_path / "db.tar", jpegs), tmp_path)
    assert line.startswith("Person01/person01101+0+0.jpg: ")
    assert re.search(reason, line)


def test_photographs_that_end_anywhere_are_all_named_at_once(tmp_path: Path) -> None:
    jpegs = {stem: JPEG[:end] for end, stem in enumerate(STEMS[: len(JPEG)])}
    assert len(jpegs) == len(JPEG) > 500
    lines = problems_of(database(tmp_path / "db.tar", jpegs), tmp_path)
    named = [re.match(r"Person\d\d/(.*)\.jpg: (not a|damaged) JPEG: ", line) for line in lines]
    assert [match and match[1] for match in named] == list(jpegs)


@given(
    st.one_of(
        st.text(max_size=120).filter(bool),
        st.from_regex(
            r"(\./|/|\.\./|a/)?Person(ne)?[0-9]{2}/person(ne)?[0-9]{5}[+-][0-9]{1,3}[+-][0-9]{1,3}"
            r"(\.jpg|\.txt|\.JPG|\n)?",
            fullmatch=True,
        ),
    ),
)
@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_name_is_read_or_refused_or_passed_over(tmp_path: Path, name: str) -> None:
    good = "Person01/person01100+0+0"
    files = {f"{good}.jpg": JPEG, f"{good}.txt": b"person01100+0+0.jpg\n\nFace\n32\n20\n6\n6\n"}
    name = name.encode("utf-8", "replace").decode().replace("\0", "_")
    files.setdefault(name, JPEG)
    try:
        opened = open_database(write_tar(tmp_path / "db.tar", files))
    except DatabaseError as error:
        assert error.problems
        assert all(line.isprintable() for line in error.problems)
    else:
        assert [photograph.name for photograph in opened] == [f"{good}.jpg"]


NUMBERS = st.one_of(
    st.integers(-3, 12).map(str), st.integers().map(str), st.text(max_size=5), st.just("1,5")
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["--num-data-aug-val", "--aspect-ratio", "--seed", "--test-persons", "--workers"]
            ),
            NUMBERS,
        ),
        max_size=3,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_options_are_obeyed_or_refused(
    tmp_path_factory: pytest.TempPathFactory, options: list[tuple[str, str]]
) -> None:
    """Exit status 0 with a file, 1 with an error, or 2 for wrong usage; nothing else is raised."""
    folder = tmp_path_factory.mktemp("options")
    arguments = ["--input", str(SMALL_DATABASE), "--output", str(folder), "--num-data-aug", "1"]
    arguments += [f"{name}={value}" for name, value in options]
    try:
        status = main([*arguments, "--allow-incomplete", "--quiet"])
    except SystemExit as error:
        assert error.code == 2
        status = 2
    assert len(list(folder.iterdir())) == (status == 0)
    for path in folder.iterdir():
        path.unlink()
