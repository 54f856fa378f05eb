"""A job in several bundles: the index, which is the file that lists them.

Shard i of N has the photographs from `n * i // N` on, of n, of each part, with all their passes.
So row `k * m + j` of its arrays, in pass k of m photographs, is row `k * n + first + j` of the one
bundle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from headpose_fast import _core
from headpose_fast.bundle.arrays import Counts
from headpose_fast.bundle.kinds import KINDS
from headpose_fast.bundle.trailer import checksum_of, recorded
from headpose_fast.job import PREFIXES
from headpose_fast.samples.options import MOST_SHARDS, Options

_FORMAT = 1

#: Of an index: a shard's entry takes some 400 bytes, and a long name a few hundred more.
_MOST_BYTES = MOST_SHARDS << 10

#: A stored row has at least two float32, or the four uint16 of a crop.
_LEAST_ROW_BYTES = 8

_NO_INDEX = "not an index of shards by headpose-fast"


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

    @property
    def stretches(self) -> tuple[Stretch, Stretch]:
        """Of the photographs to train with, and to test with."""
        return self.train, self.test


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
    def passes(self) -> tuple[int, int]:
        """Over the photographs to train with, and over those to test with."""
        return self.options.num_data_aug, self.options.num_data_aug_val

    @property
    def counts(self) -> Counts:
        """Of the samples of all shards."""
        return self._counts(self.photographs)

    def counts_of(self, number: int) -> Counts:
        """Count the samples of a shard."""
        train, test = self.shards[number].stretches
        return self._counts((train.photographs, test.photographs))

    def _counts(self, photographs: tuple[int, int]) -> Counts:
        width, height = self.options.size
        train, test = (n * k for n, k in zip(photographs, self.passes, strict=True))
        return Counts(train, test, height, width)

    @property
    def recorded(self) -> dict[str, Any]:
        """What the trailers of all shards say, besides arrays and the shard's number."""
        return recorded(self.headpose_fast, self.kind, self.options, self.database)

    def content(self) -> bytes:
        """Return the file's bytes."""
        record = {
            **self.recorded,
            "format": _FORMAT,
            "size": list(self.options.size),
            "photographs": dict(zip(PREFIXES, self.photographs, strict=True)),
            "shards": [self._entry(shard) for shard in self.shards],
        }
        return (json.dumps(record, indent=1) + "\n").encode()

    def _entry(self, shard: Shard) -> dict[str, Any]:
        return vars(shard) | {
            part: {**stretch._asdict(), "rows": stretch.photographs * passes}
            for part, stretch, passes in zip(PREFIXES, shard.stretches, self.passes, strict=True)
        }

    @classmethod
    def read(cls, file: IO[bytes]) -> Index:
        """Read such a file from its beginning. Raises ValueError if it is none."""
        file.seek(0)
        content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError("longer than any index of shards")
        try:
            record = json.loads(content)
        except (ValueError, RecursionError):
            raise ValueError(_NO_INDEX) from None
        try:
            return cls._of(record)
        except (LookupError, TypeError, AttributeError, OverflowError):
            raise ValueError(_NO_INDEX) from None

    @classmethod
    def _of(cls, record: dict[str, Any]) -> Index:
        if record["format"] != _FORMAT:
            raise ValueError("written by a newer headpose-fast")
        width, height = map(_whole, record["size"])
        entries = record["shards"]
        if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_SHARDS:
            raise ValueError(f"it does not list 1 to {MOST_SHARDS:,} shards")
        index = cls(
            _text(record["headpose_fast"]),
            _text(record["kind"]),
            Options.from_record(record["options"], (width, height)),
            _text(record["database"]),
            (_whole(record["photographs"]["train"]), _whole(record["photographs"]["test"])),
            tuple(map(_shard, entries)),
        )
        for number, (shard, entry) in enumerate(zip(index.shards, entries, strict=True)):
            index._require_right(number, shard, entry)
        index._require_whole()
        return index

    def _require_right(self, number: int, shard: Shard, entry: dict[str, Any]) -> None:
        """Raise ValueError unless a shard has its name, its rows, and room for them."""
        file = shard.file
        # So no file is listed twice, and none outside the folder.
        stem = file.removesuffix(numbered("", number, len(self.shards)))
        if stem == file or not is_stem(stem):
            raise ValueError(f"{file!r} is not the name of shard {number} in its folder")
        counts = self.counts_of(number)
        if (counts.train, counts.test) != tuple(_whole(entry[part]["rows"]) for part in PREFIXES):
            raise ValueError(f"{file}: the index has another number of rows than of photographs")
        raw = 0 if self.kind == "small" else 12 * counts.height * counts.width
        if (counts.train + counts.test) * max(raw, _LEAST_ROW_BYTES) > shard.bytes:
            raise ValueError(f"{file}: the index has more rows than fit into its bytes")

    def _require_whole(self) -> None:
        """Raise ValueError unless the shards have each photograph once."""
        if self.kind not in KINDS:
            raise ValueError(f"written by a newer headpose-fast, kind {self.kind}")
        for part, photographs in enumerate(self.photographs):
            end = 0
            for stretch in (shard.stretches[part] for shard in self.shards):
                if stretch.first != end or stretch.photographs < 1:
                    raise ValueError("its shards do not follow each other")
                end += stretch.photographs
            if end != photographs:
                raise ValueError("its shards do not have all photographs")

    def require_there(self, folder: Path) -> None:
        """Raise unless all shards are in a folder with their sizes and checksums.

        Raises OSError if one cannot be read, ValueError if it is another file.
        """
        for shard in self.shards:
            path = folder / shard.file
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such shard, though the index lists it")
            size = path.stat().st_size
            if size != shard.bytes:
                raise ValueError(
                    f"{shard.file} has {size:,} bytes, but the index says {shard.bytes:,}"
                )
            if checksum_of(path) != shard.trailer_crc32:
                raise ValueError(f"{shard.file} is not the shard that the index lists")


def new_index(
    kind: str,
    options: Options,
    digest: str,
    photographs: tuple[int, int],
    shards: Sequence[Shard],
) -> Index:
    """Make the index of shards that this version wrote."""
    return Index(_core.__version__, kind, options, digest, photographs, tuple(shards))


def is_stem(stem: str) -> bool:
    """Whether names of shards can begin so, on any system."""
    return bool(stem) and stem.isprintable() and {"/", "\\", ":"}.isdisjoint(stem)


def numbered(stem: str, shard: int, shards: int) -> str:
    """Return the name of a shard's file."""
    return f"{stem}-{shard:05}-of-{shards:05}.pkl"


def is_index(file: IO[bytes]) -> bool:
    """Whether a file lists shards, if it is any of ours: no pickle begins as JSON does."""
    file.seek(0)
    return file.read(1) == b"{"


def _whole(value: object) -> int:
    """Return a number of an index. Raises TypeError for what is no whole number."""
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _text(value: object) -> str:
    """Return a text of an index. Raises TypeError for what is none that can be printed."""
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError
    return value


def _shard(entry: dict[str, Any]) -> Shard:
    train, test = (
        Stretch(_whole(entry[part]["first"]), _whole(entry[part]["photographs"]))
        for part in PREFIXES
    )
    checksum = _text(entry["trailer_crc32"])
    return Shard(_text(entry["file"]), _whole(entry["bytes"]), checksum, train, test)
