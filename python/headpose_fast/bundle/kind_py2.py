"""Kind `py2`: array data in raw strings, which Python 2 takes as they are."""

import struct

from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.opcodes import (
    BUILD,
    CALL2,
    CALL3,
    FALSE,
    FLOAT32,
    MARK,
    POP,
    TUPLE,
    Stream,
    float32_dtype,
    get,
    global_name,
    ints,
    put,
    tuple_of,
)
from headpose_fast.bundle.placed import ArrayLayout, Piece, PlacedKind, piece_rows


class Python2(PlacedKind):
    """Loads bare in Python 2.7, and in Python 3 with `encoding="latin1"`."""

    name: Kind = "py2"

    def lay(self, stream: Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out arrays that are made empty and filled with small arrays.

        Each is made by its state, which Python 2 takes as it is. Python 3 with `encoding="latin1"`
        makes it a `str`, which an array's state may be (but a buffer may not).
        """
        functions = (
            global_name("numpy", "empty"),
            global_name("numpy", "ndarray"),
            global_name("operator", "setitem"),
            global_name("__builtin__", "slice"),
            float32_dtype(),
        )
        *slots, first_array = range(len(functions) + 1)
        empty, ndarray, setitem, slice_of, dtype = map(get, slots)
        for slot, function in zip(slots, functions, strict=True):
            stream.put(function, put(slot), POP)
        stream.put(MARK)
        for slot, array in enumerate(arrays, start=first_array):
            stream.put(empty, tuple_of(*array.shape), FLOAT32, CALL2, put(slot))
            for first, rows in piece_rows(array):
                length = rows * array.row_bytes
                stream.put(setitem, get(slot), slice_of, ints(first, first + rows), CALL2)
                stream.put(ndarray, tuple_of(0), FLOAT32, CALL2)
                stream.put(MARK, ints(1), tuple_of(rows, *array.shape[1:]), dtype, FALSE)
                stream.put(b"T", struct.pack("<i", length))
                array.pieces.append(Piece(first, rows, stream.leave(length), length))
                stream.put(TUPLE, BUILD, CALL3, POP)
        stream.put(TUPLE)
