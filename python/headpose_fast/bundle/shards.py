"""A job in several bundles: the file that lists them, and reading them as one.

Shard i of N has the photographs from `n * i // N` on, of n, of each part, with all their passes.
So row `k * m + j` of its arrays, in pass k of m photographs, is row `k * n + first + j` of the one
bundle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.bundle.arrays import Block, Bundle, Counts
from headpose_fast.bundle.placed_files import PlacedReader
from headpose_fast.bundle.small_reading import SmallReader
from headpose_fast.bundle.trailer import checksum_of
from headpose_fast.job import PREFIXES, Job
from headpose_fast.samples.options import Options

_FORMAT = 1

#: Of an index: a shard's entry takes some 300 bytes.
_MOST_BYTES = 1 << 28

#: Shards that are open at once.
_MOST_OPEN = 16

_Reader = PlacedReader | SmallReader

#: Opens a bundle for as long as the context lasts.
_Open = Callable[[Path], AbstractContextManager[Any]]


class Stretch(NamedTuple):
    """Neighbouring photographs of a part."""

    #: Index of the first of them.
    first: int
    photographs: int


@dataclass(frozen=True)
class Shard:
    """What the index says of a shard."""

    #: Its name, in the index's folder.
    file: str
    bytes: int
    #: Of its trailer, which has the checksums of all else: eight hexadecimal digits.
    trailer_crc32: str
    train: Stretch
    test: Stretch

    @classmethod
    def of(cls, path: Path, train: Stretch, test: Stretch) -> Shard:
        """Describe a shard that was written."""
        return cls(path.name, path.stat().st_size, checksum_of(path), train, test)


@dataclass(frozen=True)
class Index:
    """What the file says that lists the shards."""

    headpose_fast: str
    kind: str
    options: Options
    #: The database's digest.
    database: str
    #: Photographs to train with, and to test with.
    photographs: tuple[int, int]
    shards: tuple[Shard, ...]

    @property
    def counts(self) -> Counts:
        """Of the samples of all shards."""
        width, height = self.options.size
        train, test = self.photographs
        passes, passes_val = self.options.num_data_aug, self.options.num_data_aug_val
        return Counts(train * passes, test * passes_val, height, width)

    def content(self) -> bytes:
        """Return the file's bytes."""
        record = {
            "format": _FORMAT,
            "headpose_fast": self.headpose_fast,
            "kind": self.kind,
            "options": self.options.recorded(),
            "size": list(self.options.size),
            "database": self.database,
            "photographs": dict(zip(PREFIXES, self.photographs, strict=True)),
            "shards": [
                {**asdict(s), "train": s.train._asdict(), "test": s.test._asdict()}
                for s in self.shards
            ],
        }
        return (json.dumps(record, indent=1) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes) -> Index:
        """Read such a file. Raises ValueError if it is none."""
        try:
            record = json.loads(content)
            if record["format"] != _FORMAT:
                raise ValueError("written by a newer headpose-fast")
            width, height = record["size"]
            index = cls(
                str(record["headpose_fast"]),
                str(record["kind"]),
                Options.from_record(record["options"], (int(width), int(height))),
                str(record["database"]),
                (int(record["photographs"]["train"]), int(record["photographs"]["test"])),
                tuple(map(_shard, record["shards"])),
            )
        except (LookupError, TypeError, AttributeError, RecursionError, UnicodeDecodeError):
            raise ValueError("not an index of shards by headpose-fast") from None
        index._require_whole()
        return index

    def _require_whole(self) -> None:
        """Raise ValueError unless the shards have each photograph once."""
        for part, photographs in enumerate(self.photographs):
            end = 0
            for stretch in ((s.train, s.test)[part] for s in self.shards):
                if stretch.first != end or stretch.photographs < 1:
                    raise ValueError("its shards do not follow each other")
                end += stretch.photographs
            if end != photographs or not self.shards:
                raise ValueError("its shards do not have all photographs")


def _shard(record: dict[str, Any]) -> Shard:
    file = str(record["file"])
    if not file or Path(file).name != file:
        raise ValueError(f"{file!r} is not the name of a file in its folder")
    train, test = (
        Stretch(int(record[part]["first"]), int(record[part]["photographs"])) for part in PREFIXES
    )
    return Shard(file, int(record["bytes"]), str(record["trailer_crc32"]), train, test)


def is_index(path: Path) -> bool:
    """Whether a file of this name lists shards."""
    return path.suffix == ".json"


class ShardedReader:
    """Reads all shards of an index as if they were one file."""

    def __init__(self, path: Path, open_shard: _Open, stack: ExitStack) -> None:
        """Read the index.

        Args:
            path: Of the index.
            open_shard: Opens a bundle, for as long as its context lasts.
            stack: What ends when this reader is no longer used.

        Raises ValueError if it is not an index.

        """
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError("longer than any index of shards")
        self.index = Index.parse(content)
        self.kind: str = self.index.kind
        self.counts: Counts | None = self.index.counts
        self._path, self._open_shard = path, open_shard
        #: Open shards by number, and what closes them.
        self._open: dict[int, tuple[_Reader, ExitStack]] = {}
        stack.callback(self._close)

    def _close(self) -> None:
        for _, stack in self._open.values():
            stack.close()
        self._open.clear()

    def _shard(self, number: int) -> _Reader:
        """Open a shard, which must be the one that the index lists."""
        if number not in self._open:
            if len(self._open) >= _MOST_OPEN:
                _, stack = self._open.pop(next(iter(self._open)))
                stack.close()
            shard = self.index.shards[number]
            path = self._path.with_name(shard.file)
            with ExitStack() as stack:
                reader = stack.enter_context(self._open_shard(path))
                expected = self._counts_of(shard)
                same = path.stat().st_size == shard.bytes and reader.kind == self.kind
                same = same and reader.counts == expected
                if not same or checksum_of(path) != shard.trailer_crc32:
                    raise ValueError(f"{shard.file} is not the shard that is listed")
                self._open[number] = reader, stack.pop_all()
        return self._open[number][0]

    def _counts_of(self, shard: Shard) -> Counts:
        options, counts = self.index.options, self.index.counts
        return counts._replace(
            train=shard.train.photographs * options.num_data_aug,
            test=shard.test.photographs * options.num_data_aug_val,
        )

    @property
    def trailer(self) -> dict[str, Any] | None:
        """What a bundle's trailer would say of all shards."""
        index = self.index
        return {
            "format": _FORMAT,
            "headpose_fast": index.headpose_fast,
            "kind": index.kind,
            "options": index.options.recorded(),
            "database": index.database,
            "shards": len(index.shards),
        }

    def load(self, *, mmap: bool) -> Bundle:
        """Read all arrays into memory, shard by shard."""
        arrays = Bundle(*(np.empty(shape, np.float32) for shape in self.index.counts.shapes()))
        for number in range(len(self.index.shards)):
            loaded = self._shard(number).load(mmap=mmap)
            for name, array, part in zip(Bundle._fields, arrays, loaded, strict=True):
                stretch, photographs, passes = self._stretch(number, name)
                whole = array.reshape(passes, photographs, *array.shape[1:])
                rows = part.reshape(passes, stretch.photographs, *array.shape[1:])
                whole[:, stretch.first : stretch.first + stretch.photographs] = rows
        return arrays

    def _stretch(self, number: int, array: str) -> tuple[Stretch, int, int]:
        """Return a shard's stretch of an array's part, and the part's photographs and passes."""
        shard, options = self.index.shards[number], self.index.options
        if array.startswith(PREFIXES["train"]):
            return shard.train, self.index.photographs[0], options.num_data_aug
        return shard.test, self.index.photographs[1], options.num_data_aug_val

    def blocks(self) -> Iterator[Block]:
        """Read all arrays block by block, shard by shard."""
        shapes = dict(zip(Bundle._fields, self.index.counts.shapes(), strict=True))
        before = 0
        for number, shard in enumerate(self.index.shards):
            for block in self._shard(number).blocks():
                stretch, photographs, _ = self._stretch(number, block.array)
                shape, end = shapes[block.array], before + block.end
                done = 0
                while done < len(block.rows):
                    # Rows of one pass follow each other in all shards' arrays, too.
                    k, j = divmod(block.first_row + done, stretch.photographs)
                    rows = block.rows[done : done + stretch.photographs - j]
                    first = k * photographs + stretch.first + j
                    yield Block(block.array, shape, first, rows, end)
                    done += len(rows)
            before += shard.bytes

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""
        shape = self.index.counts.shapes()[Bundle._fields.index(array)]
        out = np.empty((len(wanted), *shape[1:]), np.float32)
        _, photographs, _ = self._stretch(0, array)
        passes, at = np.divmod(np.array(wanted, np.int64), photographs)
        stretches = [self._stretch(n, array)[0] for n in range(len(self.index.shards))]
        numbers = np.searchsorted([s.first for s in stretches], at, "right") - 1
        for number in np.unique(numbers).tolist():
            of_shard = np.flatnonzero(numbers == number)
            stretch = stretches[number]
            own = passes[of_shard] * stretch.photographs + at[of_shard] - stretch.first
            out[of_shard] = self._shard(number).rows(array, own.tolist())
        return out

    def damaged(self, workers: int | None) -> Iterator[str]:
        """Name the places whose bytes do not have their checksums."""
        for number, shard in enumerate(self.index.shards):
            for place in self._shard(number).damaged(workers):
                yield f"{shard.file}: {place}"

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:
        """Name the places that are not what a job makes."""
        count = len(self.index.shards)
        for number, shard in enumerate(self.index.shards):
            for place in self._shard(number).differing(job.cut(number, count), workers):
                yield f"{shard.file}: {place}"


def new_index(
    kind: str,
    options: Options,
    digest: str,
    photographs: tuple[int, int],
    shards: Sequence[Shard],
) -> Index:
    """Make the index of shards that this version wrote."""
    return Index(_core.__version__, kind, options, digest, photographs, tuple(shards))
