"""Kind `py3`: each array's data in one aligned string of bytes, which can be mapped."""

import mmap
import struct
from typing import IO

import numpy as np

from headpose_fast.bundle import opcodes as op
from headpose_fast.bundle.arrays import DTYPE, Bundle
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.placed import ArrayLayout, PlacedKind

#: Array data begins at a multiple of this many bytes, for programs that map the file.
_ALIGNMENT = 64


class Python3(PlacedKind):
    """Loads bare in Python 3."""

    name: Kind = "py3"
    protocol = 4

    def lay(self, stream: op.Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out arrays whose data is one aligned string of bytes each, as in NumPy's pickles."""
        stream.put(op.MARK)
        for array in arrays:
            length = array.shape[0] * array.row_bytes
            ndarray, dtype = op.global_name("numpy", "ndarray"), op.float32_dtype()
            stream.put(op.array_state(ndarray, dtype, *array.shape))
            # A dropped string fills up to the alignment: C length ... 0, then 8e and 8 bytes.
            fill = -(stream.tell() + 3 + 9) % _ALIGNMENT
            stream.put(b"C", bytes([fill]), bytes(fill), op.POP, b"\x8e", struct.pack("<Q", length))
            array.leave(stream, 0, array.shape[0], length)
            stream.put(op.TUPLE, op.BUILD)
        stream.put(op.TUPLE)

    def mapped(self, file: IO[bytes], arrays: tuple[ArrayLayout, ...]) -> Bundle:
        """Map the arrays of a file, copy-on-write: changes to them stay in memory."""
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        views = (np.ndarray(a.shape, DTYPE, content, a.pieces[0].offset) for a in arrays)
        return Bundle(*views)
