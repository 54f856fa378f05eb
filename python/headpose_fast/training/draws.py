"""Draws by key: which part of which photograph is shown depends only on a seed and a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph, columns_of
from headpose_fast.errors import DatabaseError
from headpose_fast.training.recipes import DEEPLENS, Recipe

#: The largest seed.
_MOST_SEED = 2**64 - 1


class Draws(NamedTuple):
    """What was drawn for some samples."""

    #: int32 (samples, 4): x, y, width and height in pixels.
    crops: NDArray[np.int32]
    #: bool (samples,).
    mirrored: NDArray[np.bool_]
    #: bool (samples,).
    grey: NDArray[np.bool_]
    #: float32 (samples,): the factor applied to the values, which are in 0..1.
    gain: NDArray[np.float32]
    #: float32 (samples,): added to the values after that.
    offset: NDArray[np.float32]
    #: Width and height of the samples in pixels.
    size: tuple[int, int]

    @classmethod
    def plain(cls, crops: NDArray[np.int32], size: tuple[int, int]) -> Draws:
        """Return draws that change nothing, for crops (samples, 4)."""
        count = len(crops)
        return cls(
            np.ascontiguousarray(crops, np.int32),
            np.zeros(count, np.bool_),
            np.zeros(count, np.bool_),
            np.ones(count, np.float32),
            np.zeros(count, np.float32),
            size,
        )


def whole_numbers(numbers: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array (numbers,) of whole numbers. Raises TypeError, which names it, for others."""
    array = np.asarray(numbers)
    if array.size == 0 and array.ndim == 1:
        return array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise TypeError(f"{name} must be a sequence of whole numbers of 64 bits")
    return array


def keys_of(keys: ArrayLike) -> NDArray[np.uint64]:
    """Return keys as uint64 (keys,). Raises TypeError or ValueError if they are not keys."""
    array = whole_numbers(keys, "keys")
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        raise ValueError("keys must not be negative")
    return np.ascontiguousarray(array, np.uint64)


def draw(
    photographs: Sequence[Photograph],
    keys: ArrayLike,
    *,
    seed: int = 0,
    recipe: Recipe = DEEPLENS,
) -> Draws:
    """Draw a crop and a look for each key, whatever else is drawn, where and when.

    Key `epoch * n + i` belongs to photograph i of n. The numbers come from Philox4x32-10 (J. K.
    Salmon and others: Parallel Random Numbers: As Easy as 1, 2, 3, SC11), with the seed as its key
    and (key, block) as its counter, two words per double of 53 bits. The first four doubles decide
    on mirroring, grey, gain and offset; the crop is drawn from those that follow.

    Args:
        photographs: At least one.
        keys: Whole numbers below 2**64.
        seed: 0 to 2**64 - 1.
        recipe: What is drawn.

    Raises:
        DatabaseError: Face boxes are empty, extend beyond the picture, or allow no such crop.
        ValueError: There are no photographs, a key is negative, or the seed is out of range.
        TypeError: Keys are not whole numbers below 2**64.

    """
    if not photographs:
        raise ValueError("there are no photographs to draw from")
    draws, failures = draw_frames(columns_of(photographs).frames, keys, seed=seed, recipe=recipe)
    if failures:
        reasons = dict(failures)
        raise DatabaseError([f"{photographs[i].name}: {reasons[i]}" for i in sorted(reasons)])
    return draws


def draw_frames(
    frames: NDArray[np.int64], keys: ArrayLike, *, seed: int, recipe: Recipe
) -> tuple[Draws, list[tuple[int, str]]]:
    """Draw for frames of `Columns`, and return what failed, by photograph, too."""
    if not 0 <= seed <= _MOST_SEED:
        raise ValueError(f"seed must be 0 to 2**64 - 1, not {seed}")
    keys = keys_of(keys)
    draws = Draws.plain(np.empty((len(keys), 4), np.int32), recipe.size)
    return draws, _core.draw(frames, keys, seed, recipe, draws)


def draws_of_plan(
    crops: NDArray[np.int32], keys: ArrayLike, size: tuple[int, int] = (84, 84)
) -> Draws:
    """Look up keys in a plan from `plan_crops`: pass k is epoch k.

    An epoch then has exactly the samples of a bundle's pass.

    Args:
        crops: int32 (passes, photographs, 4).
        keys: `epoch * photographs + i`.
        size: Width and height of the samples in pixels.

    Raises:
        IndexError: A key's epoch is not in the plan.

    """
    passes, photographs, _ = crops.shape
    keys = keys_of(keys)
    if len(keys) and int(keys.max()) >= passes * photographs:
        raise IndexError(f"the plan has {passes} epochs, none of them for key {int(keys.max())}")
    return Draws.plain(crops.reshape(-1, 4)[keys.astype(np.int64)], size)
