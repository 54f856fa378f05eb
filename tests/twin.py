"""A slow, readable twin of the job in NumPy: the tests' oracle.

It shares no code with the package. It is itself proved against arrays and crops that the original
Python 2.7 + OpenCV 4.2 script made (`test_golden.py`), so it may be trusted on inputs for which no
such arrays exist. Pixels come from Pillow, whose libjpeg-turbo is the definition of the bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

#: Output width and height, and the crop's width for 9 pixels of height, by aspect ratio option.
OUTPUT = {1: (84, 84), 0: (96, 54)}
STRIDE = {1: 9, 0: 16}


class Frame(NamedTuple):
    """Picture size and face box, in pixels."""

    width: int
    height: int
    cx: int
    cy: int
    face_width: int
    face_height: int


def pixels(jpeg: bytes) -> NDArray[np.uint8]:
    """Decode to (height, width, 3) in the order B, G, R, turned as EXIF says."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg)))
    return np.asarray(image.convert("RGB"))[:, :, ::-1]


def accepts(frame: Frame, x: int, y: int, w: int, h: int) -> bool:
    """Whether the crop reaches beyond the face box and stays inside the picture."""
    right = frame.cx + frame.face_width // 2
    bottom = frame.cy + frame.face_height // 2
    return right < x + w < frame.width and bottom < y + h < frame.height


def crop_of(frame: Frame, aspect_ratio: int, u: Sequence[float]) -> tuple[int, int, int, int]:
    """The crop (x, y, w, h) that a triple of uniform numbers stands for, accepted or not."""
    mx, my = frame.face_width // 2, frame.face_height // 2
    x = int(u[0] * (frame.cx - mx))
    y = int(u[1] * (frame.cy - my))
    low = frame.cy + my - y
    high = frame.height - y
    h = (low + int(u[2] * (high - low))) // 9 * 9
    return x, y, h // 9 * STRIDE[aspect_ratio], h


def plan(
    parts: Iterable[tuple[Sequence[Frame], int]], aspect_ratio: int, seed: int
) -> list[NDArray[np.int64]]:
    """Crops (passes, photographs, 4) of each part, all parts from one stream."""
    stream = np.random.RandomState(seed)
    planned = []
    for frames, passes in parts:
        crops = np.empty((passes, len(frames), 4), np.int64)
        for k in range(passes):
            for i, frame in enumerate(frames):
                crop = crop_of(frame, aspect_ratio, [stream.random_sample() for _ in range(3)])
                while not accepts(frame, *crop):
                    crop = crop_of(frame, aspect_ratio, [stream.random_sample() for _ in range(3)])
                crops[k, i] = crop
        planned.append(crops)
    return planned


def possible(frame: Frame, aspect_ratio: int) -> bool:
    """Whether any crop that the formulas can reach is accepted, by trying every one of them."""
    mx, my = frame.face_width // 2, frame.face_height // 2
    for y in range(max(frame.cy - my, 1)):
        low, high = frame.cy + my - y, frame.height - y
        for unrounded in range(low, high):
            h = unrounded // 9 * 9
            w = h // 9 * STRIDE[aspect_ratio]
            for x in range(max(frame.cx - mx, 1)):
                if accepts(frame, x, y, w, h):
                    return True
    return False


def _taps(
    n_in: int, n_out: int, *, clear_at_border: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Left index, right index and weight of the right one, for every output index of an axis."""
    d = np.arange(n_out, dtype=np.float64)
    f = ((d + 0.5) * (n_in / n_out) - 0.5).astype(np.float32)
    left = np.floor(f)
    weight = f - left
    s = left.astype(np.int64)
    if clear_at_border:
        weight[(s < 0) | (s >= n_in - 1)] = 0
    return np.clip(s, 0, n_in - 1), np.clip(s + 1, 0, n_in - 1), weight


def resize(crop: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Bilinear resize of (h, w, channels) float32, to the bit as OpenCV 4.2 does it."""
    one = np.float32(1)
    h, w, _ = crop.shape
    if (h, w) == (2 * height, 2 * width):
        upper = crop[::2, ::2] + crop[::2, 1::2]
        out: NDArray[np.float32] = ((upper + crop[1::2, ::2]) + crop[1::2, 1::2]) * np.float32(0.25)
        return out
    left, right, a = _taps(w, width, clear_at_border=True)
    rows = crop[:, left] * (one - a)[None, :, None] + crop[:, right] * a[None, :, None]
    top, bottom, b = _taps(h, height, clear_at_border=False)
    columns: NDArray[np.float32] = (
        rows[top] * (one - b)[:, None, None] + rows[bottom] * b[:, None, None]
    )
    return columns


def sample(
    image: NDArray[np.uint8], crop: Sequence[int], width: int, height: int
) -> NDArray[np.float32]:
    """One sample (3, height, width) of planes B, G, R in 0..1, from (H, W, 3) B, G, R bytes."""
    x, y, w, h = (int(v) for v in crop)
    cut = image[y : y + h, x : x + w].astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(resize(cut, width, height).transpose(2, 0, 1))


def samples(
    images: Sequence[NDArray[np.uint8]], crops: NDArray[np.integer], width: int, height: int
) -> NDArray[np.float32]:
    """All samples (passes, photographs, 3, height, width) of crops (passes, photographs, 4)."""
    out = np.empty((*crops.shape[:2], 3, height, width), np.float32)
    for k, row in enumerate(crops):
        for i, crop in enumerate(row):
            out[k, i] = sample(images[i], crop, width, height)
    return out


def labels(tilt_pan: Sequence[tuple[float, float]], passes: int) -> NDArray[np.float32]:
    """(passes * photographs, 2) tilt and pan in units of 90 degrees."""
    once = np.asarray(tilt_pan, np.float32) / np.float32(90)
    return np.tile(once, (passes, 1))
