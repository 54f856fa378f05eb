"""Exports: what other people's loaders read, nothing that names people, and nothing half done."""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import GOLDEN, ROOT, SMALL_DATABASE, command, members, unpack, write_tar
from numpy.typing import NDArray
from PIL import Image

from headpose_fast import Database, DatabaseError, _core, export, open_database
from headpose_fast.cli.main import main
from headpose_fast.exports import jpegs, parquet
from headpose_fast.exports.exporting import Exported
from headpose_fast.exports.jpegs import without_comments
from headpose_fast.exports.options import Form
from headpose_fast.sources import finding
from headpose_fast.training import POSES, encode

FORMS: tuple[Form, ...] = ("npz", "parquet")
INCOMPLETE: dict[str, Any] = {"allow_incomplete": True}
CLI = ("--allow-incomplete", "--input", str(SMALL_DATABASE))

#: What names a person, in all places of a JPEG file that pixels do not depend on.
NAME = b"Jane Doe"


def segment(marker: int, content: bytes) -> bytes:
    """Make a segment of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def named(jpeg: bytes) -> bytes:
    """Write a name into a JPEG file, before and behind its scans."""
    exif = Image.Exif()
    exif[0x010E] = NAME.decode()
    applications = (b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"Photoshop 3.0\0")
    marks = [segment(0xFE, NAME), segment(0xE0, b"JFXX\0" + NAME), segment(0xE1, exif.tobytes())]
    marks += [segment(0xE1 + i, start + NAME) for i, start in enumerate(applications)]
    start = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2
    end = jpeg.rindex(b"\xff\xd9")
    return b"".join([jpeg[:start], *marks, jpeg[start:end], segment(0xFE, NAME), b"\xff\xd9", NAME])


@pytest.fixture(scope="session")
def poses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an archive of two people in all poses, whose photographs carry a name."""
    jpegs = [content for name, content in members(SMALL_DATABASE).items() if name.endswith(".jpg")]
    files = {}
    for person in (1, 5):
        for number, (tilt, pan) in enumerate(POSES):
            stem = f"person{person:02}1{number:02}{tilt:+}{pan:+}"
            # A box for each, some of which reach beyond the picture once they are grown.
            box = (100 + number, 90 + number, 60 + number, 50 + number)
            label = "\n".join((f"{stem}.jpg", "", "Face", *map(str, box), ""))
            jpeg = jpegs[number % len(jpegs)]
            files[f"any/Person{person:02}/{stem}.jpg"] = named(jpeg)
            files[f"any/Person{person:02}/{stem}.txt"] = label.encode()
    return write_tar(tmp_path_factory.mktemp("poses") / "poses.tar", files)


class Biwi:
    """Reads what `BIWI` of `sixdrepnet/datasets.py` does: fields, columns, degrees, rotations."""

    def __init__(self, path: Path) -> None:
        """Read the arrays."""
        with np.load(path) as file:
            self.images, self.poses = file["image"], file["pose"]
            self.side = int(file["img_size"])

    def __iter__(self) -> Iterator[tuple[Image.Image, NDArray[np.float64], NDArray[np.float64]]]:
        """Yield each picture, its rotation, and yaw, pitch and roll in degrees."""
        for image, pose in zip(self.images, self.poses, strict=True):
            yaw, pitch, roll = np.radians(pose)
            sines, cosines = np.sin([pitch, yaw, roll]), np.cos([pitch, yaw, roll])
            about_x, about_y, about_z = np.zeros((3, 3, 3)) + np.eye(3)
            for matrix, (i, j), sine, cosine in zip(
                (about_x, about_y, about_z), ((1, 2), (2, 0), (0, 1)), sines, cosines, strict=True
            ):
                matrix[i, i] = matrix[j, j] = cosine
                matrix[i, j], matrix[j, i] = -sine, sine
            rgb = Image.fromarray(image[..., ::-1].copy())
            yield rgb, about_z @ about_y @ about_x, pose


def test_a_loader_of_biwi_gets_images_and_angles_of_all_poses(poses: Path, tmp_path: Path) -> None:
    exported = export("npz", poses, tmp_path, **INCOMPLETE)
    assert exported.path == tmp_path / "HeadPoseImageDatabase.npz"
    read = Biwi(exported.path)
    assert (read.images.dtype, read.images.shape) == (np.uint8, (2 * len(POSES), 64, 64, 3))
    assert (read.poses.dtype, read.poses.shape, read.side) == (np.float64, (2 * len(POSES), 3), 64)
    database = open_database(poses)
    for (image, rotation, pose), photograph in zip(read, database, strict=True):
        assert tuple(pose) == (photograph.pan, photograph.tilt, 0)
        expected = encode(photograph.tilt, photograph.pan, "rotation")
        np.testing.assert_allclose(rotation, expected.reshape(3, 3), atol=1e-6)
        cx, cy, width, height = photograph.face
        with Image.open(io.BytesIO(photograph.jpeg)) as whole:
            left, top = max(0, cx - 0.9 * width), max(0, cy - 0.9 * height)
            box = left, top, min(384, cx + 0.9 * width), min(288, cy + 0.9 * height)
            crop = whole.resize((64, 64), Image.Resampling.BILINEAR, box=box)
        difference = np.asarray(image, np.float64) - np.asarray(crop)
        assert np.abs(difference).mean() < 4


def test_channels_and_size_are_as_asked(tmp_path: Path) -> None:
    bgr = export("npz", SMALL_DATABASE, tmp_path, size=(96, 96), **INCOMPLETE)
    rgb = export("npz", SMALL_DATABASE, tmp_path, size=(96, 96), channels="rgb", **INCOMPLETE)
    assert bgr.path.name == "HeadPoseImageDatabase_96x96.npz"
    assert rgb.path.name == "HeadPoseImageDatabase_96x96_rgb.npz"
    one, other = Biwi(bgr.path), Biwi(rgb.path)
    assert one.side == other.side == 96
    assert not np.array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.images[..., ::-1], other.images)


def test_npz_is_laid_out_as_numpy_does_it(tmp_path: Path) -> None:
    path = export("npz", SMALL_DATABASE, tmp_path, **INCOMPLETE).path
    with np.load(path) as file:
        arrays = dict(file)
    again = tmp_path / "again.npz"
    np.savez(again, **arrays)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(again) as numpys:
        assert ours.testzip() is None
        assert ours.namelist() == numpys.namelist() == ["image.npy", "pose.npy", "img_size.npy"]
        for one, other in zip(ours.infolist(), numpys.infolist(), strict=True):
            assert one.compress_type == zipfile.ZIP_STORED
            assert ours.read(one) == numpys.read(other)


@pytest.mark.parametrize("form", FORMS)
def test_parts_are_those_of_the_split(form: Form, poses: Path, tmp_path: Path) -> None:
    def persons(**options: Any) -> tuple[Exported, set[int]]:  # noqa: ANN401
        exported = export(form, poses, tmp_path, **INCOMPLETE, **options)
        return exported, set(exported.persons)

    assert persons(part="train")[1] == {1}
    exported, found = persons(part="test", test_persons=[1])
    assert (exported.path.name, found) == (f"HeadPoseImageDatabase_test.{form}", {1})
    exported, found = persons(part="test", split="unknown:5")
    assert exported.path.name == f"HeadPoseImageDatabase_unknown5_test.{form}"
    assert (exported.photographs, found) == (len(POSES), {5})
    with pytest.raises(DatabaseError, match=r"poses.tar: there are no photographs to test on"):
        persons(part="test", split="known:2")
    assert not (tmp_path / f"HeadPoseImageDatabase_known2_test.{form}").exists()


@pytest.mark.parametrize("form", FORMS)
def test_the_same_content_makes_the_same_bytes(form: Form, poses: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    unpack(poses, tmp_path / "elsewhere")
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    one = export(form, poses, tmp_path / "one", workers=1, **INCOMPLETE)
    other = export(form, tmp_path / "elsewhere", tmp_path / "other", workers=2, **INCOMPLETE)
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.size == one.path.stat().st_size
    assert (one.replaced, one.digest) == (False, other.digest)
    assert export(form, poses, tmp_path / "one", **INCOMPLETE).replaced


def test_parquet_has_every_photograph_and_all_that_is_known(poses: Path, tmp_path: Path) -> None:
    table = pytest.importorskip("pyarrow.parquet")
    path = export("parquet", poses, tmp_path, **INCOMPLETE).path
    rows = table.read_table(path).to_pylist()
    for row, p in zip(rows, open_database(poses), strict=True):
        name = p.name.removeprefix("any/")
        assert (row["name"], row["image"]["path"]) == (name, name)
        for column in ("person", "series", "number", "tilt", "pan", "width", "height"):
            assert row[column] == getattr(p, column)
        box = tuple(row[f"face_{column}"] for column in ("x", "y", "width", "height"))
        assert box == tuple(p.face)
        assert row["split"] == {1: "train", 5: "test"}[p.person]
        assert row["label_file"] == p.label
        assert row["jpeg_sha256"] == hashlib.sha256(p.jpeg).hexdigest()
        assert row["image"]["bytes"] == without_comments(p.jpeg)


def test_the_digest_follows_from_the_table_as_the_page_says(poses: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n([^`]*hashlib[^`]*)```", page)
    exported = export("parquet", poses, tmp_path, **INCOMPLETE)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == open_database(poses).digest == exported.digest


def test_datasets_decodes_the_images(poses: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    path = export("parquet", poses, tmp_path, **INCOMPLETE).path
    cache = tmp_path / "cache"
    rows = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(cache))["train"]
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows.features["label_file"] == datasets.Value("binary")
    assert len(rows) == 2 * len(POSES)
    for row, photograph in zip(rows, open_database(poses), strict=True):
        assert (row["tilt"], row["pan"]) == (photograph.tilt, photograph.pan)
        with Image.open(io.BytesIO(photograph.jpeg)) as original:
            np.testing.assert_array_equal(np.asarray(row["image"]), np.asarray(original))


@pytest.mark.parametrize("form", FORMS)
def test_no_output_names_the_person(form: Form, poses: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert all(photograph.jpeg.count(NAME) == 8 for photograph in open_database(poses))
    assert NAME not in export(form, poses, tmp_path, **INCOMPLETE).path.read_bytes()


def planes(jpeg: bytes) -> bytes:
    """Decode a photograph into its planes blue, green, red."""
    decoded: list[bytes] = []
    assert _core.decode_photographs([jpeg], 1, lambda pixels, _: decoded.append(pixels)) == []
    return decoded[0]


@pytest.mark.parametrize("path", sorted((GOLDEN / "jpeg").glob("*.jpg")), ids=lambda p: p.stem)
def test_without_comments_pixels_are_the_same(path: Path) -> None:
    jpeg = path.read_bytes()
    for before in (jpeg, named(jpeg)):
        after = without_comments(before)
        assert NAME not in after
        with Image.open(io.BytesIO(after)) as image:
            assert "comment" not in image.info
            assert set(image.getexif()) <= {0x0112}
        # The golden pixels are in the order of a picture's rows, blue, green, red.
        pixels = np.frombuffer(planes(after), np.uint8).reshape(3, -1).T.tobytes()
        assert pixels == path.with_suffix(".bgr").read_bytes()
        assert without_comments(after) == after


def test_what_is_no_jpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin like a JPEG"):
        without_comments(b"\x89PNG")
    with pytest.raises(ValueError, match="segment at byte 2 is cut off"):
        without_comments(b"\xff\xd8\xff\xdb\x00\x43\x00")


def test_an_orientation_of_either_byte_order_stays() -> None:
    jpeg = (GOLDEN / "jpeg" / "420_20x12_q90_exif6.jpg").read_bytes()
    plain = without_comments(jpeg[:2] + jpeg[jpeg.index(b"\xff\xdb") :])
    for order, mark in (("<", b"II"), (">", b"MM")):
        tiff = mark + struct.pack(f"{order}HIH", 42, 8, 2)
        tiff += struct.pack(f"{order}HHIHH", 0x0100, 3, 1, 99, 0)
        tiff += struct.pack(f"{order}HHIHHI", 0x0112, 3, 1, 6, 0, 0)
        turned = without_comments(plain[:2] + segment(0xE1, b"Exif\0\0" + tiff) + plain[2:])
        assert planes(turned) == planes(jpeg)
    damaged = segment(0xE1, b"Exif\0\0MM\0\x2a\0\0\xff\0")
    assert without_comments(plain[:2] + damaged + plain[2:]) == plain


def test_row_groups_are_bounded(
    poses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")

    def groups() -> list[int]:
        path = export("parquet", poses, tmp_path, **INCOMPLETE).path
        metadata = pyarrow.ParquetFile(path).metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]

    assert groups() == [100, 86]
    jpegs = [len(p.jpeg) for p in open_database(poses)]
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 3 * max(jpegs))
    found = groups()
    assert sum(found) == len(jpegs)
    ends = np.cumsum(found)
    for start, end in zip((0, *ends[:-1]), ends, strict=True):
        assert sum(jpegs[start:end]) <= 3 * max(jpegs)
    # One that is larger than a group has a group of its own.
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 1)
    assert groups() == [1] * len(jpegs)


def test_images_stream_through_little_memory(poses: Path, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        exported = export("npz", poses, tmp_path, size=(512, 512), **INCOMPLETE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert exported.size > 146_000_000
    assert peak < 40_000_000


def cut_off(source: Path, target: Path) -> tuple[Path, str]:
    """Cut a photograph off in the middle of its scan, and make its archive and its name."""
    files = members(source)
    name = [name for name in files if name.endswith(".jpg")][5]
    files[name] = files[name][: len(files[name]) // 2]
    return write_tar(target, files), name


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_photograph_leaves_nothing(form: Form, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    bad, name = cut_off(SMALL_DATABASE, tmp_path / "bad.tar")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(DatabaseError, match=name.replace("+", r"\+")):
        export(form, bad, folder, **INCOMPLETE)
    assert list(folder.iterdir()) == []
    kept = folder / f"mine.{form}"
    kept.write_bytes(b"mine")
    with pytest.raises(DatabaseError):
        export(form, bad, kept, **INCOMPLETE)
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(kept.name, b"mine")]


def test_other_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    first = open_database(SMALL_DATABASE)[0]
    monkeypatch.setattr(jpegs, "without_comments", lambda _: first.jpeg)
    with pytest.raises(DatabaseError, match="other pixels without its comments") as caught:
        export("parquet", SMALL_DATABASE, tmp_path, **INCOMPLETE)
    assert len(caught.value.problems) == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_an_interrupted_export_leaves_nothing(form: Form, poses: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")

    def stop(done: int, total: int) -> None:
        assert 0 < done < total == 2 * len(POSES)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(form, poses, tmp_path, progress=stop, **INCOMPLETE)
    assert list(tmp_path.iterdir()) == []


def test_the_database_must_be_the_published_one_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unpack(SMALL_DATABASE, tmp_path)
    with pytest.raises(DatabaseError, match=r"not the published database.*--input"):
        export("npz", **INCOMPLETE)
    with pytest.raises(DatabaseError, match="of the 2,790 published photographs are missing"):
        export("npz", ".")
    digest = open_database(SMALL_DATABASE).digest
    monkeypatch.setattr(finding, "PUBLISHED_DIGEST", digest)
    assert export("npz", **INCOMPLETE).digest == digest
    archive = tmp_path / "mine.tar"
    archive.write_bytes(SMALL_DATABASE.read_bytes())
    with pytest.raises(ValueError, match="would replace the database"):
        export("npz", archive, archive, **INCOMPLETE)


def test_without_pyarrow_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install headpose-fast\[parquet\]"):
        export("parquet", tmp_path / "not read", tmp_path)
    assert main(["export", "parquet", *CLI, "--output", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("headpose-fast: error: parquet needs pyarrow")
    assert list(tmp_path.iterdir()) == []
    assert main(["export", "npz", *CLI, "--quiet", "--output", str(tmp_path)]) == 0


def test_the_command_prints_path_and_summary(tmp_path: Path) -> None:
    path = tmp_path / "HeadPoseImageDatabase.npz"
    done = command("export", "npz", *CLI, "--output", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    first, second, note = done.stderr.splitlines()
    assert first == "8 photographs of 2 people"
    assert second.startswith(f"wrote {path}: {path.stat().st_size:,} bytes in ")
    assert note.startswith("note: this is not the published database: its digest is ")
    quiet = command("export", "npz", *CLI, "--quiet", "--output", path)
    assert (quiet.stdout, quiet.stderr) == (f"{path}\n", "")
    told = json.loads(command("export", "npz", *CLI, "--json", "--output", path).stdout)
    del told["seconds"]
    assert told == {
        "path": str(path),
        "form": "npz",
        "part": "all",
        "size": path.stat().st_size,
        "replaced": True,
        "photographs": 8,
        "persons": [1, 5],
        "digest": open_database(SMALL_DATABASE).digest,
    }


@pytest.mark.parametrize(
    "usage",
    [
        "",
        "csv",
        "npz --part validation",
        "npz --size 64x32",
        "npz --size 999x999",
        "npz --channels gbr",
        "npz --split known:1",
        "npz --test-persons 5",
        "npz --part test --split known:3",
        "npz --part test --split known:1 --test-persons 5",
        "parquet --size 64x64",
        "parquet --channels bgr",
        "npz --input a --sample",
        "npz --workers 0",
    ],
)
def test_wrong_usage_exits_with_2(usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", *usage.split()])
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "usage: headpose-fast export" in printed.err


def test_a_failure_exits_with_1(tmp_path: Path) -> None:
    bad, name = cut_off(SMALL_DATABASE, tmp_path / "bad.tar")
    done = command("export", "npz", *CLI[:-1], bad, "--output", tmp_path / "a.npz")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"headpose-fast: error: {name}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_npz_does_not_import_pyarrow(tmp_path: Path) -> None:
    code = f"""
import sys
from headpose_fast import export
export("npz", {str(SMALL_DATABASE)!r}, {str(tmp_path)!r}, allow_incomplete=True)
print([name for name in ("pyarrow", "datasets", "PIL", "torch", "tqdm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_real_database_names_nobody(
    real_database: Database, real_archive: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    assert all(photograph.jpeg.count(b"File name: ") == 1 for photograph in real_database)
    exported = export("parquet", real_archive, tmp_path)
    assert b"File name" not in exported.path.read_bytes()
    assert exported.photographs == len(real_database)
