"""Time headpose-fast against its rivals and look into it: one command for all figures.

    pip install .[test]
    python benchmarks/run.py [ARCHIVE] [--pairs 5] [--yardstick FOLDER] [--short]

Programs are timed as whole processes, in turn (A B C A B C ...), so that a machine that slows down
slows all of them; the tables have medians, and medians of the ratios to the first row run by run.
ARCHIVE is the real database; by default the one in ../shared, else the sample database. FOLDER is
what `../shared/tools/floor/prepare.sh FOLDER` made: a yardstick in C. `--short` runs a few
photographs once, to show that the programs work and agree: its times mean nothing.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from loading import loading
from measure import Command, alternate, measure, table
from stages import render, stages
from training import figures as training

import headpose_fast
from headpose_fast.sources.sample import sample_database

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data" / "HeadPoseImageDatabase.tar.gz"
SMALL = ROOT / "tests" / "golden" / "database_persons01+05_numbers00+46.tar"

#: The kinds whose whole job is timed.
_TIMED = ("py3", "any", "small")


def programs(
    archive: Path, folder: Path, yardstick: Path | None, *, short: bool
) -> dict[str, Command]:
    """The command of each program."""
    found: dict[str, Command] = {}
    if yardstick is not None:
        found["yardstick in C"] = [
            *(yardstick / name for name in ("floor", "list", "crops")),
            "15",
            folder / "yardstick.bin",
            str(os.cpu_count()),
        ]
    ours = ours_of(archive, short=short)
    rival: Command = [sys.executable, ROOT / "benchmarks" / "opencv_threads.py", archive]
    return found | {
        "headpose-fast py3": [*ours, "--pickle", "py3", "--output", folder / "py3.pkl"],
        "headpose-fast any": [*ours, "--pickle", "any", "--output", folder / "any.pkl"],
        "headpose-fast small": [*ours, "--pickle", "small", "--output", folder / "small.pkl"],
        "OpenCV + threads": [*rival, folder / "opencv.pkl"],
    }


def ours_of(archive: Path, *, short: bool) -> Command:
    """The command line for an archive."""
    ours: Command = [sys.executable, "-m", "headpose_fast", "--input", archive]
    return [*ours, "--allow-incomplete", "--test-persons", "5"] if short else ours


def check(commands: Mapping[str, Command], folder: Path) -> str:
    """Compare the programs' arrays, so that all are known to do the same work."""
    for command in commands.values():
        measure(command)
    ours = headpose_fast.load(folder / "py3.pkl")
    others = [headpose_fast.load(folder / f"{kind}.pkl") for kind in ("any", "small")]
    with (folder / "opencv.pkl").open("rb") as file:
        theirs = pickle.load(file)
    largest = 0.0
    for a, b, c, d in zip(ours, *others, theirs, strict=True):
        assert a.shape == d.shape
        for row in range(0, len(a), 1000):
            rows = slice(row, row + 1000)
            assert np.array_equal(a[rows], b[rows])
            assert np.array_equal(a[rows], c[rows])
            largest = max(largest, float(np.abs(a[rows] - d[rows]).max()))
    sizes = (f"{kind} {(folder / f'{kind}.pkl').stat().st_size:,}" for kind in _TIMED)
    # Newer OpenCVs round otherwise than 4.2, which is the rule here; a wrong crop differs by 0.1.
    assert largest < 1e-4, largest
    return (
        f"{', '.join(_TIMED)} are equal to the bit; OpenCV {cv2.__version__} within {largest:.1e}\n"
        f"bytes: {', '.join(sizes)}"
    )


def growth(archive: Path, folder: Path, *, short: bool) -> dict[str, Command]:
    """Commands with more and more passes, with one worker and with two."""
    ours = [*ours_of(archive, short=short), "--output", folder / "growth.pkl"]
    return {
        f"{kind}, {passes} passes, {workers} workers": [
            *(*ours, "--pickle", kind),
            *("--num-data-aug", str(passes), "--workers", str(workers)),
        ]
        for kind in ("py3", "small")
        for passes in (1, 5, 15, 30, 60)
        for workers in (1, 2)
    }


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", nargs="?", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--yardstick", type=Path)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    archive = SMALL if options.short else options.archive or REAL
    if not archive.exists():
        archive = sample_database()
    test_persons = {5} if options.short else {5, 10, 15}
    runs = 1 if options.short else options.pairs
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{archive.name}; {machine}; medians of {runs} alternating runs")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        yardstick = None if options.short else options.yardstick
        commands = programs(archive, folder, yardstick, short=options.short)
        print(f"{check(commands, folder)}\n", flush=True)
        print(f"{table(alternate(commands, runs, folder))}\n", flush=True)
        print(f"{render(archive, runs, test_persons=test_persons)}\n", flush=True)
        print(f"{stages(archive, folder, runs, test_persons=test_persons)}\n", flush=True)
        print(f"{loading(archive, folder)}\n", flush=True)
        if not options.short:
            print(table(alternate(growth(archive, folder, short=False), 1, folder)), flush=True)
    print()
    for line in training(archive, runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
