"""Photographs and crops as files of kind `small` store them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.kind_small import sizes_of


def covered(crops: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the part of each photograph that its crops cover, and the crops relative to it.

    Args:
        crops: (passes, photographs, 4): x, y, width and height in pixels.

    Returns:
        The covers, (1, photographs, 4), and the crops, (photographs, passes, 4).

    """
    near = crops[..., :2].min(axis=0)
    far = (crops[..., :2] + crops[..., 2:]).max(axis=0)
    relative = crops.transpose(1, 0, 2).copy()
    relative[..., :2] -= near[:, np.newaxis]
    return np.concatenate([near, far - near], axis=1)[np.newaxis], relative


def most_pixels(crops: NDArray[np.int32]) -> int:
    """Pixels of the largest photograph of a part."""
    return int(sizes_of(crops).prod(axis=1).max())


class StoredPart(NamedTuple):
    """One part of a file, and where its texts are."""

    #: `trn` or `test`.
    prefix: str
    #: float32 (photographs, 2).
    labels: NDArray[np.float32]
    #: int32 (photographs, passes, 4), relative to the stored part of each photograph.
    crops: NDArray[np.int32]
    #: uint64: for the labels, the crops, and each photograph, in bytes.
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]

    @property
    def photographs(self) -> int:
        """Number of photographs."""
        return len(self.crops)

    @property
    def passes(self) -> int:
        """Samples of each photograph."""
        return int(self.crops.shape[1])

    def pieces(self, path: Path, photographs: slice | NDArray[np.int64] = slice(None)) -> Pieces:
        """Return where some photographs are."""
        return Pieces(
            path,
            self.offsets[2:][photographs],
            self.lengths[2:][photographs],
            sizes_of(self.crops[photographs]),
        )

    def place(self, text: int) -> str:
        """Name the place of a text."""
        what = ["_output", " crops"][text] if text < 2 else f"_im photograph {text - 2}"
        first = int(self.offsets[text])
        last = first + int(self.lengths[text]) - 1
        return f"{self.prefix}{what} (bytes {first:,} to {last:,})"


class Pieces(NamedTuple):
    """Where compressed photographs are, in the form that the native module expects."""

    path: Path
    #: uint64 (photographs,), in bytes.
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    #: uint64 (photographs, 2): width and height in pixels.
    sizes: NDArray[np.uint64]
