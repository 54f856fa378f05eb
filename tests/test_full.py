"""The job at full size, on the real archive where it is there, else on the sample database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import twin
from conftest import ROOT, Load, python3, python27

import headpose_fast
from headpose_fast.sources.sample import sample_database

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux counts it"),
]

#: Runs the command line and then says on stderr how much memory it took at most.
MEASURED = """
import sys
from headpose_fast.cli.main import main
status = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def database() -> Path:
    real = ROOT.parent / "shared" / "data" / "HeadPoseImageDatabase.tar.gz"
    return real if real.is_file() else sample_database()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder with room for two bundles, and empty it: pytest keeps its folders a while."""
    if shutil.disk_usage(tmp_path).free < 12 << 30:
        pytest.skip("bundles of full size need 12 GB of free disk")
    yield tmp_path
    shutil.rmtree(tmp_path)


def run(database: Path, folder: Path, options: str) -> tuple[Path, int]:
    """Run the command and return the path it wrote and its peak memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "--input", database, "--output", folder, *options.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stderr.splitlines()[-2].split()[1]) * 1024
    return Path(done.stdout.rstrip("\n")), peak


def check_samples(
    database: Path, bundle: headpose_fast.Bundle, aspect_ratio: Literal[1, 0], count: int = 1000
) -> None:
    """Compare random samples with the twin's, and all labels."""
    parts = headpose_fast.open_database(database).split((5, 10, 15))
    crops = headpose_fast.plan_crops(*parts, aspect_ratio=aspect_ratio)
    random = np.random.RandomState(2004)
    for part, part_crops, images, labels in zip(
        parts,
        crops,
        (bundle.trn_im, bundle.test_im),
        (bundle.trn_output, bundle.test_output),
        strict=True,
    ):
        poses = [(photograph.tilt, photograph.pan) for photograph in part]
        assert np.array_equal(labels, twin.labels(poses, len(part_crops)))
        n = len(part)
        for sample in random.choice(n * len(part_crops), count // 2, replace=False):
            pixels = twin.pixels(part[sample % n].jpeg)
            crop = part_crops[sample // n, sample % n]
            expected = twin.sample(pixels, crop, *twin.OUTPUT[aspect_ratio])
            assert np.array_equal(images[sample], expected), sample


def test_the_full_job_at_one_to_one(database: Path, folder: Path) -> None:
    path, peak = run(database, folder, "--num-data-aug 15 --aspect-ratio 1")
    assert path == folder / "HeadPoseData_trn_test_x15_py2.pkl"
    assert peak < 300 << 20
    bundle = headpose_fast.load(path)
    assert [array.shape for array in bundle] == [
        (33480, 3, 84, 84),
        (1674, 3, 84, 84),
        (33480, 2),
        (1674, 2),
    ]
    check_samples(database, bundle, 1)


def test_the_full_job_at_sixteen_to_nine(database: Path, folder: Path) -> None:
    path, peak = run(database, folder, "--num-data-aug 15 --aspect-ratio 0 --pickle py3")
    assert path == folder / "HeadPoseData_trn_test_x15_py3.pkl"
    assert peak < 300 << 20
    bundle = headpose_fast.load(path)
    assert [array.shape for array in bundle] == [
        (33480, 3, 54, 96),
        (1674, 3, 54, 96),
        (33480, 2),
        (1674, 2),
    ]
    check_samples(database, bundle, 0)


def test_memory_is_the_same_at_15_and_at_30_passes(database: Path, folder: Path) -> None:
    peaks = [
        run(database, folder, f"--num-data-aug {passes} --pickle py3 --output {folder}/a.pkl")[1]
        for passes in (15, 30)
    ]
    assert max(peaks) < 300 << 20
    # 2.8 GB more of arrays; the plan and the layout grow by some bytes a sample.
    assert peaks[1] - peaks[0] < 10 << 20


@pytest.mark.parametrize(
    ("options", "most_bytes"),
    [
        ("--aspect-ratio 1", 180e6),
        ("--aspect-ratio 0", 180e6),
        ("--size 224x224 --num-data-aug 2 --num-data-aug-val 2", 160e6),
    ],
)
def test_kind_small_holds_the_same_bits(
    database: Path, folder: Path, options: str, most_bytes: float
) -> None:
    expected = headpose_fast.load(run(database, folder, f"{options} --pickle py3")[0])
    path, peak = run(database, folder, f"{options} --pickle small")
    assert path.stat().st_size < most_bytes
    assert peak < 150 << 20
    for found, array in zip(headpose_fast.load(path), expected, strict=True):
        assert found.shape == array.shape
        assert all(
            np.array_equal(found[i : i + 1000].view("<u4"), array[i : i + 1000].view("<u4"))
            for i in range(0, len(array), 1000)
        )


@pytest.mark.parametrize("kind", ["any", "small"])
@pytest.mark.parametrize("python", ["python2.7", "python3"])
def test_the_full_file_loads_bare(python: str, kind: str, database: Path, folder: Path) -> None:
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") < 6 << 30:
        pytest.skip("loading a bundle of full size needs 4 GB of memory")
    load: Load = python27("1.16.6") if python == "python2.7" else python3(None)
    path, _ = run(database, folder, f"--pickle {kind}")
    result = load(path)
    print(f"{result['version']}: {result['seconds']:.1f} s, {result['needed']:,} bytes")
    assert result["bytes"] == 35154 * (3 * 84 * 84 + 2) * 4
    assert result["needed"] <= 1.2 * result["bytes"]
    assert [array["shape"] for array in result["arrays"]] == [
        [33480, 3, 84, 84],
        [1674, 3, 84, 84],
        [33480, 2],
        [1674, 2],
    ]
