"""The sample database: its names and labels, its looks, and its file in the cache folder."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import members
from numpy.typing import NDArray
from PIL import Image

from headpose_fast.sources import cache, heads, sample
from headpose_fast.sources.heads import POSES, SITTINGS, render_photograph
from headpose_fast.sources.sample import sample_database

NAME = re.compile(r"Person(\d\d)/(person\1[12](\d\d)([+-]\d+)([+-]\d+))\.(jpg|txt)")


@functools.cache
def sitting(person: int) -> heads.Sitting:
    return heads.sit(person, 1)


def take(person: int, tilt: int, pan: int) -> tuple[NDArray[np.uint8], heads.Box]:
    return heads.photograph(sitting(person), POSES.index((tilt, pan)))


def face(person: int, tilt: int, pan: int) -> NDArray[np.float64]:
    """Reduce a face and its surroundings to 24 x 24 grey values of mean 0 and deviation 1."""
    picture, (x, y, width, height) = take(person, tilt, pan)
    half = 7 * max(width, height) // 10
    grey = Image.fromarray(picture).convert("L").crop((x - half, y - half, x + half, y + half))
    values = np.asarray(grey.resize((24, 24), Image.Resampling.BILINEAR), dtype=np.float64)
    normal: NDArray[np.float64] = (values - values.mean()) / values.std()
    return normal


def test_poses_are_in_the_real_order() -> None:
    tilts = (-90, -60, -30, -15, 0, 15, 30, 60, 90)
    pans = range(-90, 91, 15)
    assert list(POSES) == [(t, p) for t in tilts for p in pans if abs(t) < 90 or p == 0]
    assert (len(POSES), len(SITTINGS)) == (93, 30)


def test_names_and_labels_follow_the_grammar(tmp_path: Path) -> None:
    path = tmp_path / "sample.tar"
    sample._write_database(path, [(3, 1), (12, 2)], range(0, 93, 23), None)
    files = members(path)
    assert len(files) == 2 * 5 * 2
    assert list(files)[:2] == ["Person03/person03100-90+0.jpg", "Person03/person03100-90+0.txt"]
    assert list(files)[-1] == "Person12/person12292+90+0.txt"
    for name, content in files.items():
        found = NAME.fullmatch(name)
        assert found is not None, name
        _, stem, number, tilt, pan, kind = found.groups()
        assert POSES[int(number)] == (int(tilt), int(pan))
        if kind == "txt":
            label = rf"{re.escape(stem)}\.jpg\n\nFace\n\d+\n\d+\n\d+\n\d+\n"
            assert re.fullmatch(label, content.decode()), name


def test_photographs_are_encoded_as_the_real_ones(tmp_path: Path) -> None:
    path = tmp_path / "sample.tar"
    sample._write_database(path, [(5, 1)], [46], None)
    jpeg, label = members(path).values()
    pixels, box = render_photograph(5, 1, 46)
    assert label.decode().split()[2:] == [str(value) for value in box]
    assert 8_000 < len(jpeg) < 17_000
    assert b"\xff\xc0\x00\x11\x08\x01\x20\x01\x80\x03\x01\x22" in jpeg  # baseline, 4:2:0
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (384, 288))
        assert "comment" not in picture.info
        assert np.abs(np.asarray(picture) - pixels.astype(np.int16)).mean() < 4


# A change of these means other pixels or boxes: raise SAMPLE_VERSION with them, or users keep
# the sample database that lies in their cache.
@pytest.mark.parametrize(
    ("photograph", "version", "pixels", "box"),
    [
        ((1, 1, 46), 1, "9e4c5f4374c4337a", (181, 144, 103, 96)),
        ((10, 2, 13), 1, "66fa6c3a3bbf215d", (110, 187, 68, 90)),
        ((15, 1, 92), 1, "527164a42e4c03af", (201, 107, 99, 69)),
    ],
)
def test_pixels_are_pinned(
    photograph: tuple[int, int, int], version: int, pixels: str, box: heads.Box
) -> None:
    picture, found = render_photograph(*photograph)
    assert picture.shape == (288, 384, 3)
    assert picture.dtype == np.uint8
    digest = hashlib.sha256(picture.tobytes()).hexdigest()[:16]
    assert (cache.SAMPLE_VERSION, digest, found) == (version, pixels, box)


@pytest.mark.parametrize("photograph", [(0, 1, 0), (16, 1, 0), (1, 3, 0), (1, 1, 93), (1, 1, -1)])
def test_other_photographs_are_refused(photograph: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no photograph"):
        render_photograph(*photograph)


def test_looks_turn_with_tilt_and_pan() -> None:
    frontal = face(6, 0, 0)
    for tilt, pan in [(0, 30), (0, -30), (0, 90), (30, 0), (-30, 0), (90, 0), (-90, 0)]:
        assert np.abs(face(6, tilt, pan) - frontal).mean() > 0.25, (tilt, pan)


@pytest.mark.parametrize("pan", [30, 60, 90])
def test_a_mirrored_pan_gives_the_mirrored_picture(pan: int) -> None:
    left, right = face(6, 0, pan), face(6, 0, -pan)
    mirrored, plain = np.abs(left - right[:, ::-1]).mean(), np.abs(left - right).mean()
    assert mirrored < plain / 2


def test_boxes_track_the_face() -> None:
    boxes = {pose: take(9, *pose)[1] for pose in POSES if pose[1] % 90 == 0}
    for x, y, width, height in boxes.values():
        assert 45 <= width <= 159
        assert 17 <= height <= 155
        assert x - width // 2 > 20
        assert y - height // 2 > 20
        assert x + width // 2 < 384 - 20
        assert y + height // 2 < 288 - 20
    # Positive pan looks to the picture's left, positive tilt up.
    assert boxes[0, 90][0] < boxes[0, 0][0] - 50 < boxes[0, 0][0] + 50 < boxes[0, -90][0]
    assert boxes[60, 0][1] < boxes[0, 0][1] - 25 < boxes[0, 0][1] + 25 < boxes[-60, 0][1]
    assert boxes[0, 90][2] < 0.85 * boxes[0, 0][2]
    assert boxes[90, 0][3] < 0.85 * boxes[0, 0][3]


def test_boxes_lie_on_the_head() -> None:
    backdrop = sitting(9).backdrop
    for pose in POSES[::8]:
        picture, (x, y, width, height) = take(9, *pose)
        around = np.s_[y - height // 2 : y + height // 2, x - width // 2 : x + width // 2]
        drawn = np.abs(picture[around].astype(np.int16) - backdrop[around]).max(axis=2) > 20
        assert drawn.mean() > 0.7, pose


def test_the_pose_of_an_unseen_person_can_be_learned() -> None:
    poses = POSES[::6]
    known = [(pose, face(person, *pose)) for person in (1, 8) for pose in poses]
    errors = []
    for tilt, pan in poses:
        looks = face(10, tilt, pan)
        (near_tilt, near_pan), _ = min(known, key=lambda k: float(np.abs(k[1] - looks).mean()))
        errors.append((abs(near_tilt - tilt), abs(near_pan - pan)))
    # By chance they would be some 31 and 47 degrees.
    assert np.mean(errors, axis=0).max() < 8


def test_the_tar_is_the_same_in_every_run(tmp_path: Path) -> None:
    def write(name: str) -> bytes:
        sample._write_database(tmp_path / name, SITTINGS[:2], range(2), None)
        return (tmp_path / name).read_bytes()

    first = write("a.tar")
    with ThreadPoolExecutor(2) as both:  # two at once, of the same file
        assert list(both.map(write, ["b.tar", "b.tar"])) == [first, first]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_a_failed_run_leaves_no_file(tmp_path: Path) -> None:
    def fail(done: int, total: int) -> None:
        assert (done, total) == (2, 4)
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample._write_database(tmp_path / "sample.tar", SITTINGS[:2], range(2), fail)
    assert list(tmp_path.iterdir()) == []


def test_the_database_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(tmp_path / "new" / "folder"))
    monkeypatch.setattr(sample, "SITTINGS", SITTINGS[:1])
    calls: list[tuple[int, int]] = []
    path = sample_database(lambda done, total: calls.append((done, total)))
    assert path == tmp_path / "new" / "folder" / cache.SAMPLE_NAME
    assert calls == [(93, 93)]
    assert len(members(path)) == 2 * 93
    monkeypatch.setattr(sample, "_write_database", None)
    assert sample_database() == path


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"
    monkeypatch.setenv("HEADPOSE_FAST_CACHE", str(folder))
    with pytest.raises(OSError, match="set HEADPOSE_FAST_CACHE") as caught:
        sample_database()
    assert str(folder) in str(caught.value)
