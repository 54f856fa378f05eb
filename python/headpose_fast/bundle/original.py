"""Files of the original script, read without unpickling."""

import codecs
import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import DTYPE, Block, Bundle, Counts
from headpose_fast.job import Job

# The original script's files are protocol 0, as Python 2.7 and NumPy 1.x write four arrays. The
# text between shapes and data is always the same.
ORIGINAL_START = b"(cnumpy.core.multiarray\n_reconstruct\np0\n"
_FIRST = ORIGINAL_START + b"(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n("
_DTYPE = (
    b"tp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n"
    b"(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\n"
)
_CHUNK = 1 << 24

_NOT_OURS = "a file of the original script, which has no checksums and does not record its options"


class OriginalReader:
    """Reads a file of the original script, always from its beginning."""

    kind = "original"
    #: It has neither.
    counts: Counts | None = None
    trailer: dict[str, Any] | None = None

    def __init__(self, file: IO[bytes]) -> None:
        """Keep the file; nothing of it has been looked at."""
        self._file = file

    def load(self, *, mmap: bool) -> Bundle:  # noqa: ARG002 (text cannot be mapped)
        """Read all arrays."""
        arrays: dict[str, NDArray[np.float32]] = {}
        for name, shape, first, rows, _ in self.blocks():
            if first == 0:
                arrays[name] = np.empty(shape, DTYPE)
            arrays[name][first : first + len(rows)] = rows
        return Bundle(**arrays)

    def blocks(self) -> Iterator[Block]:
        """Read all arrays block by block, in the order of the file."""
        for name, (shape, chunks) in zip(Bundle._fields, _arrays(self._file), strict=True):
            row_bytes = math.prod(shape[1:]) * DTYPE.itemsize
            first, data = 0, b""
            for chunk in chunks:
                data += chunk
                whole = len(data) // row_bytes
                if whole:
                    values = np.frombuffer(data, DTYPE, whole * row_bytes // DTYPE.itemsize)
                    rows = values.reshape(whole, *shape[1:])
                    yield Block(name, shape, first, rows, self._file.tell())
                    data = data[whole * row_bytes :]
                    first += whole

    def rows(self, array: str, wanted: Sequence[int]) -> NDArray[np.float32]:
        """Read some rows of an array."""
        found = {
            row: block.rows[row - block.first_row].copy()
            for block in self.blocks()
            if block.array == array
            for row in wanted
            if block.first_row <= row < block.first_row + len(block.rows)
        }
        return np.stack([found[row] for row in wanted])

    def damaged(self, workers: int | None) -> Iterator[str]:  # noqa: ARG002
        """Raise ValueError: the file has no checksums."""
        raise ValueError(_NOT_OURS)

    def differing(self, job: Job, workers: int | None) -> Iterator[str]:  # noqa: ARG002
        """Raise ValueError: nothing says of which job the file is."""
        raise ValueError(_NOT_OURS)


def _arrays(file: IO[bytes]) -> Iterator[tuple[tuple[int, ...], Iterator[bytes]]]:
    """Read the arrays of the original script's file: of each its shape and its data in chunks.

    All chunks of an array have to be taken before the next array. Raises ValueError if the file is
    not as the original script writes it, or ends early.
    """
    file.seek(0)
    opening, behind_shape, memo = _FIRST, _DTYPE, 13
    shapes: list[tuple[int, ...]] = []
    for rank in (4, 4, 2, 2):
        _expect(file, opening)
        shape = _shape(file, rank)
        _expect(file, behind_shape)
        shapes.append(shape)
        sample_shape = (3, *shapes[0][2:]) if rank == 4 else (2,)
        if shape[1:] != sample_shape or (rank == 2 and shape[0] != shapes[-3][0]):
            raise ValueError("its arrays are not images and their labels")
        yield shape, _read_escaped(file, math.prod(shape) * DTYPE.itemsize)
        _expect(file, f"p{memo}\ntp{memo + 1}\nb".encode())
        memo += 2
        opening = f"g0\n(g1\n(I0\ntp{memo}\ng3\ntp{memo + 1}\nRp{memo + 2}\n(I1\n(".encode()
        behind_shape = f"tp{memo + 3}\ng10\nI00\n".encode()
        memo += 4
    _expect(file, f"tp{memo - 4}\n.".encode())


def _expect(file: IO[bytes], text: bytes) -> None:
    offset = file.tell()
    if file.read(len(text)) != text:
        raise ValueError(f"not as the original script writes it, at byte {offset:,}")


def _shape(file: IO[bytes], rank: int) -> tuple[int, ...]:
    offset = file.tell()
    lines = [file.readline(16) for _ in range(rank)]
    if not all(re.fullmatch(rb"I[1-9]\d{0,9}\n", line) for line in lines):
        raise ValueError(f"not an array of {rank} axes at byte {offset:,}")
    shape = tuple(int(line[1:]) for line in lines)
    # Each byte of an array takes at least one in the file: nothing larger than it is allocated.
    if math.prod(shape) * DTYPE.itemsize > os.fstat(file.fileno()).st_size:
        raise ValueError("it ends early")
    return shape


def _read_escaped(file: IO[bytes], length: int) -> Iterator[bytes]:
    """Read a string of `length` as Python 2's `repr` writes it, `S'...'` and a line end."""
    offset = file.tell()
    quote = file.read(2)
    if quote not in (b"S'", b'S"'):
        raise ValueError(f"no string at byte {offset:,}")
    done, text, end = 0, b"", -1
    while end < 0:
        more = file.read(_CHUNK)
        text += more
        end = text.find(b"\n")
        if end >= 0:
            file.seek(end + 1 - len(text), os.SEEK_CUR)
            if text[end - 1 : end] != quote[1:]:
                raise ValueError(f"the string at byte {offset:,} does not end")
            part, text = text[: end - 1], b""
        elif not more:
            raise ValueError("it ends early")
        else:
            # An escape has at most four characters, the first a backslash. After three characters
            # without one, no escape is unfinished.
            cut = next((i for i in range(len(text), 2, -1) if b"\\" not in text[i - 3 : i]), 0)
            part, text = text[:cut], text[cut:]
        with warnings.catch_warnings():
            # Python keeps an unknown escape as it is, with a warning.
            warnings.simplefilter("ignore", DeprecationWarning)
            data = codecs.escape_decode(part)[0]
        done += len(data)
        if done > length:
            raise ValueError(f"the string at byte {offset:,} is too long")
        yield data
    if done < length:
        raise ValueError(f"the string at byte {offset:,} is too short")
