"""Loading: our three kinds against the original script's protocol 0, bare and with `load`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import headpose_fast
from headpose_fast.bundle.forms import PLACED
from headpose_fast.bundle.kinds import KINDS, Kind

ROOT = Path(__file__).resolve().parent.parent


def write(path: Path, kind: Kind, bundle: headpose_fast.Bundle) -> None:
    """Write arrays as a bundle."""
    _, _, height, width = bundle.trn_im.shape
    plan = PLACED[kind].layout(len(bundle.trn_im), len(bundle.test_im), height, width)
    with path.open("wb") as file:
        for offset, data in plan.skeleton:
            file.seek(offset)
            file.write(data)
        for array, place in zip(bundle, plan.arrays, strict=True):
            for first, rows, offset, _ in place.pieces:
                file.seek(offset)
                file.write(plan.kind.encode(place, array[first : first + rows]))


def bare(interpreter: list[str | Path], path: Path, *encoding: str) -> float:
    """Seconds of a bare `pickle.load` in an interpreter, the median of three."""
    command = [*interpreter, ROOT / "tests" / "bare_load.py", path, *encoding]
    results = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)]
    return sorted(float(json.loads(result)["seconds"]) for result in results)[1]


def loading(folder: Path, samples: int) -> str:
    """Time each way to load so many train samples. Python 2.7 is asked if PYTHON27 names it."""
    random = np.random.RandomState(0)
    sides = ((samples, 3, 84, 84), (samples // 10, 3, 84, 84), (samples, 2), (samples // 10, 2))
    bundle = headpose_fast.Bundle(*(random.random_sample(s).astype("<f4") for s in sides))
    pythons: dict[str, list[str | Path]] = {"Python 3": [sys.executable]}
    python27 = os.environ.get("PYTHON27")
    if python27:
        pythons["Python 2.7"] = [python27]
    paths = {kind: folder / f"loading.{kind}.pkl" for kind in KINDS}
    for kind, path in paths.items():
        write(path, kind, bundle)
    # Only Python 2 writes protocol 0 as the original script does.
    old = folder / "loading.old.pkl"
    if python27:
        source = (
            "import sys, pickle, numpy as np; z = np.load(sys.argv[1]);"
            "f = open(sys.argv[2], 'wb'); pickle.dump(tuple(z['arr_%d' % i] for i in range(4)), f)"
        )
        np.savez(folder / "loading.npz", *bundle)
        subprocess.run([python27, "-c", source, folder / "loading.npz", old], check=True)
    megabytes = sum(array.nbytes for array in bundle) / 1e6
    lines = [
        f"| {megabytes:.0f} MB of arrays | " + " | ".join((*pythons, "headpose_fast.load")) + " |",
        "|---" * (len(pythons) + 2) + "|",
    ]
    files: dict[str, Path] = {str(kind): path for kind, path in paths.items()}
    if python27:
        files["protocol 0"] = old
    for name, path in files.items():
        cells = []
        for python, interpreter in pythons.items():
            if name == "py3" and python == "Python 2.7":
                cells.append("")
                continue
            latin1 = ["latin1"] if python == "Python 3" and name in ("py2", "protocol 0") else []
            cells.append(f"{bare(interpreter, path, *latin1):.2f} s")
        began = time.perf_counter()
        headpose_fast.load(path)
        cells.append(f"{time.perf_counter() - began:.3f} s")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
