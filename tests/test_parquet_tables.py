"""Tables in Parquet files: the same database as from a CSV file, and what is no such table."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import GOLDEN

from headpose_fast import DatabaseError, open_database
from headpose_fast.cli.main import main

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

JPEG = (GOLDEN / "jpeg" / "420_64x40_q70_restart.jpg").read_bytes()
GOOD: dict[str, list[Any]] = {
    "photograph": ["a.jpg", "b.jpg"],
    "tilt": [0.0, -30.0],
    "pan": [10.5, -0.25],
    "face_x": [32, 32],
    "face_y": [20, 20],
    "face_width": [10, 10],
    "face_height": [10, 10],
    "split": ["train", "test"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    return tmp_path


def write(folder: Path, **columns: list[Any]) -> Path:
    """Write a table that is good but for some columns."""
    parquet.write_table(pyarrow.table(GOOD | columns), folder / "labels.parquet")
    return folder / "labels.parquet"


def test_a_parquet_table_is_the_same_database_as_a_csv_table(folder: Path) -> None:
    rows = zip(*GOOD.values(), strict=True)
    lines = [",".join(map(str, row)) for row in (tuple(GOOD), *rows)]
    (folder / "labels.csv").write_text("\n".join(lines))
    expected = open_database(folder / "labels.csv").digest
    assert open_database(write(folder, other=[None, b"x"])).digest == expected
    narrow = pyarrow.array([32, 32], "uint16")
    assert open_database(write(folder, face_x=narrow, pan=pyarrow.array([10.5, -0.25], "float32")))
    options = ["--input", str(folder / "labels.parquet"), "--output", str(folder / "a.pkl")]
    assert main([*options, "--quiet"]) == 0
    assert main(["verify", str(folder / "a.pkl"), "--input", str(folder / "labels.csv")]) == 0


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"photograph": ["a.jpg", None]}, "row 2: photograph is None, not a path"),
        ({"photograph": [1, 2]}, "row 1: photograph is 1, not a path"),
        ({"photograph": [b"a.jpg", b"b.jpg"]}, "row 1: photograph is b'a.jpg', not a path"),
        ({"tilt": [0.0, None]}, "row 2: tilt is None, not a finite number"),
        ({"tilt": [0.0, float("nan")]}, "row 2: tilt is nan, not a finite number"),
        ({"tilt": [True, False]}, "row 1: tilt is True, not a finite number"),
        ({"tilt": ["0", "up"]}, "row 2: tilt is 'up', not a finite number"),
        ({"pan": [Decimal("10.5"), Decimal(1)]}, "row 1: pan is Decimal('10.5'), not a finite"),
        ({"face_x": [32.0, 32.5]}, "row 2: face_x is 32.5, not a whole number"),
        ({"face_x": [32, 2**40]}, "row 2: face_x is 1099511627776, not a whole number"),
        ({"face_x": [[32], [32]]}, "row 1: face_x is [32], not a whole number"),
        ({"person": [1, None]}, "row 2: person is None, not a whole number from 0"),
        ({"split": ["train", None]}, "row 2: split is None, neither train nor test"),
        ({"split": [0, 1]}, "row 1: split is 0, neither train nor test"),
        ({name: [] for name in GOOD}, "it has no rows"),
    ],
)
def test_a_bad_row_is_named_by_its_number(
    columns: dict[str, list[Any]], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(folder, **columns)
    before = set(folder.iterdir())
    assert main(["--input", str(table), "--output", str(folder)]) == 1
    first, *_ = capsys.readouterr().err.splitlines()
    assert expected in first
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"PAR1", b"photograph,tilt\n", b"PAR1" + bytes(99)])
def test_what_is_no_parquet_file_is_an_error(content: bytes, folder: Path) -> None:
    (folder / "labels.parquet").write_bytes(content)
    with pytest.raises(
        DatabaseError, match=r"labels\.parquet: not a Parquet file that can be read"
    ):
        open_database(folder / "labels.parquet")


def test_damage_within_a_parquet_file_is_an_error(folder: Path) -> None:
    table = write(folder)
    content = bytearray(table.read_bytes())
    for place in range(4, len(content), 7):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        table.write_bytes(damaged)
        try:
            open_database(table)
        except DatabaseError as error:
            assert "labels.parquet: " in str(error)


def test_without_pyarrow_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(folder)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["--input", str(table), "--output", str(folder)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'headpose-fast[parquet]'" in line
