"""A table as database: the same arrays, every bad row by its line, and nothing left behind."""

from __future__ import annotations

import csv
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import photographs
import pytest
from conftest import GOLDEN, MANY, SMALL_DATABASE, command, unpack
from PIL import Image

import headpose_fast
from headpose_fast import (
    DatabaseError,
    Limits,
    Table,
    inspect,
    load,
    open_database,
    prepare,
    verify,
)
from headpose_fast.bundle.kinds import KINDS, Kind
from headpose_fast.cli.main import main
from headpose_fast.exports import exporting
from headpose_fast.exports import table as exports_table
from headpose_fast.exports.options import Part
from headpose_fast.samples.options import AspectRatio
from headpose_fast.training import PixelStore, Samples, batches, folds, score

JPEG = (GOLDEN / "jpeg" / "420_64x40_q70_restart.jpg").read_bytes()
HEADER = "photograph,tilt,pan,face_x,face_y,face_width,face_height,split\n"
GOOD = "a.jpg,0,10.5,32,20,10,10,train\nb.jpg,-3e1,-0.25,32,20,10,10,test\n"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two photographs and a good table of them."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "labels.csv").write_text(HEADER + GOOD)
    return tmp_path


def row(**values: object) -> str:
    """Make a row that is good but for some values."""
    cells = dict(zip(HEADER.strip().split(","), GOOD.split("\n")[0].split(","), strict=True))
    return ",".join(map(str, (cells | values).values())) + "\n"


def bad(**values: object) -> str:
    """Make a table whose third line has some bad values."""
    return HEADER + row() + row(**values) + GOOD


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# What a table holds, and what its one line of error says.
BAD_TABLES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "it is empty or begins with an empty line"),
    "empty first line": ("\n" + HEADER + GOOD, "it is empty or begins with an empty line"),
    "header only": (HEADER, "it has no rows"),
    "rows without header": (GOOD, "it has no column photograph, tilt, pan, face_x"),
    "semicolons": ((HEADER + GOOD).replace(",", ";"), "separated by ';'"),
    "tabs": ((HEADER + GOOD).replace(",", "\t"), "separated by '\\t'"),
    "a missing column": (
        (HEADER + GOOD).replace("tilt", "pitch"),
        "no column tilt (if it has another name, say --columns OWN=tilt)",
    ),
    "columns in capitals": (HEADER.upper() + GOOD, "no column photograph"),
    "a column twice": (HEADER.replace("split", "pan") + GOOD, "two columns are named 'pan'"),
    "UTF-16": ((HEADER + GOOD).encode("utf-16"), "its first line is not text in UTF-8"),
    "bytes that are no text": (os.urandom(8).hex().encode() + b"\xff\n1", "not text in UTF-8"),
    "Latin-1": (bad(photograph="\xe4.jpg").encode("latin-1"), "line 3: photograph is '\\udce4.jpg"),
    "a value too few": (HEADER + row() + "a.jpg,0,0\n", "line 3: 3 values, but 8 columns"),
    "a value too many": (HEADER + row().strip() + ",1\n" + GOOD, "line 2: 9 values, but 8"),
    "an open quote": (HEADER + row() + '"a.jpg,0,0\n', "line 3: unexpected end of data"),
    "text after a quote": (HEADER + row() + '"a".jpg,0,0\n', "line 3: ',' expected after '\"'"),
    "a field of 200 KB": (bad(split="x" * 200_000), "line 3: field larger than field limit"),
    "a tilt that is none": (bad(tilt="up"), "line 3: tilt is 'up', not a finite number"),
    "no tilt": (bad(tilt=""), "line 3: tilt is '', not a finite number"),
    "NaN": (bad(pan="nan"), "line 3: pan is 'nan', not a finite number"),
    "infinity": (bad(pan="-inf"), "line 3: pan is '-inf', not a finite number"),
    "1e400": (bad(tilt="1e400"), "line 3: tilt is '1e400', not a finite number"),
    "more than float32": (bad(tilt="1e39"), "line 3: tilt is '1e39', not a finite number"),
    "hexadecimal": (bad(tilt="0x1f"), "line 3: tilt is '0x1f', not a finite number"),
    "an underscore": (bad(pan="1_0"), "line 3: pan is '1_0', not a finite number"),
    "a decimal comma": (bad(pan='"1,5"'), "line 3: pan is '1,5', not a finite number"),
    "other scripts' digits": (bad(pan="\u0661\u0662"), "line 3: pan is '\u0661\u0662', not a"),
    "two numbers": (bad(pan="1 2"), "line 3: pan is '1 2', not a finite number"),
    "half a pixel": (bad(face_x="32.5"), "line 3: face_x is '32.5', not a whole number from"),
    "a huge centre": (bad(face_y="9" * 30), "line 3: face_y is '999999999999999999999999999999'"),
    "a number of 400 digits": (bad(face_width="9" * 400), "line 3: face_width is '9999"),
    "a split that is none": (bad(split="val"), "line 3: split is 'val', neither train nor test"),
    "no split": (bad(split=""), "line 3: split is '', neither train nor test"),
    "split in capitals": (bad(split="Train"), "line 3: split is 'Train', neither train nor test"),
    "no path": (bad(photograph=""), "line 3: photograph is '', not a path"),
    "a path of 5,000 characters": (bad(photograph="a" * 5000), "line 3: photograph is 'aaaa"),
    "a missing photograph": (bad(photograph="c.jpg"), "line 3: c.jpg: No such file"),
    "an address": (bad(photograph="http://a/b.jpg"), "line 3: http://a/b.jpg: "),
    "outside": (bad(photograph="../a.jpg"), "line 3: '../a.jpg' is outside the table's folder"),
    "outside by a detour": (bad(photograph="d/../../a.jpg"), "line 3: 'd/../../a.jpg' is outside"),
    "absolute": (bad(photograph="/a.jpg"), "line 3: '/a.jpg' is absolute, which --absolute-paths"),
    "a folder": (bad(photograph="folder"), "line 3: folder: not a file"),
    "the table itself": (bad(photograph="labels.csv"), "line 3: labels.csv: not a JPEG"),
    "an empty photograph": (bad(photograph="empty.jpg"), "line 3: empty.jpg: not a JPEG: the file"),
    "a photograph cut short": (bad(photograph="short.jpg"), "line 3: short.jpg: damaged JPEG"),
    "a PNG": (bad(photograph="a.png"), "line 3: a.png: not a JPEG"),
    "CMYK": (bad(photograph="cmyk.jpg"), "line 3: cmyk.jpg: "),
    "a control character": (bad(photograph="\x1b[2J.jpg"), "line 3: \\x1b[2J.jpg: "),
    "a line break in a path": (bad(photograph='"x\ny.jpg"'), "line 4: x\\ny.jpg: "),
    "a null": (bad(photograph="a\0.jpg"), "line 3: "),
    "a box that leaves the picture": (bad(face_x="2"), "a.jpg: "),
    "a negative box": (bad(face_width="-10"), "a.jpg: "),
    "a box without height": (bad(face_height="0"), "a.jpg: "),
    "only photographs to train on": (HEADER + row(), "there are no photographs to test on"),
    "nobody is tested with": (
        (HEADER + GOOD).replace("split", "part"),
        "add a column split (train or test), or a column person and use --test-persons",
    ),
    "a person that is none": (
        (HEADER + GOOD).replace("split", "person").replace("train", "1").replace("test", "Jane"),
        "line 3: person is 'Jane', not a whole number from 0",
    ),
    "a negative person": (
        (HEADER + GOOD).replace("split", "person").replace("train", "1").replace("test", "-1"),
        "line 3: person is '-1', not a whole number from 0",
    ),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_a_bad_table_is_one_clear_line_and_leaves_nothing(
    what: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, expected = BAD_TABLES[what]
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "labels.csv").write_bytes(data)
    (folder / "folder").mkdir()
    (folder / "empty.jpg").touch()
    (folder / "short.jpg").write_bytes(JPEG[: len(JPEG) // 2])
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    Image.new("CMYK", (9, 9)).save(folder / "cmyk.jpg")
    before = files(folder)
    options = ["--input", str(folder / "labels.csv"), "--output", str(folder / "a.pkl")]
    assert main(options) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("headpose-fast: error: ")
    assert expected in line
    assert line.isprintable()
    assert files(folder) == before


def test_all_bad_rows_are_named_at_once(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        HEADER + row() + row(tilt="x", pan="y") + row(photograph="c.jpg") + row(split="z")
    )
    with pytest.raises(DatabaseError) as caught:
        open_database(folder / "labels.csv")
    assert [problem.split(": ")[1:] for problem in caught.value.problems] == [
        ["line 3", "tilt is 'x', not a finite number"],
        ["line 3", "pan is 'y', not a finite number"],
        ["line 4", "c.jpg", "No such file or directory"],
        ["line 5", "split is 'z', neither train nor test"],
    ]


def test_of_a_table_of_bad_rows_only_so_many_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "labels.csv").write_text(HEADER + 20_000 * row(photograph="c.jpg"))
    assert main(["--input", str(folder / "labels.csv"), "--output", str(folder)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert "more such problems" in lines[-1]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders")
def test_pipes_are_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.csv")
    (folder / "labels.csv").write_text(bad(photograph="pipe.jpg"))
    for name in ("labels.csv", "pipe.csv"):
        with pytest.raises(DatabaseError, match=r"pipe\.\w+: not a file"):
            open_database(folder / name)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_photograph_that_one_may_not_read(folder: Path) -> None:
    (folder / "b.jpg").chmod(0)
    with pytest.raises(DatabaseError, match=r"line 3: b\.jpg: Permission denied"):
        open_database(folder / "labels.csv")


def test_limits_hold_and_can_be_raised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "labels.csv"
    size = table.stat().st_size
    for limits in (
        Limits(photograph_bytes=len(JPEG) - 1),
        Limits(photograph_pixels=64 * 40 - 1),
        Limits(archive_bytes=size - 1),
    ):
        with pytest.raises(DatabaseError, match="allowed"):
            open_database(table, limits)
    exact = Limits(photograph_bytes=len(JPEG), photograph_pixels=64 * 40, archive_bytes=size)
    assert len(open_database(table, exact)) == 2
    options = ["--input", str(table), "--output", str(folder), "--quiet"]
    assert main([*options, "--limit", "photograph_pixels=100"]) == 1
    assert "allowed" in capsys.readouterr().err
    assert main([*options, "--limit", f"photograph_pixels={64 * 40}"]) == 0


@pytest.mark.parametrize(
    "usage",
    [
        "--columns a",
        "--columns =tilt",
        "--columns x=tilt",
        "--absolute-paths",
        "--input a.tar --columns x=tilt",
        "--input a.csv --columns x=sex",
        "--input a.csv --columns x=tilt --columns y=tilt",
        "--limit members=1",
        "--input a.csv --limit members",
        "--input a.csv --limit members=0",
        "--input a.csv --limit rows=5",
        "verify a.pkl --absolute-paths",
        "inspect a.pkl --columns x=tilt",
        "export npz --columns x=tilt",
        "table",
        "table a.txt",
    ],
)
def test_wrong_usage_exits_with_2(usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(usage.split())
    assert caught.value.code == 2
    assert "usage: headpose-fast" in capsys.readouterr().err


def test_a_row_is_a_photograph(folder: Path) -> None:
    database = open_database(folder / "labels.csv")
    assert (database.is_table, database.divided, len(database)) == (True, True, 2)
    first, second = database
    assert (first.name, first.tilt, first.pan, first.face) == ("a.jpg", 0, 10.5, (32, 20, 10, 10))
    assert (second.tilt, second.pan, second.width, second.height) == (-30, -0.25, 64, 40)
    assert (first.person, first.series, first.number, first.label) == (0, 0, 0, b"")
    assert first.jpeg == JPEG
    assert [[p.name for p in part] for part in database.split()] == [["a.jpg"], ["b.jpg"]]


VARIANTS: dict[str, Callable[[str], bytes]] = {
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "no line end": lambda text: text.rstrip("\n").encode(),
    "empty lines": lambda text: text.replace("\n", "\n\n").encode(),
    "quotes": lambda text: text.replace("a.jpg", '"a.jpg"').replace("tilt", '"tilt"').encode(),
    "blanks around numbers": lambda text: text.replace("10.5", " 10.5 ").encode(),
    "blanks around names": lambda text: text.replace(",pan,", ", pan ,").encode(),
    "plus and points": lambda text: text.replace(",0,10.5", ",+0.,+10.50e0").encode(),
    "minus zero": lambda text: text.replace(",0,", ",-0.0,").encode(),
    "a folder and back": lambda text: text.replace("a.jpg", "d/../a.jpg").encode(),
    "further columns": lambda text: "".join(
        f'"a\n{number}","",{line}\n' for number, line in enumerate(text.splitlines())
    ).encode(),
    "another order": lambda text: "".join(
        f"{','.join(line.split(',')[::-1])}\n" for line in text.splitlines()
    ).encode(),
}


@pytest.mark.parametrize("what", VARIANTS)
def test_however_a_table_is_written_it_says_the_same(what: str, folder: Path) -> None:
    table = folder / "labels.csv"
    before = open_database(table)
    (folder / "d").mkdir()
    table.write_bytes(VARIANTS[what](HEADER + GOOD))
    after = open_database(table)
    assert after.digest == before.digest
    assert [(p.tilt, p.pan, p.face, p.jpeg) for p in after] == [
        (p.tilt, p.pan, p.face, p.jpeg) for p in before
    ]


def test_columns_of_other_names(folder: Path) -> None:
    own, table = folder / "own.csv", folder / "labels.csv"
    text = (HEADER + GOOD).replace("pan", "yaw=deg").replace("photograph", "Datei")
    own.write_text(text, encoding="utf-8")
    columns = {"pan": "yaw=deg", "photograph": "Datei"}
    assert open_database(Table(own, columns)).digest == open_database(table).digest
    options = ["--columns", "yaw=deg=pan", "--columns", "Datei=photograph", "--quiet"]
    assert main(["--input", str(own), *options, "--output", str(folder / "a.pkl")]) == 0
    assert main(["verify", str(folder / "a.pkl"), "--input", str(own), *options]) == 0
    # Renaming one of two columns whose names are swapped would read the other twice.
    with pytest.raises(DatabaseError, match="column 'pan' cannot be tilt and pan"):
        open_database(Table(table, {"tilt": "pan"}))
    swapped = open_database(Table(table, {"tilt": "pan", "pan": "tilt"}))
    assert [(p.tilt, p.pan) for p in swapped] == [(p.pan, p.tilt) for p in open_database(table)]
    with pytest.raises(DatabaseError, match="no column roll, which --columns names"):
        open_database(Table(table, {"person": "roll"}))
    with pytest.raises(ValueError, match="no column roll, only photograph"):
        Table(table, {"roll": "pan"})


def test_paths_outside_are_allowed_on_request(folder: Path) -> None:
    below = folder / "below"
    below.mkdir()
    table = below / "labels.csv"
    table.write_text(HEADER + row(photograph=folder / "a.jpg") + row(photograph="../b.jpg"))
    with pytest.raises(DatabaseError) as caught:
        open_database(table)
    assert len(caught.value.problems) == 2
    opened = open_database(Table(table, absolute_paths=True))
    assert [p.jpeg for p in opened] == [JPEG, JPEG]


def test_the_digest_is_what_the_documentation_says(folder: Path) -> None:
    jpeg = hashlib.sha256(JPEG).hexdigest()
    lines = (
        "headpose-fast table 1\n"
        f"{jpeg} 0 0 0 0.0 10.5 32 20 10 10 train\n"
        f"{jpeg} 0 0 0 -30.0 -0.25 32 20 10 10 test\n"
    )
    assert open_database(folder / "labels.csv").digest == hashlib.sha256(lines.encode()).hexdigest()


def test_it_covers_rows_photographs_and_their_order_but_no_paths(folder: Path) -> None:
    table = folder / "labels.csv"
    digest = open_database(table).digest
    (folder / "b.jpg").rename(folder / "c.jpg")
    table.write_text((HEADER + GOOD).replace("b.jpg", "c.jpg"))
    assert open_database(table).digest == digest
    others = [
        (HEADER + GOOD).replace("b.jpg", "c.jpg").replace(*change)
        for change in (("10.5", "10.25"), ("test", "train"), ("32", "33"), (",split", ",part"))
    ]
    others.append(HEADER + "".join(GOOD.replace("b.jpg", "c.jpg").splitlines(True)[::-1]))
    found = set()
    for text in others:
        table.write_text(text)
        found.add(open_database(table).digest)
    table.write_text((HEADER + GOOD).replace("b.jpg", "c.jpg"))
    (folder / "c.jpg").write_bytes(JPEG + b"\0")
    found.add(open_database(table).digest)
    assert len(found - {digest}) == len(others) + 1


def same_arrays(one: Path, other: Path) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(load(one), load(other), strict=True))


def written_table(source: Path, folder: Path) -> Path:
    """Write the table of a database as the command does."""
    options = ["--allow-incomplete", "--quiet", "--input", str(source)]
    assert main(["table", str(folder / "labels.csv"), *options]) == 0
    return folder / "labels.csv"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ratio", [1, 0])
def test_the_table_of_a_database_makes_its_arrays(
    kind: Kind, ratio: AspectRatio, tmp_path: Path
) -> None:
    table = written_table(SMALL_DATABASE, tmp_path)
    options: dict[str, Any] = {"pickle": kind, "aspect_ratio": ratio, "seed": 3, "num_data_aug": 4}
    whole: dict[str, Any] = {"allow_incomplete": True, "test_persons": (5,)}
    archive = prepare(SMALL_DATABASE, tmp_path / "archive.pkl", **options, **whole)
    again = prepare(table, tmp_path / "table.pkl", **options)
    assert same_arrays(archive.path, again.path)
    by_person = prepare(table, tmp_path / "person.pkl", test_persons=(5,), **options)
    assert same_arrays(archive.path, by_person.path)
    assert verify(again.path, table).rendered
    assert verify(by_person.path, table).rendered
    with pytest.raises(headpose_fast.BundleError, match="made from a database other than"):
        verify(archive.path, table)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_real_photographs_makes_their_arrays(
    kind: Kind, shared: Path, tmp_path: Path
) -> None:
    source = shared / "golden" / "HeadPoseImageDatabase-first2.tar.gz"
    table = written_table(source, tmp_path)
    options: dict[str, Any] = {"pickle": kind, "seed": 7, "num_data_aug": 3, "num_data_aug_val": 2}
    archive = prepare(source, tmp_path / "archive.pkl", allow_incomplete=True, **options)
    again = prepare(table, tmp_path / "table.pkl", **options)
    assert same_arrays(archive.path, again.path)
    # Their comments seem to name people.
    assert not any(b"\xff\xfe" in path.read_bytes() for path in table.parent.rglob("*.jpg"))


def test_a_table_of_a_table_or_folder_leaves_the_photographs_where_they_are(
    tmp_path: Path,
) -> None:
    unpack(SMALL_DATABASE, tmp_path / "faces")
    table = written_table(tmp_path / "faces", tmp_path)
    assert files(tmp_path) - files(tmp_path / "faces") == {table, tmp_path / "faces"}
    again = tmp_path / "again.csv"
    assert main(["table", str(again), "--input", str(table), "--quiet"]) == 0
    assert again.read_bytes() == table.read_bytes()
    below = tmp_path / "below"
    below.mkdir()
    assert main(["table", str(below / "labels.csv"), "--input", str(table), "--quiet"]) == 0
    with pytest.raises(DatabaseError, match="outside the table's folder"):
        open_database(below / "labels.csv")
    moved = open_database(Table(below / "labels.csv", absolute_paths=True))
    assert moved.digest == open_database(table).digest


def test_an_undivided_table_stays_undivided(folder: Path) -> None:
    (folder / "labels.csv").write_text((HEADER + GOOD).replace(",split", ",part"))
    written = exports_table.write_table(folder / "again.csv", folder / "labels.csv")
    assert "split" not in written.path.read_text()
    assert open_database(written.path).digest == open_database(folder / "labels.csv").digest


@pytest.mark.parametrize("fails", ["_write_photographs", "output_file"])
@pytest.mark.parametrize("error", [OSError(28, "no space"), KeyboardInterrupt()])
def test_a_failure_leaves_neither_table_nor_photographs(
    fails: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(exports_table, fails)

    def failing(*arguments: object, **more: object) -> None:
        if fails == "_write_photographs":
            real(*arguments, **more)
        raise error

    monkeypatch.setattr(exports_table, fails, failing)
    (tmp_path / "labels.csv").write_text("older")
    with pytest.raises(type(error)):
        exports_table.write_table(tmp_path / "labels.csv", SMALL_DATABASE, allow_incomplete=True)
    assert files(tmp_path) == {tmp_path / "labels.csv"}
    assert (tmp_path / "labels.csv").read_text() == "older"


def test_what_is_there_is_not_replaced_by_photographs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels").mkdir()
    options = ["--allow-incomplete", "--input", str(SMALL_DATABASE)]
    assert main(["table", str(tmp_path / "labels.csv"), *options]) == 1
    assert "labels: it is already there; delete it" in capsys.readouterr().err
    assert files(tmp_path) == {tmp_path / "labels"}
    (tmp_path / "a.csv").write_text(HEADER + GOOD)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    with pytest.raises(ValueError, match="would replace the database"):
        exports_table.write_table(tmp_path / "a.csv", tmp_path / "a.csv")


def test_a_damaged_photograph_ends_the_job_by_its_name(folder: Path) -> None:
    middle = len(JPEG) * 3 // 4
    (folder / "b.jpg").write_bytes(JPEG[:middle] + b"\xff\xc0" + JPEG[middle + 2 :])
    before = files(folder)
    with pytest.raises(DatabaseError, match=r"^b\.jpg: damaged"):
        prepare(folder / "labels.csv", folder / "a.pkl")
    assert files(folder) == before


def test_photographs_that_change_while_it_runs_are_noticed(folder: Path) -> None:
    database = open_database(folder / "labels.csv")
    (folder / "b.jpg").write_bytes(JPEG[:-20])
    with pytest.raises(DatabaseError, match=r"b\.jpg: .*bytes are left"):
        database.digest  # noqa: B018
    with pytest.raises(OSError, match=r"b\.jpg: it ends early: the file has changed"):
        database[1].jpeg  # noqa: B018
    (folder / "b.jpg").unlink()
    with pytest.raises(DatabaseError, match=r"b\.jpg: cannot be read: No such file"):
        database.digest  # noqa: B018


def test_a_table_that_changes_after_it_was_read_does_not_matter(folder: Path) -> None:
    database = open_database(folder / "labels.csv")
    digest = database.digest
    (folder / "labels.csv").write_text("nonsense")
    assert database.digest == digest
    assert len(database.split()[0]) == 1


def test_a_dataset_notices_that_its_table_changed(folder: Path) -> None:
    samples = Samples(folder / "labels.csv", store=False)
    copy = pickle.loads(pickle.dumps(samples))
    assert np.array_equal(copy[0][0], samples[0][0])
    other = pickle.loads(pickle.dumps(samples))
    (folder / "labels.csv").write_text((HEADER + GOOD).replace("10.5", "11"))
    with pytest.raises(DatabaseError, match="changed since this dataset was made"):
        other[0]


def mixed(folder: Path, count: int = 200) -> Path:
    """Write a table of photographs of all kinds."""
    folder.mkdir(exist_ok=True)
    return photographs.write_table(folder / "mixed.csv", count, 30, photographs.SIZES[:5])


def test_photographs_of_all_kinds_go_all_the_way(tmp_path: Path) -> None:
    table = mixed(tmp_path / "mixed")
    database = open_database(table)
    assert len({(p.width, p.height) for p in database}) > 5
    for photograph in database[:60]:
        with Image.open(photograph.file.path) as image:  # type: ignore[union-attr]
            turned = image.getexif().get(0x0112, 1) > 4
            assert image.size[:: -1 if turned else 1] == (photograph.width, photograph.height)
    bundle = tmp_path / "a.pkl"
    options = ["--num-data-aug", "2", "--num-data-aug-val", "1", "--quiet"]
    assert main(["--input", str(table), "--output", str(bundle), *options]) == 0
    assert main(["verify", str(bundle), "--input", str(table), "--quiet"]) == 0
    index, sheet = tmp_path / "index.csv", tmp_path / "sheet.png"
    views = ["--index", str(index), "--picture", str(sheet), "--input", str(table), "--quiet"]
    assert main(["inspect", str(bundle), *views]) == 0
    inspection = inspect(bundle)
    assert inspection.other_labels["train"] > 350
    with index.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 180 + 20
    loaded = load(bundle)
    for number, line in ((0, rows[0]), (359, rows[359])):
        angles = np.array([line["tilt"], line["pan"]], np.float32) / np.float32(90)
        assert np.array_equal(loaded.trn_output[number], angles)
        (photograph,) = (p for p in database if p.name == line["photograph"])
        crop = [[[int(line[f"crop_{side}"]) for side in ("x", "y", "width", "height")]]]
        sample = headpose_fast.render([photograph.jpeg], np.array(crop, np.int32))
        assert np.array_equal(sample[0, 0], loaded.trn_im[number])
    with Image.open(sheet) as image:
        assert image.width > 900
    html = database._repr_html_()
    assert "200" in html
    assert "missing" not in html
    assert "people" in html


def test_samples_are_those_of_the_bundle_from_pixels_or_photographs(tmp_path: Path) -> None:
    table = mixed(tmp_path / "mixed", 60)
    database = open_database(table)
    fold = folds(database)[0]
    assert (fold.test % 10 == 9).all()
    assert len(fold.test) == 6
    plan = headpose_fast.plan_crops(*database.split(), num_data_aug=1, num_data_aug_val=1)
    bundle = load(prepare(table, tmp_path, num_data_aug=1, num_data_aug_val=1).path)
    form = headpose_fast.training.Form("float32", "bgr")
    for part, crops, images, outputs in (
        ("train", plan.train, bundle.trn_im, bundle.trn_output),
        ("test", plan.test, bundle.test_im, bundle.test_output),
    ):
        for store in (True, False):
            samples = Samples(table, part, plan=crops, form=form, store=store)  # type: ignore[arg-type]
            made, labels = samples.arrays(range(len(samples)))
            assert np.array_equal(made, images)
            assert np.array_equal(labels, outputs)
            ((_, shuffled),) = batches(samples, len(samples))
            assert sorted(map(list, shuffled)) == sorted(map(list, outputs))
    pixels = PixelStore.open(database)
    assert [p.shape[:2] for p in pixels] == [(p.height, p.width) for p in database]
    assert pixels.damaged() == []
    persons = [p.person for p in database]
    truth = np.array([(p.tilt, p.pan) for p in database])
    assert sorted(score(truth, truth, persons).by_person) == [1, 2, 3]


def test_without_a_column_split_training_needs_another_protocol(folder: Path) -> None:
    table = folder / "labels.csv"
    text = (HEADER + GOOD).replace("split", "person").replace("train", "5").replace("test", "700")
    table.write_text(text)
    database = open_database(table)
    with pytest.raises(DatabaseError, match="add a column split"):
        folds(database)
    with pytest.raises(DatabaseError, match="add a column split"):
        Samples(table, store=False)
    names = [fold.name for fold in folds(database, "unknown")]
    assert names == ["unknown:5", "unknown:700"]
    assert len(Samples(table, "test", protocol="unknown", fold=700, store=False)) == 1
    assert prepare(table, folder, test_persons=[700]).test_persons == (700,)
    assert prepare(table, folder, split="unknown:700").test_persons == (700,)
    with pytest.raises(DatabaseError, match="test person 06 has no photographs"):
        prepare(table, folder, test_persons=[6])


@pytest.mark.parametrize("part", ["all", "train", "test"])
def test_exports_are_divided_as_the_table_is(part: Part, tmp_path: Path) -> None:
    table = mixed(tmp_path / "mixed", 40)
    exported = exporting.export("npz", table, tmp_path / "a.npz", part=part)
    database = open_database(table)
    train, test = database.split()
    expected = {"all": database, "train": train, "test": test}[part]
    with np.load(exported.path) as file:
        assert file["pose"].tolist() == [[p.pan, p.tilt, 0] for p in expected]
        assert len(file["image"]) == len(expected)
    parquet = pytest.importorskip("pyarrow.parquet")
    exported = exporting.export("parquet", table, tmp_path / "a.parquet", part=part)
    rows = parquet.read_table(exported.path).to_pylist()
    tests = {p.name for p in test}
    assert [(r["name"], r["tilt"], r["pan"], r["split"]) for r in rows] == [
        (p.name, p.tilt, p.pan, "test" if p.name in tests else "train") for p in expected
    ]


def test_an_undivided_table_is_exported_where_no_split_matters(folder: Path) -> None:
    (folder / "labels.csv").write_text((HEADER + GOOD).replace(",split", ",part"))
    exporting.export("npz", folder / "labels.csv", folder / "a.npz")
    with pytest.raises(DatabaseError, match="add a column split"):
        exporting.export("npz", folder / "labels.csv", folder / "b.npz", part="test")


def test_a_summary_says_how_a_table_is_divided(folder: Path) -> None:
    done = command("--input", folder / "labels.csv", "--output", folder)
    assert "2 photographs of unknown people: divided by the table's column split" in done.stderr
    text = HEADER.strip() + ",person\n" + "".join(f"{line},7\n" for line in GOOD.splitlines())
    (folder / "labels.csv").write_text(text)
    done = command("--input", folder / "labels.csv", "--output", folder)
    assert "of 1 people: divided by the table's column split into sides, 1 people are on both" in (
        done.stderr
    )


def test_a_table_needs_neither_boto3_nor_pyarrow(folder: Path) -> None:
    code = f"""
import sys
from headpose_fast.cli.main import main
assert main(["--input", {str(folder / "labels.csv")!r}, "--output", {str(folder)!r}]) == 0
print([name for name in ("boto3", "botocore", "pyarrow", "PIL", "tqdm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.full
def test_many_photographs_of_mixed_sizes(tmp_path: Path) -> None:
    table = tmp_path / "mixed.csv"
    # Every 25th has 4000 x 3000 pixels.
    sizes = (*(photographs.SIZES[:-1] * 5)[:24], photographs.SIZES[-1])
    photographs.write_table(table, MANY, 100, sizes)
    bundle = tmp_path / "a.pkl"
    passes = ["--num-data-aug", "1", "--num-data-aug-val", "1", "--size", "32x32", "--quiet"]
    passes += ["--pickle", "py3", "--output", str(bundle)]
    assert main(["--input", str(table), *passes]) == 0
    inspection = inspect(bundle)
    assert inspection.shapes["trn_im"] == (MANY * 9 // 10, 3, 32, 32)
    assert inspection.values["trn_im"].not_finite == 0
    assert main(["verify", str(bundle), "--input", str(table), "--quiet"]) == 0
    samples = Samples(table, "test", store=False)
    count = 0
    for images, labels in batches(samples, 64):
        assert images.shape[1:] == (3, 84, 84)
        assert np.isfinite(labels).all()
        count += len(images)
    assert count == MANY // 10
    shutil.rmtree(tmp_path)
