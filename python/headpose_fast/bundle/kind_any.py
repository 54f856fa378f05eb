"""Kind `any`: array data as text with seven bits per byte, which every pickle machine accepts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle import opcodes as op
from headpose_fast.bundle.arrays import DTYPE
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.placed import ArrayLayout, PlacedKind, piece_rows


class AnyPython(PlacedKind):
    """Loads bare in Python 2.7 and in Python 3."""

    name: Kind = "any"

    def text_blocks(self, array: ArrayLayout) -> int:
        """Blocks that a row is divided into."""
        return _Text.of(array).blocks

    def lay(self, stream: op.Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out arrays that are made empty and put together from text, piece by piece."""
        functions = ("empty", "array", "ndarray", "multiply", "bitwise_and", "bitwise_or")
        *slots, places, high_bits, text, piece, first_array = range(len(functions) + 5)
        empty, array_of, ndarray, multiply, bitwise_and, bitwise_or = map(op.get, slots)
        for slot, function in zip(slots, functions, strict=True):
            stream.put(op.keep(slot, op.global_name("numpy", function)))
        stream.put(op.MARK)
        for slot, array in enumerate(arrays, start=first_array):
            stream.put(op.call(empty, op.tuple_of(*array.shape), op.FLOAT32), op.put(slot))
            form = _Text.of(array)
            word, mask = op.string(form.word.str), op.long(int(form.high_bits))
            column = op.MARK + b"".join(map(op.tuple_of, form.places[:, 0].tolist())) + op.TUPLE
            stream.put(op.keep(places, op.call(array_of, column, word)))
            stream.put(op.keep(high_bits, op.call(array_of, mask, word)))
            stored = array.row_bytes + form.block_bytes
            strides = op.tuple_of(stored, form.block_bytes, form.word.itemsize)
            for first, rows in piece_rows(array):
                # NumPy makes a string into an array in every version, in Python 3 by encoding it.
                length = rows * stored
                stream.put(array_of, op.text(length))
                array.leave(stream, first, rows, length)
                stream.put(op.string(f"S{length}"), op.CALL2, op.put(text), op.POP)
                # The rows' place in the array.
                shape = op.tuple_of(rows, form.blocks, form.words)
                start = op.long(first * array.row_bytes)
                stream.put(op.keep(piece, op.call(ndarray, shape, word, op.get(slot), start)))
                data, source = op.get(piece), op.get(text)
                # The last block of each row, for all its blocks.
                one, behind = op.tuple_of(rows, 1, form.words), op.ints(array.row_bytes)
                last = op.call(ndarray, one, word, source, behind, strides)
                stream.put(op.do(op.call(multiply, last, op.get(places), data)))
                stream.put(op.do(op.call(bitwise_and, data, op.get(high_bits), data)))
                # The other blocks.
                others = op.call(ndarray, shape, word, source, op.ints(0), strides)
                stream.put(op.do(op.call(bitwise_or, data, others, data)))
        stream.put(op.TUPLE)

    def encode(self, array: ArrayLayout, rows: NDArray[np.float32]) -> bytes:
        """Encode rows of an array as they are in the file."""
        form = _Text.of(array)
        text = np.empty((len(rows), form.blocks + 1, form.words), form.word)
        low, high = np.split(text, [form.blocks], axis=1)
        data = np.ascontiguousarray(rows, DTYPE).reshape(-1).view(form.word).reshape(low.shape)
        np.bitwise_and(data, ~form.high_bits, low)
        high_bits = (data & form.high_bits) // form.places
        np.bitwise_or.reduce(high_bits, axis=1, out=high, keepdims=True)
        return text.tobytes()

    def decode(self, array: ArrayLayout, data: bytes, out: NDArray[np.float32]) -> None:
        """Decode rows of an array; `out` is C-contiguous."""
        if not data.isascii():
            raise ValueError("not text with seven bits per byte")
        form = _Text.of(array)
        text = np.frombuffer(data, form.word).reshape(len(out), form.blocks + 1, form.words)
        low, high = np.split(text, [form.blocks], axis=1)
        words = out.reshape(-1).view(form.word).reshape(low.shape)
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

    #: At least 6 divides an image's 12 bytes per pixel, and 4 the 8 bytes of a pair of labels. The
    #: more blocks, the shorter the text; there is room for the high bits of seven.
    blocks: int
    #: In a block.
    words: int
    word: np.dtype[Any]

    @classmethod
    def of(cls, array: ArrayLayout) -> _Text:
        blocks = next(blocks for blocks in (7, 6, 4) if array.row_bytes % blocks == 0)
        length = array.row_bytes // blocks
        size = next(size for size in (8, 4, 2) if length % size == 0)
        return cls(blocks, length // size, np.dtype(f"<u{size}"))

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return self.words * self.word.itemsize

    @property
    def high_bits(self) -> NDArray[Any]:
        """The high bits of a word's bytes."""
        return np.array(int.from_bytes(b"\x80" * self.word.itemsize, "little"), self.word)

    @property
    def places(self) -> NDArray[Any]:
        """Factors that shift each block's bits in the last block to where the high bits belong."""
        return np.array([[2 << block] for block in range(self.blocks)], self.word)
