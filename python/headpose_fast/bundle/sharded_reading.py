"""Reading the shards of an index as if they were one bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import Block, Bundle, Counts
from headpose_fast.bundle.original import OriginalReader
from headpose_fast.bundle.placed_files import PlacedReader
from headpose_fast.bundle.shards import Index, Stretch
from headpose_fast.bundle.small_reading import SmallReader
from headpose_fast.bundle.trailer import is_of
from headpose_fast.errors import naming
from headpose_fast.job import PREFIXES, Job

#: Shards that are open at once.
_MOST_OPEN = 32

_Reader = PlacedReader | SmallReader

#: Returns what reads an open bundle.
_Open = Callable[[Path, IO[bytes]], Any]


class ShardedReader(AbstractContextManager["ShardedReader"]):
    """Reads the shards of an index; its errors name the shard's file.

    Each shard is compared with its layout and its job when it is first needed. Of those that were,
    only some are kept open.
    """

    def __init__(self, path: Path, file: IO[bytes], open_shard: _Open) -> None:
        """Read an index, and look whether its shards are there.

        Raises ValueError if it is not an index, or if a shard is another file; OSError if a shard
        cannot be read.
        """
        self.index = Index.read(file)
        self.index.require_there(path.parent)
        self.kind: str = self.index.kind
        self.counts: Counts | None = self.index.counts
        self._folder, self._open_shard = path.parent, open_shard
        #: Those that were compared, and open files, the one used last at the end; by number.
        self._readers: dict[int, _Reader] = {}
        self._files: dict[int, IO[bytes]] = {}
        #: By part: where each shard's photographs begin.
        self._firsts = [
            np.array([shard.stretches[part].first for shard in self.index.shards])
            for part in range(2)
        ]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all shards."""
        while self._files:
            self._files.popitem()[1].close()

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.index.shards)

    @property
    def trailer(self) -> dict[str, Any] | None:
        """What the shards' trailers have in common, and the number of shards."""
        return {**self.index.recorded, "shards": len(self.index.shards)}

    def _path(self, number: int) -> Path:
        return self._folder / self.index.shards[number].file

    def _shard(self, number: int) -> _Reader:
        """Return what reads a shard, whose file is open."""
        file = self._files.pop(number, None)
        if file is None:
            if len(self._files) >= _MOST_OPEN:
                self._files.pop(next(iter(self._files))).close()
            file = self._path(number).open("rb")
        self._files[number] = file
        reader = self._readers.get(number)
        if reader is None:
            reader = self._readers[number] = self._compared(number, file)
        reader.use(file)
        return reader

    def _compared(self, number: int, file: IO[bytes]) -> _Reader:
        reader = self._open_shard(self._path(number), file)
        same = reader.kind == self.kind and reader.counts == self.index.counts_of(number)
        same = same and is_of(reader.trailer, self.index.recorded, number, len(self.index.shards))
        if isinstance(reader, OriginalReader) or not same:
            raise ValueError("not the shard that the index lists")
        return reader  # type: ignore[no-any-return]

    def load(self, *, mmap: bool) -> Bundle:
        """Read all arrays into memory, shard by shard."""
        numbers = range(len(self.index.shards))
        for number in numbers:
            # Nothing is allocated that the shards do not have.
            with naming(self._path(number)):
                self._shard(number)
        arrays = Bundle(*(np.empty(shape, np.float32) for shape in self.index.counts.shapes()))
        for number in numbers:
            with naming(self._path(number)):
                loaded = self._shard(number).load(mmap=mmap)
            for name, array, rows in zip(Bundle._fields, arrays, loaded, strict=True):
                stretch, photographs, passes = self._stretch(number, name)
                whole = array.reshape(passes, photographs, *array.shape[1:])
                own = rows.reshape(passes, stretch.photographs, *array.shape[1:])
                whole[:, stretch.first : stretch.first + stretch.photographs] = own
        return arrays

    def _stretch(self, number: int, array: str) -> tuple[Stretch, int, int]:
        """Return a shard's stretch of an array's part, and the part's photographs and passes."""
        part, index = _part_of(array), self.index
        return index.shards[number].stretches[part], index.photographs[part], index.passes[part]

    def blocks(self) -> Iterator[Block]:
        """Read all arrays block by block, shard by shard."""
        shapes = dict(zip(Bundle._fields, self.index.counts.shapes(), strict=True))
        before = 0
        for number, shard in enumerate(self.index.shards):
            with naming(self._path(number)):
                for block in self._shard(number).blocks():
                    stretch, photographs, _ = self._stretch(number, block.array)
                    shape, end = shapes[block.array], before + block.end
                    for row, rows in _by_pass(block, stretch, photographs):
                        yield Block(block.array, shape, row, rows, end)
            before += shard.bytes

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""
        shape = self.index.counts.shapes()[Bundle._fields.index(array)]
        out = np.empty((len(wanted), *shape[1:]), np.float32)
        part = _part_of(array)
        passes, at = np.divmod(np.array(wanted, np.int64), self.index.photographs[part])
        numbers = np.searchsorted(self._firsts[part], at, "right") - 1
        for number in np.unique(numbers).tolist():
            of_shard = np.flatnonzero(numbers == number)
            stretch = self.index.shards[number].stretches[part]
            own = passes[of_shard] * stretch.photographs + at[of_shard] - stretch.first
            with naming(self._path(number)):
                out[of_shard] = self._shard(number).rows(array, own.tolist())
        return out

    def damaged(self, workers: int | None) -> Iterator[str]:
        """Name the places whose bytes do not have their checksums."""
        for number, shard in enumerate(self.index.shards):
            with naming(self._path(number)):
                for place in self._shard(number).damaged(workers):
                    yield f"{shard.file}: {place}"

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:
        """Name the places that are not what a job makes."""
        count = len(self.index.shards)
        for number, shard in enumerate(self.index.shards):
            with naming(self._path(number)):
                for place in self._shard(number).differing(job.cut(number, count), workers):
                    yield f"{shard.file}: {place}"


def _part_of(array: str) -> int:
    """Return 0 for an array of training samples, 1 for one of test samples."""
    return 0 if array.startswith(PREFIXES["train"]) else 1


def _by_pass(
    block: Block, stretch: Stretch, photographs: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Divide a shard's block where passes end; yield each first row in the one bundle, and rows."""
    done = 0
    while done < len(block.rows):
        k, j = divmod(block.first_row + done, stretch.photographs)
        rows = block.rows[done : done + stretch.photographs - j]
        yield k * photographs + stretch.first + j, rows
        done += len(rows)
