"""Rendering crops in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.errors import DatabaseError
from headpose_fast.samples.options import AspectRatio, require_workers, sample_size


def render(
    jpegs: Sequence[bytes | bytearray | memoryview],
    crops: NDArray[np.int32],
    out: NDArray[np.float32] | None = None,
    *,
    aspect_ratio: AspectRatio = 1,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
) -> NDArray[np.float32]:
    """Decode photographs and render crops of them, each photograph decoded once.

    A sample is the crop resized bilinearly, to the bit as OpenCV 4.2's `cv2.resize` does it with
    float32, to 84 x 84 (aspect ratio 1) or 96 x 54 pixels (0), or to `size`: planes blue, green,
    red in 0..1.

    Args:
        jpegs: JPEG files as bytes or buffers of bytes, 8-bit grey or colour. They are turned as
            their EXIF orientation says.
        crops: int32 (passes, photographs, 4): x, y, width and height in pixels, origin top left.
        out: Where the samples go: float32 (passes, photographs, 3, H, W), C-contiguous and
            writable. A new array if None.
        aspect_ratio: 1 or 0.
        size: Width and height of a sample in pixels, 1:1 or 16:9 as `aspect_ratio` says.
        workers: Threads; None for as many as there are cores that this process may use. The result
            does not depend on it.

    Returns:
        `out`, or the new array (passes, photographs, 3, H, W).

    Raises:
        DatabaseError: Photographs that are damaged or no usable JPEGs, and crops that leave them.
        TypeError: `crops` or `out` is no array of its dtype.
        ValueError: `crops` or `out` has another shape, or `out` is not contiguous or not writable,
            or an option is out of range.

    """
    require_workers(workers)
    _require_dtype(crops, "crops", np.int32)
    if crops.ndim != 3 or crops.shape[1:] != (len(jpegs), 4):
        raise ValueError(f"crops must have the shape (passes, {len(jpegs)}, 4), not {crops.shape}")
    width, height = sample_size(aspect_ratio, size)
    shape = (*crops.shape[:2], 3, height, width)
    if out is None:
        out = np.empty(shape, np.float32)
    _require_dtype(out, "out", np.float32)
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, not {out.shape}")
    if not out.flags.carray:
        raise ValueError("out must be C-contiguous, aligned and writable")
    # Buffers that could change meanwhile are copied.
    files = [j if isinstance(j, bytes) else bytes(memoryview(j)) for j in jpegs]
    failures = _core.render_samples(files, np.ascontiguousarray(crops), out, workers)
    if failures:
        raise DatabaseError([f"jpegs[{i}]: {reason}" for i, reason in failures])
    return out


def _require_dtype(array: object, name: str, dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name} must be a NumPy array of {dtype.__name__}")
