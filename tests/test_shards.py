"""A job in shards: the same samples, made again only where needed, loaded as one or row by row."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MANY, SMALL_DATABASE, Load, command, digest, unpack

import headpose_fast
from headpose_fast import BundleError, DatabaseError, LazyBundle, inspect, load, prepare, verify
from headpose_fast.bundle import sharded_reading
from headpose_fast.bundle.kinds import KINDS, Kind
from headpose_fast.sources.sample import sample_database

OPTIONS: dict[str, Any] = {
    "test_persons": [5],
    "allow_incomplete": True,
    "num_data_aug": 3,
    "num_data_aug_val": 2,
}
SMALL = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))


def make(output: Path, shards: int | None, **options: Any) -> headpose_fast.Prepared:  # noqa: ANN401
    return prepare(SMALL_DATABASE, output, shards=shards, **{**OPTIONS, **options})


def files_of(index: Path) -> list[Path]:
    """List the shards of an index."""
    return [index.parent / shard["file"] for shard in json.loads(index.read_bytes())["shards"]]


def state(paths: list[Path]) -> list[tuple[int, int]]:
    """Tell files that were written again from those that were not."""
    return [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, None), (0, None), (1, (30, 30))])
def test_shards_hold_the_samples_of_the_one_bundle(
    kind: Kind, shape: tuple[Any, Any], tmp_path: Path
) -> None:
    options = {"aspect_ratio": shape[0], "size": shape[1], "pickle": kind, "seed": 3}
    whole = load(make(tmp_path / "one.pkl", None, **options).path)
    for shards in (1, 2, 3, 4):
        prepared = make(tmp_path / f"{shards}.json", shards, **options)
        assert (prepared.shards, prepared.shards_found) == (shards, 0)
        assert prepared.path == tmp_path / f"{shards}.json"
        paths = files_of(prepared.path)
        assert [path.name for path in paths] == [
            f"{shards}-{i:05}-of-{shards:05}.pkl" for i in range(shards)
        ]
        assert prepared.size == sum(p.stat().st_size for p in [*paths, prepared.path])
        views = load(prepared.path, lazily=True)
        for array, view, expected in zip(load(prepared.path), views, whole, strict=True):
            assert np.array_equal(array, expected)
            assert np.array_equal(np.asarray(view), expected)
        assert tuple(a.shape for a in whole) == prepared.shapes


def test_the_index_tells_where_the_rows_of_shards_are(tmp_path: Path) -> None:
    whole = load(make(tmp_path / "one.pkl", None).path)
    index = json.loads(make(tmp_path / "of.json", 3).path.read_bytes())
    for prefix, part in (("trn", "train"), ("test", "test")):
        seen: list[int] = []
        for shard in index["shards"]:
            own = load(tmp_path / shard["file"])._asdict()
            n, (first, m, rows) = index["photographs"][part], shard[part].values()
            at = [k * n + first + j for k, j in (divmod(row, m) for row in range(rows))]
            for array in (f"{prefix}_im", f"{prefix}_output"):
                assert np.array_equal(own[array], whole._asdict()[array][at])
            seen += at
        assert sorted(seen) == list(range(len(whole._asdict()[array])))


@pytest.mark.parametrize("kind", KINDS)
def test_each_shard_loads_bare(kind: Kind, interpreter: tuple[str, Load], tmp_path: Path) -> None:
    name, bare_load = interpreter
    if kind == "py3" and name.startswith("python2"):
        pytest.skip("kind py3 is not for Python 2")
    latin1 = ["latin1"] if kind == "py2" and name.startswith("python3") else []
    for path in files_of(make(tmp_path, 3, pickle=kind).path):
        loaded = bare_load(path, *latin1)
        assert [a["sha256"] for a in loaded["arrays"]] == [digest(a) for a in load(path)]


def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    contents = set()
    for workers in (1, 2, 5):
        index = make(tmp_path / "of.json", 3, workers=workers).path
        contents.add(tuple(path.read_bytes() for path in [*files_of(index), index]))
        for path in files_of(index):
            path.unlink()
    assert len(contents) == 1


@pytest.mark.parametrize("fault", ["deleted", "truncated", "altered", "other seed", "no trailer"])
@pytest.mark.parametrize("kind", ["any", "small"])
def test_only_a_shard_that_is_not_right_is_made_again(
    fault: str, kind: Kind, tmp_path: Path
) -> None:
    index = make(tmp_path, 4, pickle=kind).path
    paths, content = files_of(index), [path.read_bytes() for path in files_of(index)]
    victim, before = paths[2], state(paths)
    if fault == "deleted":
        victim.unlink()
    elif fault == "truncated":
        os.truncate(victim, len(content[2]) - 1000)
    elif fault == "altered":
        at = len(content[2]) // 2
        victim.write_bytes(content[2][:at] + bytes([content[2][at] ^ 1]) + content[2][at + 1 :])
    elif fault == "no trailer":
        victim.write_bytes(content[2][: content[2].rindex(b"\n{")])
    else:
        shutil.copy(files_of(make(tmp_path / "o.json", 4, pickle=kind, seed=1).path)[2], victim)
    again = make(tmp_path, 4, pickle=kind)
    assert (again.shards_found, again.replaced) == (3, True)
    after = state(paths)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]
    assert [path.read_bytes() for path in paths] == content
    verify(index)


def test_a_run_that_finds_all_makes_nothing(tmp_path: Path) -> None:
    index = make(tmp_path, 3).path
    before = state(files_of(index))
    done = command(*SMALL, "--shards=3", "--num-data-aug=3", "--num-data-aug-val=2", cwd=tmp_path)
    assert state(files_of(index)) == before
    assert done.stdout == f"{index.name}\n"
    assert "3 shards (3 of them were there already)" in done.stderr


def test_the_index_is_written_last_and_that_of_another_job_is_dropped_first(
    tmp_path: Path,
) -> None:
    index = make(tmp_path / "of.json", 4).path
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append(index.exists())
        if done == total // 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        make(index, 4, seed=9, progress=progress)
    assert seen
    assert not any(seen)
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == [f"of-{i:05}-of-00004.pkl" for i in range(4)]
    found = make(index, 4, seed=9).shards_found
    assert 1 <= found < 4
    assert inspect(index).options["seed"] == 9  # type: ignore[index]


def test_what_lists_no_shard_of_a_job_stays_until_its_index_is_written(tmp_path: Path) -> None:
    def failing(done: int, total: int) -> None:  # noqa: ARG001
        raise RuntimeError("enough")

    notes = tmp_path / "of.json"
    notes.write_text("mine")
    with pytest.raises(RuntimeError, match="enough"):
        make(notes, 4, progress=failing)
    assert notes.read_text() == "mine"
    assert make(notes, 4).replaced
    with pytest.raises(RuntimeError, match="enough"):
        make(notes, 2, seed=9, progress=failing)
    assert len(load(notes).trn_im) > 0
    assert make(notes, 2, seed=9).replaced


def test_shards_that_another_run_replaced_are_not_listed(tmp_path: Path) -> None:
    other = files_of(make(tmp_path / "other.json", 2, seed=1).path)[0]
    victim = tmp_path / "of-00000-of-00002.pkl"

    def replacing(done: int, total: int) -> None:
        if done == total:
            shutil.copy(other, victim)

    with pytest.raises(OSError, match=r"of-00000-of-00002.*another run"):
        make(tmp_path / "of.json", 2, progress=replacing)
    assert not (tmp_path / "of.json").exists()
    assert make(tmp_path / "of.json", 2).shards_found == 1


def test_what_is_not_of_this_run_stays(tmp_path: Path) -> None:
    four = files_of(make(tmp_path / "of.json", 4).path)
    stranger = tmp_path / "of-notes.txt"
    stranger.write_text("mine")
    two = files_of(make(tmp_path / "of.json", 2).path)
    assert {*tmp_path.iterdir()} == {*four, *two, stranger, tmp_path / "of.json"}


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    job = [*SMALL, "--shards", "4", "--num-data-aug", "2000", "--output", str(tmp_path / "of.json")]
    run = subprocess.Popen([sys.executable, "-m", "headpose_fast", *job])
    deadline = time.monotonic() + 60
    while not (first := sorted(tmp_path.glob("of-00001-of-*.pkl"))):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    run.kill()
    run.wait()
    assert not (tmp_path / "of.json").exists()
    finished = sorted(tmp_path.glob("of-*.pkl"))
    assert set(first) <= set(finished)
    before = state(finished)
    done = command(*job, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["shards_found"] == len(finished)
    assert state(finished) == before
    verify(tmp_path / "of.json")
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    ("shards", "error", "reason"),
    [
        (0, ValueError, "1 to 9,999"),
        (10000, ValueError, "1 to 9,999"),
        (5, DatabaseError, "at most that many"),
        (2.5, TypeError, "integer"),
    ],
)
def test_numbers_of_shards_that_are_refused(
    shards: Any,  # noqa: ANN401
    error: type[Exception],
    reason: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=reason):
        make(tmp_path, shards)
    assert list(tmp_path.iterdir()) == []


def test_more_states_than_memory_should_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 25"):
        make(tmp_path, 26, num_data_aug=3998)


def test_places_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        make(tmp_path / "none", 2)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        make(tmp_path / "none" / "of.json", 2)
    (tmp_path / "of.json").mkdir()
    with pytest.raises(FileExistsError, match=r"of\.json"):
        make(tmp_path / "of.json", 2)
    (tmp_path / "it-00001-of-00002.pkl").mkdir()
    with pytest.raises(OSError, match="it-00001-of-00002"):
        make(tmp_path / "it.json", 2)
    assert not (tmp_path / "it.json").exists()
    for name in ("a:b.json", "a\\b.json", "a\nb.json"):
        for place in (tmp_path / name, f"s3://bucket/{name}"):
            with pytest.raises(ValueError, match=r"name of an index|unprintable"):
                make(place, 2)  # type: ignore[arg-type]
    for address in ("s3://bucket/x.pkl", "s3://b", "s3://bucket//x"):
        with pytest.raises(ValueError, match="s3://"):
            make(address, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only shards"):
        make("s3://bucket/x", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "usage",
    [
        ["--shards", "0"],
        ["--shards", "two"],
        ["--output", "s3://bucket/folder"],
        ["--shards", "2", "--output", "s3://bucket//x"],
        ["--shards", "2", "--output", "s3://bucket/x.pkl"],
        ["--shards", "2", "--output", "s3://bucket/x", "--upload", "s3://bucket/y"],
    ],
)
def test_wrong_usage(usage: list[str], tmp_path: Path) -> None:
    done = command(*usage, *SMALL, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_view_is_indexed_as_an_array_is(tmp_path: Path) -> None:
    for path in (make(tmp_path / "of.json", 3).path, make(tmp_path / "of.pkl", None).path):
        whole, views = load(path), load(path, lazily=True)
        assert isinstance(views, LazyBundle)
        for array, view in zip(whole, views, strict=True):
            n = len(array)
            assert (view.shape, view.dtype, view.ndim) == (array.shape, array.dtype, array.ndim)
            assert len(view) == n
            mask = np.arange(n) % 3 == 1
            keys = [0, -1, np.int32(2), slice(None), slice(5, 1), slice(7, None, -2), slice(2, 5)]
            for key in [
                *keys,
                [3, 3, 0],
                [-1, 1],
                np.array([4, 2], np.uint8),
                [],
                mask,
                [*range(n)],
            ]:
                got = view[key]
                assert np.array_equal(got, array[key])
                assert got.shape == array[key].shape
                assert got.dtype == np.float32
            assert np.array_equal([*view], array)
            for wrong in (
                n,
                -n - 1,
                [n],
                [0, -n - 1],
                (0, 0),
                None,
                ...,
                1.5,
                [0.5],
                "a",
                [[1]],
                True,
            ):
                with pytest.raises(IndexError):
                    view[wrong]
        with pytest.raises(IndexError):
            views.trn_im[mask[:-1]]


def _sums(views: LazyBundle, rows: list[int], out: Any) -> None:  # noqa: ANN401
    out.put([float(views.trn_im[row].sum()) for row in rows])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_view_goes_to_other_processes(start: str, tmp_path: Path) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    path = make(tmp_path / "of.json", 3).path
    views, whole = load(path, lazily=True), load(path)
    rows = np.random.RandomState(0).permutation(np.repeat(np.arange(len(whole.trn_im)), 5))
    expected = [float(whole.trn_im[row].sum()) for row in rows]
    assert float(views.trn_im[rows[0]].sum()) == expected[0]  # So the file is open already.
    context: Any = multiprocessing.get_context(start)
    queue: Any = context.Queue()
    processes = [
        context.Process(target=_sums, args=(views, rows.tolist(), queue)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        assert queue.get(timeout=60) == expected
    for process in processes:
        process.join()


def test_threads_share_a_view(tmp_path: Path) -> None:
    path = make(tmp_path / "of.json", 3).path
    views, whole = load(path, lazily=True), load(path)
    wrong: list[int] = []

    def read(seed: int) -> None:
        rows = np.random.RandomState(seed).randint(0, len(whole.trn_im), 50)
        wrong.extend(
            row for row in rows if not np.array_equal(views.trn_im[row], whole.trn_im[row])
        )

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/fd")
def test_open_files_are_few_and_shards_are_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "of.json", 4).path
    whole = load(path)
    monkeypatch.setattr(sharded_reading, "_MOST_OPEN", 2)
    compared = []
    original = sharded_reading.ShardedReader._compared

    def count(self: Any, number: int, file: Any) -> Any:  # noqa: ANN401
        compared.append(number)
        return original(self, number, file)

    monkeypatch.setattr(sharded_reading.ShardedReader, "_compared", count)

    def opened() -> int:
        links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
        return sum(str(tmp_path) in link for link in links)

    views = load(path, lazily=True)
    rows = np.random.RandomState(0).randint(0, len(whole.trn_im), 200)
    for some in np.split(rows, 20):
        assert np.array_equal(views.trn_im[some], whole.trn_im[some])
        assert opened() <= 3  # The index, too.
    assert sorted(compared) == [0, 1, 2, 3]
    del views
    assert opened() == 0


def test_a_view_of_what_has_changed_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "of.json", 2).path
    views = load(path, lazily=True)
    make(path, 2, num_data_aug=4)
    with pytest.raises(ValueError, match="no longer the bundle"):
        views.trn_im[0]
    # Of the same size.
    views = load(path, lazily=True)
    views.trn_im[0]
    later = load(path, lazily=True)
    make(path, 2, num_data_aug=4, seed=9)
    with pytest.raises(ValueError, match="not the shard that the index lists"):
        views.trn_im[-1]
    with pytest.raises(ValueError, match="no longer the bundle"):
        later.trn_im[0]
    os.truncate(files_of(path)[1], 100)
    with pytest.raises(BundleError, match="of-00001-of-00002"):
        load(path, lazily=True)


@pytest.mark.parametrize("kind", ["any", "small"])
def test_errors_name_the_shard_and_the_place(kind: Kind, tmp_path: Path) -> None:
    path = make(tmp_path / "of.json", 3, pickle=kind).path
    victim = files_of(path)[1]
    content = bytearray(victim.read_bytes())
    at = content.rindex(b"\n{") - 20_000
    content[at] ^= 1
    victim.write_bytes(content)
    with pytest.raises(BundleError, match=r"of-00001-of-00003\.pkl: .*\(bytes [\d,]+ to") as raised:
        verify(path)
    (low, high) = re.findall(r"bytes ([\d,]+) to ([\d,]+)", str(raised.value))[0]
    assert int(low.replace(",", "")) <= at <= int(high.replace(",", ""))
    with pytest.raises(BundleError, match="of-00001-of-00003"):
        load(path, verify=True)
    os.truncate(victim, len(content) - 1)
    for look in (verify, load, inspect):
        with pytest.raises(BundleError, match="of-00001-of-00003"):
            look(path)
    victim.unlink()
    for look in (verify, load, inspect):
        with pytest.raises(FileNotFoundError, match="of-00001-of-00003"):
            look(path)


def test_a_shard_of_another_job_is_found(tmp_path: Path) -> None:
    path, other = make(tmp_path / "of.json", 2).path, make(tmp_path / "other.json", 2, seed=1).path
    shutil.copy(files_of(other)[1], files_of(path)[1])
    with pytest.raises(BundleError, match="not the shard that the index lists"):
        load(path)
    # An index that lists it is refused by what reads the trailers.
    entry = json.loads(other.read_bytes())["shards"][1]
    record = json.loads(path.read_bytes())
    record["shards"][1]["trailer_crc32"] = entry["trailer_crc32"]
    path.write_text(json.dumps(record))
    with pytest.raises(BundleError, match=r"of-00001-of-00002.*not the shard that the index lists"):
        verify(path)


def test_verify_renders_shards_again(tmp_path: Path) -> None:
    path = make(tmp_path / "of.json", 3).path
    assert verify(path, SMALL_DATABASE).samples == 4 * 3 + 4 * 2
    assert verify(files_of(path)[2], SMALL_DATABASE).rendered
    done = command("verify", path, "--input", SMALL_DATABASE)
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    other = tmp_path / "database"
    unpack(SMALL_DATABASE, other)
    label = sorted(other.rglob("*.txt"))[0]
    label.write_bytes(label.read_bytes() + b"\n")
    with pytest.raises(BundleError, match="database other than"):
        verify(path, other)


def test_inspect_describes_shards_as_one(tmp_path: Path) -> None:
    path, one = make(tmp_path / "of.json", 3).path, make(tmp_path / "one.pkl", None).path
    told: list[tuple[int, int]] = []
    shards, whole = (
        inspect(path, progress=lambda done, total: told.append((done, total))),
        inspect(one),
    )
    size = sum(file.stat().st_size for file in files_of(path))
    assert (shards.size, shards.shards, shards.shard) == (size, 3, None)
    assert told == sorted(told)
    assert told[-1] == (size, size)
    assert f"{size:,} bytes in 3 shards" in str(shards)
    assert (shards.shapes, shards.poses, shards.options) == (
        whole.shapes,
        whole.poses,
        whole.options,
    )
    for name, values in whole.values.items():
        found = shards.values[name]
        assert (found.minimum, found.maximum) == (values.minimum, values.maximum)
        assert found.mean == pytest.approx(values.mean)
    part = inspect(files_of(path)[1])
    assert (part.shard, part.shards) == ([1, 3], None)


def test_the_list_of_samples_and_the_picture(tmp_path: Path) -> None:
    path, one = make(tmp_path / "of.json", 3).path, make(tmp_path / "one.pkl", None).path
    more = ("--input", SMALL_DATABASE, "--quiet", "--index", tmp_path / "samples.csv")
    listed = {}
    for file in (path, one, *files_of(path)):
        done = command("inspect", file, *more, "--picture", tmp_path / "sheet.png")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "sheet.png").stat().st_size > 1000
        (tmp_path / "sheet.png").unlink()
        lines = (tmp_path / "samples.csv").read_text().splitlines()[1:]
        listed[file] = [line.split(",") for line in lines]
    assert listed[path] == listed[one]
    whole = {(array, int(row)): rest for array, row, *rest in listed[path]}
    record = json.loads(path.read_bytes())
    for shard in record["shards"]:
        for array, row, *rest in listed[tmp_path / shard["file"]]:
            part = "train" if array == "trn" else "test"
            k, j = divmod(int(row), shard[part]["photographs"])
            n = record["photographs"][part]
            assert whole[array, k * n + shard[part]["first"] + j] == rest


#: Of an index, given as changes: each must be refused, and quickly.
HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a folder above": lambda r: r["shards"][0].update(file="../of-00000-of-00002.pkl"),
    "a folder": lambda r: r["shards"][0].update(file="x/of-00000-of-00002.pkl"),
    "another system's folder": lambda r: r["shards"][0].update(file="x\\-00000-of-00002.pkl"),
    "a drive": lambda r: r["shards"][0].update(file="c:of-00000-of-00002.pkl"),
    "no name": lambda r: r["shards"][0].update(file="-00000-of-00002.pkl"),
    "a name with a zero": lambda r: r["shards"][0].update(file="\0-00000-of-00002.pkl"),
    "dots": lambda r: r["shards"][0].update(file=".."),
    "a name that is a number": lambda r: r["shards"][0].update(file=5),
    "the same twice": lambda r: r["shards"][1].update(file=r["shards"][0]["file"]),
    "negative bytes": lambda r: r["shards"][0].update(bytes=-1),
    "bytes as text": lambda r: r["shards"][0].update(bytes="1"),
    "infinite bytes": lambda r: r["shards"][0].update(bytes=float("inf")),
    "a truth value": lambda r: r["shards"][0]["train"].update(first=False),
    "a negative first": lambda r: r["shards"][0]["train"].update(first=-1),
    "no photographs": lambda r: r["shards"][0]["train"].update(photographs=0, rows=0),
    "other rows": lambda r: r["shards"][0]["train"].update(rows=1),
    "overlapping": lambda r: r["shards"][1]["train"].update(first=1),
    "a gap": lambda r: r["shards"][1]["test"].update(first=3),
    "too many": lambda r: r["photographs"].update(train=5),
    "passes": lambda r: r["options"].update(num_data_aug=10**30),
    "passes and rows": lambda r: (
        r["options"].update(num_data_aug=10**15),
        r["shards"][0]["train"].update(rows=2 * 10**15),
        r["shards"][1]["train"].update(rows=2 * 10**15),
    ),
    "passes and rows and bytes": lambda r: (
        r["options"].update(num_data_aug=10**9),
        r["shards"][0]["train"].update(rows=2 * 10**9),
        r["shards"][1]["train"].update(rows=2 * 10**9),
        r["shards"][0].update(bytes=10**15),
        r["shards"][1].update(bytes=10**15),
    ),
    "another pass": lambda r: r["options"].update(num_data_aug=2),
    "no options": lambda r: r.pop("options"),
    "options of a list": lambda r: r.update(options=[]),
    "a size": lambda r: r.update(size=[84]),
    "a huge size": lambda r: r.update(size=[10**9, 10**9]),
    "no shards": lambda r: r.update(shards=[]),
    "shards of a text": lambda r: r.update(shards="ab"),
    "shards of shards": lambda r: r.update(shards=[[]]),
    "too many shards": lambda r: r.update(shards=r["shards"] * 5000),
    "a kind": lambda r: r.update(kind="small"),
    "an unknown kind": lambda r: r.update(kind="any\n"),
    "a version": lambda r: r.update(headpose_fast="\x1b[2J"),
    "a format": lambda r: r.update(format=2),
    "a checksum": lambda r: r["shards"][0].update(trailer_crc32="00000000"),
}


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_indexes_are_errors(change: str, tmp_path: Path) -> None:
    path = make(tmp_path / "of.json", 2).path
    record = json.loads(path.read_bytes())
    HOSTILE[change](record)
    path.write_text(json.dumps(record))
    for look in (load, verify, inspect, lambda path: load(path, lazily=True).trn_im[:]):
        with pytest.raises(BundleError, match=r"of\.json|of-0000") as raised:
            look(path)
        assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b"{" * 10**6,
        b'{"a":' * 10**5,
        b'{"format": 1}',
        b"{\xff",
        b'{"format":' + b"9" * 10**5,
    ],
)
def test_what_is_no_index_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "of.json"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"of\.json: (not an index|written by a newer)"):
        load(path)


def test_an_index_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "of.json"
    with path.open("wb") as file:
        file.write(b"{")
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match="longer than any index"):
        load(path)


def test_a_small_shard_that_promises_rows_is_not_believed(tmp_path: Path) -> None:
    """The samples of kind small are far larger than the file, so its bytes alone say little."""
    path = make(tmp_path / "of.json", 2, pickle="small").path
    record = json.loads(path.read_bytes())
    for shard in record["shards"]:
        with (tmp_path / shard["file"]).open("r+b") as file:
            end = file.read()[-15:]
            file.truncate(1 << 40)
            file.seek(0, os.SEEK_END)
            file.write(end)
        shard["bytes"] = (1 << 40) + 15
        shard["train"]["rows"] = 2 * 10**10
    record["options"]["num_data_aug"] = 10**10
    path.write_text(json.dumps(record))
    with pytest.raises(BundleError, match=r"of-00000-of-00002.*not the shard"):
        load(path)


_MEASURED = """
import sys, headpose_fast
prepared = headpose_fast.prepare(
    sys.argv[1], sys.argv[2], shards=int(sys.argv[3]), num_data_aug=int(sys.argv[4]),
    num_data_aug_val=1, size=(8, 8), pickle=sys.argv[5], allow_incomplete=True,
)
assert prepared.photographs == int(sys.argv[6])
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024)
"""


def peak(folder: Path, rows: int, shards: int, passes: int, kind: Kind) -> int:
    """Measure the memory of a job over a table that has each of a few photographs many times."""
    table = folder / f"{rows}.csv"
    if not table.exists():
        database = folder / "database"
        unpack(SMALL_DATABASE, database)
        photographs = headpose_fast.open_database(SMALL_DATABASE)
        lines = ["photograph,tilt,pan,face_x,face_y,face_width,face_height,person,split"]
        for i in range(rows):
            p = photographs[i % len(photographs)]
            center = ",".join(map(str, p.face))
            name = f"{i % 100}/{i}.jpg"
            (folder / str(i % 100)).mkdir(exist_ok=True)
            (folder / name).symlink_to(database / p.name)
            part = "test" if i % 10 == 0 else "train"
            lines.append(f"{name},{p.tilt},{p.pan},{center},{i % 7 + 1},{part}")
        table.write_text("\n".join(lines) + "\n")
    output = folder / f"{rows}-{passes}.json"
    arguments = [str(table), str(output), *map(str, (shards, passes, kind, rows))]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments], capture_output=True, text=True, check=True
    )
    for file in files_of(output):
        file.unlink()
    return int(done.stdout)


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_memory_is_bounded_for_many_photographs(tmp_path: Path) -> None:
    once, often = (peak(tmp_path, 2 * MANY, 64, passes, "any") for passes in (1, 10))
    print(f"{once / 1e6:.0f} MB at 1 pass, {often / 1e6:.0f} MB at 10 passes")
    assert max(once, often) < 500e6
    assert often < once + 10e6


def test_the_sample_in_many_shards(tmp_path: Path) -> None:
    """More shards than are open at once, of unequal size."""
    options: dict[str, Any] = {"num_data_aug": 1, "num_data_aug_val": 1, "size": (12, 12)}
    archive = sample_database()
    whole = load(prepare(archive, tmp_path / "one.pkl", **options).path)
    path = prepare(archive, tmp_path / "of.json", shards=100, **options).path
    for array, expected in zip(load(path), whole, strict=True):
        assert np.array_equal(array, expected)
    views = pickle.loads(pickle.dumps(load(path, lazily=True)))
    rows = np.random.RandomState(0).permutation(len(whole.trn_im))
    assert np.array_equal(views.trn_im[rows], whole.trn_im[rows])
    assert np.array_equal(views.test_output[::-1], whole.test_output[::-1])


def test_shards_in_a_folder_need_no_boto3(tmp_path: Path) -> None:
    code = (
        "import sys; from headpose_fast.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert not {'boto3', 'botocore', 's3transfer', 'ray', 'tqdm'} & set(sys.modules)"
    )
    arguments = [*SMALL, "--shards", "2", "--output", str(tmp_path)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_signals_leave_finished_shards(tmp_path: Path) -> None:
    job = [*SMALL, "--shards", "4", "--num-data-aug", "2000", "--output", str(tmp_path / "of.json")]
    run = subprocess.Popen(
        [sys.executable, "-m", "headpose_fast", *job], stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("of-00001-of-*.pkl")):
        assert run.poll() is None
        time.sleep(0.005)
    run.send_signal(signal.SIGTERM)
    _, stderr = run.communicate(timeout=30)
    assert (run.returncode, stderr) == (143, "headpose-fast: stopped by SIGTERM\n")
    names = {path.name for path in tmp_path.iterdir()}
    assert "of.json" not in names
    assert all(re.fullmatch(r"of-0000\d-of-00004\.pkl", name) for name in names)
    for name in names:
        verify(tmp_path / name)
