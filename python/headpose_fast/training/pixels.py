"""All pixels of a database, decoded once into one file that every process maps."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core
from headpose_fast.database.columns import Columns
from headpose_fast.database.databases import Database
from headpose_fast.database.photographs import columns_of, stretches
from headpose_fast.errors import DatabaseError
from headpose_fast.progress import Progress, bar
from headpose_fast.sources.cache import cache_folder, cached_file, keeping

#: The table and each photograph begin at multiples of this many bytes; as many follow the last.
_ALIGNMENT = 64

#: Bytes of the header, padded with spaces.
_HEADER_BYTES = 256

_FORMAT = 2


class PixelStore(Sequence[NDArray[np.uint8]]):
    """The decoded photographs of a database: item i is photograph i, uint8 (H, W, 3), RGB.

    The file is mapped read-only, and all processes share its memory. It may be deleted at any time;
    processes that have opened it keep their mapping. If another program truncates it meanwhile, the
    system ends this process with SIGBUS.
    """

    def __init__(self, path: Path, digest: str) -> None:
        """Map the store of the database with this digest.

        Raises ValueError if the file is something else, FileNotFoundError if there is none.
        """
        self.path, self.digest = path, digest
        header = _read_header(path)
        expected = {"format": _FORMAT, "digest": digest}
        if header is None or {name: header.get(name) for name in expected} != expected:
            raise ValueError(f"{path}: not the pixels of the database {digest[:16]}")
        count = header["photographs"]
        #: The whole file: uint8 (bytes,).
        self.pixels: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
        table_bytes = self.pixels[_HEADER_BYTES : _HEADER_BYTES + 96 * count].tobytes()
        if len(table_bytes) != 96 * count or zlib.crc32(table_bytes) != header["crc32"]:
            raise ValueError(f"{path}: damaged")
        rows = np.frombuffer(table_bytes, "<f8").astype(np.float64).reshape(count, 12)
        #: What is known of the photographs.
        self.columns = Columns.of_rows(rows)
        self._checksums = rows[:, 11].astype(np.int64)
        #: Of the pictures in pixels: int32 (photographs, 2), width and height.
        self.sizes: NDArray[np.int32] = np.ascontiguousarray(self.columns.frames[:, :2], np.int32)
        #: Where the planes blue, green and red of each begin: uint64 (photographs,).
        self.offsets: NDArray[np.uint64]
        self.offsets, end = _places(self.columns.frames)
        if len(self.pixels) != end + _ALIGNMENT:
            raise ValueError(f"{path}: damaged")

    @classmethod
    def open(
        cls,
        database: Database,
        path: str | os.PathLike[str] | None = None,
        *,
        workers: int | None = None,
        progress: Progress | bool = False,
    ) -> PixelStore:
        """Open the store of a database, making it first if there is none.

        For the published database it has 926 MB and takes about a second to make.

        Args:
            database: The database, whose digest identifies the store.
            path: The file; None for one in the cache folder.
            workers: Number of threads; None for one per core that this process may use.
            progress: Called with the number of photographs decoded and the total; True for a bar.

        Raises:
            DatabaseError: Photographs are damaged.
            OSError: The file cannot be written or read.
            ValueError: `path` is an existing file that is not this database's store.

        """
        digest = database.digest
        own = None if path is None else Path(path)
        target = own or default_path(digest)
        try:
            return cls(target, digest)
        except FileNotFoundError:
            pass
        except ValueError:
            # A file in the cache may be replaced at any time; a file of the user's may not.
            if own is not None:
                raise
        with (
            _writing(target, in_cache=own is None) as part,
            bar("decoding", " photographs", progress) as report,
        ):
            _write(part, database, digest, workers, report)
        return cls(target, digest)

    def __len__(self) -> int:
        """Count the photographs."""
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[np.uint8]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | Sequence[NDArray[np.uint8]]:
        """Return a photograph as a read-only view, uint8 (H, W, 3), RGB; or several for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        return self._planes(index)[::-1].transpose(1, 2, 0)

    def damaged(self) -> list[int]:
        """Find the photographs whose pixels do not match their checksums; reads the whole file."""
        return [
            i
            for i in range(len(self))
            if zlib.crc32(self._planes(i).tobytes()) != self._checksums[i]
        ]

    def _planes(self, index: int) -> NDArray[np.uint8]:
        width, height = self.sizes[index].tolist()
        offset = int(self.offsets[index])
        return self.pixels[offset : offset + 3 * width * height].reshape(3, height, width)

    def __reduce__(self) -> tuple[type[PixelStore], tuple[Path, str]]:
        """Pickle only path and digest: the pixels stay where they are."""
        return PixelStore, (self.path, self.digest)


def default_path(digest: str) -> Path:
    """Return where the store of a database is kept."""
    return cache_folder() / f"pixels-{digest[:16]}.bin"


def _read_header(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    try:
        header = json.loads(start)
    except ValueError:
        return None
    well_made = isinstance(header, dict) and isinstance(header.get("photographs"), int)
    return header if well_made else None


def _places(frames: NDArray[np.int64]) -> tuple[NDArray[np.uint64], int]:
    """Return where the planes of each photograph begin, and where the last one ends."""
    lengths = -(-3 * frames[:, 0] * frames[:, 1] // _ALIGNMENT) * _ALIGNMENT
    first = _HEADER_BYTES + -(-96 * len(frames) // _ALIGNMENT) * _ALIGNMENT
    ends = first + np.cumsum(lengths)
    return (ends - lengths).astype(np.uint64), int(ends[-1])


@contextmanager
def _writing(target: Path, *, in_cache: bool) -> Iterator[Path]:
    if not in_cache:
        with cached_file(target) as part:
            yield part
        return
    with keeping("the decoded photographs"), cached_file(target) as part:
        yield part


def _write(
    part: Path, database: Database, digest: str, workers: int | None, report: Progress | None
) -> None:
    columns = columns_of(database.photographs)
    offsets, end = _places(columns.frames)
    checksums: list[int] = []
    with part.open("wb") as file:

        def sink(planes: bytes, checksum: int) -> None:
            file.seek(int(offsets[len(checksums)]))
            file.write(planes)
            checksums.append(checksum)
            if report:
                report(len(checksums), len(offsets))

        for stretch, jpegs in stretches(database.photographs):
            failures = _core.decode_photographs(jpegs, workers, sink)
            if failures:
                names = [(database[stretch.start + i].name, why) for i, why in failures]
                raise DatabaseError([f"{name}: {why}" for name, why in names])
        file.truncate(end + _ALIGNMENT)
        rows = np.column_stack([columns.rows(), checksums]).astype("<f8")
        _write_table(file, rows, digest)


def _write_table(file: BinaryIO, rows: NDArray[np.float64], digest: str) -> None:
    table = rows.tobytes()
    header = {
        "format": _FORMAT,
        "digest": digest,
        "photographs": len(rows),
        "crc32": zlib.crc32(table),
    }
    file.seek(0)
    file.write(json.dumps(header).encode().ljust(_HEADER_BYTES) + table)
