"""Kind `small`: compressed photographs and their crops, which NumPy renders while it loads them.

This module has the opcodes; `small_files` writes and reads the files. docs/format.md explains them.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import Counts
from headpose_fast.bundle.opcodes import (
    CALL,
    CALL2,
    MARK,
    POP,
    STOP,
    TUPLE,
    call,
    floating,
    get,
    global_name,
    ints,
    long,
    put,
    string,
    tuple_of,
)

NAME = "small"

#: What the pickle calls, and the slots of the memo that keep it: all of NumPy but the last.
_Function = IntEnum(
    "_Function",
    "array ndarray empty zeros arange tile repeat take amax cumsum add subtract multiply "
    "true_divide floor minimum maximum less greater_equal bitwise_and bitwise_or decompress",
    start=0,
)

#: Slots for constants, for what a text becomes, for the taps of all crops of a part (see `taps`),
#: for buffers and views of them (see `scratch`), for a photograph, and, last, for the four arrays.
_Slot = IntEnum(
    "_Slot",
    "HIGH_BITS MULTIPLIERS BYTE NEXT SIGN ONE TEXT DATA "
    "CROPS ACROSS LAST COORDINATE FLOORED FAR_WEIGHT COLUMNS NEAR_ACROSS FAR_ACROSS ROWS DOWN "
    "PLANES GREEN VALUES PLACES NEAR FAR "
    "PLACES_OF_FULL NEAR_OF_FULL FAR_OF_FULL UPPER_OF_FULL LOWER_OF_FULL "
    "PLACES_OF_REST NEAR_OF_REST FAR_OF_REST UPPER_OF_REST LOWER_OF_REST "
    "VALUES_AT VALUES_BESIDE FIRST_ARRAY",
    start=len(_Function),
)

#: Bytes of samples that are made at once: more is slower, as it leaves the processor's cache.
_GROUP_BYTES = 1 << 19

#: Bytes of text are a multiple of this: eight blocks of words of eight bytes.
TEXT_UNIT = 64


def sizes_of(crops: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Width and height of what is stored of each photograph: (photographs, 2).

    Args:
        crops: (photographs, passes, 4), relative to what is stored, so that some begin at 0.

    """
    sizes: NDArray[np.int32] = (crops[..., :2] + crops[..., 2:]).max(axis=1)
    return sizes.astype(np.uint64)


class SmallPickle(NamedTuple):
    """The opcodes of a file, piece by piece."""

    counts: Counts
    #: Photographs to train with, and to test with.
    photographs: tuple[int, int]

    def start(self) -> bytes:
        """Begin the file: what a reader must know, names and constants."""
        header = f"headpose-fast 1 {NAME} {' '.join(map(str, self.counts))}"
        photographs = " ".join(map(str, self.photographs))
        high_bits = int.from_bytes(b"\x80" * 8, "little")
        columns = b"".join(tuple_of(2 << block) for block in range(7))
        return b"".join(
            [
                *(b"\x80\x02", string(header), POP, string(photographs), POP),
                *(_keep(slot, global_name(_module(slot), slot.name)) for slot in _Function),
                _keep(_Slot.HIGH_BITS, _call(_Function.array, long(high_bits), _U8)),
                _keep(_Slot.MULTIPLIERS, _call(_Function.array, MARK + columns + TUPLE, _U8)),
                _keep(_Slot.BYTE, _call(_Function.array, tuple_of(255), _F4)),
                _keep(
                    _Slot.NEXT,
                    _call(_Function.array, MARK + tuple_of(0) + tuple_of(1) + TUPLE, _F4),
                ),
                _keep(
                    _Slot.SIGN,
                    _call(_Function.array, MARK + tuple_of(-1) + tuple_of(1) + TUPLE, _F4),
                ),
                _keep(
                    _Slot.ONE, _call(_Function.array, MARK + tuple_of(1) + tuple_of(0) + TUPLE, _F4)
                ),
            ]
        )

    def before_text(self, length: int) -> bytes:
        """Stand before so many bytes of text."""
        # NumPy makes a string into an array in every version, in Python 3 by encoding it.
        return get(_Function.array) + b"T" + struct.pack("<i", length)

    def after_text(self, length: int) -> bytes:
        """Stand behind them: make them bytes again."""
        words = length // TEXT_UNIT
        last = _view((1, words), _U8, _Slot.TEXT, 56 * words)
        return b"".join(
            [
                *(string(f"S{length}"), CALL2, put(_Slot.TEXT), POP),
                _keep(_Slot.DATA, _call(_Function.multiply, last, get(_Slot.MULTIPLIERS))),
                _do(_Function.bitwise_and, get(_Slot.DATA), get(_Slot.HIGH_BITS), get(_Slot.DATA)),
                _do(
                    _Function.bitwise_or,
                    get(_Slot.DATA),
                    _view((7, words), _U8, _Slot.TEXT),
                    get(_Slot.DATA),
                ),
            ]
        )

    def labels(self, part: int) -> bytes:
        """Make the labels of a part from data, and its images, which are still empty."""
        shapes, photographs = self.counts.shapes(), self.photographs[part]
        passes = self.counts[part] // photographs
        once = _view((photographs, 2), _F4, _Slot.DATA)
        return _keep(
            _Slot.FIRST_ARRAY + 2 + part, _call(_Function.tile, once, tuple_of(passes, 1))
        ) + _keep(_Slot.FIRST_ARRAY + part, _call(_Function.empty, tuple_of(*shapes[part]), _F4))

    def taps(self, part: int) -> bytes:
        """Find from data, for all crops of a part, which pixels become a sample's and how.

        This is the arithmetic of `rust/taps.rs`. Along x, `COLUMNS` has the left pixel's column in
        its photograph, and there is always one to the right of it, if of no weight. Along y, `ROWS`
        has where the upper and the lower row begin, and `DOWN` their weights.
        """
        photographs, (_, _, height, width) = self.photographs[part], self.counts
        crops = self.counts[part]
        one, zero = floating(1.0), floating(0.0)

        def column(index: int, *, deep: bool = False) -> bytes:
            shape, strides = ((crops, 1, 1), (32, 8, 8)) if deep else ((crops, 1), (32, 8))
            return _view(shape, _F8, _Slot.CROPS, 8 * index, strides)

        def coordinates(index: int, size: int) -> bytes:
            """Of the output's pixels in a crop, their floors, and the weights of what follows."""
            centres = _call(_Function.arange, floating(0.5), floating(size))
            scale = _call(_Function.true_divide, column(index), floating(size))
            places = _call(
                _Function.subtract, _call(_Function.multiply, centres, scale), floating(0.5)
            )
            return b"".join(
                [
                    _keep(_Slot.COORDINATE, _call(_Function.array, places, _F4)),
                    _keep(_Slot.FLOORED, _call(_Function.floor, get(_Slot.COORDINATE))),
                    _keep(
                        _Slot.FAR_WEIGHT,
                        _call(_Function.subtract, get(_Slot.COORDINATE), get(_Slot.FLOORED)),
                    ),
                    _keep(_Slot.LAST, _call(_Function.subtract, column(index), one)),
                ]
            )

        def clamped(pixels: bytes, last: bytes) -> bytes:
            return _call(_Function.minimum, _call(_Function.maximum, pixels, zero), last)

        right = _call(_Function.add, column(0), column(2))
        right = _call(
            *(
                _Function.amax,
                _call(_Function.ndarray, tuple_of(photographs, crops // photographs), _F8, right),
            ),
            ints(1),
        )
        across = _call(_Function.repeat, right, ints(crops // photographs))
        inside = _call(
            *(_Function.multiply, _call(_Function.greater_equal, get(_Slot.FLOORED), zero)),
            _call(_Function.less, get(_Slot.FLOORED), get(_Slot.LAST)),
        )
        columns = _call(_Function.add, clamped(get(_Slot.FLOORED), get(_Slot.LAST)), column(0))
        down = _view((crops, 1, height), _F4, _Slot.FAR_WEIGHT)
        upper_and_lower = _call(
            _Function.add, _view((crops, 1, height), _F4, _Slot.FLOORED), get(_Slot.NEXT)
        )
        rows = clamped(upper_and_lower, _view((crops, 1, 1), _F8, _Slot.LAST))
        rows = _call(_Function.add, rows, column(1, deep=True))
        rows = _call(_Function.multiply, rows, _view((crops, 1, 1), _F8, _Slot.ACROSS))
        return b"".join(
            [
                _keep(_Slot.CROPS, _call(_Function.array, _view((crops, 4), _U2, _Slot.DATA), _F8)),
                _keep(_Slot.ACROSS, across),
                coordinates(2, width),
                _keep(_Slot.FAR_ACROSS, _call(_Function.multiply, get(_Slot.FAR_WEIGHT), inside)),
                _keep(_Slot.NEAR_ACROSS, _call(_Function.subtract, one, get(_Slot.FAR_ACROSS))),
                _keep(_Slot.COLUMNS, _call(_Function.array, columns, _I8)),
                coordinates(3, height),
                _keep(
                    _Slot.DOWN,
                    _call(
                        _Function.add,
                        _call(_Function.multiply, down, get(_Slot.SIGN)),
                        get(_Slot.ONE),
                    ),
                ),
                _keep(_Slot.ROWS, _call(_Function.array, rows, _I8)),
            ]
        )

    def scratch(self, part: int, most_pixels: int) -> bytes:
        """Make the buffers that all photographs of a part use, the largest with so many pixels.

        Made anew for each of them they would cost more time than what they are needed for.
        """
        _, _, height, width = self.counts
        plane = 4 * height * width
        full, rest = self._groups(part)
        ops = [
            _keep(_Slot.PLANES, _call(_Function.empty, ints(3 * most_pixels), _U1)),
            _keep(_Slot.GREEN, _call(_Function.empty, ints(most_pixels), _U1)),
            # A value more, for what is right of the last pixel.
            _keep(_Slot.VALUES, _call(_Function.zeros, ints(3 * most_pixels + 1), _F4)),
            _keep(_Slot.PLACES, _call(_Function.empty, tuple_of(full, 2, height, width), _I8)),
            _keep(_Slot.NEAR, _call(_Function.empty, tuple_of(3, full, 2, height, width), _F4)),
            _keep(_Slot.FAR, _call(_Function.empty, tuple_of(3, full, 2, height, width), _F4)),
        ]
        for first, passes in ((_Slot.PLACES_OF_FULL, full), (_Slot.PLACES_OF_REST, rest)):
            both, one = (3, passes, 2, height, width), (3, passes, height, width)
            strides = (2 * passes * plane, 2 * plane, 4 * width, 4)
            views = (
                _view((passes, 2, height, width), _I8, _Slot.PLACES),
                _view(both, _F4, _Slot.NEAR),
                _view(both, _F4, _Slot.FAR),
                _view(one, _F4, _Slot.NEAR, 0, strides),
                _view(one, _F4, _Slot.NEAR, plane, strides),
            )
            ops += [_keep(slot, view) for slot, view in enumerate(views, start=first)]
        return b"".join(ops)

    def _groups(self, part: int) -> tuple[int, int]:
        """Passes that are rendered at once, and how many of them are left at the end."""
        passes = self.counts[part] // self.photographs[part]
        sample = self.counts.height * self.counts.width * 12
        groups = -(-passes * sample // max(sample, _GROUP_BYTES))
        full = -(-passes // groups)
        return full, passes % full or full

    def photograph(self, part: int, number: int, crops: NDArray[np.int32]) -> bytes:
        """Render the crops of a photograph, which data has compressed."""
        passes = len(crops)
        full, rest = self._groups(part)
        ((width, height),) = sizes_of(crops[np.newaxis]).tolist()
        double = [2 * self.counts.width, 2 * self.counts.height]
        return b"".join(
            [
                _decompress(width, height),
                *(self._render(part, number, k, full) for k in range(0, passes - rest, full)),
                self._render(part, number, passes - rest, rest),
                *(
                    self._halve(part, number + k * self.photographs[part], crop, (width, height))
                    for k, crop in enumerate(crops.tolist())
                    if crop[2:] == double
                ),
            ]
        )

    def _render(self, part: int, number: int, first: int, passes: int) -> bytes:
        """Render some passes of a photograph."""
        _, _, height, width = self.counts
        photographs = self.photographs[part]
        crop = number * (self.counts[part] // photographs) + first
        plane = 4 * height * width
        full, _ = self._groups(part)
        views = _Slot.PLACES_OF_FULL if passes == full else _Slot.PLACES_OF_REST
        places, near, far, upper, lower = (get(views + i) for i in range(5))
        one = ints(1)
        near_weights, far_weights = (
            _view((passes, 1, 1, width), _F4, slot, 4 * crop * width)
            for slot in (_Slot.NEAR_ACROSS, _Slot.FAR_ACROSS)
        )
        samples = _view(
            (3, passes, height, width),
            _F4,
            _Slot.FIRST_ARRAY + part,
            (first * photographs + number) * 3 * plane,
            (plane, photographs * 3 * plane, 4 * width, 4),
        )
        return b"".join(
            [
                _do(
                    _Function.add,
                    _view((passes, 2, height, 1), _I8, _Slot.ROWS, 16 * crop * height),
                    _view((passes, 1, 1, width), _I8, _Slot.COLUMNS, 8 * crop * width),
                    places,
                ),
                _do(_Function.take, get(_Slot.VALUES_AT), places, one, near, _CLIP),
                _do(_Function.take, get(_Slot.VALUES_BESIDE), places, one, far, _CLIP),
                _do(_Function.multiply, near, near_weights, near),
                _do(_Function.multiply, far, far_weights, far),
                _do(_Function.add, near, far, near),
                _do(
                    _Function.multiply,
                    near,
                    _view((passes, 2, height, 1), _F4, _Slot.DOWN, 8 * crop * height),
                    near,
                ),
                _do(_Function.add, upper, lower, samples),
            ]
        )

    def _halve(self, part: int, row: int, crop: list[int], picture: tuple[int, int]) -> bytes:
        """Render a crop of exactly twice the size of a sample again, as its average."""
        (x, y, *_), (across, down) = crop, picture
        shape = (3, self.counts.height, self.counts.width)
        plane = 4 * self.counts.height * self.counts.width
        out = _view(
            *(
                shape,
                _F4,
                _Slot.FIRST_ARRAY + part,
                3 * plane * row,
                (plane, 4 * self.counts.width, 4),
            )
        )
        first, *others = (
            _view(
                *(shape, _F4, _Slot.VALUES, 4 * ((y + below) * across + x + right)),
                (4 * across * down, 8 * across, 8),
            )
            for below in (0, 1)
            for right in (0, 1)
        )
        return b"".join(
            [
                _do(_Function.add, first, others[0], out),
                _do(_Function.add, out, others[1], out),
                _do(_Function.add, out, others[2], out),
                _do(_Function.multiply, out, floating(0.25), out),
            ]
        )

    def end(self) -> bytes:
        """Leave the tuple of the arrays."""
        arrays = (get(_Slot.FIRST_ARRAY + i) for i in range(4))
        return b"".join([MARK, *arrays, TUPLE, STOP])


_U2, _F4, _F8, _I8, _U8 = map(string, ("<u2", "<f4", "<f8", "<i8", "<u8"))
_U1 = string("u1")
#: Does not matter, as no place is outside; but to check that, NumPy would copy the output.
_CLIP = string("clip")


def _module(function: _Function) -> str:
    return "zlib" if function is _Function.decompress else "numpy"


def _call(function: int, *arguments: bytes) -> bytes:
    """Push what the function in a slot returns."""
    return call(get(function), *arguments)


def _keep(slot: int, value: bytes) -> bytes:
    """Keep a value in a slot, and not on the stack."""
    return value + put(slot) + POP


def _do(function: int, *arguments: bytes) -> bytes:
    """Call a function for what it writes."""
    return _call(function, *arguments) + POP


def _view(
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
    before = b"".join([get(_Function.ndarray), MARK, tuple_of(*shape), dtype, get(slot)])
    return before, layout + TUPLE + CALL


def _decompress(width: int, height: int) -> bytes:
    """Make the values of a photograph's pixels from data: planes blue, green, red of float32."""
    plane = width * height
    picture, pair = (3, height, width), (2, height, width)
    inflated = _call(_Function.decompress, get(_Slot.DATA), ints(15), ints(3 * plane))
    planes = _view(picture, _U1, _Slot.PLANES)
    blue_and_red = _view(pair, _U1, _Slot.PLANES, 0, (2 * plane, width, 1))
    green = _view((height, width), _U1, _Slot.GREEN)
    return b"".join(
        [
            _do(
                _Function.cumsum,
                _call(_Function.ndarray, tuple_of(*picture), _U1, inflated),
                ints(1),
                _U1,
                planes,
            ),
            _do(
                _Function.cumsum,
                _view((height, width), _U1, _Slot.PLANES, plane),
                ints(1),
                _U1,
                green,
            ),
            _do(_Function.add, blue_and_red, green, blue_and_red),
            _do(
                _Function.true_divide,
                blue_and_red,
                get(_Slot.BYTE),
                _view(pair, _F4, _Slot.VALUES, 0, (8 * plane, 4 * width, 4)),
            ),
            _do(
                _Function.true_divide,
                green,
                get(_Slot.BYTE),
                _view((height, width), _F4, _Slot.VALUES, 4 * plane),
            ),
            _keep(_Slot.VALUES_AT, _view((3, plane), _F4, _Slot.VALUES)),
            _keep(_Slot.VALUES_BESIDE, _view((3, plane), _F4, _Slot.VALUES, 4)),
        ]
    )
