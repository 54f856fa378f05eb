"""Train with the old stack, Python 2.7 and MXNet 1.5.1, on bundles that are made now.

    python tests/old_stack.py

Needs headpose-fast installed, and nothing else of Python. Makes bundles of the sample database and
has `old_train.py` load them bare and train one epoch. The old stack is fetched once into
target/interpreters, by ../shared/tools/python27.sh and by pip; its wheel of MXNet is for Linux on
x86-64.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from running import FETCHED, ROOT, command

NUMPY = "1.16.6"

#: MXNet and what it imports, the last versions for Python 2.7 that it takes.
PACKAGES = (
    "mxnet==1.5.1",
    "certifi==2021.10.8",
    "chardet==4.0.0",
    "graphviz==0.8.4",
    "idna==2.10",
    "requests==2.27.1",
    "urllib3==1.26.20",
)


def fetch() -> tuple[Path, str]:
    """Fetch what lacks of the old stack; return its interpreter and the path of its packages."""
    python27, packages = FETCHED / "python27", FETCHED / "mxnet-1.5.1-python2.7"
    tool = ROOT.parent / "shared" / "tools" / "python27.sh"
    if not tool.is_file():
        sys.exit(f"{tool}: not found; it fetches Python 2.7")
    subprocess.run(["bash", tool, python27, NUMPY], check=True)
    if not packages.is_dir():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        target = ["--only-binary=:all:", "--python-version=2.7", "--implementation=py"]
        platform = ["--abi=none", "--platform=manylinux1_x86_64"]
        # Renamed once it is complete: pip may be stopped half-way.
        part = packages.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run([*install, *target, *platform, "--target", part, *PACKAGES], check=True)
        part.rename(packages)
    return python27 / "python2.7", f"{packages}:{python27 / f'site-{NUMPY}'}"


def train(kind: str, python: Path, packages: str) -> dict[str, Any]:
    """Make a bundle of this kind, train on it, and return what `old_train.py` tells."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle.pkl")
        passes = ("--num-data-aug", "1", "--num-data-aug-val", "1")
        made = command("--sample", *passes, "--pickle", kind, "--output", bundle)
        if made.returncode != 0:
            sys.exit(made.stderr)
        trained = subprocess.run(
            [python, ROOT / "tests" / "old_train.py", bundle],
            env={**os.environ, "PYTHON27_SITE": packages},
            stdout=subprocess.PIPE,
            check=True,
        )
    told: dict[str, Any] = json.loads(trained.stdout)
    return told


def main() -> int:
    """Train on each kind of bundle that Python 2.7 loads; fail unless it learns from each."""
    python, packages = fetch()
    status = 0
    for kind in ("any", "py2"):
        told = train(kind, python, packages)
        losses = told["train"]
        print(f"kind {kind}: {told['versions']}, {told['samples']} train and test samples")
        print(f"  train: {' '.join(f'{loss:.3f}' for loss in losses)}")
        print(f"  test: {told['test']:.3f}; always the mean: {told['constant']:.3f}")
        finite = all(map(math.isfinite, (*losses, told["test"])))
        if not finite or losses[-1] > 0.7 * losses[0] or told["test"] > 0.7 * told["constant"]:
            print("  failed: the losses should be finite and fall to 0.7 of these or less")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
