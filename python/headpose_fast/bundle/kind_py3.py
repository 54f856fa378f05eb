"""Kind `py3`: each array's data in one aligned string of bytes, which can be mapped."""

import math
import mmap
import struct
from typing import IO

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import DTYPE, Bundle
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.opcodes import (
    BUILD,
    CALL2,
    FALSE,
    FLOAT32,
    MARK,
    POP,
    TUPLE,
    Stream,
    float32_dtype,
    global_name,
    ints,
    tuple_of,
)
from headpose_fast.bundle.placed import ArrayLayout, Layout, Piece, PlacedKind

#: Array data begins at a multiple of this many bytes, for programs that map the file.
_ALIGNMENT = 64


class Python3(PlacedKind):
    """Loads bare in Python 3."""

    name: Kind = "py3"
    protocol = 4

    def lay(self, stream: Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out arrays whose data is one aligned string of bytes each, as in NumPy's pickles."""
        stream.put(MARK)
        for array in arrays:
            length = array.shape[0] * array.row_bytes
            stream.put(global_name("numpy", "ndarray"), tuple_of(0), FLOAT32, CALL2)
            stream.put(MARK, ints(1), tuple_of(*array.shape), float32_dtype(), FALSE)
            # A dropped string fills up to the alignment: C length ... 0, then 8e and 8 bytes.
            fill = -(stream.tell() + 3 + 9) % _ALIGNMENT
            stream.put(b"C", bytes([fill]), bytes(fill), POP, b"\x8e", struct.pack("<Q", length))
            array.pieces.append(Piece(0, array.shape[0], stream.leave(length), length))
            stream.put(TUPLE, BUILD)
        stream.put(TUPLE)

    def mapped(self, file: IO[bytes], layout: Layout) -> Bundle:
        """Map the arrays of a file, copy-on-write: changes to them stay in memory."""
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return Bundle(*(_view(content, array) for array in layout.arrays))


def _view(mapped: mmap.mmap, array: ArrayLayout) -> NDArray[np.float32]:
    values = math.prod(array.shape)
    return np.frombuffer(mapped, DTYPE, values, array.pieces[0].offset).reshape(array.shape)
