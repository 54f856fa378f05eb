"""Planning and rendering, against the twin."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import pytest
import twin
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headpose_fast import DatabaseError, FaceBox, Photograph, _core, plan_crops, render

JPEG = (GOLDEN / "jpeg" / "420_64x40_q70_restart.jpg").read_bytes()
RATIOS = st.sampled_from([1, 0])


def encode(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def photograph(face: FaceBox, jpeg: bytes, person: int = 1) -> Photograph:
    sizes = np.empty((1, 2), np.uint32)
    _core.jpeg_sizes([jpeg], 1 << 24, sizes, None)
    width, height = sizes[0].tolist()
    return Photograph(
        f"Person{person:02}/x.jpg", person, 1, 0, 0, 0, face, width, height, jpeg, b""
    )


def blank(width: int, height: int) -> bytes:
    return encode(np.zeros((height, width, 3), np.uint8))


@st.composite
def frames(draw: st.DrawFn) -> twin.Frame:
    """Pictures small enough that every crop can be tried, with boxes inside."""
    width, height = draw(st.integers(12, 60)), draw(st.integers(12, 48))
    face_width, face_height = draw(st.integers(1, width - 2)), draw(st.integers(1, height - 2))
    cx = draw(st.integers(face_width // 2, width - 1 - face_width // 2))
    cy = draw(st.integers(face_height // 2, height - 1 - face_height // 2))
    return twin.Frame(width, height, cx, cy, face_width, face_height)


@settings(max_examples=60, deadline=None)
@given(st.lists(frames(), min_size=1, max_size=4), st.integers(0, 2**32 - 1), RATIOS)
def test_crops_are_the_twins(found: list[twin.Frame], seed: int, ratio: Literal[1, 0]) -> None:
    photographs = [photograph(FaceBox(*f[2:]), blank(*f[:2])) for f in found]
    possible = [twin.possible(frame, ratio) for frame in found]
    if not all(possible):
        with pytest.raises(DatabaseError) as caught:
            plan_crops(photographs, aspect_ratio=ratio, seed=seed)
        assert len(caught.value.problems) == possible.count(False)
        return
    train, test = photographs[:-1], photographs[-1:]
    crops = plan_crops(
        train, test, num_data_aug=3, num_data_aug_val=2, aspect_ratio=ratio, seed=seed
    )
    assert crops.train.dtype == crops.test.dtype == np.int32
    expected = twin.plan([(found[:-1], 3), (found[-1:], 2)], ratio, seed)
    assert np.array_equal(crops.train, expected[0])
    assert np.array_equal(crops.test, expected[1])


@settings(max_examples=60, deadline=None)
@given(st.data(), RATIOS)
def test_samples_are_the_twins(data: st.DataObject, ratio: Literal[1, 0]) -> None:
    width, height = data.draw(st.integers(1, 220)), data.draw(st.integers(1, 220))
    seed = data.draw(st.integers(0, 2**32 - 1))
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    jpeg = encode(pixels)
    crops = np.empty((4, 1, 4), np.int32)
    for crop in crops[:, 0]:
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        crop[:] = x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    expected = twin.samples([twin.pixels(jpeg)], crops, *twin.OUTPUT[ratio])
    assert np.array_equal(render([jpeg], crops, aspect_ratio=ratio), expected)


@pytest.mark.parametrize("ratio", [1, 0])
@pytest.mark.parametrize("dw", [-1, 0, 1])
@pytest.mark.parametrize("dh", [-1, 0, 1])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_sizes_around_whole_factors(ratio: Literal[1, 0], dw: int, dh: int, factor: int) -> None:
    width, height = twin.OUTPUT[ratio]
    pixels = np.random.RandomState(7).randint(0, 256, (260, 300, 3)).astype(np.uint8)
    jpeg = encode(pixels)
    crops = np.array([[[5, 3, width * factor + dw, height * factor + dh]]], np.int32)
    expected = twin.samples([twin.pixels(jpeg)], crops, width, height)
    assert np.array_equal(render([jpeg], crops, aspect_ratio=ratio), expected)


@pytest.mark.parametrize("size", [(1, 1), (5, 5), (83, 83), (224, 224), (16, 9), (320, 180)])
def test_samples_of_any_size_are_the_twins(size: tuple[int, int]) -> None:
    width, height = size
    jpeg = encode(np.random.RandomState(7).randint(0, 256, (288, 384, 3)).astype(np.uint8))
    crops = np.array([[[7, 3, 108, 108]], [[0, 0, 2, 1]], [[60, 40, 2 * 160, 2 * 90]]], np.int32)
    crops[2, 0, 2:] = min(2 * width, 324), min(2 * height, 248)
    rendered = render([jpeg], crops, aspect_ratio=1 if width == height else 0, size=size)
    assert np.array_equal(rendered, twin.samples([twin.pixels(jpeg)], crops, width, height))


@pytest.mark.parametrize("size", [(224, 225), (96, 54), (0, 0), (513, 513), (-4, -4)])
def test_sizes_of_other_proportions_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size"):
        render([JPEG], np.ones((1, 1, 4), np.int32), size=size)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}]
)
def test_every_kind_of_jpeg(mode: str, subsampling: str, options: dict[str, Any]) -> None:
    random = np.random.RandomState(5)
    jpegs = []
    for quality in (5, 50, 75, 95, 100):
        for size in ((1, 1), (1, 2), (2, 1), (3, 5), (8, 8), (17, 33), (31, 16), (100, 65)):
            noise = random.randint(0, 256, (*size, 3)).astype(np.uint8)
            out = io.BytesIO()
            image = Image.fromarray(noise).convert(mode)
            image.save(out, "JPEG", quality=quality, subsampling=subsampling, **options)
            jpegs.append(out.getvalue())
    images = [twin.pixels(jpeg) for jpeg in jpegs]
    # Enlarged, a crop of all shows each of the picture's pixels; reduced, most of them.
    crops = np.array([[(0, 0, i.shape[1], i.shape[0]) for i in images]], np.int32)
    assert np.array_equal(render(jpegs, crops), twin.samples(images, crops, 84, 84))


def test_four_channels_are_refused() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (20, 20)).save(out, "JPEG")
    with pytest.raises(DatabaseError, match="four channels"):
        render([out.getvalue()], np.ones((1, 1, 4), np.int32))


def crops_of_two() -> NDArray[np.int32]:
    crops = np.array([[0, 0, 20, 20], [5, 5, 30, 30], [60, 36, 4, 4], [0, 0, 64, 40]], np.int32)
    return crops.reshape(2, 2, 4)


def test_out_is_filled_and_returned_and_workers_change_nothing() -> None:
    expected = render([JPEG, JPEG], crops_of_two(), workers=1)
    assert expected.shape == (2, 2, 3, 84, 84)
    out = np.full(expected.shape, np.nan, np.float32)
    assert render([JPEG, JPEG], crops_of_two(), out, workers=3) is out
    assert np.array_equal(out, expected)


def test_no_photographs_and_no_passes_give_empty_arrays() -> None:
    assert render([], np.empty((2, 0, 4), np.int32)).shape == (2, 0, 3, 84, 84)
    assert render([JPEG], np.empty((0, 1, 4), np.int32)).shape == (0, 1, 3, 84, 84)


def test_crops_may_be_a_view() -> None:
    wide = np.zeros((2, 2, 8), np.int32)
    wide[..., ::2] = crops_of_two()
    assert np.array_equal(
        render([JPEG, JPEG], wide[..., ::2]), render([JPEG, JPEG], crops_of_two())
    )


def bad_outs() -> dict[str, tuple[object, type[Exception]]]:
    good = np.zeros((2, 2, 3, 84, 84), np.float32)
    frozen = good.copy()
    frozen.flags.writeable = False
    return {
        "float64": (good.astype(np.float64), TypeError),
        "list": ([], TypeError),
        "big-endian": (good.astype(">f4"), TypeError),
        "shape": (good[:1], ValueError),
        "axes": (good.reshape(4, 3, 84, 84), ValueError),
        "not contiguous": (np.asfortranarray(good), ValueError),
        "read-only": (frozen, ValueError),
        "misaligned": (
            np.empty(good.nbytes + 1, np.uint8)[1:].view("<f4").reshape(good.shape),
            ValueError,
        ),
    }


@pytest.mark.parametrize("name", bad_outs())
def test_a_bad_out_is_refused(name: str) -> None:
    out, error = bad_outs()[name]
    with pytest.raises(error, match="out must"):
        render([JPEG, JPEG], crops_of_two(), out)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("crops", "error"),
    [
        (crops_of_two().astype(np.int64), TypeError),
        (crops_of_two().tolist(), TypeError),
        (crops_of_two()[:, :1], ValueError),
        (crops_of_two().reshape(4, 4), ValueError),
    ],
)
def test_bad_crops_are_refused(crops: NDArray[np.int32], error: type[Exception]) -> None:
    with pytest.raises(error, match="crops must"):
        render([JPEG, JPEG], crops)


def test_jpegs_must_be_bytes() -> None:
    for value in ("JPEG", 5, None):
        with pytest.raises(TypeError):
            render([value], np.zeros((1, 1, 4), np.int32))  # type: ignore[list-item]


def test_jpegs_may_be_buffers_of_bytes() -> None:
    crops = np.tile(np.array([0, 0, 36, 27], np.int32), (1, 4, 1))
    whole = memoryview(b"before" + JPEG + b"behind")
    one, *others = render([JPEG, bytearray(JPEG), memoryview(JPEG), whole[6:-6]], crops)[0]
    assert all(np.array_equal(one, other) for other in others)


@pytest.mark.parametrize(
    "crop", [(0, 0, 0, 9), (0, 0, 9, 0), (-1, 0, 9, 9), (56, 0, 9, 9), (0, 2**31 - 1, 9, 9)]
)
def test_a_crop_that_leaves_the_picture_is_an_error(crop: tuple[int, ...]) -> None:
    x, y, width, height = crop
    place = re.escape(f"crop of {width} x {height} pixels at ({x}, {y}) ")
    with pytest.raises(DatabaseError, match=rf"jpegs\[0\]: {place}.* of 64 x 40 pixels"):
        render([JPEG], np.array([[crop]], np.int32))


def test_eight_threads_at_once_get_equal_results() -> None:
    random = np.random.RandomState(0)
    jpegs = [encode(random.randint(0, 256, (40, 64, 3), np.uint8)) for _ in range(6)]
    crops = np.tile(np.array([3, 2, 36, 27], np.int32), (20, len(jpegs), 1))
    crops[..., 0] += random.randint(0, 20, crops.shape[:2])
    expected = render(jpegs, crops, workers=1)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda workers: render(jpegs, crops, workers=workers), [1, 2] * 12):
            assert np.array_equal(result, expected)


def test_all_damaged_photographs_are_named() -> None:
    jpegs = [JPEG, JPEG[:500], JPEG, b"", b"\x89PNG\r\n\x1a\n", JPEG]
    crops = np.tile(np.array([0, 0, 9, 9], np.int32), (2, 6, 1))
    with pytest.raises(DatabaseError) as caught:
        render(jpegs, crops)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "jpegs[1]",
        "jpegs[3]",
        "jpegs[4]",
    ]


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (FaceBox(32, 20, 0, 9), "the face box is empty"),
        (FaceBox(32, 20, 9, -9), "the face box is empty"),
        (FaceBox(3, 20, 9, 9), "leaves the picture"),
        (FaceBox(32, 36, 9, 9), "leaves the picture"),
        (FaceBox(32, 20, 63, 9), "no crop of this aspect ratio fits"),
        (FaceBox(32, 20, 9, 39), "no crop of this aspect ratio fits"),
        (FaceBox(999_999_999, 20, 999_999_999, 9), "leaves the picture"),
    ],
)
def test_an_impossible_box_is_an_error_not_a_hang(face: FaceBox, reason: str) -> None:
    with pytest.raises(DatabaseError, match=reason):
        plan_crops([photograph(face, JPEG)])


def test_options_out_of_range_are_refused() -> None:
    good = [photograph(FaceBox(32, 20, 4, 4), JPEG)]
    for options in ({"seed": -1}, {"seed": 2**32}, {"aspect_ratio": 2}, {"num_data_aug": -1}):
        with pytest.raises(ValueError, match=next(iter(options)).split("_")[0]):
            plan_crops(good, **options)  # type: ignore[arg-type]
    for options in ({"workers": 0}, {"workers": 10**30}, {"workers": -1}, {"aspect_ratio": 3}):
        with pytest.raises(ValueError, match=next(iter(options)).split("_")[0]):
            render([JPEG], np.ones((1, 1, 4), np.int32), **options)  # type: ignore[arg-type]
