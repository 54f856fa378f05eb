"""What the tests share: golden files, the real data where it is there, other interpreters."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from running import FETCHED as FETCHED
from running import ROOT as ROOT
from running import command as command

import headpose_fast
from headpose_fast.bundle.forms import PLACED
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.placed import Layout

GOLDEN = ROOT / "tests" / "golden"
SMALL_DATABASE = GOLDEN / "database_persons01+05_numbers00+46.tar"

#: Photographs of the tests of large tables, a multiple of 1,000. 50000 takes ten minutes and shows
#: what docs/scale.md says; fewer show that all of it works.
MANY = int(os.environ.get("HEADPOSE_FAST_MANY", "2000"))

#: The kinds whose places follow from counts.
PLACED_KINDS = tuple(PLACED)

Load = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of the real database and of the original script's outputs."""
    path = ROOT.parent / "shared"
    if not (path / "data" / "HeadPoseImageDatabase.tar.gz").is_file():
        pytest.skip("the real database is not beside the project, in ../shared/data")
    return path


@pytest.fixture(scope="session")
def real_archive(shared: Path) -> Path:
    """Give the real database's archive."""
    return shared / "data" / "HeadPoseImageDatabase.tar.gz"


@pytest.fixture(scope="session")
def real_database(real_archive: Path) -> headpose_fast.Database:
    """Give the real database."""
    return headpose_fast.open_database(real_archive)


def layout(kind: Kind, train: int, test: int, height: int, width: int) -> Layout:
    """Lay out a bundle of samples of `height` x `width` pixels."""
    return PLACED[kind].layout(train, test, height, width)


def members(path: Path) -> dict[str, bytes]:
    """Read a tar file's regular members."""
    with tarfile.open(path) as archive:
        files = [member for member in archive if member.isfile()]
        return {file.name: archive.extractfile(file).read() for file in files}  # type: ignore[union-attr]


def unpack(path: Path, folder: Path) -> None:
    """Write a tar file's regular members into a folder."""
    for name, content in members(path).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    """Write a tar file of regular members."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def digest(array: NDArray[np.float32]) -> str:
    """Hash an array's values in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f4").tobytes()).hexdigest()


def _loader(interpreter: Sequence[str | os.PathLike[str]], env: Mapping[str, str]) -> Load:
    """Make a function that loads a file with a bare `pickle.load` in another interpreter."""

    def load(path: Path, *encoding: str) -> dict[str, Any]:
        done = subprocess.run(
            [*interpreter, ROOT / "tests" / "bare_load.py", path, *encoding],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return load


def python27(numpy: str) -> Load:
    """Make a loader of Python 2.7 with a version of NumPy, fetched by the shared tool."""
    tool = ROOT.parent / "shared" / "tools" / "python27.sh"
    if not tool.is_file():
        pytest.skip("there is no tool for Python 2.7 in ../shared/tools")
    if not all(map(shutil.which, ("apt-get", "dpkg", "unzip"))):
        pytest.skip("fetching Python 2.7 needs apt-get, dpkg and unzip")
    folder = FETCHED / "python27"
    done = subprocess.run(["bash", tool, folder, numpy], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    site = {"PYTHON27_SITE": str(folder / f"site-{numpy}")}
    return _loader([folder / "python2.7"], site)


def python3(numpy: str | None) -> Load:
    """Make a loader of this Python, with its own NumPy or with another version of it."""
    if numpy is None:
        return _loader([sys.executable], {})
    folder = FETCHED / f"numpy-{numpy}-python{sys.version_info[0]}.{sys.version_info[1]}"
    if not (folder / "numpy").is_dir():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        done = subprocess.run(
            [*install, "--target", folder, f"numpy=={numpy}"], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"NumPy {numpy} cannot be installed for this Python: {done.stderr[-200:]}")
    return _loader([sys.executable], {"PYTHONPATH": str(folder)})


#: Real interpreters that bundles are for, by what they are called in the tests.
INTERPRETERS: dict[str, Callable[[], Load]] = {
    "python2.7-numpy1.11.3": lambda: python27("1.11.3"),
    "python2.7-numpy1.16.6": lambda: python27("1.16.6"),
    "python3-numpy1.26.4": lambda: python3("1.26.4"),
    "python3-numpy": lambda: python3(None),
}


@pytest.fixture(scope="session", params=INTERPRETERS)
def interpreter(request: pytest.FixtureRequest) -> tuple[str, Load]:
    """Give each of the interpreters and its name."""
    name: str = request.param
    return name, INTERPRETERS[name]()
