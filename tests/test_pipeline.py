"""The whole job: the same bytes always, little memory, and nothing half done."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import twin
from conftest import SMALL_DATABASE, members, unpack, write_tar

import headpose_fast
from headpose_fast import DatabaseError, _core, prepare
from headpose_fast.bundle.kinds import KINDS, Kind
from headpose_fast.bundle.placed_files import Places
from headpose_fast.sources import finding

SMALL: dict[str, Any] = {"test_persons": (5,), "allow_incomplete": True}


@pytest.mark.parametrize("kind", KINDS)
def test_input_and_options_alone_make_the_bytes(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(SMALL_DATABASE, tmp_path / "a.pkl", pickle=kind, workers=1, **SMALL)
    (tmp_path / "folder").mkdir()
    copy = write_tar(tmp_path / "folder" / "other.tgz", members(SMALL_DATABASE), "w:gz")
    monkeypatch.chdir(tmp_path / "folder")
    second = prepare(copy, pickle=kind, workers=7, **SMALL)
    assert first.path.read_bytes() == second.path.resolve().read_bytes()
    third = prepare(copy, tmp_path / "c.pkl", pickle=kind, seed=1, **SMALL)
    assert first.path.read_bytes() != third.path.read_bytes()


def test_what_was_written_is_reported(tmp_path: Path) -> None:
    prepared = prepare(SMALL_DATABASE, tmp_path, num_data_aug=2, aspect_ratio=0, seed=9, **SMALL)
    assert prepared.path == tmp_path / "HeadPoseData_trn_test_x2_py2.pkl"
    assert prepared.size == prepared.path.stat().st_size
    assert prepared.kind == "any"
    assert not prepared.replaced
    assert prepared.shapes == ((8, 3, 54, 96), (12, 3, 54, 96), (8, 2), (12, 2))
    assert prepared.train_persons == (1,)
    assert prepared.test_persons == (5,)
    assert prepared.photographs == 8
    assert prepared.seed == 9
    bundle = headpose_fast.load(prepared.path)
    assert tuple(array.shape for array in bundle) == prepared.shapes
    with prepared.path.open("rb") as file:
        for array, loaded in zip(bundle, pickle.load(file), strict=True):
            assert np.array_equal(array, loaded)
    assert prepare(SMALL_DATABASE, tmp_path, num_data_aug=2, **SMALL).replaced


@pytest.mark.parametrize(
    ("split", "name", "tested"),
    [
        ("known:1", "known1", {(1, 1), (5, 1)}),
        ("known:2", "known2", {(1, 2), (5, 2)}),
        ("unknown:1", "unknown1", {(1, 1), (1, 2)}),
        ("unknown:5", "unknown5", {(5, 1), (5, 2)}),
    ],
)
def test_the_protocols_test_with_one_series_or_one_person(
    split: str, name: str, tested: set[tuple[int, int]], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"num_data_aug": 2, "num_data_aug_val": 1, "seed": 3}
    prepared = prepare(SMALL_DATABASE, tmp_path, split=split, allow_incomplete=True, **options)
    assert prepared.path.name == f"HeadPoseData_trn_test_x2_{name}_py2.pkl"
    database = headpose_fast.open_database(SMALL_DATABASE)
    train = [p for p in database if (p.person, p.series) not in tested]
    test = [p for p in database if (p.person, p.series) in tested]
    assert prepared.train_series == tuple(sorted({p.series for p in train}))
    assert prepared.test_series == tuple(sorted({p.series for p in test}))
    crops = headpose_fast.plan_crops(train, test, **options)
    bundle = headpose_fast.load(prepared.path, verify=True)
    for part, part_crops, images, outputs in (
        (train, crops.train, bundle.trn_im, bundle.trn_output),
        (test, crops.test, bundle.test_im, bundle.test_output),
    ):
        expected = headpose_fast.render([p.jpeg for p in part], part_crops)
        assert np.array_equal(images, expected.reshape(images.shape))
        assert outputs.tolist()[: len(part)] == [
            [np.float32(p.tilt) / 90, np.float32(p.pan) / 90] for p in part
        ]
    assert headpose_fast.verify(prepared.path, SMALL_DATABASE).rendered


@pytest.mark.parametrize("split", ["known:3", "known", "unknown:0", "unknown:", "5", "known:1 "])
def test_other_splits_are_refused(split: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be"):
        prepare(SMALL_DATABASE, tmp_path, split=split, allow_incomplete=True)
    with pytest.raises(ValueError, match="cannot be combined"):
        prepare(SMALL_DATABASE, tmp_path, split=split, **SMALL)


@pytest.mark.parametrize(("ratio", "size"), [(1, (224, 224)), (1, (30, 30)), (0, (160, 90))])
def test_another_size_keeps_the_crops(
    ratio: Literal[1, 0], size: tuple[int, int], tmp_path: Path
) -> None:
    prepared = prepare(SMALL_DATABASE, tmp_path, aspect_ratio=ratio, size=size, **SMALL)
    assert prepared.path.name == f"HeadPoseData_trn_test_x15_{size[0]}x{size[1]}_py2.pkl"
    train, test = headpose_fast.open_database(SMALL_DATABASE).split({5})
    crops = headpose_fast.plan_crops(train, test, aspect_ratio=ratio)
    bundle = headpose_fast.load(prepared.path, verify=True)
    expected = twin.samples([twin.pixels(p.jpeg) for p in train], crops.train, *size)
    assert np.array_equal(bundle.trn_im, expected.reshape(bundle.trn_im.shape))
    with prepared.path.open("rb") as file:
        assert np.array_equal(pickle.load(file)[0], bundle.trn_im)
    assert headpose_fast.verify(prepared.path, SMALL_DATABASE).rendered


def test_progress_is_told_and_may_end_it(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    options: dict[str, Any] = {"num_data_aug": 1500, "pickle": "py3", **SMALL}

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    prepared = prepare(SMALL_DATABASE, tmp_path, progress=tell, **options)
    assert {total for _, total in told} == {sum(shape[0] for shape in prepared.shapes[:2])}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]
    assert len(told) > 3

    def end(done: int, total: int) -> None:
        raise KeyError((done, total))

    with pytest.raises(KeyError):
        prepare(SMALL_DATABASE, tmp_path / "b.pkl", progress=end, **options)
    assert list(tmp_path.iterdir()) == [prepared.path]


def test_the_name_tells_who_can_load_the_file(tmp_path: Path) -> None:
    names = {prepare(SMALL_DATABASE, tmp_path, pickle=k, **SMALL).path.name for k in KINDS}
    assert names == {
        "HeadPoseData_trn_test_x15_py2.pkl",
        "HeadPoseData_trn_test_x15_py3.pkl",
    }


def test_an_incomplete_database_is_an_error_that_lists_what_lacks(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as caught:
        prepare(SMALL_DATABASE, tmp_path, test_persons=(5, 77))
    problems = caught.value.problems
    assert "2,782 of the 2,790 published photographs are missing" in problems[0]
    assert "--allow-incomplete" in problems[0]
    assert problems[1] == f"{SMALL_DATABASE}: person 01 series 1: missing 01-45, 47-92"
    assert problems[3] == f"{SMALL_DATABASE}: person 02 series 1: missing 00-92"
    assert problems[-1] == f"{SMALL_DATABASE}: test person 77 has no photographs"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("persons", "part"), [((1, 5), "train"), ((7,), "test"), ((), "test")])
def test_an_empty_part_is_an_error(persons: tuple[int, ...], part: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=f"no photographs to {part} on"):
        prepare(SMALL_DATABASE, tmp_path, test_persons=persons, allow_incomplete=True)


def test_people_above_15_train(tmp_path: Path) -> None:
    files = members(SMALL_DATABASE)
    for name, content in members(SMALL_DATABASE).items():
        if name.startswith("Person01"):
            renamed = name.replace("Person01/person01", "Person33/person33")
            files[renamed] = content.replace(b"person01", b"person33")
    archive = write_tar(tmp_path / "db.tar", files)
    assert prepare(archive, tmp_path, **SMALL).train_persons == (1, 33)


@pytest.mark.parametrize(
    "options",
    [
        {"num_data_aug": 0},
        {"num_data_aug_val": 0},
        {"pickle": "py4"},
        {"workers": 0},
        {"seed": -1},
        {"aspect_ratio": 2},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be"):
        prepare(SMALL_DATABASE, tmp_path, **SMALL | options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        prepare(SMALL_DATABASE, tmp_path / "missing" / "a.pkl", **SMALL)


def test_a_folder_written_with_a_slash_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        prepare(SMALL_DATABASE, f"{tmp_path}/new/", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_the_output_must_not_be_the_input(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "db.tar", members(SMALL_DATABASE))
    with pytest.raises(ValueError, match="would replace the database"):
        prepare(archive, archive, **SMALL)
    assert len(headpose_fast.open_database(archive)) == 8


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders")
def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError, match="not a regular file"):
        prepare(SMALL_DATABASE, pipe, **SMALL)
    assert pipe.is_fifo()
    (tmp_path / "HeadPoseData_trn_test_x15_py2.pkl").mkdir()
    with pytest.raises(FileExistsError, match=r"x15_py2\.pkl: not a regular file"):
        prepare(SMALL_DATABASE, tmp_path, **SMALL)


@pytest.mark.skipif(os.name != "posix", reason="Windows lets few make links")
def test_a_symbolic_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.pkl", tmp_path / "link.pkl"
    real.write_bytes(b"old")
    link.symlink_to(real)
    assert prepare(SMALL_DATABASE, link, **SMALL).replaced
    assert link.is_symlink()
    assert real.stat().st_size > 1 << 20


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    options = {"num_data_aug": np.int64(2), "num_data_aug_val": np.int8(1), "seed": np.uint32(3)}
    one = prepare(SMALL_DATABASE, tmp_path / "a", **options, **SMALL)  # type: ignore[arg-type]
    two = prepare(
        SMALL_DATABASE, tmp_path / "b", num_data_aug=2, num_data_aug_val=1, seed=3, **SMALL
    )
    assert one.path.read_bytes() == two.path.read_bytes()
    with pytest.raises(TypeError):
        prepare(SMALL_DATABASE, tmp_path / "c", num_data_aug=1.5, **SMALL)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_that_is_full_is_named_by_the_core() -> None:
    photograph = headpose_fast.open_database(SMALL_DATABASE)[0]
    crops = np.array([[[90, 60, 207, 207]]], np.int32)
    offsets = np.zeros((1, 1), np.uint64)
    with pytest.raises(OSError, match="No space left") as caught:
        _core.render_to_file(
            [photograph.jpeg],
            Places(crops, 84, 84, None, offsets),
            "/dev/full",
            np.zeros(offsets.size, np.uint32),
            None,
        )
    assert caught.value.filename == "/dev/full"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_the_file_has_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        prepared = prepare(SMALL_DATABASE, tmp_path, **SMALL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(prepared.path.stat().st_mode) == 0o640


def test_a_damaged_photograph_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    files = members(SMALL_DATABASE)
    damaged = [name for name in files if name.endswith(".jpg")][::3]
    for name in damaged:
        # Both ends are whole, so that the damage is found when rendering has begun.
        files[name] = files[name][:-2000] + files[name][-2:]
    archive = write_tar(tmp_path / "db.tar", files)
    out = tmp_path / "out"
    out.mkdir()
    old = out / "HeadPoseData_trn_test_x15_py2.pkl"
    old.write_bytes(b"old")
    with pytest.raises(DatabaseError) as caught:
        prepare(archive, out, **SMALL)
    train = [name for name in damaged if name.startswith("Person01")]
    assert [problem.split(":")[0] for problem in caught.value.problems] == train
    assert [path.name for path in out.iterdir()] == [old.name]
    assert old.read_bytes() == b"old"


@pytest.mark.skipif(os.name != "posix", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_render_in_half_a_second() -> None:
    """As in a notebook: the signal comes while the main thread is in `render`."""
    jpeg = next(p.jpeg for p in headpose_fast.open_database(SMALL_DATABASE))
    crops = np.tile(np.array([90, 60, 207, 207], np.int32), (50_000, 1, 1))
    out = np.empty((50_000, 1, 3, 84, 84), np.float32)
    sent = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.2, interrupt)
    # Background jobs are started with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            headpose_fast.render([jpeg], crops, out, workers=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - sent[0] < 0.5


MEASURE = """
import sys, headpose_fast
headpose_fast.prepare(sys.argv[1], sys.argv[2], num_data_aug=int(sys.argv[3]),
                      test_persons=(5,), allow_incomplete=True)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_memory_does_not_grow_with_the_number_of_passes(tmp_path: Path) -> None:
    def peak(passes: int) -> int:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, SMALL_DATABASE, tmp_path / "a.pkl", str(passes)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    few, many = peak(5), peak(1000)
    # 4,000 samples are 340 MB. The plan and the layout may grow, by some bytes a sample.
    assert many - few < 8_000, f"{few} KiB at 5 passes, {many} KiB at 1000"
    assert many < 150_000


def test_threads_may_render_at_once() -> None:
    photographs = headpose_fast.open_database(SMALL_DATABASE)
    crops = headpose_fast.plan_crops(photographs).train
    jpegs = [photograph.jpeg for photograph in photographs]
    expected = headpose_fast.render(jpegs, crops)
    results: list[Any] = [None] * 8

    def work(i: int) -> None:
        results[i] = headpose_fast.render(jpegs, crops)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, expected) for result in results)


def test_the_database_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unpack(SMALL_DATABASE, tmp_path)
    options: dict[str, Any] = {"num_data_aug": 1, "test_persons": [5], "allow_incomplete": True}
    with pytest.raises(DatabaseError, match=r"not the published database.*--input"):
        headpose_fast.prepare(**options)
    folder = headpose_fast.prepare(".", **options)
    monkeypatch.setattr(finding, "PUBLISHED_DIGEST", folder.digest)
    assert headpose_fast.prepare(**options).digest == folder.digest
    # An archive goes first: one in which person 5 is person 6, and trains.
    renamed = {
        name.replace("erson05", "erson06"): content.replace(b"person05", b"person06")
        for name, content in members(SMALL_DATABASE).items()
    }
    archive = write_tar(tmp_path / "HeadPoseImageDatabase.tar.gz", renamed, "w:gz")
    options["test_persons"] = [1]
    digest = headpose_fast.prepare(archive, **options).digest
    assert digest != folder.digest
    monkeypatch.setattr(finding, "PUBLISHED_DIGEST", digest)
    assert headpose_fast.prepare(**options).digest == digest
