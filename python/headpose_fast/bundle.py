"""The bundle: one pickle of four arrays, laid out before anything is rendered, and its reader.

Every byte of the file up to the pickle's STOP that is not array data, and the place of every
sample, follow from the counts and the size of the samples alone. Any group of samples can
therefore be rendered and written by itself, in any order, by anyone. And `load` needs no pickle
machine: it makes the layout again and compares.
"""

from __future__ import annotations

import codecs
import math
import mmap
import os
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["any", "py2", "py3"]
KINDS: tuple[Kind, ...] = ("any", "py2", "py3")

#: Array data in one piece of the kinds that Python 2 reads. Loading needs a few times this on top
#: of the arrays; pieces of 4 MiB load slower, since they leave the processor's cache.
_PIECE_BYTES = 1 << 20

#: Array data of kind `py3` begins at a multiple of this, for those who map the file.
_ALIGNMENT = 64

_DTYPE = np.dtype("<f4")

#: What a pickle's integers hold.
_MOST_SAMPLES = 2**31 - 1


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
        """Show itself in a notebook: shapes, poses and some samples."""
        from headpose_fast.notebook import bundle_html

        return bundle_html(self)


class Piece(NamedTuple):
    """Rows of an array that stand in the file without a gap."""

    first_row: int
    rows: int
    #: Where the first byte stands in the file.
    offset: int
    #: Bytes in the file.
    length: int


@dataclass(frozen=True)
class ArrayLayout:
    """Where an array's data stands in the file."""

    shape: tuple[int, ...]
    pieces: list[Piece] = field(default_factory=list)

    @property
    def row_bytes(self) -> int:
        """Bytes of array data in one row (one sample, or one sample's labels)."""
        return math.prod(self.shape[1:]) * _DTYPE.itemsize

    @property
    def text_blocks(self) -> int:
        """Blocks that a row is divided into when it is written as text, see `docs/format.md`.

        Sixfold at least divides an image's 12 bytes a pixel, fourfold the 8 bytes of a pair of
        labels. The more, the shorter the text; there is room for the high bits of seven.
        """
        return next(blocks for blocks in (7, 6, 4) if self.row_bytes % blocks == 0)

    @property
    def stored_row_bytes(self) -> int:
        """Bytes in the file of one row."""
        return self.pieces[0].length // self.pieces[0].rows

    def row_offsets(self) -> NDArray[np.uint64]:
        """The offset of every row."""
        return np.concatenate(
            [
                piece.offset + np.arange(piece.rows, dtype=np.uint64) * self.stored_row_bytes
                for piece in self.pieces
            ],
            dtype=np.uint64,
        )


@dataclass(frozen=True)
class Layout:
    """A file of one kind for given counts: all its bytes but the array data."""

    kind: Kind
    #: In the order of `Bundle`.
    arrays: tuple[ArrayLayout, ...]
    #: What stands between the array data: offsets and bytes.
    skeleton: list[tuple[int, bytes]]
    #: Bytes up to the pickle's STOP, and with it.
    length: int

    @property
    def text(self) -> bool:
        """Whether array data is written as text."""
        return self.kind == "any"

    def encode(self, array: ArrayLayout, rows: NDArray[np.float32]) -> bytes:
        """Encode rows of an array as they stand in the file."""
        if not self.text:
            return np.ascontiguousarray(rows, _DTYPE).tobytes()
        form = _TextForm.of(array, len(rows))
        text = np.empty(form.text_shape, form.word)
        low, high = np.split(text, [form.blocks], axis=1)
        data = np.ascontiguousarray(rows, _DTYPE).reshape(-1).view(form.word).reshape(form.shape)
        np.bitwise_and(data, ~form.high_bits, low)
        high_bits = (data & form.high_bits) // form.places
        np.bitwise_or.reduce(high_bits, axis=1, out=high, keepdims=True)
        return text.tobytes()


class _TextForm(NamedTuple):
    """How rows stand in the file as text of seven bits a byte, which any pickle machine takes.

    A row of n bytes is divided into blocks. They stand one after the other with the high bit of
    each byte cleared; behind them stands one more block, whose byte j holds the high bits of the
    bytes j of all blocks. Both are seen as arrays of words, as large as the blocks allow, so that
    three operations on whole arrays put the rows together again.
    """

    rows: int
    blocks: int
    #: In a block.
    words: int
    word: np.dtype[Any]

    @classmethod
    def of(cls, array: ArrayLayout, rows: int) -> _TextForm:
        length = array.row_bytes // array.text_blocks
        size = next(size for size in (8, 4, 2) if length % size == 0)
        return cls(rows, array.text_blocks, length // size, np.dtype(f"<u{size}"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the rows, seen as words."""
        return (self.rows, self.blocks, self.words)

    @property
    def text_shape(self) -> tuple[int, int, int]:
        """Shape of the text, seen as words."""
        return (self.rows, self.blocks + 1, self.words)

    @property
    def length(self) -> int:
        """Bytes of text."""
        return math.prod(self.text_shape) * self.word.itemsize

    @property
    def high_bits(self) -> NDArray[Any]:
        """The high bits of a word's bytes."""
        return np.array(int.from_bytes(b"\x80" * self.word.itemsize, "little"), self.word)

    @property
    def places(self) -> NDArray[Any]:
        """What each block's share of the last block is multiplied with to become its high bits."""
        return np.array([[2 << block] for block in range(self.blocks)], self.word)


class _Stream:
    """Collects the skeleton."""

    def __init__(self) -> None:
        self.skeleton: list[tuple[int, bytes]] = []
        self.position = 0
        self._pending = bytearray()

    def put(self, *ops: bytes) -> None:
        for op in ops:
            self._pending += op

    def tell(self) -> int:
        return self.position + len(self._pending)

    def leave(self, length: int) -> int:
        """Leave room for array data and return its offset."""
        self.flush()
        offset = self.position
        self.position += length
        return offset

    def flush(self) -> None:
        if self._pending:
            self.skeleton.append((self.position, bytes(self._pending)))
            self.position += len(self._pending)
            self._pending.clear()


# Opcodes of pickle protocol 2 that the layouts are made of; `pickletools` explains each.
_MARK, _TUPLE, _STOP, _POP, _BUILD, _FALSE = b"(", b"t", b".", b"0", b"b", b"\x89"
_CALL, _CALL1, _CALL2, _CALL3 = b"R", b"\x85R", b"\x86R", b"\x87R"


def _string(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


_FLOAT32 = _string("<f4")


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _put(slot: int) -> bytes:
    return b"q" + bytes([slot])


def _get(slot: int) -> bytes:
    return b"h" + bytes([slot])


def _ints(*values: int) -> bytes:
    return b"".join(b"J" + struct.pack("<i", value) for value in values)


def _long(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _shape(*sides: int) -> bytes:
    return _MARK + _ints(*sides) + _TUPLE


def layout(kind: Kind, train: int, test: int, height: int, width: int) -> Layout:
    """Lay out a bundle of `train` and `test` samples of `height` x `width` pixels."""
    arrays = tuple(
        ArrayLayout(shape)
        for shape in ((train, 3, height, width), (test, 3, height, width), (train, 2), (test, 2))
    )
    stream = _Stream()
    # A string that the pickle machine pushes and drops: it says to `load` what follows.
    header = f"headpose-fast 1 {kind} {train} {test} {height} {width}"
    stream.put(b"\x80\x04" if kind == "py3" else b"\x80\x02", _string(header), _POP)
    if kind == "py3":
        _lay_whole(stream, arrays)
    elif kind == "py2":
        _lay_states(stream, arrays)
    else:
        _lay_text(stream, arrays)
    stream.put(_STOP)
    stream.flush()
    return Layout(kind, arrays, stream.skeleton, stream.position)


def _lay_text(stream: _Stream, arrays: tuple[ArrayLayout, ...]) -> None:
    """Lay out arrays that are made empty and put together from text, piece by piece."""
    functions = ("empty", "array", "ndarray", "multiply", "bitwise_and", "bitwise_or")
    *slots, places, high_bits, text, piece, first_array = range(len(functions) + 5)
    empty, array_of, ndarray, multiply, bitwise_and, bitwise_or = map(_get, slots)
    for slot, function in zip(slots, functions, strict=True):
        stream.put(_global("numpy", function), _put(slot), _POP)
    stream.put(_MARK)
    for slot, array in enumerate(arrays, start=first_array):
        stream.put(empty, _shape(*array.shape), _FLOAT32, _CALL2, _put(slot))
        form = _TextForm.of(array, 0)
        word = _string(form.word.str)
        multipliers = (_shape(value) for value in form.places[:, 0].tolist())
        stream.put(array_of, _MARK, *multipliers, _TUPLE, word, _CALL2, _put(places), _POP)
        stream.put(array_of, _long(int(form.high_bits)), word, _CALL2, _put(high_bits), _POP)
        block = array.row_bytes // form.blocks
        strides = _shape(array.row_bytes + block, block, form.word.itemsize)
        for first, rows in _piece_rows(array):
            form = _TextForm.of(array, rows)
            # NumPy makes a string into an array in every version, in Python 3 by encoding it.
            stream.put(array_of, b"T", struct.pack("<i", form.length))
            array.pieces.append(Piece(first, rows, stream.leave(form.length), form.length))
            stream.put(_string(f"S{form.length}"), _CALL2, _put(text), _POP)
            # The rows' place in the array.
            stream.put(ndarray, _MARK, _shape(*form.shape), word, _get(slot))
            stream.put(_long(first * array.row_bytes), _TUPLE, _CALL, _put(piece), _POP)
            # The last block of each row, for all its blocks.
            stream.put(multiply, ndarray, _MARK, _shape(rows, 1, form.words), word, _get(text))
            stream.put(_ints(array.row_bytes), strides, _TUPLE, _CALL)
            stream.put(_get(places), _get(piece), _CALL3, _POP)
            stream.put(bitwise_and, _get(piece), _get(high_bits), _get(piece), _CALL3, _POP)
            # The other blocks.
            stream.put(bitwise_or, _get(piece), ndarray, _MARK, _shape(*form.shape), word)
            stream.put(_get(text), _ints(0), strides, _TUPLE, _CALL)
            stream.put(_get(piece), _CALL3, _POP)
    stream.put(_TUPLE)


def _lay_states(stream: _Stream, arrays: tuple[ArrayLayout, ...]) -> None:
    """Lay out arrays that are made empty and filled with small arrays.

    Each is made by its state, which Python 2 takes as it is. Python 3 with `encoding="latin1"`
    makes it a `str`, which an array's state may be (but a buffer may not).
    """
    functions = (
        _global("numpy", "empty"),
        _global("numpy", "ndarray"),
        _global("operator", "setitem"),
        _global("__builtin__", "slice"),
        _dtype(),
    )
    *slots, first_array = range(len(functions) + 1)
    empty, ndarray, setitem, slice_of, dtype = map(_get, slots)
    for slot, function in zip(slots, functions, strict=True):
        stream.put(function, _put(slot), _POP)
    stream.put(_MARK)
    for slot, array in enumerate(arrays, start=first_array):
        stream.put(empty, _shape(*array.shape), _FLOAT32, _CALL2, _put(slot))
        for first, rows in _piece_rows(array):
            length = rows * array.row_bytes
            stream.put(setitem, _get(slot), slice_of, _ints(first, first + rows), _CALL2)
            stream.put(ndarray, _shape(0), _FLOAT32, _CALL2)
            stream.put(_MARK, _ints(1), _shape(rows, *array.shape[1:]), dtype, _FALSE)
            stream.put(b"T", struct.pack("<i", length))
            array.pieces.append(Piece(first, rows, stream.leave(length), length))
            stream.put(_TUPLE, _BUILD, _CALL3, _POP)
    stream.put(_TUPLE)


def _lay_whole(stream: _Stream, arrays: tuple[ArrayLayout, ...]) -> None:
    """Lay out arrays whose data is one aligned string of bytes each, as NumPy's own pickles are."""
    stream.put(_MARK)
    for array in arrays:
        length = array.shape[0] * array.row_bytes
        stream.put(_global("numpy", "ndarray"), _shape(0), _FLOAT32, _CALL2)
        stream.put(_MARK, _ints(1), _shape(*array.shape), _dtype(), _FALSE)
        # A string that is dropped fills up to the alignment: C length ... 0, then 8e and 8 bytes.
        fill = -(stream.tell() + 3 + 9) % _ALIGNMENT
        stream.put(b"C", bytes([fill]), bytes(fill), _POP, b"\x8e", struct.pack("<Q", length))
        array.pieces.append(Piece(0, array.shape[0], stream.leave(length), length))
        stream.put(_TUPLE, _BUILD)
    stream.put(_TUPLE)


def _dtype() -> bytes:
    return _global("numpy", "dtype") + _FLOAT32 + _CALL1


def _piece_rows(array: ArrayLayout) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each piece.

    Python 2 holds no string over 2 GiB, and no loader should hold the data twice.
    """
    rows = max(1, _PIECE_BYTES // array.row_bytes)
    for first in range(0, array.shape[0], rows):
        yield first, min(rows, array.shape[0] - first)


_HEADER = re.compile(
    rb"\x80[\x02\x04]U.headpose-fast (\d+) (any|py2|py3)"
    rb" (\d{1,10}) (\d{1,10}) (\d{1,5}) (\d{1,5})0",
    re.DOTALL,
)


def load(path: str | os.PathLike[str], *, verify: bool = False) -> Bundle:
    """Load a bundle of any kind, or a file of the original script, without the pickle machine.

    Only files of exactly these layouts are read, so no code in a file is ever run. Kind `py3` is
    not read but mapped, copy-on-write: it costs no time, and changes to the arrays stay in memory.

    All of the file but the array data is compared with what it must be, always; the array data with
    its checksums only on request, as that reads all of it.

    Args:
        path: The file. Of the original script's, those that `pickle` of Python 2.7 wrote.
        verify: Whether the array data is compared with the checksums.

    Raises:
        ValueError: The file is no such bundle, is damaged, or ends early; or it has no checksums,
            as the original script's files, and `verify` is true.
        OSError: It cannot be read.

    """
    path = Path(path)
    if verify:
        from headpose_fast.verification import verify as verify_file

        verify_file(path)
    with path.open("rb") as file:
        try:
            return _load_old(file) if is_original(file) else _load_new(file)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _load_new(file: IO[bytes]) -> Bundle:
    plan = read_layout(file)
    if plan.kind == "py3":
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return Bundle(*(_view(mapped, array) for array in plan.arrays))
    return Bundle(*(_read(file, plan, array) for array in plan.arrays))


def read_layout(file: IO[bytes]) -> Layout:
    """Make the layout of a bundle again from its first line, and compare it with the file.

    Raises:
        ValueError: The file is no bundle of this program's, is damaged, or ends early.

    """
    file.seek(0)
    match = _HEADER.match(file.read(256))
    if match is None:
        raise ValueError("not a bundle of headpose-fast nor of the original script")
    if match[1] != b"1":
        raise ValueError(f"written by a newer headpose-fast, in format {match[1].decode()}")
    size = file.seek(0, os.SEEK_END)
    train, test, height, width = (int(match[i]) for i in (3, 4, 5, 6))
    if min(train, test, height, width) < 1 or max(train, test) > _MOST_SAMPLES:
        raise ValueError("its first line makes no sense")
    if (train + test) * 3 * height * width * _DTYPE.itemsize > size:
        raise ValueError("it ends early")
    plan = layout(_kind(match[2].decode()), train, test, height, width)
    if size < plan.length:
        raise ValueError(f"it ends after {size:,} of {plan.length:,} bytes")
    for offset, expected in plan.skeleton:
        file.seek(offset)
        if file.read(len(expected)) != expected:
            raise ValueError(f"damaged between byte {offset:,} and {offset + len(expected):,}")
    return plan


def _kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind == name)


def _view(mapped: mmap.mmap, array: ArrayLayout) -> NDArray[np.float32]:
    values = math.prod(array.shape)
    return np.frombuffer(mapped, _DTYPE, values, array.pieces[0].offset).reshape(array.shape)


def _read(file: IO[bytes], plan: Layout, array: ArrayLayout) -> NDArray[np.float32]:
    out = np.empty(array.shape, _DTYPE)
    for first, rows, offset, _ in array.pieces:
        read_rows(file, plan, array, offset, out[first : first + rows])
    return out


def read_rows(
    file: IO[bytes], plan: Layout, array: ArrayLayout, offset: int, out: NDArray[np.float32]
) -> None:
    """Read rows that stand from `offset` on without a gap; `out` is C-contiguous.

    Raises:
        ValueError: They are damaged, or the file ends early.

    """
    length = len(out) * array.stored_row_bytes
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise ValueError("it ends early")
    if not plan.text:
        out[:] = np.frombuffer(data, _DTYPE).reshape(out.shape)
        return
    form = _TextForm.of(array, len(out))
    text = np.frombuffer(data, form.word).reshape(form.text_shape)
    if not data.isascii():
        raise ValueError(f"damaged between byte {offset:,} and {offset + length:,}")
    low, high = np.split(text, [form.blocks], axis=1)
    words = out.reshape(-1).view(form.word).reshape(form.shape)
    np.multiply(high, form.places, words)
    np.bitwise_and(words, form.high_bits, words)
    np.bitwise_or(words, low, words)


# The original script's files are protocol 0 as Python 2.7 and NumPy 1.x write four arrays: between
# shapes and data there is always the same text.
_OLD_START = b"(cnumpy.core.multiarray\n_reconstruct\np0\n"
_OLD_FIRST = _OLD_START + b"(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n("
_OLD_DTYPE = (
    b"tp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n"
    b"(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\n"
)
_OLD_CHUNK = 1 << 24


def is_original(file: IO[bytes]) -> bool:
    """Whether a file begins as those of the original script."""
    file.seek(0)
    return file.read(len(_OLD_START)) == _OLD_START


def _load_old(file: IO[bytes]) -> Bundle:
    arrays: list[NDArray[np.float32]] = []
    for shape, chunks in read_old(file):
        out = np.empty(shape, _DTYPE)
        data = out.reshape(-1).view(np.uint8)
        filled = 0
        for chunk in chunks:
            data[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
            filled += len(chunk)
        arrays.append(out)
    return Bundle(*arrays)


def read_old(file: IO[bytes]) -> Iterator[tuple[tuple[int, ...], Iterator[bytes]]]:
    """Read the arrays of the original script's file: of each its shape and its data in chunks.

    All chunks of an array have to be taken before the next array.

    Raises:
        ValueError: The file is not as the original script writes it, or ends early.

    """
    file.seek(0)
    memo = 13
    shapes: list[tuple[int, ...]] = []
    for number, rank in enumerate((4, 4, 2, 2)):
        if number == 0:
            _expect(file, _OLD_FIRST)
            shape = _old_shape(file, rank)
            _expect(file, _OLD_DTYPE)
        else:
            _expect(
                file, f"g0\n(g1\n(I0\ntp{memo}\ng3\ntp{memo + 1}\nRp{memo + 2}\n(I1\n(".encode()
            )
            shape = _old_shape(file, rank)
            _expect(file, f"tp{memo + 3}\ng10\nI00\n".encode())
            memo += 4
        shapes.append(shape)
        of_a_sample = (3, *shapes[0][2:]) if rank == 4 else (2,)
        if shape[1:] != of_a_sample or (rank == 2 and shape[0] != shapes[number - 2][0]):
            raise ValueError("its arrays are not images and their labels")
        yield shape, _read_escaped(file, math.prod(shape) * _DTYPE.itemsize)
        _expect(file, f"p{memo}\ntp{memo + 1}\nb".encode())
        memo += 2
    _expect(file, f"tp{memo}\n.".encode())


def _expect(file: IO[bytes], text: bytes) -> None:
    offset = file.tell()
    if file.read(len(text)) != text:
        raise ValueError(f"not as the original script writes it at byte {offset:,}")


def _old_shape(file: IO[bytes], rank: int) -> tuple[int, ...]:
    offset = file.tell()
    lines = [file.readline(16) for _ in range(rank)]
    if not all(re.fullmatch(rb"I[1-9]\d{0,9}\n", line) for line in lines):
        raise ValueError(f"not an array of {rank} axes at byte {offset:,}")
    shape = tuple(int(line[1:]) for line in lines)
    # An array's byte is at least one of the file: what is larger than the file is not allocated.
    if math.prod(shape) * _DTYPE.itemsize > os.fstat(file.fileno()).st_size:
        raise ValueError("it ends early")
    return shape


def _read_escaped(file: IO[bytes], length: int) -> Iterator[bytes]:
    """Read a string of `length` as `repr` of Python 2 writes it, `S'...'` and a line end."""
    offset = file.tell()
    quote = file.read(2)
    if quote not in (b"S'", b'S"'):
        raise ValueError(f"no string at byte {offset:,}")
    done = 0
    text = b""
    end = -1
    while end < 0:
        more = file.read(_OLD_CHUNK)
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
            # An escape has at most four characters, the first a backslash: it has ended where three
            # without one follow each other.
            cut = next((i for i in range(len(text), 2, -1) if b"\\" not in text[i - 3 : i]), 0)
            part, text = text[:cut], text[cut:]
        with warnings.catch_warnings():
            # An escape that Python does not know is kept as it is, with a warning.
            warnings.simplefilter("ignore", DeprecationWarning)
            data = codecs.escape_decode(part)[0]
        done += len(data)
        if done > length:
            raise ValueError(f"the string at byte {offset:,} is too long")
        yield data
    if done < length:
        raise ValueError(f"the string at byte {offset:,} is too short")
