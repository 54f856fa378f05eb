"""Running programs in turn and printing what they took."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Command = list[str | Path]


class Run(NamedTuple):
    """What one run of a program took: seconds, and bytes of memory at most."""

    wall: float
    user: float
    system: float
    peak: int


def measure(command: Command) -> Run:
    """Run a program to its end, with the system's own accounting of it.

    Another, small process starts it: a process inherits the peak of the one that starts it.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stderr}")
    return Run(*json.loads(done.stdout))


def account(command: list[str]) -> Run:
    """Run a program as a child of this process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    return Run(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024)


def alternate(commands: Mapping[str, Command], runs: int, folder: Path) -> dict[str, list[Run]]:
    """Run all programs in turn, A B C A B C ..., after one round that is not counted.

    Before each run their output `folder` is emptied: replacing 3 GB takes half a second more, and
    what earlier runs left in memory would slow the later ones.
    """
    taken: dict[str, list[Run]] = {name: [] for name in commands}
    for i in range(runs + 1 if runs > 1 else runs):
        for name, command in commands.items():
            empty(folder)
            run = measure(command)
            if i > 0 or runs == 1:
                taken[name].append(run)
    return taken


def empty(folder: Path) -> None:
    """Delete the files in a folder."""
    for path in folder.iterdir():
        path.unlink()


def table(taken: Mapping[str, Sequence[Run]]) -> str:
    """Medians, the medians of the ratios to the first program run by run, and the spread.

    The spread is the slowest wall time divided by the fastest, if there are several.
    """
    first = next(iter(taken.values()))
    spread = len(first) > 1
    lines = [
        "| program | wall s | user s | system s | peak MB | wall ratio | user ratio |"
        + " spread |" * spread,
        "|---|---|---|---|---|---|---|" + "---|" * spread,
    ]
    for name, runs in taken.items():
        wall, user, system, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        walls = statistics.median(a.wall / b.wall for a, b in zip(runs, first, strict=True))
        users = statistics.median(a.user / b.user for a, b in zip(runs, first, strict=True))
        lines.append(
            f"| {name} | {wall:.2f} | {user:.2f} | {system:.2f} | {peak / 1e6:.0f} "
            f"| {walls:.2f} | {users:.2f} |"
            + f" {max(run.wall for run in runs) / min(run.wall for run in runs):.2f} |"
            * spread
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(account(sys.argv[1:])))
