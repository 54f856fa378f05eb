"""The original script's own outputs, and the golden files that stand for them everywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import twin
from conftest import GOLDEN, SMALL_DATABASE, command, digest, members
from numpy.typing import NDArray

import headpose_fast
from headpose_fast.bundle.kinds import KINDS, Kind

#: The original script's runs on the first two numbers of every series.
RUNS = {
    "reference_first2_1to1_seed7_aug3_val2": (1, 7, 3, 2),
    "reference_first2_16to9_seed8_aug2_val1": (0, 8, 2, 1),
}
ARRAYS = ("trn_im", "test_im", "trn_output", "test_output")


@pytest.fixture(scope="module")
def first2(shared: Path) -> Path:
    return shared / "golden" / "HeadPoseImageDatabase-first2.tar.gz"


def reference(shared: Path, run: str) -> dict[str, NDArray[np.float32]]:
    with np.load(shared / "golden" / f"{run}.npz") as arrays:
        return dict(arrays)


def frames(photographs: Sequence[headpose_fast.Photograph]) -> list[twin.Frame]:
    return [twin.Frame(384, 288, *photograph.face) for photograph in photographs]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", RUNS)
def test_the_command_gives_the_original_scripts_arrays(
    run: str, kind: Kind, first2: Path, shared: Path, tmp_path: Path
) -> None:
    aspect_ratio, seed, aug, val = RUNS[run]
    options = f"--aspect-ratio {aspect_ratio} --seed {seed} --num-data-aug {aug}"
    options += f" --num-data-aug-val {val} --pickle {kind} --allow-incomplete"
    done = command(*options.split(), "--input", first2, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    bundle = headpose_fast.load(done.stdout.rstrip("\n"))
    expected = reference(shared, run)
    for name, array in zip(ARRAYS, bundle, strict=True):
        assert array.dtype == np.float32
        assert np.array_equal(array, expected[name]), name


@pytest.mark.parametrize("run", RUNS)
def test_the_twin_gives_the_original_scripts_arrays(run: str, first2: Path, shared: Path) -> None:
    aspect_ratio, seed, *passes = RUNS[run]
    expected = reference(shared, run)
    parts = headpose_fast.open_database(first2).split((5, 10, 15))
    planned = list(zip(map(frames, parts), passes, strict=True))
    crops = twin.plan(planned, aspect_ratio, seed)
    for part, part_crops, name in zip(parts, crops, ("trn", "test"), strict=True):
        assert np.array_equal(part_crops.reshape(-1, 4), expected[f"{name}_crops"])
        images = [twin.pixels(photograph.jpeg) for photograph in part]
        samples = twin.samples(images, part_crops, *twin.OUTPUT[aspect_ratio])
        assert np.array_equal(samples.reshape(-1, *samples.shape[2:]), expected[f"{name}_im"])
        labels = twin.labels([(p.tilt, p.pan) for p in part], len(part_crops))
        assert np.array_equal(labels, expected[f"{name}_output"])


def test_the_twin_resizes_as_opencv_42_does(shared: Path) -> None:
    with np.load(shared / "golden" / "resize_opencv42.npz") as golden:
        names = [name.removesuffix(".in") for name in golden if name.endswith(".in")]
        assert len(names) == 24
        for name in names:
            crop = golden[f"{name}.in"].astype(np.float32) / np.float32(255)
            expected = golden[f"{name}.out"]
            height, width, _ = expected.shape
            assert np.array_equal(twin.resize(crop, width, height), expected), name


@pytest.mark.parametrize(("aspect_ratio", "name"), [(1, "1to1"), (0, "16to9")])
def test_all_crops_of_the_full_job(
    aspect_ratio: int, name: str, shared: Path, real_database: headpose_fast.Database
) -> None:
    train, test = real_database.split((5, 10, 15))
    crops = headpose_fast.plan_crops(train, test, aspect_ratio=aspect_ratio)  # type: ignore[arg-type]
    with np.load(shared / "golden" / f"crops_full_{name}_seed0_aug15_val3.npz") as golden:
        assert np.array_equal(crops.train.reshape(-1, 4), golden["trn_crops"])
        assert np.array_equal(crops.test.reshape(-1, 4), golden["test_crops"])


def test_every_photograph_of_the_real_archive_decodes_as_pillow_does(real_archive: Path) -> None:
    jpegs = [content for name, content in members(real_archive).items() if name.endswith(".jpg")]
    assert len(jpegs) == 2820
    # A crop of exactly twice the output averages four pixels each, so that all of it shows.
    tiles = [(x, y, 168, 168) for x in (0, 168, 216) for y in (0, 120)]
    for start in range(0, len(jpegs), 100):
        part = jpegs[start : start + 100]
        crops = np.broadcast_to(np.array(tiles, np.int32)[:, None], (len(tiles), len(part), 4))
        rendered = headpose_fast.render(part, crops)
        images = [twin.pixels(jpeg) for jpeg in part]
        assert np.array_equal(rendered, twin.samples(images, crops, 84, 84))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aspect_ratio", [1, 0])
def test_the_small_database_gives_the_golden_digests(
    aspect_ratio: int, kind: Kind, tmp_path: Path
) -> None:
    expected = json.loads((GOLDEN / "bundle_seed3_aug2_val1.json").read_text())[str(aspect_ratio)]
    prepared = headpose_fast.prepare(
        SMALL_DATABASE,
        tmp_path,
        num_data_aug=2,
        num_data_aug_val=1,
        aspect_ratio=aspect_ratio,  # type: ignore[arg-type]
        seed=3,
        test_persons=(5,),
        pickle=kind,
        allow_incomplete=True,
    )
    assert [digest(array) for array in headpose_fast.load(prepared.path)] == expected


@pytest.mark.parametrize("aspect_ratio", [1, 0])
def test_the_twin_gives_the_golden_digests(aspect_ratio: int) -> None:
    expected = json.loads((GOLDEN / "bundle_seed3_aug2_val1.json").read_text())[str(aspect_ratio)]
    parts = headpose_fast.open_database(SMALL_DATABASE).split((5,))
    crops = twin.plan(zip(map(frames, parts), (2, 1), strict=True), aspect_ratio, 3)
    golden = np.fromfile(GOLDEN / f"crops_aspect{aspect_ratio}_seed3_aug2_val1.i32", "<i4")
    assert np.array_equal(np.concatenate([c.reshape(-1) for c in crops]), golden)
    made = [
        twin.samples([twin.pixels(p.jpeg) for p in part], c, *twin.OUTPUT[aspect_ratio])
        for part, c in zip(parts, crops, strict=True)
    ]
    labels = [
        twin.labels([(p.tilt, p.pan) for p in part], passes)
        for part, passes in zip(parts, (2, 1), strict=True)
    ]
    assert [digest(array) for array in (*made, *labels)] == expected
