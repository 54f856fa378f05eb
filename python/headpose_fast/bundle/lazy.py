"""Views of a bundle's arrays, whose rows are read when they are asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from headpose_fast.bundle.arrays import Bundle, Counts, Shape
from headpose_fast.bundle.forms import Reader, reading
from headpose_fast.errors import naming

#: Counts, and facts of the trailer.
_Described = tuple[Counts | None, dict[str, Any]]


class LazyArray:
    """An array of a bundle whose rows are read when they are asked for.

    `array[5]` is a row, `array[3:9]` and `array[[7, 1, 7]]` (or a mask) are arrays of rows, all of
    them new float32 arrays in memory; `numpy.asarray(array)` reads all rows. Other axes are not
    indexed. Threads may share it; they take turns. When it is pickled, no rows are; a process
    that receives it, or is forked, opens the file again. The file stays open until none of the
    four arrays is in use.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, source: _Source, name: str, shape: Shape) -> None:
        """Keep where rows come from, and the array's name and shape."""
        self._source, self._name = source, name
        self.shape = shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        """Count the rows."""
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Read one row after the other."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, key: Any) -> NDArray[np.float32]:  # noqa: ANN401 (as NumPy's)
        """Read a row, or several.

        Args:
            key: A whole number, a slice, or a sequence or array of whole numbers or of one truth
                value for each row.

        Raises:
            IndexError: There is no such row, or this is none of these.
            ValueError: The file is damaged, or is no longer the one that was loaded.
            OSError: It cannot be read.

        """
        if isinstance(key, slice):
            return self._source.rows(self._name, range(len(self))[key])
        if isinstance(key, tuple) or key is None or key is Ellipsis:
            raise IndexError("only rows are indexed: read them first, array[rows][...]")
        if np.ndim(key) == 0 and not isinstance(key, bool | np.bool_):
            try:
                row = range(len(self))[index(key)]
            except TypeError:
                raise IndexError(f"{key!r} is not a row") from None
            except IndexError:
                raise IndexError(f"there is no row {key} of {len(self):,}") from None
            only: NDArray[np.float32] = self._source.rows(self._name, [row])[0]
            return only
        return self._source.rows(self._name, self._rows(key).tolist())

    def _rows(self, key: ArrayLike) -> NDArray[np.int64]:
        """Return the numbers of rows, none of which is negative."""
        asked = np.asarray(key)
        if asked.size == 0 and asked.ndim == 1 and asked.dtype != np.bool_:
            return np.empty(0, np.int64)
        if asked.dtype == np.bool_ and asked.shape == (len(self),):
            return np.flatnonzero(asked)
        if asked.ndim != 1 or asked.dtype.kind not in "iu":
            raise IndexError("rows are asked for by whole numbers, or by a mask of all of them")
        beyond = (asked < -len(self)) | (asked >= len(self))
        if beyond.any():
            raise IndexError(f"there is no row {asked[beyond][0]} of {len(self):,}")
        rows = asked.astype(np.int64)
        return np.where(rows < 0, rows + len(self), rows)

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.float32]:
        """Read all rows, for NumPy."""
        if copy is False:
            raise ValueError("rows are always read into a new array")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        """Name the array, its shape and its file."""
        return f"<{self._name} {self.shape} float32 of {self._source.path}>"


class LazyBundle(NamedTuple):
    """The four arrays of a bundle, as views. `Bundle` says what they hold."""

    trn_im: LazyArray
    test_im: LazyArray
    trn_output: LazyArray
    test_output: LazyArray


def view(path: Path, reader: Reader) -> LazyBundle:
    """Return views of a bundle that a reader has found to be right.

    Raises ValueError for a file of the original script.
    """
    if reader.counts is None:
        raise ValueError("a file of the original script has no fixed places: load all of it")
    place = Path(os.path.abspath(path))  # noqa: PTH100 (links stay)
    source = _Source(place, _described(reader))
    arrays = zip(Bundle._fields, reader.counts.shapes(), strict=True)
    return LazyBundle(*(LazyArray(source, name, shape) for name, shape in arrays))


class _Source:
    """A bundle that is opened when it is needed, once in each process."""

    def __init__(self, path: Path, described: _Described) -> None:
        self.path, self._described = path, described
        self._opened: _Opened | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Source, (self.path, self._described)

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        opened = self._opened
        # A forked process would share the place in the file, and perhaps a lock that stays shut.
        if opened is None or opened.process != os.getpid():
            opened = self._opened = _Opened(self.path, self._described)
        with opened.lock, naming(self.path):
            return opened.reader.rows(array, wanted)


class _Opened:
    """A bundle that this process has open, until nothing refers to it."""

    def __init__(self, path: Path, described: _Described) -> None:
        self.process, self.lock = os.getpid(), threading.Lock()
        # It closes the file when it is collected.
        self._stack = ExitStack()
        self.reader = self._stack.enter_context(reading(path))
        if _described(self.reader) != described:
            raise ValueError(f"{path}: no longer the bundle that was loaded")


def _described(reader: Reader) -> _Described:
    """Return a bundle's counts, and what its trailer says of its job: all samples follow."""
    trailer = reader.trailer or {}
    return reader.counts, {name: fact for name, fact in trailer.items() if name != "arrays"}
