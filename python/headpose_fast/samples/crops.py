"""Planning crops: which part of which photograph each sample shows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph
from headpose_fast.errors import DatabaseError
from headpose_fast.samples.options import SIZES, AspectRatio, require_seed


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

    Crops reach beyond the face box and stay inside the picture; their height is a multiple of 9.
    All are drawn from one stream, the one of `numpy.random.RandomState(seed).random_sample()`:
    first `num_data_aug` passes over `train`, then `num_data_aug_val` over `test`.

    Args:
        train: Photographs to train with.
        test: Photographs to test with.
        num_data_aug: Passes over `train`.
        num_data_aug_val: Passes over `test`.
        aspect_ratio: 1 for 1:1, 0 for 16:9.
        seed: 0 to 2**32 - 1.

    Raises:
        DatabaseError: Photographs that are no usable JPEGs, or whose face boxes are empty, leave
            the picture or leave no room for a crop.
        ValueError: `aspect_ratio` or `seed` is out of range, or a number of passes is negative.
        TypeError: A number is no whole number.

    """
    if aspect_ratio not in SIZES:
        raise ValueError(f"aspect_ratio must be 1 or 0, not {aspect_ratio!r}")
    require_seed(seed)
    if min(num_data_aug, num_data_aug_val) < 0:
        raise ValueError("the numbers of passes must not be negative")
    num_data_aug, num_data_aug_val = index(num_data_aug), index(num_data_aug_val)
    photographs = [*train, *test]
    if not all(isinstance(value, int) for p in photographs for value in p.face):
        raise TypeError("face boxes must be of whole pixels")
    frames = np.array([(p.width, p.height, *p.face) for p in photographs], np.int64).reshape(-1, 6)
    in_part, passes = [len(train), len(test)], [num_data_aug, num_data_aug_val]
    counts = [len(train) * num_data_aug, len(test) * num_data_aug_val]
    out = np.empty((sum(counts), 4), np.int32)
    failures = _core.plan_crops(
        frames, in_part, passes, aspect_ratio=aspect_ratio, seed=seed, out=out
    )
    raise_failures(photographs, failures)
    return Crops(
        out[: counts[0]].reshape(num_data_aug, len(train), 4),
        out[counts[0] :].reshape(num_data_aug_val, len(test), 4),
    )


def raise_failures(photographs: Sequence[Photograph], failures: list[tuple[int, str]]) -> None:
    """Raise DatabaseError for what failed, by the photographs' names."""
    if failures:
        raise DatabaseError([f"{photographs[i].name}: {reason}" for i, reason in failures])
