"""Kind `any`: array data as text with seven bits per byte, which every pickle machine accepts."""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import DTYPE
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.opcodes import (
    CALL,
    CALL2,
    CALL3,
    FLOAT32,
    MARK,
    POP,
    TUPLE,
    Stream,
    get,
    global_name,
    ints,
    long,
    put,
    string,
    tuple_of,
)
from headpose_fast.bundle.placed import ArrayLayout, Piece, PlacedKind, piece_rows


class AnyPython(PlacedKind):
    """Loads bare in Python 2.7 and in Python 3."""

    name: Kind = "any"

    def text_blocks(self, array: ArrayLayout) -> int:
        """Blocks that a row is divided into."""
        return _Text.of(array, 0).blocks

    def lay(self, stream: Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out arrays that are made empty and put together from text, piece by piece."""
        functions = ("empty", "array", "ndarray", "multiply", "bitwise_and", "bitwise_or")
        *slots, places, high_bits, text, piece, first_array = range(len(functions) + 5)
        empty, array_of, ndarray, multiply, bitwise_and, bitwise_or = map(get, slots)
        for slot, function in zip(slots, functions, strict=True):
            stream.put(global_name("numpy", function), put(slot), POP)
        stream.put(MARK)
        for slot, array in enumerate(arrays, start=first_array):
            stream.put(empty, tuple_of(*array.shape), FLOAT32, CALL2, put(slot))
            form = _Text.of(array, 0)
            word = string(form.word.str)
            multipliers = (tuple_of(value) for value in form.places[:, 0].tolist())
            stream.put(array_of, MARK, *multipliers, TUPLE, word, CALL2, put(places), POP)
            stream.put(array_of, long(int(form.high_bits)), word, CALL2, put(high_bits), POP)
            block = array.row_bytes // form.blocks
            strides = tuple_of(array.row_bytes + block, block, form.word.itemsize)
            for first, rows in piece_rows(array):
                form = _Text.of(array, rows)
                # NumPy makes a string into an array in every version, in Python 3 by encoding it.
                stream.put(array_of, b"T", struct.pack("<i", form.length))
                array.pieces.append(Piece(first, rows, stream.leave(form.length), form.length))
                stream.put(string(f"S{form.length}"), CALL2, put(text), POP)
                # The rows' place in the array.
                stream.put(ndarray, MARK, tuple_of(*form.shape), word, get(slot))
                stream.put(long(first * array.row_bytes), TUPLE, CALL, put(piece), POP)
                # The last block of each row, for all its blocks.
                stream.put(multiply, ndarray, MARK, tuple_of(rows, 1, form.words), word, get(text))
                stream.put(ints(array.row_bytes), strides, TUPLE, CALL)
                stream.put(get(places), get(piece), CALL3, POP)
                stream.put(bitwise_and, get(piece), get(high_bits), get(piece), CALL3, POP)
                # The other blocks.
                stream.put(bitwise_or, get(piece), ndarray, MARK, tuple_of(*form.shape), word)
                stream.put(get(text), ints(0), strides, TUPLE, CALL)
                stream.put(get(piece), CALL3, POP)
        stream.put(TUPLE)

    def encode(self, array: ArrayLayout, rows: NDArray[np.float32]) -> bytes:
        """Encode rows of an array as they are in the file."""
        form = _Text.of(array, len(rows))
        text = np.empty(form.text_shape, form.word)
        low, high = np.split(text, [form.blocks], axis=1)
        data = np.ascontiguousarray(rows, DTYPE).reshape(-1).view(form.word).reshape(form.shape)
        np.bitwise_and(data, ~form.high_bits, low)
        high_bits = (data & form.high_bits) // form.places
        np.bitwise_or.reduce(high_bits, axis=1, out=high, keepdims=True)
        return text.tobytes()

    def decode(self, array: ArrayLayout, data: bytes, out: NDArray[np.float32]) -> None:
        """Decode rows of an array; `out` is C-contiguous."""
        if not data.isascii():
            raise ValueError("not text with seven bits per byte")
        form = _Text.of(array, len(out))
        text = np.frombuffer(data, form.word).reshape(form.text_shape)
        low, high = np.split(text, [form.blocks], axis=1)
        words = out.reshape(-1).view(form.word).reshape(form.shape)
        np.multiply(high, form.places, words)
        np.bitwise_and(words, form.high_bits, words)
        np.bitwise_or(words, low, words)


class _Text(NamedTuple):
    """How rows are stored as text with seven bits per byte, which any pickle machine accepts.

    A row of n bytes is divided into blocks. They follow one another with the high bit of each byte
    cleared. After them comes one more block, whose byte j holds the high bits of byte j of all
    blocks. Both are viewed as arrays of words, as large as the blocks allow, and three operations
    on whole arrays reassemble the rows.
    """

    rows: int
    #: At least 6 divides an image's 12 bytes per pixel, and 4 the 8 bytes of a pair of labels. The
    #: more blocks, the shorter the text; there is room for the high bits of seven.
    blocks: int
    #: In a block.
    words: int
    word: np.dtype[Any]

    @classmethod
    def of(cls, array: ArrayLayout, rows: int) -> _Text:
        blocks = next(blocks for blocks in (7, 6, 4) if array.row_bytes % blocks == 0)
        length = array.row_bytes // blocks
        size = next(size for size in (8, 4, 2) if length % size == 0)
        return cls(rows, blocks, length // size, np.dtype(f"<u{size}"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the rows, viewed as words."""
        return (self.rows, self.blocks, self.words)

    @property
    def text_shape(self) -> tuple[int, int, int]:
        """Shape of the text, viewed as words."""
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
        """Factors that shift each block's bits in the last block to where the high bits belong."""
        return np.array([[2 << block] for block in range(self.blocks)], self.word)
