"""Time shards on Ray against the same job by one process, and against Ray Data with OpenCV.

    pip install .[test,ray] "ray[data]"
    python benchmarks/ray_shards.py [ARCHIVE] [--rounds 5] [--short]

The job is a table that has each photograph of ARCHIVE many times, and one small crop of each row:
most of its time is decoding, so disks matter little. All programs are timed as whole processes, in
turn; the cluster, of one node with two CPUs, is there before. ARCHIVE is the real database; by
default the one in ../shared, else the sample database. `--short` takes the table once, to show that
the programs work and agree: its times mean nothing.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import ray
from measure import Command, measure
from numpy.typing import NDArray
from pyarrow import parquet
from ray.cluster_utils import Cluster
from run import REAL

import headpose_fast
from headpose_fast.bundle.shards import Index, Shard
from headpose_fast.database.photographs import Photograph
from headpose_fast.samples.options import Options
from headpose_fast.sharding.destinations import Folder
from headpose_fast.sharding.on_ray import OnRay
from headpose_fast.sharding.planning import Plan, Task
from headpose_fast.sources.sample import sample_database

#: Times that the table has each photograph.
_COPIES = 120

_SIDE = 40
_SHARDS = 64
_CPUS = 2

_TEST_PERSONS = (5, 10, 15)

#: Shards of the plan with which the driver is timed.
_PLANNED = 500


class Job(NamedTuple):
    """Files that the programs read."""

    table: Path
    #: The same rows with the crops, for the rival.
    crops: Path


def job_of(archive: Path, folder: Path, copies: int) -> Job:
    """Write photographs to a folder, and the tables."""
    database = headpose_fast.open_database(archive)
    for photograph in database:
        path = folder / photograph.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph.jpeg)
    parts = [list(part) * copies for part in database.split(_TEST_PERSONS)]
    names = ["photograph", "tilt", "pan", "face_x", "face_y", "face_width", "face_height", "split"]
    job = Job(folder / "table.csv", folder / "crops.parquet")
    with job.table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for side, part in zip(("train", "test"), parts, strict=True):
            writer.writerows((p.name, p.tilt, p.pan, *p.face, side) for p in part)
    drawn = headpose_fast.plan_crops(*parts, num_data_aug=1, num_data_aug_val=1)
    crops = np.concatenate([crops[0] for crops in drawn])
    parquet.write_table(_crops_table([*parts[0], *parts[1]], crops, folder), job.crops)
    return job


def _crops_table(part: Sequence[Photograph], crops: NDArray[np.int32], folder: Path) -> pa.Table:
    columns = {"path": [str(folder / p.name) for p in part], "row": np.arange(len(part))}
    labels = {"tilt": [float(p.tilt) for p in part], "pan": [float(p.pan) for p in part]}
    boxes = dict(zip(("x", "y", "width", "height"), crops.T, strict=True))
    return pa.table({**columns, **labels, **boxes})


def programs(job: Job, folder: Path, address: str, shards: int) -> dict[str, Command]:
    """Return the command of each program, which writes to a folder of its own."""
    ours: Command = [sys.executable, "-m", "headpose_fast", "--input", job.table, "--quiet"]
    ours += ["--allow-incomplete", "--pickle", "py3", "--size", f"{_SIDE}x{_SIDE}"]
    ours += ["--num-data-aug", "1", "--num-data-aug-val", "1", "--shards", str(shards)]
    rival: Command = [sys.executable, Path(__file__).with_name("ray_data.py"), job.crops]
    found: dict[str, Command] = {
        "one process, 2 workers": [*ours, "--workers", str(_CPUS), "--output", folder / "local"],
        "Ray, 2 CPUs": [*ours, "--ray", address, "--output", folder / "ray"],
        "Ray Data + OpenCV, 2 CPUs": [
            *(*rival, folder / "rival", "--address", address),
            *("--side", str(_SIDE), "--blocks", str(shards)),
        ],
    }
    return found


class Ours:
    """Our samples by the row of the table, mapped from the shards' files: they are many."""

    def __init__(self, path: Path) -> None:
        """Read the index."""
        with path.open("rb") as file:
            index = Index.read(file)
        train, test = index.photographs
        self.rows = train + test
        bundles = [headpose_fast.load(path.with_name(shard.file)) for shard in index.shards]
        self._firsts = [s.train.first for s in index.shards]
        self._firsts += [train + s.test.first for s in index.shards]
        self._images = [*(b.trn_im for b in bundles), *(b.test_im for b in bundles)]

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """Return a sample."""
        number = bisect.bisect_right(self._firsts, row) - 1
        sample: NDArray[np.float32] = self._images[number][row - self._firsts[number]]
        return sample


def check(folder: Path) -> str:
    """Compare what the programs wrote: ours to the bit, the rival's within its rounding."""
    names = sorted(path.name for path in (folder / "local").iterdir())
    assert names == sorted(path.name for path in (folder / "ray").iterdir())
    for name in names:
        assert (folder / "local" / name).read_bytes() == (folder / "ray" / name).read_bytes(), name
    (index,) = (folder / "ray").glob("*.json")
    ours = Ours(index)
    largest, rows = 0.0, 0
    for path in (folder / "rival").rglob("*.parquet"):
        for batch in parquet.ParquetFile(path).iter_batches(256):
            # Of tensors, pyarrow alone reads the values.
            theirs = batch["image"].flatten().to_numpy().reshape(-1, 3, _SIDE, _SIDE)
            for row, image in zip(batch["row"].to_pylist(), theirs, strict=True):
                largest = max(largest, float(np.abs(ours[row] - image).max()))
            rows += len(theirs)
    assert rows == ours.rows
    # Newer OpenCVs round otherwise than 4.2, which is the rule here; a wrong crop differs by 0.1.
    assert largest < 1e-4, largest
    return (
        f"{len(names)} files are the same bytes; {rows:,} samples of OpenCV {cv2.__version__} "
        f"are within {largest:.1e}"
    )


def empty(folder: Path) -> None:
    """Leave the programs' folders without files."""
    for name in ("local", "ray", "rival"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()


def alternate(commands: Mapping[str, Command], folder: Path, rounds: int) -> str:
    """Run all programs in turn, after one round that is checked; lines of a table."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    empty(folder)
    for i in range(rounds + 1):
        for name, command in commands.items():
            if i:
                empty(folder)
            wall = measure(command).wall
            if i:
                taken[name].append(wall)
        if i == 0:
            print(f"{check(folder)}\n", flush=True)
    lines = ["| program | wall s | ratio | spread |", "|---|---|---|---|"]
    first = next(iter(taken.values()))
    for name, walls in taken.items():
        ratio = statistics.median(a / b for a, b in zip(walls, first, strict=True))
        spread = max(walls) / min(walls)
        lines.append(f"| {name} | {statistics.median(walls):.1f} | {ratio:.2f} | {spread:.2f} |")
    return "\n".join(lines)


class There(Folder):
    """Has every shard already: a task for it takes no time but the driver's and Ray's."""

    def there(self, task: Task, workers: int | None) -> Shard:  # noqa: ARG002
        """Describe a shard that nobody made."""
        return Shard(task.name, 0, "", task.train, task.test)


def driver(job: Job, folder: Path, address: str) -> str:
    """Time the driver's work for a shard, with tasks that do nothing."""
    database = headpose_fast.open_database(job.table)
    options = Options(15, 3, 1, 0, (), (), (84, 84))
    plan = Plan.make(database, "", options, "py3", min(_PLANNED, len(database) // 8), "x.json")
    began, processor = time.perf_counter(), 0.0
    for i, _ in enumerate(
        OnRay(address).run(plan, There(folder), workers=1, sync=False, progress=int)
    ):
        if i == 0:
            # By now it is connected, and the first workers have started.
            began, processor = time.perf_counter(), time.process_time()
    wall, used = time.perf_counter() - began, time.process_time() - processor
    rows = len(database) // plan.shards
    return (
        f"driver, {plan.shards} shards of {rows} photographs: {used / plan.shards * 1e3:.1f} ms of "
        f"processor a shard; with tasks that do nothing, {wall / plan.shards * 1e3:.1f} ms of wall"
    )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    archive = options.archive or (REAL if REAL.exists() else sample_database())
    copies, rounds = (1, 1) if options.short else (_COPIES, options.rounds)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(
        f"{archive.name} x {copies}; {machine}, Ray {ray.__version__}; {rounds} rounds", flush=True
    )
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": _CPUS, "include_dashboard": False}
    )
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        job = job_of(archive, folder / "database", copies)
        commands = programs(job, folder, cluster.address, 8 if options.short else _SHARDS)
        print(f"{alternate(commands, folder, rounds)}\n", flush=True)
        print(driver(job, folder, cluster.address), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
