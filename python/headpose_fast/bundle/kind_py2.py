"""Kind `py2`: array data in raw strings, which Python 2 takes as they are."""

from headpose_fast.bundle import opcodes as op
from headpose_fast.bundle.kinds import Kind
from headpose_fast.bundle.placed import ArrayLayout, PlacedKind, piece_rows


class Python2(PlacedKind):
    """Loads bare in Python 2.7, and in Python 3 with `encoding="latin1"`."""

    name: Kind = "py2"

    def lay(self, stream: op.Stream, arrays: tuple[ArrayLayout, ...]) -> None:
        """Lay out arrays that are made empty and filled with small arrays.

        Each is made by its state, which Python 2 takes as it is. Python 3 with `encoding="latin1"`
        makes it a `str`, which an array's state may be (but a buffer may not).
        """
        functions = (
            op.global_name("numpy", "empty"),
            op.global_name("numpy", "ndarray"),
            op.global_name("operator", "setitem"),
            op.global_name("__builtin__", "slice"),
            op.float32_dtype(),
        )
        *slots, first_array = range(len(functions) + 1)
        empty, ndarray, setitem, slice_of, dtype = map(op.get, slots)
        stream.put(*map(op.keep, slots, functions), op.MARK)
        for slot, array in enumerate(arrays, start=first_array):
            stream.put(op.call(empty, op.tuple_of(*array.shape), op.FLOAT32), op.put(slot))
            for first, rows in piece_rows(array):
                length = rows * array.row_bytes
                stream.put(
                    setitem, op.get(slot), op.call(slice_of, op.ints(first), op.ints(first + rows))
                )
                stream.put(op.array_state(ndarray, dtype, rows, *array.shape[1:]), op.text(length))
                array.leave(stream, first, rows, length)
                stream.put(op.TUPLE, op.BUILD, op.CALL3, op.POP)
        stream.put(op.TUPLE)
