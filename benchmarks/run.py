"""Time headpose-fast against its rivals, as whole processes.

    pip install .[test]
    python benchmarks/run.py [ARCHIVE] [--pairs 5] [--short]

Runs alternate (A B C A B C ...), so that a machine that slows down slows all of them; the table has
medians, and the median of the ratios to the first row run by run. ARCHIVE is the real database; by
default the one in ../shared, else the sample database. `--short` runs a few photographs once, to
show that the programs work and agree: its times mean nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data" / "HeadPoseImageDatabase.tar.gz"
SMALL = ROOT / "tests" / "golden" / "database_persons01+05_numbers00+46.tar"


class Run(NamedTuple):
    """What one run of a program took: seconds, and bytes of memory at most."""

    wall: float
    user: float
    system: float
    peak: int


def measure(command: list[str | Path]) -> Run:
    """Run a program to its end, with the system's own accounting of it."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} failed:\n{errors.decode()}")
    return Run(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024)


def programs(archive: Path, folder: Path, *, short: bool) -> dict[str, list[str | Path]]:
    """The command of each program."""
    ours: list[str | Path] = [sys.executable, "-m", "headpose_fast", "--input", archive]
    if short:
        ours += ["--allow-incomplete", "--test-persons", "5"]
    rival: list[str | Path] = [sys.executable, ROOT / "benchmarks" / "opencv_threads.py", archive]
    return {
        "headpose-fast py3": [*ours, "--pickle", "py3", "--output", folder / "py3.pkl"],
        "headpose-fast any": [*ours, "--pickle", "any", "--output", folder / "any.pkl"],
        "OpenCV + threads": [*rival, folder / "opencv.pkl"],
    }


def check(folder: Path) -> str:
    """Compare the programs' arrays, so that all are known to do the same work."""
    import pickle

    import numpy as np

    import headpose_fast

    ours = headpose_fast.load(folder / "py3.pkl")
    other = headpose_fast.load(folder / "any.pkl")
    with (folder / "opencv.pkl").open("rb") as file:
        theirs = pickle.load(file)
    largest = 0.0
    for a, b, c in zip(ours, other, theirs, strict=True):
        assert a.shape == c.shape
        for row in range(0, len(a), 1000):
            rows = slice(row, row + 1000)
            assert np.array_equal(a[rows], b[rows])
            largest = max(largest, float(np.abs(a[rows] - c[rows]).max()))
    # Newer OpenCVs round otherwise than 4.2, which is the rule here; a wrong crop differs by 0.1.
    assert largest < 1e-4, largest
    return f"py3 and any are equal to the bit; OpenCV {theirs_version()} within {largest:.1e}"


def theirs_version() -> str:
    """Version of OpenCV."""
    import cv2

    return cv2.__version__


def main() -> None:
    """Run the programs in turn and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", nargs="?", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    archive = SMALL if options.short else options.archive or REAL
    if not archive.exists():
        from headpose_fast.sample import sample_database

        archive = sample_database()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        commands = programs(archive, folder, short=options.short)
        runs: dict[str, list[Run]] = {program: [] for program in commands}
        for _ in range(1 if options.short else options.pairs):
            for program, command in commands.items():
                runs[program].append(measure(command))
        agreement = check(folder)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{archive.name}; {machine}")
    print(f"medians of {len(next(iter(runs.values())))} alternating runs; {agreement}\n")
    print("| program | wall s | user s | system s | peak MB | wall ratio | user ratio |")
    print("|---|---|---|---|---|---|---|")
    first = next(iter(runs.values()))
    for program, taken in runs.items():
        medians = [statistics.median(column) for column in zip(*taken, strict=True)]
        walls = statistics.median(a.wall / b.wall for a, b in zip(taken, first, strict=True))
        users = statistics.median(a.user / b.user for a, b in zip(taken, first, strict=True))
        print(
            f"| {program} | {medians[0]:.2f} | {medians[1]:.2f} | {medians[2]:.2f} "
            f"| {medians[3] / 1e6:.0f} | {walls:.2f} | {users:.2f} |"
        )


if __name__ == "__main__":
    main()
