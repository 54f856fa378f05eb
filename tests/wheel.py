"""Build what a release uploads, look into it, and run the job with it in a bare environment.

    python tests/wheel.py [--built FOLDER] [REQUIREMENT ...]

Builds the source distribution, which needs maturin, and from nothing else the wheel, as pip does
where a machine has no wheel; both go to target/dist. With `--built`, the wheel in FOLDER is looked
into and run instead. Requirements such as `numpy==1.23.*` are installed with the wheel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "target" / "dist"
LICENCES = ("LICENSE-MIT", "LICENSE-APACHE", "LICENSE-THIRD-PARTY")

_MOST_SDIST_BYTES = 1_000_000
_MOST_WHEEL_BYTES = 5_000_000

#: What the sdist holds besides what is built from: the core's own tests, for who packages it.
_TESTS = ("tests/", "fuzz/", "benchmarks/crop.rs")


def build() -> Path:
    """Build the sdist, look into it, and return the wheel that is built of it."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run(sys.executable, "-m", "maturin", "sdist", "--out", str(DIST))
    sdist = _only(DIST, "*.tar.gz")
    check_sdist(sdist)
    # Crates that are compiled already are not compiled again.
    env = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target")}
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    _run(*pip_wheel, str(DIST), str(sdist), env=env)
    return _only(DIST, "*.whl")


def check_sdist(path: Path) -> None:
    """Exit unless an sdist is small and holds all sources and nothing strange."""
    with tarfile.open(path) as archive:
        names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    sources = {source.relative_to(ROOT).as_posix() for source in (ROOT / "rust").rglob("*.rs")}
    sources |= {f"python/headpose_fast/{name}" for name in _package()}
    sources |= {"Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md", *LICENCES}
    others = {name for name in names - sources if not name.startswith(_TESTS)}
    _demand(path, "lacks", sources - names)
    _demand(path, "holds", others - {"PKG-INFO", "CHANGELOG.md"})
    _demand_size(path, _MOST_SDIST_BYTES)


def check_wheel(path: Path) -> None:
    """Exit unless a wheel is small, serves each Python from 3.10 on, and holds the package only."""
    _, _, *tag = path.stem.split("-")
    if tag[:2] != ["cp310", "abi3"]:
        sys.exit(f"{path}: its tag is {'-'.join(tag)}, not cp310-abi3-...")
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    version = path.name.split("-")[1]
    info = f"headpose_fast-{version}.dist-info"
    module = "_core.pyd" if "win" in tag[2] else "_core.abi3.so"
    expected = {f"headpose_fast/{name}" for name in (*_package(), module)}
    expected |= {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    expected |= {f"{info}/licenses/{name}" for name in LICENCES}
    # What maturin adds: lists of what was compiled in, and libgcc for musl, which may lack it.
    added = (f"{info}/sboms/", "headpose_fast.libs/libgcc_s")
    _demand(path, "lacks", expected - contents.keys())
    _demand(path, "holds", {n for n in contents.keys() - expected if not n.startswith(added)})
    for name in LICENCES:
        if contents[f"{info}/licenses/{name}"] != (ROOT / name).read_bytes():
            sys.exit(f"{path}: {name} is not the project's")
    _demand_size(path, _MOST_WHEEL_BYTES)


def run_job(wheel: Path, requirements: Sequence[str]) -> None:
    """Install a wheel in an environment of its own, and run and verify a job there."""
    # Neither the checkout's package nor another one must stand in for the wheel's.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as folder:
        env["HEADPOSE_FAST_CACHE"] = folder
        environment = Path(folder) / "environment"
        venv.create(environment, with_pip=True)
        windows = os.name == "nt"
        python = str(environment / ("Scripts/python.exe" if windows else "bin/python"))
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        _run(*pip, "install", "--quiet", str(wheel.resolve()), *requirements, env=env)
        _run(*pip, "check", env=env)
        passes = ("--num-data-aug", "1", "--num-data-aug-val", "1")
        job = (python, "-m", "headpose_fast")
        _run(*job, "--sample", *passes, cwd=folder, env=env)
        _run(*job, "verify", "HeadPoseData_trn_test_x1_py2.pkl", cwd=folder, env=env)


def _package() -> set[str]:
    """Name the files of the Python package, but the compiled one."""
    folder = ROOT / "python" / "headpose_fast"
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in (".py", ".pyi", ".typed")
    }


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder}: there are {len(found)} files {pattern}, not one")
    return found[0]


def _demand(path: Path, what: str, names: set[str]) -> None:
    if names:
        sys.exit(f"{path}: {what} {', '.join(sorted(names))}")


def _demand_size(path: Path, most: int) -> None:
    size = path.stat().st_size
    if size > most:
        sys.exit(f"{path}: {size:,} bytes are more than {most:,}")
    print(f"{path.name}: {size:,} bytes", flush=True)


def _run(*command: str, cwd: str | Path = ROOT, env: dict[str, str] | None = None) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    status = subprocess.run(command, cwd=cwd, env=env).returncode
    if status != 0:
        sys.exit(f"failed with status {status}")


def main() -> None:
    """Build or find the wheel, look into it, and run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--built", type=Path, metavar="FOLDER", help="where the wheel is")
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT", help="e.g. numpy==1.23.*")
    options = parser.parse_args()
    wheel = _only(options.built, "*.whl") if options.built else build()
    check_wheel(wheel)
    run_job(wheel, options.requirements)


if __name__ == "__main__":
    main()
