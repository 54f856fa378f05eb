"""Kind `small`: what NumPy renders from it is what the other kinds hold, to the bit."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import twin
from conftest import ROOT, SMALL_DATABASE, Load, digest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headpose_fast import Photograph, _core, inspect, load, prepare, render, verify
from headpose_fast.bundle.arrays import Bundle
from headpose_fast.bundle.forms import FORMS, reading
from headpose_fast.cli.main import main
from headpose_fast.database.names import FaceBox
from headpose_fast.job import Job, Part
from headpose_fast.samples.options import AspectRatio, Options

Crop = tuple[int, int, int, int]


def picture(width: int, height: int, seed: int, mode: str = "RGB") -> bytes:
    """A JPEG of noise, with an edge in it."""
    random = np.random.RandomState(seed)
    values = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
    values[height // 2 :] //= 8
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, "JPEG", quality=90)
    return file.getvalue()


def part_of(name: str, jpegs: Sequence[bytes], crops: Sequence[Sequence[Crop]]) -> Part:
    """A part with these crops, by photograph."""
    photographs = tuple(
        Photograph(f"{i}.jpg", 1, 1, i, 15 * i, -30, FaceBox(4, 4, 2, 2), 9, 9, jpeg, b"")
        for i, jpeg in enumerate(jpegs)
    )
    planned = np.array(crops, np.int32).transpose(1, 0, 2)
    return Part(name, photographs, np.ascontiguousarray(planned))


class Written(NamedTuple):
    """A bundle, and what must be in it."""

    path: Path
    job: Job
    arrays: Bundle


def write(path: Path, size: tuple[int, int], train: Part, test: Part) -> Written:
    """Write a job's bundle as kind `small`, and render the same."""
    ratio: AspectRatio = 1 if size[0] == size[1] else 0
    passes = len(train.crops), len(test.crops)
    options = Options(
        *passes, aspect_ratio=ratio, seed=0, test_persons=(), test_series=(), size=size
    )
    job = Job(options, "0" * 64, train, test)
    with path.open("wb", buffering=0) as file:
        length = FORMS["small"].draft(job).write(path, file, 2, lambda _: None)
    assert length == path.stat().st_size
    images = [
        render(
            [p.jpeg for p in part.photographs], part.crops, aspect_ratio=ratio, size=size
        ).reshape(-1, 3, *size[::-1])
        for part in job.parts
    ]
    return Written(path, job, Bundle(*images, *(part.labels() for part in job.parts)))


def equal(ours: Sequence[NDArray[np.float32]], theirs: Sequence[NDArray[np.float32]]) -> bool:
    """Whether arrays are the same to the bit, and such as training jobs need."""
    return all(
        a.shape == b.shape and a.dtype == "<f4" and a.flags.carray and a.tobytes() == b.tobytes()
        for a, b in zip(ours, theirs, strict=True)
    )


def bare(path: Path) -> tuple[NDArray[np.float32], ...]:
    with path.open("rb") as file:
        loaded: tuple[NDArray[np.float32], ...] = pickle.load(file)
    return loaded


#: Photographs of several sizes, and of grey; crops that are enlarged, reduced, halved, or a pixel.
JPEGS = [picture(70, 50, 1), picture(41, 47, 2, "L"), picture(64, 40, 3)]
CROPS: list[list[Crop]] = [
    [(3, 4, 9, 9), (10, 7, 36, 36), (50, 30, 18, 18), (0, 0, 1, 1), (69, 49, 1, 1)],
    [(0, 0, 36, 36), (5, 11, 36, 36), (1, 1, 40, 46), (2, 3, 18, 36), (6, 7, 35, 37)],
    [(1, 0, 63, 40), (0, 1, 36, 36), (0, 0, 37, 36), (28, 4, 36, 36), (20, 20, 2, 3)],
]


@pytest.fixture
def odd(tmp_path: Path) -> Written:
    """Give a bundle of samples of 18 x 18 pixels."""
    train = part_of("train", JPEGS, CROPS)
    return write(tmp_path / "small.pkl", (18, 18), train, part_of("test", JPEGS[:1], CROPS[:1]))


def test_every_interpreter_renders_the_same_bits(
    odd: Written, interpreter: tuple[str, Load]
) -> None:
    result = interpreter[1](odd.path)
    assert [a["sha256"] for a in result["arrays"]] == [digest(array) for array in odd.arrays]
    for found, array in zip(result["arrays"], odd.arrays, strict=True):
        assert found["shape"] == list(array.shape)
        assert found["dtype"] == "<f4"
        assert found["c_contiguous"]
        assert found["writable"]


def test_the_twin_renders_the_same_bits(odd: Written) -> None:
    images = bare(odd.path)[0]
    for row, image in enumerate(images):
        photograph = row % len(JPEGS)
        crop = CROPS[photograph][row // len(JPEGS)]
        assert np.array_equal(image, twin.sample(twin.pixels(JPEGS[photograph]), crop, 18, 18))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_loading_needs_little_more_than_the_arrays(
    interpreter: tuple[str, Load], tmp_path: Path
) -> None:
    path = prepare(
        SMALL_DATABASE,
        tmp_path,
        pickle="small",
        test_persons=[5],
        allow_incomplete=True,
        num_data_aug=1000,
    ).path
    result = interpreter[1](path)
    assert result["needed"] <= 1.2 * result["bytes"], result


@st.composite
def parts(draw: st.DrawFn, name: str) -> Part:
    jpegs, crops = [], []
    passes = draw(st.integers(1, 9))
    for _ in range(draw(st.integers(1, 4))):
        width, height = draw(st.integers(1, 60)), draw(st.integers(1, 60))
        jpegs.append(picture(width, height, draw(st.integers(0, 99))))
        of_photograph = []
        for _ in range(passes):
            x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            w, h = draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
            of_photograph.append((x, y, w, h))
        crops.append(of_photograph)
    return part_of(name, jpegs, crops)


@given(parts("train"), parts("test"), st.sampled_from([(1, 1), (7, 7), (30, 30), (16, 9)]))
@settings(deadline=None, max_examples=60)
def test_any_crops_of_any_photographs_are_the_same_bits(
    train: Part, test: Part, size: tuple[int, int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, job, expected = write(Path(folder) / "small.pkl", size, train, test)
        assert equal(bare(path), expected)
        assert equal(load(path, verify=True), expected)
        with reading(path) as reader:
            assert list(reader.differing(job, 2)) == []
            seen = {name: np.full_like(array, -1) for name, array in expected._asdict().items()}
            for block in reader.blocks():
                seen[block.array][block.first_row :][: len(block.rows)] = block.rows
            assert equal(list(seen.values()), expected)
            for name, array in expected._asdict().items():
                rows = [len(array) - 1, 0, len(array) // 2]
                assert np.array_equal(reader.rows(name, rows), array[rows])


def test_large_samples_are_looked_at_a_few_at_a_time(
    odd: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headpose_fast.bundle.small_reading._BLOCK_BYTES", 2 * 12 * 18 * 18)
    seen = np.full_like(odd.arrays.trn_im, -1)
    with reading(odd.path) as reader:
        for block in reader.blocks():
            if block.array == "trn_im":
                assert len(block.rows) <= 2
                seen[block.first_row :][: len(block.rows)] = block.rows
    assert np.array_equal(seen, odd.arrays.trn_im)


def test_the_pickle_calls_numpy_and_zlib_only(odd: Written) -> None:
    names: set[str] = set()
    protocols = set()
    for opcode, argument, _ in pickletools.genops(odd.path.read_bytes()):
        protocols.add(opcode.proto)
        if opcode.name == "GLOBAL":
            names.add(str(argument))
    assert {name.split()[0] for name in names} == {"numpy", "zlib"}
    documented = re.findall(r"`(?:\w+\.)?(\w+)`", (ROOT / "docs" / "format.md").read_text())
    assert {name.split()[1] for name in names} <= {*documented}
    assert max(protocols) == 2


def test_what_differs_from_the_job_is_named(odd: Written) -> None:
    other = part_of("train", [JPEGS[0], JPEGS[1], picture(64, 40, 4)], CROPS)
    job = Job(odd.job.options, odd.job.digest, other, odd.job.test)
    with reading(odd.path) as reader:
        (place,) = reader.differing(job, 1)
    assert place.startswith("trn_im photograph 2 (bytes ")
    moved = part_of("train", JPEGS, [CROPS[0], CROPS[1], [(5, 5, 10, 10)] * 5])
    job = Job(odd.job.options, odd.job.digest, moved, odd.job.test)
    with reading(odd.path) as reader:
        assert [place.split(" (")[0] for place in reader.differing(job, 1)] == [
            "trn crops",
            "trn_im photograph 2",
        ]


class Pieces(NamedTuple):
    """What the native module is given."""

    path: Path
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    sizes: NDArray[np.uint64]


def failures(folder: Path, text: bytes, width: int, height: int) -> list[tuple[int, str]]:
    """What is wrong with a text as a photograph of this size."""
    path = folder / "text"
    path.write_bytes(text)
    numbers = [np.array(value, np.uint64) for value in ([0], [len(text)], [[width, height]])]
    out = np.empty((1, 1, 3, 2, 2), np.float32)
    crops = np.array([[[0, 0, 1, 1]]], np.int32)
    return _core.render_compressed(Pieces(path, *numbers), crops, out, 1)


def test_a_piece_inflates_to_what_the_crops_say_or_is_damaged(tmp_path: Path) -> None:
    stream = zlib.compress(np.random.RandomState(0).bytes(3 * 40 * 50))
    right = _core.to_text(stream)
    assert failures(tmp_path, right, 40, 50) == []
    for width, height in ((40, 51), (40, 49), (1, 1), (0, 50), (2**32, 2**32), (65535, 65535)):
        assert failures(tmp_path, right, width, height) == [(0, "damaged")]
    for text in (b"", right[:-1], right[:64], b"\xff" * 64, _core.to_text(stream[:-1])):
        assert failures(tmp_path, text, 40, 50) == [(0, "damaged")]
    with pytest.raises(ValueError, match="seven bits"):
        _core.from_text(b"\xff" * 64)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    """400 MB of zeros in 400 KB, as a photograph of 40 x 50 pixels, in 300 MB more memory."""
    deflated = zlib.compressobj(9)
    stream = b"".join(deflated.compress(bytes(1 << 20)) for _ in range(400)) + deflated.flush()
    bomb = _core.to_text(stream)
    (tmp_path / "bomb").write_bytes(bomb)
    source = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from test_small import failures\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + (300 << 20),) * 2)\n"
        "bomb = Path(sys.argv[2], 'bomb').read_bytes()\n"
        "assert failures(Path(sys.argv[2]), bomb, 40, 50) == [(0, 'damaged')]\n"
    )
    subprocess.run([sys.executable, "-c", source, ROOT / "tests", tmp_path], check=True)


def test_samples_larger_than_any_of_ours_are_refused(odd: Written) -> None:
    """A few bytes of crops must not become samples of gigabytes."""
    content = odd.path.read_bytes()
    first_line, larger = b" 15 5 18 18", b" 15 5 18 513"
    assert first_line in content[:64]
    changed = content.replace(first_line, larger, 1)
    odd.path.write_bytes(changed[:3] + bytes([changed[3] + 1]) + changed[4:])
    with pytest.raises(ValueError, match="first line is invalid"):
        load(odd.path)


@given(st.binary(max_size=600))
def test_text_keeps_every_byte(data: bytes) -> None:
    text = _core.to_text(data)
    assert text.isascii()
    assert len(text) % 64 == 0
    assert len(text) <= len(data) * 8 / 7 + 64
    padded = _core.from_text(text)
    assert padded.rstrip(b"\0") == data.rstrip(b"\0")
    assert len(padded) * 8 == len(text) * 7


def small_and_raw(folder: Path, **options: int) -> tuple[Path, Path]:
    """The same job of the small database as two kinds."""
    small, raw = (
        prepare(
            SMALL_DATABASE,
            folder / f"{kind}.pkl",
            pickle=kind,
            test_persons=[5],
            allow_incomplete=True,
            **options,  # type: ignore[arg-type]
        ).path
        for kind in ("small", "py3")
    )
    return small, raw


def test_inspection_sees_what_it_sees_in_other_kinds(tmp_path: Path) -> None:
    small, raw = small_and_raw(tmp_path, aspect_ratio=0)
    ours, theirs = inspect(small).facts(), inspect(raw).facts()
    for facts in (ours, theirs):
        assert facts.pop("path")
        assert facts.pop("size")
        assert facts.pop("kind") in {"small", "py3"}
        for values in facts["arrays"].values():
            values["mean"] = pytest.approx(values["mean"], rel=1e-12)
    assert ours == theirs
    for path in (small, raw):
        options = [
            "--input",
            str(SMALL_DATABASE),
            "--index",
            f"{path}.csv",
            "--picture",
            f"{path}.png",
        ]
        assert main(["inspect", str(path), *options, "--quiet"]) == 0
    assert Path(f"{small}.csv").read_bytes() == Path(f"{raw}.csv").read_bytes()
    pictures = [np.asarray(Image.open(f"{path}.png")) for path in (small, raw)]
    # The file's name and kind are written above the samples.
    assert (pictures[0] == pictures[1]).mean() > 0.99


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_a_file_is_looked_at_in_little_memory(tmp_path: Path) -> None:
    path, raw = small_and_raw(tmp_path, num_data_aug=1000)
    source = (
        "import re, sys; from pathlib import Path; from headpose_fast import inspect\n"
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1])\n"
        "before = peak(); inspect(sys.argv[1]); print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 < 80 << 20 < raw.stat().st_size / 4


def test_the_file_is_the_same_whatever_the_workers(tmp_path: Path) -> None:
    def made(workers: int) -> bytes:
        path = prepare(
            SMALL_DATABASE,
            tmp_path / f"{workers}.pkl",
            pickle="small",
            test_persons=[5],
            allow_incomplete=True,
            workers=workers,
        ).path
        verify(path, SMALL_DATABASE)
        return path.read_bytes()

    assert made(1) == made(2) == made(7)
