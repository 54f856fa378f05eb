"""Shards on Ray: the same bytes on any cluster, after any fault."""

# ruff: noqa: ANN401 (Ray need not be there, so its objects are of no known type)

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import running_cluster
from conftest import SMALL_DATABASE, members, unpack, write_tar

import headpose_fast
from headpose_fast import DatabaseError, prepare
from headpose_fast.bundle.arrays import Bundle
from headpose_fast.database.reading import open_database
from headpose_fast.samples.options import Options
from headpose_fast.sharding.destinations import Folder
from headpose_fast.sharding.making import Made
from headpose_fast.sharding.planning import Plan, Task

OPTIONS: dict[str, Any] = {"test_persons": [5], "allow_incomplete": True, "num_data_aug": 3}

#: Of the table whose shards take a good part of a second each.
_SHARDS = 6
_ROWS_OF_EACH = 500


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Give a cluster of two nodes."""
    with running_cluster(2) as cluster:
        yield cluster


def write_table(folder: Path, times: int) -> Path:
    """Write a table that names each of a few photographs so many times."""
    unpack(SMALL_DATABASE, folder)
    lines = ["photograph,tilt,pan,face_x,face_y,face_width,face_height,split"]
    for p in open_database(SMALL_DATABASE):
        side = "test" if p.person == 5 else "train"
        lines += [",".join(map(str, (p.name, p.tilt, p.pan, *p.face, side)))] * times
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the table that takes long."""
    return write_table(tmp_path_factory.mktemp("table"), _ROWS_OF_EACH)


def digests(folder: Path) -> dict[str, str]:
    """Hash all files of a folder, also hidden ones."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def made(folder: Path, source: Path, **options: Any) -> dict[str, str]:
    """Make shards in a new folder."""
    folder.mkdir()
    prepare(source, folder, **{**OPTIONS, **options})
    return digests(folder)


#: Of the jobs that `start` does.
LONG: dict[str, Any] = {"shards": _SHARDS, "pickle": "small", "allow_incomplete": True}


@pytest.fixture(scope="module")
def finished(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the shards that `start` makes, made by this process."""
    folder = tmp_path_factory.mktemp("finished")
    prepare(table, folder, **LONG)
    return folder


@pytest.fixture(scope="module")
def expected(finished: Path) -> dict[str, str]:
    """Give what the files are that `start` makes."""
    return digests(finished)


def start(cluster: Any, table: Path, folder: Path) -> subprocess.Popen[str]:
    """Begin to make shards on a cluster, by another process."""
    folder.mkdir(exist_ok=True)
    options = ["--shards", str(_SHARDS), "--pickle", "small", "--allow-incomplete", "--quiet"]
    command = [sys.executable, "-m", "headpose_fast", "--input", table.name, *options]
    return subprocess.Popen(
        [*command, "--ray", cluster.address, "--output", os.path.relpath(folder, table.parent)],
        cwd=table.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for its end. Whatever Ray had to do for it is not the user's concern."""
    _, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (0, "")


def wait_for_task(folder: Path, parent: int | None = None) -> int:
    """Wait until a shard is being written, by a child of `parent`; return the process's id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = process.stat().st_uid == os.getuid()
                if ours and (parent is None or _parent(process) == parent):
                    files = {str(link.readlink()) for link in (process / "fd").iterdir()}
                    if any(f.startswith(f"{folder}/.") and f.endswith(".tmp") for f in files):
                        return int(process.name)
        time.sleep(0.002)
    raise AssertionError(f"no task began to write to {folder}")


def _parent(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


def whole(folder: Path) -> list[str]:
    """Name the shards that are there."""
    return sorted(path.name for path in folder.glob("*.pkl"))


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_shards_are_the_same_on_any_cluster(nodes: int, tmp_path: Path) -> None:
    compressed = write_tar(tmp_path / "small.tar.gz", members(SMALL_DATABASE), "w:gz")
    table = write_table(tmp_path, 5)
    with running_cluster(nodes) as cluster:
        for i, source in enumerate((SMALL_DATABASE, compressed, table)):
            options = {"shards": 4, "test_persons": None if source == table else [5]}
            here = made(tmp_path / f"here{i}", source, **options)
            assert made(tmp_path / f"there{i}", source, ray=cluster.address, **options) == here
            one = prepare(source, tmp_path / "one.pkl", **{**OPTIONS, **options, "shards": None})
            (index,) = (tmp_path / f"there{i}").glob("*.json")
            arrays = headpose_fast.load(one.path), headpose_fast.load(index)
            for name, a, b in zip(Bundle._fields, *arrays, strict=True):
                assert np.array_equal(a, b), name


def test_what_is_there_and_right_is_not_made_again(
    cluster: Any, table: Path, finished: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    first, second, *_ = whole(folder)
    (folder / first).unlink()
    with (folder / second).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    prepared = prepare(table, folder, ray=cluster.address, **LONG)
    assert prepared.shards_found == _SHARDS - 2
    assert digests(folder) == expected


def test_a_node_that_is_removed(
    cluster: Any, table: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    node = cluster.add_node(num_cpus=1)
    raylet = node.all_processes["raylet"][0].process.pid
    process = start(cluster, table, folder)
    wait_for_task(folder, raylet)
    cluster.remove_node(node, allow_graceful=False)
    assert len(whole(folder)) < _SHARDS
    finish(process)
    assert digests(folder) == expected


def test_a_worker_that_is_killed(
    cluster: Any, table: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    process = start(cluster, table, folder)
    os.kill(wait_for_task(folder), signal.SIGKILL)
    assert len(whole(folder)) < _SHARDS
    finish(process)
    # What it had begun to write is gone, too.
    assert digests(folder) == expected


def test_a_driver_that_is_killed_and_started_again(
    cluster: Any, table: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    process = start(cluster, table, folder)
    while not whole(folder):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    wait_for_task(folder)
    process.kill()
    process.communicate()
    assert len(whole(folder)) < _SHARDS
    assert not (folder / "HeadPoseData_trn_test_x15_py2.json").exists()
    finish(start(cluster, table, folder))
    assert digests(folder) == expected


def test_two_drivers_make_the_same_shards_at_once(
    cluster: Any, table: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    processes = [start(cluster, table, tmp_path / "out") for _ in range(2)]
    for process in processes:
        finish(process)
    assert digests(tmp_path / "out") == expected


def test_ctrl_c_cancels_the_tasks_and_leaves_finished_shards(
    cluster: Any, table: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    process = start(cluster, table, folder)
    while not whole(folder):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    wait_for_task(folder)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "headpose-fast: stopped by SIGINT\n")
    left = digests(folder)
    assert 1 <= len(left) < _SHARDS
    assert left.items() <= expected.items()
    time.sleep(1)
    assert digests(folder) == left


def run_on(cluster: Any, table: Path, folder: Path, *, workers: int, shards: int) -> list[Made]:
    """Run an engine whose destination notes each attempt and its CPUs in the folder's `notes`."""
    from headpose_fast.sharding.on_ray import OnRay

    class Noting(Folder):
        """Sent by value, so that nodes need not have this file."""

        def there(self, task: Task, workers: int | None) -> None:
            import ray

            cpus = ray.get_runtime_context().get_assigned_resources()["CPU"]
            with (self.path / "notes").open("a") as file:
                file.write(f"{task.shard} {workers} {cpus:.0f}\n")

    folder.mkdir()
    database = open_database(table)
    options = Options(1, 1, size=(84, 84), aspect_ratio=1, seed=0, test_persons=(), test_series=())
    plan = Plan.make(database, "", options, "py3", shards, "x.json")
    run = OnRay(cluster.address).run(
        plan, Noting(folder), workers=workers, sync=False, progress=print
    )
    return list(run)


def test_a_task_has_as_many_threads_as_cpus(cluster: Any, table: Path, tmp_path: Path) -> None:
    made = run_on(cluster, table, tmp_path / "one", workers=1, shards=3)
    assert sorted(each.number for each in made) == [0, 1, 2]
    notes = (tmp_path / "one" / "notes").read_text().splitlines()
    assert sorted(notes) == ["0 1 1", "1 1 1", "2 1 1"]
    node = cluster.add_node(num_cpus=2)
    try:
        run_on(cluster, table, tmp_path / "two", workers=2, shards=2)
    finally:
        cluster.remove_node(node)
    notes = (tmp_path / "two" / "notes").read_text().splitlines()
    assert sorted(notes) == ["0 2 2", "1 2 2"]
    with pytest.raises(ValueError, match=r"no node .* has 3 CPUs: ask for at most 1 workers"):
        run_on(cluster, table, tmp_path / "three", workers=3, shards=2)


def test_a_bad_photograph_is_named_and_its_task_is_not_run_again(
    cluster: Any, table: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(table.parent, copy)
    bad = sorted(copy.rglob("*.jpg"))[0]
    # Its header is good, and so is its end.
    bad.write_bytes(bad.read_bytes()[:-1000] + b"\xff\xd9")
    with pytest.raises(DatabaseError) as caught:
        run_on(cluster, copy / table.name, tmp_path / "out", workers=1, shards=1)
    assert type(caught.value) is DatabaseError
    # It is in many rows.
    assert len(caught.value.problems) == _ROWS_OF_EACH
    assert all(bad.name in problem for problem in caught.value.problems)
    assert (tmp_path / "out" / "notes").read_text() == "0 1 1\n"


def test_an_errors_problems_travel() -> None:
    error = DatabaseError(["a.jpg: cut off", "b.jpg: line\nbreak"])
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.problems, str(copy)) == (DatabaseError, error.problems, str(error))


def test_a_cluster_started_here_is_ended_and_signals_are_as_before(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install .[ray]")
    before = signal.getsignal(signal.SIGTERM)
    here = made(tmp_path / "here", SMALL_DATABASE, shards=2)
    done: list[int] = []
    options = {"ray": "local", "progress": lambda at, _: done.append(at)}
    assert made(tmp_path / "there", SMALL_DATABASE, shards=2, **options) == here
    assert done == sorted(done)
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_connection_that_was_there_stays(cluster: Any, tmp_path: Path) -> None:
    import ray

    ray.init(cluster.address, log_to_driver=False)
    try:
        there = made(tmp_path / "there", SMALL_DATABASE, shards=2, ray=True)
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    assert there == made(tmp_path / "here", SMALL_DATABASE, shards=2)


def test_an_address_where_no_cluster_is(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install .[ray]")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ConnectionError, match=f"{address}: no Ray cluster answers there"):
        prepare(SMALL_DATABASE, tmp_path, shards=2, ray=address, **OPTIONS)


def test_without_ray_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'headpose-fast\[ray\]'"):
        prepare(SMALL_DATABASE, tmp_path, shards=2, ray=True, **OPTIONS)
    with pytest.raises(ValueError, match="ray needs a number of shards"):
        prepare(SMALL_DATABASE, tmp_path, ray=True, **OPTIONS)
