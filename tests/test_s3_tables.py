"""Tables whose photographs are in S3: the same samples, little in memory, errors by row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import photographs
import pytest
from conftest import GOLDEN
from stores import Network, Store
from stores import environment as environment
from stores import network as network
from stores import server as server
from stores import store as store

from headpose_fast import Database, DatabaseError, Limits, open_database, prepare, verify
from headpose_fast.bundle.kinds import KINDS, Kind
from headpose_fast.database import objects
from headpose_fast.database import photographs as of_database
from headpose_fast.database import tables as of_tables
from headpose_fast.exports.exporting import export
from headpose_fast.exports.table import write_table
from headpose_fast.training import PixelStore, Samples

JPEG = (GOLDEN / "jpeg" / "420_64x40_q70_restart.jpg").read_bytes()
HEADER = "photograph,tilt,pan,face_x,face_y,face_width,face_height,split\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path / "cache"))
    objects._client.cache_clear()


@pytest.fixture
def tables(store: Store, tmp_path: Path) -> tuple[Path, Path]:
    """Give a table of photographs beside it, and one of the same in S3, one of them beside it."""
    folder = tmp_path / "local"
    folder.mkdir()
    local = photographs.write_table(folder / "local.csv", 40, 12, photographs.SIZES[:5])
    header, *lines = local.read_text().splitlines()
    rows = [header]
    for number, line in enumerate(lines):
        name, rest = line.split(",", 1)
        if number == 7:
            rows.append(line)
            continue
        body = (folder / name).read_bytes()
        if number == 3:
            # A header that does not fit into what is fetched first.
            body = body[:2] + 2 * (b"\xff\xfe\xff\xff" + bytes(65533)) + body[2:]
            (folder / name).unlink()
            (folder / name).write_bytes(body)
        store.client.put_object(Bucket=store.bucket, Key=f"faces/{name}", Body=body)
        rows.append(f"s3://{store.bucket}/faces/{name},{rest}")
    away = folder / "away.csv"
    away.write_text("\n".join(rows))
    return local, away


def opened(tables: tuple[Path, Path]) -> tuple[Database, Database]:
    local, away = map(open_database, tables)
    return local, away


def test_they_are_the_same_database(tables: tuple[Path, Path]) -> None:
    local, away = opened(tables)
    assert [(p.width, p.height, p.face) for p in away] == [
        (p.width, p.height, p.face) for p in local
    ]
    assert [p.jpeg for p in away[:8]] == [p.jpeg for p in local[:8]]
    assert away.digest == local.digest


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bundle_stretch_by_stretch(
    kind: Kind, tables: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"num_data_aug": 2, "num_data_aug_val": 1}
    first = prepare(tables[0], tmp_path / "local.pkl", pickle=kind, **options)  # type: ignore[arg-type]
    fetched = []

    def contents(addresses: list[str], lengths: list[int]) -> list[bytes | objects.Failure]:
        fetched.append(len(addresses))
        return objects.contents(addresses, lengths)

    monkeypatch.setattr(of_database, "_FETCHED", 5)
    monkeypatch.setattr(of_database, "contents", contents)
    done: list[int] = []
    second = prepare(
        tables[1],
        tmp_path / "away.pkl",
        pickle=kind,
        progress=lambda samples, total: done.append(samples),  # noqa: ARG005
        **options,  # type: ignore[arg-type]
    )
    assert second.path.read_bytes() == first.path.read_bytes()
    assert max(fetched) <= 5
    assert done == sorted(done)
    assert done[-1] == 2 * 36 + 4
    assert verify(second.path, tables[1]).rendered


def test_training_and_exports_take_them(tables: tuple[Path, Path], tmp_path: Path) -> None:
    local, away = (Samples(table, store=False) for table in tables)
    keys = [0, 1, 3, 7, 35]
    for array, same in zip(local.arrays(keys), away.arrays(keys), strict=True):
        assert np.array_equal(array, same)
    pixels = PixelStore.open(open_database(tables[1]))
    assert pixels.digest == open_database(tables[0]).digest
    one, other = (
        export("npz", table, tmp_path / f"{table.stem}.npz").path.read_bytes() for table in tables
    )
    assert one == other
    written = write_table(tmp_path / "local" / "again.csv", tables[1])
    assert written.folder is None
    assert open_database(written.path).digest == open_database(tables[1]).digest
    assert written.path.read_text().count("s3://") == 39


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://{bucket}/none.jpg", "The specified key does not exist (NoSuchKey)"),
        ("s3://no-such-bucket-of-ours/a.jpg", "The specified bucket does not exist"),
        ("s3://{bucket}", "not an address such as s3://bucket/photograph.jpg"),
        ("s3:///a.jpg", "not an address such as s3://bucket/photograph.jpg"),
        ("s3://{bucket}/empty.jpg", "not a JPEG: the file is empty"),
        ("s3://{bucket}/short.jpg", "damaged JPEG"),
        ("s3://{bucket}/text.jpg", "not a JPEG"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(
    name: str, expected: str, store: Store, tmp_path: Path
) -> None:
    for key, body in (
        ("a.jpg", JPEG),
        ("empty.jpg", b""),
        ("short.jpg", JPEG[:500]),
        ("text.jpg", b"hello"),
    ):
        store.client.put_object(Bucket=store.bucket, Key=key, Body=body)
    names = f"s3://{store.bucket}/a.jpg", name.format(bucket=store.bucket)
    rows = [f"{each},0,0,32,20,10,10,train\n" for each in names]
    (tmp_path / "labels.csv").write_text(HEADER + "".join(rows))
    with pytest.raises(DatabaseError) as caught:
        open_database(tmp_path / "labels.csv")
    (problem,) = caught.value.problems
    assert f"line 3: {names[1]}: " in problem
    assert expected in problem


def test_whole_objects_are_fetched_for_their_headers_some_at_a_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = JPEG[:2] + 2 * (b"\xff\xfe\xff\xff" + bytes(65533)) + JPEG[2:]
    endless = JPEG[:2] + 2 * (b"\xff\xfe\xff\xff" + bytes(65533))
    rows = []
    for number in range(7):
        store.client.put_object(
            Bucket=store.bucket, Key=f"{number}.jpg", Body=endless if number == 4 else long
        )
        rows.append(f"s3://{store.bucket}/{number}.jpg,0,0,32,20,10,10,train\n")
    (tmp_path / "labels.csv").write_text(HEADER + "".join(rows))
    asked = []

    def starts(addresses: list[str], most: int) -> list[objects.Start | objects.Failure]:
        asked.append(len(addresses))
        return objects.starts(addresses, most)

    monkeypatch.setattr(of_database, "_FETCHED", 3)
    monkeypatch.setattr(of_tables, "starts", starts)
    with pytest.raises(DatabaseError) as caught:
        open_database(tmp_path / "labels.csv")
    assert asked == [7, 3, 3, 1]
    (problem,) = caught.value.problems
    assert f"line 6: s3://{store.bucket}/4.jpg: " in problem
    del rows[4]
    (tmp_path / "labels.csv").write_text(HEADER + "".join(rows))
    assert [(p.width, p.height) for p in open_database(tmp_path / "labels.csv")] == 6 * [(64, 40)]


def test_limits_hold_for_objects(tables: tuple[Path, Path]) -> None:
    with pytest.raises(DatabaseError, match="more than the 1000 bytes allowed"):
        open_database(tables[1], Limits(photograph_bytes=1000))


def test_an_object_that_changed_is_noticed(
    tables: tuple[Path, Path], store: Store, tmp_path: Path
) -> None:
    database = open_database(tables[1])
    key = database[1].name.removeprefix(f"s3://{store.bucket}/")
    store.client.put_object(Bucket=store.bucket, Key=key, Body=JPEG)
    with pytest.raises(DatabaseError, match=rf"{key}: it no longer has the [\d,]+ bytes"):
        database.digest  # noqa: B018
    with pytest.raises(OSError, match="it has changed"):
        database[1].jpeg  # noqa: B018
    store.client.delete_object(Bucket=store.bucket, Key=key)
    with pytest.raises(DatabaseError, match=r"line 3: .*NoSuchKey"):
        prepare(tables[1], tmp_path / "a.pkl")
    assert not (tmp_path / "a.pkl").exists()


@pytest.mark.parametrize("orderly", [False, True])
def test_an_answer_that_breaks_off_is_asked_for_again(
    orderly: bool, tables: tuple[Path, Path], network: Network
) -> None:
    network.cut_every, network.orderly = 10, orderly
    local, away = opened(tables)
    assert away.digest == local.digest
    assert network.cuts > 0
    before = network.cuts
    network.cut_every = 1
    with pytest.raises(OSError, match=r"s3://.*(Connection broken|[\d,]+ read)"):
        away[4].jpeg  # noqa: B018
    assert network.cuts == before + 6


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_signal_does_not_wait_for_a_store_that_stalls(
    tables: tuple[Path, Path], network: Network, tmp_path: Path
) -> None:
    network.stall_at = 2000
    process = subprocess.Popen(
        [sys.executable, "-m", "headpose_fast", "--input", str(tables[1])],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        deadline = time.monotonic() + 60
        while network.sent < network.stall_at and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (130, "headpose-fast: stopped by SIGINT\n")


def test_without_credentials_it_says_so(
    tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    objects._client.cache_clear()
    with pytest.raises(DatabaseError, match=r"line 2: .*Unable to locate credentials"):
        open_database(tables[1])
