"""The opcodes of kind `small`: the functions called, the memo's slots, and views of memory."""

from enum import IntEnum
from functools import lru_cache

from headpose_fast.bundle.opcodes import (
    CALL,
    MARK,
    TUPLE,
    call,
    get,
    global_name,
    ints,
    string,
    tuple_of,
)


class Function(IntEnum):
    """The functions that the pickle calls, and their slots: all of NumPy, except the last."""

    array = 0
    ndarray = 1
    empty = 2
    zeros = 3
    arange = 4
    tile = 5
    repeat = 6
    take = 7
    amax = 8
    cumsum = 9
    add = 10
    subtract = 11
    multiply = 12
    true_divide = 13
    floor = 14
    minimum = 15
    maximum = 16
    less = 17
    greater_equal = 18
    bitwise_and = 19
    bitwise_or = 20
    decompress = 21

    @property
    def opcodes(self) -> bytes:
        """Push the function itself."""
        return global_name("zlib" if self is Function.decompress else "numpy", self.name)

    def __call__(self, *arguments: bytes) -> bytes:
        """Push its result."""
        return call(get(self), *arguments)


#: Slots for constants, for a text and its data, for the taps of all crops of a part, for buffers
#: and views of them, for a photograph, and, last, for the four arrays.
Slot = IntEnum(
    "Slot",
    "HIGH_BITS MULTIPLIERS BYTE NEXT SIGN ONE TEXT DATA "
    "CROPS ACROSS LAST COORDINATE FLOORED FAR_WEIGHT COLUMNS NEAR_ACROSS FAR_ACROSS ROWS DOWN "
    "PLANES GREEN VALUES PLACES NEAR FAR "
    "PLACES_OF_FULL NEAR_OF_FULL FAR_OF_FULL UPPER_OF_FULL LOWER_OF_FULL "
    "PLACES_OF_REST NEAR_OF_REST FAR_OF_REST UPPER_OF_REST LOWER_OF_REST "
    "VALUES_AT VALUES_BESIDE FIRST_ARRAY",
    start=len(Function),
)

U2, F4, F8, I8, U8 = map(string, ("<u2", "<f4", "<f8", "<i8", "<u8"))
U1 = string("u1")

#: Makes no difference, since no index is out of range; but otherwise NumPy would copy the output.
CLIP = string("clip")


def view(
    shape: tuple[int, ...],
    dtype: bytes,
    slot: int,
    offset: int = 0,
    strides: tuple[int, ...] | None = None,
) -> bytes:
    """Push an array that shares the memory of a slot's content; offset and strides in bytes."""
    before, after = _around_offset(shape, dtype, slot, strides)
    return before + ints(offset) + after


@lru_cache(1 << 10)
def _around_offset(
    shape: tuple[int, ...], dtype: bytes, slot: int, strides: tuple[int, ...] | None
) -> tuple[bytes, bytes]:
    """Return the opcodes of `view` before and after the offset, which repeat again and again."""
    layout = b"" if strides is None else tuple_of(*strides)
    before = b"".join([get(Function.ndarray), MARK, tuple_of(*shape), dtype, get(slot)])
    return before, layout + TUPLE + CALL
