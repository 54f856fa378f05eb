"""The four arrays that a bundle holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.job import Job

DTYPE = np.dtype("<f4")

Shape = tuple[int, ...]


class Bundle(NamedTuple):
    """The four arrays of a bundle: float32, C-contiguous, writable."""

    #: (train samples, 3, height, width): planes blue, green, red in 0..1.
    trn_im: NDArray[np.float32]
    #: (test samples, 3, height, width).
    test_im: NDArray[np.float32]
    #: (train samples, 2): tilt and pan in units of 90 degrees.
    trn_output: NDArray[np.float32]
    #: (test samples, 2).
    test_output: NDArray[np.float32]

    def _repr_html_(self) -> str:
        """Describe it in a notebook: shapes, and a selection of training samples."""
        from headpose_fast import notebook
        from headpose_fast.images import sample_image

        facts = [(name, f"float32 {array.shape}") for name, array in self._asdict().items()]
        figures: list[notebook.Figure] = []
        for i in notebook.spread(len(self.trn_im)):
            tilt, pan = (self.trn_output[i].astype(np.float64) * 90).tolist()
            figures.append((f"trn {i:,}: {tilt:+.3g}, {pan:+.3g}", sample_image(self.trn_im[i])))
        return notebook.page("Bundle", facts, figures)


class Counts(NamedTuple):
    """The numbers in a bundle's first line, which give the shapes of its arrays."""

    train: int
    test: int
    height: int
    width: int

    @classmethod
    def of(cls, job: Job) -> Counts:
        """Count a job's samples."""
        width, height = job.options.size
        return cls(job.train.rows, job.test.rows, height, width)

    def shapes(self) -> tuple[Shape, ...]:
        """The shapes, in the order of `Bundle`."""
        train, test, height, width = self
        return (train, 3, height, width), (test, 3, height, width), (train, 2), (test, 2)


class Block(NamedTuple):
    """Rows of an array that are read at once."""

    array: str
    #: Shape of the whole array.
    shape: Shape
    first_row: int
    rows: NDArray[np.float32]
    #: Bytes of the file read so far.
    end: int
