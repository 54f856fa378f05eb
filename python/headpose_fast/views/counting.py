"""What is counted and measured of a bundle's arrays, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.database.names import PANS, TILTS

#: Degrees by which a label may miss a pose: float32 misses by 1e-6.
_NEAR = 0.01


class PoseRows(NamedTuple):
    """The samples of a pose."""

    samples: int
    #: Row of the first of them.
    first_row: int


@dataclass(frozen=True)
class Values:
    """The range of an array's values, of those that are finite."""

    #: None if there are none.
    minimum: float | None
    maximum: float | None
    mean: float | None
    #: Infinities and NaNs, of which a bundle of this program has none.
    not_finite: int


class Range:
    """Gathers an array's range, piece by piece."""

    def __init__(self) -> None:
        """Begin with no values."""
        self._minimum, self._maximum = math.inf, -math.inf
        self._sum = 0.0
        self._values = self._not_finite = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take the next rows of the array."""
        with np.errstate(invalid="ignore"):
            total = float(rows.sum(dtype=np.float64))
        if not math.isfinite(total):
            finite = rows[np.isfinite(rows)]
            self._not_finite += rows.size - finite.size
            if finite.size == 0:
                return
            rows, total = finite, float(finite.sum(dtype=np.float64))
        self._minimum = min(self._minimum, float(rows.min()))
        self._maximum = max(self._maximum, float(rows.max()))
        self._sum += total
        self._values += rows.size

    def result(self) -> Values:
        """Give the range of what was taken."""
        if not self._values:
            return Values(None, None, None, self._not_finite)
        mean = self._sum / self._values
        return Values(self._minimum, self._maximum, mean, self._not_finite)


class PoseCount:
    """Counts the poses of labels, piece by piece."""

    def __init__(self) -> None:
        """Begin with no labels."""
        self._samples = np.zeros(len(TILTS) * len(PANS), np.int64)
        self._first_rows: dict[int, int] = {}
        self.others = 0

    def add(self, first: int, labels: NDArray[np.float32]) -> None:
        """Take the next labels, of the rows from `first` on."""
        # A signalling NaN warns when it is converted.
        with np.errstate(invalid="ignore"):
            degrees = labels.astype(np.float64) * 90
        tilts = np.abs(degrees[:, :1] - TILTS) < _NEAR
        pans = np.abs(degrees[:, 1:] - PANS) < _NEAR
        # Straight up and down, heads do not turn.
        level = np.abs(degrees[:, 0]) < 90 - _NEAR
        ahead = pans[:, PANS.index(0)]
        known = np.flatnonzero(tilts.any(axis=1) & pans.any(axis=1) & (level | ahead))
        self.others += len(labels) - len(known)
        poses = (tilts.argmax(axis=1) * len(PANS) + pans.argmax(axis=1))[known]
        self._samples += np.bincount(poses, minlength=len(self._samples))
        for pose, at in zip(*np.unique(poses, return_index=True), strict=True):
            self._first_rows.setdefault(int(pose), first + int(known[at]))

    def poses(self) -> dict[tuple[int, int], PoseRows]:
        """Give the poses that occur, by tilt and pan in degrees."""
        return {
            (TILTS[pose // len(PANS)], PANS[pose % len(PANS)]): PoseRows(
                int(self._samples[pose]), self._first_rows[pose]
            )
            for pose in sorted(self._first_rows)
        }
