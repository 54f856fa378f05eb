"""Loading: our kinds against the original script's protocol 0, bare and with `load`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np

import headpose_fast
from headpose_fast.bundle.kinds import KINDS

ROOT = Path(__file__).resolve().parent.parent

#: Who is in the jobs that are loaded; a full one would be 6.7 GB in protocol 0.
_PERSONS = ("Person01", "Person02", "Person05")


def some_persons(archive: Path, folder: Path) -> Path:
    """Write an archive of a few of an archive's persons."""
    path = folder / "persons.tar"
    with tarfile.open(archive) as source, tarfile.open(path, "w") as target:
        for member in source:
            if member.isfile() and any(person in member.name for person in _PERSONS):
                target.addfile(member, source.extractfile(member))
    return path


def bare(interpreter: list[str | Path], path: Path, *encoding: str) -> float:
    """Seconds of a bare `pickle.load` in an interpreter, the median of three."""
    command = [*interpreter, ROOT / "tests" / "bare_load.py", path, *encoding]
    results = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)]
    return sorted(float(json.loads(result)["seconds"]) for result in results)[1]


def loaded(path: Path) -> float:
    """Seconds of `headpose_fast.load`, the median of three."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        headpose_fast.load(path)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[1]


def loading(archive: Path, folder: Path) -> str:
    """Time each way to load a job. Python 2.7 is asked if PYTHON27 names it."""
    persons = some_persons(archive, folder)
    pythons: dict[str, list[str | Path]] = {"Python 3": [sys.executable]}
    python27 = os.environ.get("PYTHON27")
    if python27:
        pythons["Python 2.7"] = [python27]
    files: dict[str, Path] = {
        kind: headpose_fast.prepare(
            persons,
            folder / f"loading.{kind}.pkl",
            pickle=kind,
            test_persons=[5],
            allow_incomplete=True,
        ).path
        for kind in KINDS
    }
    bundle = headpose_fast.load(files["py3"])
    # Only Python 2 writes protocol 0 as the original script does.
    if python27:
        files["protocol 0"] = folder / "loading.old.pkl"
        source = (
            "import sys, pickle, numpy as np; z = np.load(sys.argv[1]);"
            "f = open(sys.argv[2], 'wb'); pickle.dump(tuple(z['arr_%d' % i] for i in range(4)), f)"
        )
        npz = folder / "loading.npz"
        np.savez(npz, *bundle)
        subprocess.run([python27, "-c", source, npz, files["protocol 0"]], check=True)
        npz.unlink()
    megabytes = sum(array.nbytes for array in bundle) / 1e6
    lines = [
        f"| {megabytes:.0f} MB of arrays, bare in | "
        + " | ".join((*pythons, "headpose_fast.load", "MB of file"))
        + " |",
        "|---" * (len(pythons) + 3) + "|",
    ]
    for name, path in files.items():
        cells = []
        for python, interpreter in pythons.items():
            if name == "py3" and python == "Python 2.7":
                cells.append("")
                continue
            latin1 = ["latin1"] if python == "Python 3" and name in ("py2", "protocol 0") else []
            cells.append(f"{bare(interpreter, path, *latin1):.2f} s")
        cells += [f"{loaded(path):.3f} s", f"{path.stat().st_size / 1e6:.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
