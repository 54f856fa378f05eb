"""What the rooms above know of a kind: lay out a job, write it, and read, check or compare a file.

Nothing here says where a sample stands in a file, nor that it stands there at all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import Block, Bundle, Counts
from headpose_fast.job import Job


class Draft(Protocol):
    """A file that is laid out for a job, and not yet written."""

    @property
    def reserved_bytes(self) -> int:
        """The bytes of the file that are known to be needed, and set aside beforehand."""

    def write(
        self,
        path: Path,
        file: FileIO,
        workers: int | None,
        progress: Callable[[int], object],
    ) -> int:
        """Write it, trailer included, into an open file of `reserved_bytes`; return its bytes.

        `progress` gets the number of samples that are done. Raises DatabaseError for photographs
        that cannot be rendered, OSError if writing fails.
        """


class Reader(Protocol):
    """An open file, of which all but the array data was found to be right."""

    @property
    def kind(self) -> str:
        """The kind of file, `original` for one of the original script."""

    @property
    def counts(self) -> Counts | None:
        """What its first line says; None for a file of the original script."""

    @property
    def trailer(self) -> dict[str, Any] | None:
        """The trailer's content; None without one. Raises ValueError if it is damaged."""

    def load(self, *, mmap: bool) -> Bundle:
        """Read all arrays, or map them if `mmap` and the kind allow it."""

    def blocks(self) -> Iterator[Block]:
        """Read all arrays block by block, in the order of the file."""

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""

    def damaged(self, workers: int | None) -> Iterator[str]:
        """Name the places whose bytes do not have their checksums."""

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:
        """Name the places that are not what a job makes."""


#: Opens a bundle for as long as the context lasts.
Open = Callable[[Path], AbstractContextManager[Reader]]


class Form(Protocol):
    """A kind of bundle."""

    def draft(self, job: Job) -> Draft:
        """Lay out a file."""

    def open(self, path: Path, file: IO[bytes], counts: Counts) -> Reader:
        """Read all but the array data of a file whose first line says these counts.

        Raises ValueError if it is damaged or ends early.
        """
