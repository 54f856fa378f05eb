"""Run the wheel with newer Pythons than this one, those of a newer Debian.

    python tests/newest_pythons.py

Needs an environment with pip, Rust, and what `debian.py` names. Builds the wheel, installs it with
its dependencies for each Python into target/pythons, and runs the job of the sample database, the
jobs of the golden database as every kind, `verify`, `inspect`, and bare loads.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import debian
from running import ROOT

DEBIAN = ROOT / "target" / "pythons"

VERSIONS = ("3.13", "3.14", "3.15")

DATABASE = "database_persons01+05_numbers00+46.tar"

#: Run in there: its arguments are the digests that bundles of every kind must have.
PROGRAM = """\
import hashlib, json, pickle, subprocess, sys
import numpy
from headpose_fast import load, verify

def run(*arguments):
    command = [sys.executable, "-m", "headpose_fast", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

def digests(arrays):
    return [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]

expected = json.loads(sys.argv[1])
options = ["--input", "/run/DATABASE", "--test-persons", "5", "--allow-incomplete", "--quiet"]
options += ["--num-data-aug", "2", "--num-data-aug-val", "1", "--seed", "3"]
for kind in ("any", "py2", "py3", "small"):
    path = run(*options, "--pickle", kind, "--output", f"/run/{kind}.pkl")
    assert digests(load(path)) == expected, kind
    latin1 = {"encoding": "latin1"} if kind == "py2" else {}
    with open(path, "rb") as file:
        assert digests(pickle.load(file, **latin1)) == expected, kind
    assert verify(path, "/run/DATABASE").rendered
    assert json.loads(run("inspect", path, "--json", "--quiet"))["kind"] == kind
path = run("--sample", "--quiet", "--pickle", "small", "--output", "/run/sample.pkl")
assert load(path, verify=True).trn_im.shape == (33480, 3, 84, 84)
print(f"Python {sys.version.split()[0]}, NumPy {numpy.__version__}: all kinds and the sample job")
""".replace("DATABASE", DATABASE)


def main() -> None:
    """Run it with each Python."""
    packages = [f"python{version}" for version in VERSIONS]
    debian.make(DEBIAN, packages)
    folder = DEBIAN / "run"
    wheels = ROOT / "target" / "wheels" / "pythons"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "-w", wheels, ROOT], check=True)
    (wheel,) = wheels.glob("*.whl")
    shutil.copy(ROOT / "tests" / "golden" / DATABASE, folder)
    (folder / "program.py").write_text(PROGRAM)
    golden = (ROOT / "tests" / "golden" / "bundle_seed3_aug2_val1.json").read_text()
    for version in VERSIONS:
        target = folder / f"packages-{version}"
        shutil.rmtree(target, ignore_errors=True)
        # Without the last option pip asks for packages that this Python may have, too.
        newer = ["--python-version", version, "--only-binary=:all:", "--ignore-requires-python"]
        subprocess.run(
            [*pip, "install", "--quiet", *newer, "--target", str(target), str(wheel)], check=True
        )
        debian.run(
            DEBIAN,
            f"python{version} /run/program.py '{json.dumps(json.loads(golden)['1'])}'",
            {"PYTHONPATH": f"/run/{target.name}", "HEADPOSE_FAST_CACHE": "/run/cache"},
        )


if __name__ == "__main__":
    main()
