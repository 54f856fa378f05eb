"""What is known of many photographs, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Columns(NamedTuple):
    """A row for each photograph; pixels are not known."""

    #: int64 (photographs,), as the next two; 0 where a table does not have the column.
    persons: NDArray[np.int64]
    series: NDArray[np.int64]
    numbers: NDArray[np.int64]
    #: In degrees: float64 (photographs,).
    tilts: NDArray[np.float64]
    pans: NDArray[np.float64]
    #: int64 (photographs, 6): picture width and height; centre x, centre y, width and height of the
    #: face box; in pixels.
    frames: NDArray[np.int64]

    @classmethod
    def of_rows(cls, rows: NDArray[np.float64]) -> Columns:
        """Take them from rows of eleven values, in the order of the columns."""
        persons, series, numbers = rows[:, :3].T.astype(np.int64)
        tilts, pans = rows[:, 3:5].T.copy()
        return cls(persons, series, numbers, tilts, pans, rows[:, 5:11].astype(np.int64))

    def rows(self) -> NDArray[np.float64]:
        """Return rows as `of_rows` takes them: float64 (photographs, 11)."""
        return np.column_stack([*self[:5], self.frames]).astype(np.float64)

    def select(self, wanted: NDArray[np.int64] | slice) -> Columns:
        """Return the rows of some photographs."""
        persons, series, numbers, tilts, pans, frames = self
        return Columns(
            persons[wanted],
            series[wanted],
            numbers[wanted],
            tilts[wanted],
            pans[wanted],
            frames[wanted],
        )
