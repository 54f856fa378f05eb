"""Planning crops and rendering them, in memory."""

from collections.abc import Sequence
from operator import index
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph, Rows, columns_of
from headpose_fast.errors import DatabaseError
from headpose_fast.samples.options import AspectRatio, require_seed, require_workers, sample_size


class Crops(NamedTuple):
    """Planned crops: int32 arrays (passes, photographs, 4) of x, y, width and height in pixels."""

    train: NDArray[np.int32]
    test: NDArray[np.int32]


def plan_crops(
    train: Sequence[Photograph],
    test: Sequence[Photograph] = (),
    *,
    num_data_aug: int = 15,
    num_data_aug_val: int = 3,
    aspect_ratio: AspectRatio = 1,
    seed: int = 0,
) -> Crops:
    """Draw the crops of a job, to the bit as the original script does from the same seed.

    Crops reach beyond the face box and stay inside the picture. Their height is a multiple of 9.
    All are drawn from one stream, that of `numpy.random.RandomState(seed).random_sample()`: first
    `num_data_aug` passes over `train`, then `num_data_aug_val` over `test`.

    Args:
        train: Photographs to train on.
        test: Photographs to test on.
        num_data_aug: Passes over `train`.
        num_data_aug_val: Passes over `test`.
        aspect_ratio: 1 for 1:1, 0 for 16:9.
        seed: 0 to 2**32 - 1.

    Raises:
        DatabaseError: Face boxes are empty, extend beyond the picture, or leave no room for a
            crop.
        ValueError: `aspect_ratio` or `seed` is out of range, or a number of passes is negative.
        TypeError: A number is not a whole number.

    """
    sample_size(aspect_ratio)  # Raises for another ratio.
    require_seed(seed)
    if min(num_data_aug, num_data_aug_val) < 0:
        raise ValueError("the numbers of passes must not be negative")
    num_data_aug, num_data_aug_val = index(num_data_aug), index(num_data_aug_val)
    frames = np.concatenate([_frames(train), _frames(test)])
    in_part, passes = [len(train), len(test)], [num_data_aug, num_data_aug_val]
    to_train = len(train) * num_data_aug
    out = np.empty((to_train + len(test) * num_data_aug_val, 4), np.int32)
    failures = _core.plan_crops(
        frames, in_part, passes, aspect_ratio=aspect_ratio, seed=seed, out=out
    )
    _raise_in_parts((train, test), failures)
    return Crops(
        out[:to_train].reshape(num_data_aug, len(train), 4),
        out[to_train:].reshape(num_data_aug_val, len(test), 4),
    )


def plan_states(
    parts: Sequence[Sequence[Photograph]],
    passes: Sequence[int],
    starts: Sequence[Sequence[int]],
    aspect_ratio: AspectRatio,
    seed: int,
) -> list[NDArray[np.uint32]]:
    """Draw the crops of a job, and keep the states of the stream where stretches begin.

    Args:
        parts: Photographs, in order.
        passes: Over each part.
        starts: Of each part: the first photographs of its stretches, ascending.
        aspect_ratio: 1 for 1:1, 0 for 16:9.
        seed: 0 to 2**32 - 1.

    Returns:
        Of each part: uint32 (passes, stretches, 624).

    Raises:
        DatabaseError: As `plan_crops`.

    """
    counts = [number * len(of_part) for number, of_part in zip(passes, starts, strict=True)]
    out = np.empty((sum(counts), 624), np.uint32)
    failures = _core.plan_states(
        np.concatenate([_frames(part) for part in parts]),
        [len(part) for part in parts],
        passes,
        aspect_ratio=aspect_ratio,
        seed=seed,
        starts=starts,
        out=out,
    )
    _raise_in_parts(parts, failures)
    found = np.split(out, np.cumsum(counts)[:-1])
    return [states.reshape(n, -1, 624) for n, states in zip(passes, found, strict=True)]


def plan_stretch(
    photographs: Sequence[Photograph], states: NDArray[np.uint32], aspect_ratio: AspectRatio
) -> NDArray[np.int32]:
    """Draw the crops of a stretch again, from the states (passes, 624) where it begins.

    Returns int32 (passes, photographs, 4), see `Crops`. Raises DatabaseError as `plan_crops` does.
    """
    out = np.empty((len(states), len(photographs), 4), np.int32)
    failures = _core.plan_stretch(
        _frames(photographs), np.ascontiguousarray(states), aspect_ratio=aspect_ratio, out=out
    )
    raise_failures(photographs, failures)
    return out


def _raise_in_parts(parts: Sequence[Sequence[Photograph]], failures: list[tuple[int, str]]) -> None:
    """Raise DatabaseError for what failed, by indices over all parts."""
    ends = np.cumsum([len(part) for part in parts])
    problems = []
    for i, why in failures:
        number = int(np.searchsorted(ends, i, "right"))
        part = parts[number]
        problems.append(f"{part[i - int(ends[number]) + len(part)].name}: {why}")
    if problems:
        raise DatabaseError(problems)


def _frames(photographs: Sequence[Photograph]) -> NDArray[np.int64]:
    if isinstance(photographs, Rows):
        return photographs.columns.frames
    if not all(isinstance(value, int) for p in photographs for value in p.face):
        raise TypeError("face boxes must be of whole pixels")
    return columns_of(photographs).frames


def raise_failures(
    photographs: Sequence[Photograph], failures: list[tuple[int, str]], first: int = 0
) -> None:
    """Raise DatabaseError, naming the photographs that failed, by indices from `first` on."""
    if failures:
        raise DatabaseError([f"{photographs[first + i].name}: {why}" for i, why in failures])


def render(
    jpegs: Sequence[bytes | bytearray | memoryview],
    crops: NDArray[np.int32],
    out: NDArray[np.float32] | None = None,
    *,
    aspect_ratio: AspectRatio = 1,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
) -> NDArray[np.float32]:
    """Decode photographs and render crops of them. Each photograph is decoded only once.

    A sample is the crop resized bilinearly, to the bit as OpenCV 4.2's `cv2.resize` does it with
    float32, to 84 x 84 (aspect ratio 1) or 96 x 54 pixels (0), or to `size`. Its planes are blue,
    green and red, in 0..1.

    Args:
        jpegs: JPEG files as bytes or buffers of bytes, 8-bit grey or colour. They are turned
            according to their EXIF orientation.
        crops: int32 (passes, photographs, 4): x, y, width and height in pixels, origin top left.
        out: The array to fill: float32 (passes, photographs, 3, H, W), C-contiguous and
            writable. A new array if None.
        aspect_ratio: 1 or 0.
        size: Width and height of a sample in pixels, in the proportions of `aspect_ratio`.
        workers: Number of threads; None for one per core that this process may use. The result
            does not depend on it.

    Returns:
        `out`, or the new array (passes, photographs, 3, H, W).

    Raises:
        DatabaseError: Photographs are damaged or not usable JPEGs, or crops extend beyond them.
        TypeError: `crops` or `out` is not an array of its dtype.
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
    # Buffers that could change while they are read are copied.
    files = [j if isinstance(j, bytes) else bytes(memoryview(j)) for j in jpegs]
    failures = _core.render_samples(files, np.ascontiguousarray(crops), out, workers)
    if failures:
        raise DatabaseError([f"jpegs[{i}]: {reason}" for i, reason in failures])
    return out


def _require_dtype(array: object, name: str, dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name} must be a NumPy array of {dtype.__name__}")
