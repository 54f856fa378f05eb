"""The opcodes of kind `small`: what is called, where it is kept, and views of memory."""

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
    """What the pickle calls, and the slots of the memo that keep it: all of NumPy but the last."""

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
        """Push what it returns."""
        return call(get(self), *arguments)


#: Slots for constants, for what a text becomes, for the taps of all crops of a part (see `taps`),
#: for buffers and views of them (see `scratch`), for a photograph, and, last, for the four arrays.
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

#: Does not matter, as no place is outside; but to check that, NumPy would copy the output.
CLIP = string("clip")


def view(
    shape: tuple[int, ...],
    dtype: bytes,
    slot: int,
    offset: int = 0,
    strides: tuple[int, ...] | None = None,
) -> bytes:
    """Push an array that shares the memory of what is in a slot; offset and strides in bytes."""
    before, after = _around_offset(shape, dtype, slot, strides)
    return before + ints(offset) + after


@lru_cache(1 << 10)
def _around_offset(
    shape: tuple[int, ...], dtype: bytes, slot: int, strides: tuple[int, ...] | None
) -> tuple[bytes, bytes]:
    """Return what `_view` has before and behind its offset, the same again and again."""
    layout = b"" if strides is None else tuple_of(*strides)
    before = b"".join([get(Function.ndarray), MARK, tuple_of(*shape), dtype, get(slot)])
    return before, layout + TUPLE + CALL
