"""Kind `small`: compressed photographs and their crops, which NumPy renders as it loads them.

This module has the opcodes, in the order of the file. `small_files` and `small_reading` write and
read them. docs/format.md explains them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.bundle.arrays import Counts
from headpose_fast.bundle.opcodes import (
    CALL2,
    MARK,
    POP,
    STOP,
    TUPLE,
    do,
    floating,
    get,
    ints,
    keep,
    long,
    put,
    string,
    text,
    tuple_of,
)
from headpose_fast.bundle.small_opcodes import (
    CLIP,
    F4,
    F8,
    I8,
    U1,
    U2,
    U8,
    Function,
    Slot,
    view,
)

NAME = "small"

#: Bytes of samples to render at once: more is slower, since it does not fit in the cache.
_GROUP_BYTES = 1 << 19

#: Bytes of text are a multiple of this: eight blocks of words of eight bytes.
TEXT_UNIT = 64

_ZERO, _HALF, _ONE = map(floating, (0.0, 0.5, 1.0))


def sizes_of(crops: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Width and height of the stored part of each photograph: (photographs, 2).

    Args:
        crops: (photographs, passes, 4), relative to the stored part, so some begin at 0.

    """
    sizes: NDArray[np.int32] = (crops[..., :2] + crops[..., 2:]).max(axis=1)
    return sizes.astype(np.uint64)


class SmallPickle(NamedTuple):
    """The opcodes of a file, piece by piece."""

    counts: Counts
    #: Numbers of training and test photographs.
    photographs: tuple[int, int]

    def passes(self, part: int) -> int:
        """Samples of each photograph of a part."""
        return self.counts[part] // self.photographs[part]

    def start(self) -> bytes:
        """The beginning of the file: what a reader must know, functions and constants."""
        header = f"headpose-fast 1 {NAME} {' '.join(map(str, self.counts))}"
        photographs = " ".join(map(str, self.photographs))
        high_bits = long(int.from_bytes(b"\x80" * 8, "little"))
        return b"".join(
            [
                *(b"\x80\x02", string(header), POP, string(photographs), POP),
                *(keep(function, function.opcodes) for function in Function),
                keep(Slot.HIGH_BITS, Function.array(high_bits, U8)),
                keep(Slot.MULTIPLIERS, _column(U8, *(2 << block for block in range(7)))),
                keep(Slot.BYTE, Function.array(tuple_of(255), F4)),
                keep(Slot.NEXT, _column(F4, 0, 1)),
                keep(Slot.SIGN, _column(F4, -1, 1)),
                keep(Slot.ONE, _column(F4, 1, 0)),
            ]
        )

    def before_text(self, length: int) -> bytes:
        """The opcodes before a text of this many bytes."""
        # NumPy makes a string into an array in every version, in Python 3 by encoding it.
        return get(Function.array) + text(length)

    def after_text(self, length: int) -> bytes:
        """The opcodes after it, which turn it back into bytes."""
        words, data = length // TEXT_UNIT, get(Slot.DATA)
        last = view((1, words), U8, Slot.TEXT, 56 * words)
        others = view((7, words), U8, Slot.TEXT)
        return b"".join(
            [
                *(string(f"S{length}"), CALL2, put(Slot.TEXT), POP),
                keep(Slot.DATA, Function.multiply(last, get(Slot.MULTIPLIERS))),
                do(Function.bitwise_and(data, get(Slot.HIGH_BITS), data)),
                do(Function.bitwise_or(data, others, data)),
            ]
        )

    def labels(self, part: int) -> bytes:
        """Make the labels of a part from the data, and empty arrays for its images."""
        shape = self.counts.shapes()[part]
        once = view((self.photographs[part], 2), F4, Slot.DATA)
        labels = Function.tile(once, tuple_of(self.passes(part), 1))
        images = Function.empty(tuple_of(*shape), F4)
        return keep(Slot.FIRST_ARRAY + 2 + part, labels) + keep(Slot.FIRST_ARRAY + part, images)

    def crops(self, part: int, most_pixels: int) -> bytes:
        """Compute from the data how to resize all crops of a part, and make the buffers for it.

        `most_pixels` is the number of pixels of the largest photograph of the part. The arithmetic
        is that of `rust/taps.rs`.
        """
        crops = self.counts[part]
        by_photograph = tuple_of(self.photographs[part], self.passes(part))
        right = Function.add(_of_crops(crops, 0), _of_crops(crops, 2))
        widths = Function.amax(Function.ndarray(by_photograph, F8, right), ints(1))
        return b"".join(
            [
                keep(Slot.CROPS, Function.array(view((crops, 4), U2, Slot.DATA), F8)),
                keep(Slot.ACROSS, Function.repeat(widths, ints(self.passes(part)))),
                _columns(crops, self.counts.width),
                _rows(crops, self.counts.height),
                self._buffers(part, most_pixels),
            ]
        )

    def _buffers(self, part: int, most_pixels: int) -> bytes:
        """Make the buffers that all photographs of a part use, and views of them.

        Making them anew for each photograph would take half the rendering time.
        """
        _, _, height, width = self.counts
        plane = 4 * height * width
        full, rest = self._groups(part)
        ops = [
            keep(Slot.PLANES, Function.empty(ints(3 * most_pixels), U1)),
            keep(Slot.GREEN, Function.empty(ints(most_pixels), U1)),
            # One more value, for the neighbour right of the last pixel.
            keep(Slot.VALUES, Function.zeros(ints(3 * most_pixels + 1), F4)),
            keep(Slot.PLACES, Function.empty(tuple_of(full, 2, height, width), I8)),
            keep(Slot.NEAR, Function.empty(tuple_of(3, full, 2, height, width), F4)),
            keep(Slot.FAR, Function.empty(tuple_of(3, full, 2, height, width), F4)),
        ]
        for first, passes in ((Slot.PLACES_OF_FULL, full), (Slot.PLACES_OF_REST, rest)):
            both, one = (3, passes, 2, height, width), (3, passes, height, width)
            strides = (2 * passes * plane, 2 * plane, 4 * width, 4)
            views = (
                view((passes, 2, height, width), I8, Slot.PLACES),
                view(both, F4, Slot.NEAR),
                view(both, F4, Slot.FAR),
                view(one, F4, Slot.NEAR, 0, strides),
                view(one, F4, Slot.NEAR, plane, strides),
            )
            ops += [keep(slot, each) for slot, each in enumerate(views, start=first)]
        return b"".join(ops)

    def _groups(self, part: int) -> tuple[int, int]:
        """Number of passes to render at once, and of those left for the last time."""
        passes = self.passes(part)
        sample = 12 * self.counts.height * self.counts.width
        groups = -(-passes * sample // max(sample, _GROUP_BYTES))
        full = -(-passes // groups)
        return full, passes % full or full

    def photograph(self, part: int, number: int, crops: NDArray[np.int32]) -> bytes:
        """Render the crops of a photograph, whose compressed pixels are the data."""
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
        photographs, plane = self.photographs[part], 4 * height * width
        full, _ = self._groups(part)
        views = Slot.PLACES_OF_FULL if passes == full else Slot.PLACES_OF_REST
        places, near, far, upper, lower = (get(views + i) for i in range(5))
        crop = number * self.passes(part) + first
        rows = view((passes, 2, height, 1), I8, Slot.ROWS, 16 * crop * height)
        columns = view((passes, 1, 1, width), I8, Slot.COLUMNS, 8 * crop * width)
        near_weights, far_weights = (
            view((passes, 1, 1, width), F4, slot, 4 * crop * width)
            for slot in (Slot.NEAR_ACROSS, Slot.FAR_ACROSS)
        )
        down_weights = view((passes, 2, height, 1), F4, Slot.DOWN, 8 * crop * height)
        offset = 3 * plane * (first * photographs + number)
        strides = (plane, 3 * plane * photographs, 4 * width, 4)
        samples = view((3, passes, height, width), F4, Slot.FIRST_ARRAY + part, offset, strides)
        return b"".join(
            [
                do(Function.add(rows, columns, places)),
                do(Function.take(get(Slot.VALUES_AT), places, ints(1), near, CLIP)),
                do(Function.take(get(Slot.VALUES_BESIDE), places, ints(1), far, CLIP)),
                do(Function.multiply(near, near_weights, near)),
                do(Function.multiply(far, far_weights, far)),
                do(Function.add(near, far, near)),
                do(Function.multiply(near, down_weights, near)),
                do(Function.add(upper, lower, samples)),
            ]
        )

    def _halve(self, part: int, row: int, crop: list[int], picture: tuple[int, int]) -> bytes:
        """Render a crop of exactly twice the sample's size again, by averaging."""
        _, _, height, width = self.counts
        (x, y, *_), (across, down) = crop, picture
        shape, plane = (3, height, width), 4 * height * width
        image = Slot.FIRST_ARRAY + part
        out = view(shape, F4, image, 3 * plane * row, (plane, 4 * width, 4))
        places = [4 * ((y + below) * across + x + right) for below in (0, 1) for right in (0, 1)]
        strides = (4 * across * down, 8 * across, 8)
        first, second, third, fourth = (view(shape, F4, Slot.VALUES, at, strides) for at in places)
        return b"".join(
            [
                do(Function.add(first, second, out)),
                do(Function.add(out, third, out)),
                do(Function.add(out, fourth, out)),
                do(Function.multiply(out, floating(0.25), out)),
            ]
        )

    def end(self) -> bytes:
        """Leave the tuple of the arrays."""
        arrays = (get(Slot.FIRST_ARRAY + i) for i in range(4))
        return b"".join([MARK, *arrays, TUPLE, STOP])


def _column(dtype: bytes, *values: int) -> bytes:
    """Make an array with one value in each row."""
    return Function.array(MARK + b"".join(map(tuple_of, values)) + TUPLE, dtype)


def _of_crops(crops: int, index: int, *more: int) -> bytes:
    """Push x, y, width or height of all crops: (crops, 1), or with more axes."""
    return view((crops, 1, *more), F8, Slot.CROPS, 8 * index, (32, *[8 for _ in (1, *more)]))


def _coordinates(crops: int, index: int, size: int) -> bytes:
    """Compute where the output's pixels are in the crops, and the weights of the next pixels."""
    scale = Function.true_divide(_of_crops(crops, index), floating(size))
    centres = Function.arange(_HALF, floating(size))
    places = Function.subtract(Function.multiply(centres, scale), _HALF)
    weights = Function.subtract(get(Slot.COORDINATE), get(Slot.FLOORED))
    return b"".join(
        [
            keep(Slot.COORDINATE, Function.array(places, F4)),
            keep(Slot.FLOORED, Function.floor(get(Slot.COORDINATE))),
            keep(Slot.FAR_WEIGHT, weights),
            keep(Slot.LAST, Function.subtract(_of_crops(crops, index), _ONE)),
        ]
    )


def _clamped(pixels: bytes, last: bytes) -> bytes:
    return Function.minimum(Function.maximum(pixels, _ZERO), last)


def _columns(crops: int, width: int) -> bytes:
    """Compute the left pixel's column in its photograph, and the weights of it and the next one.

    There is always a next one in memory; beyond a border, its weight is 0.
    """
    floored, last = get(Slot.FLOORED), get(Slot.LAST)
    inside = Function.multiply(Function.greater_equal(floored, _ZERO), Function.less(floored, last))
    columns = Function.add(_clamped(floored, last), _of_crops(crops, 0))
    return b"".join(
        [
            _coordinates(crops, 2, width),
            keep(Slot.FAR_ACROSS, Function.multiply(get(Slot.FAR_WEIGHT), inside)),
            keep(Slot.NEAR_ACROSS, Function.subtract(_ONE, get(Slot.FAR_ACROSS))),
            keep(Slot.COLUMNS, Function.array(columns, I8)),
        ]
    )


def _rows(crops: int, height: int) -> bytes:
    """Compute where the upper and lower rows begin in the photograph, and their weights."""
    row = (crops, 1, height)
    both = Function.add(view(row, F4, Slot.FLOORED), get(Slot.NEXT))
    inside = _clamped(both, view((crops, 1, 1), F8, Slot.LAST))
    rows = Function.add(inside, _of_crops(crops, 1, 1))
    places = Function.multiply(rows, view((crops, 1, 1), F8, Slot.ACROSS))
    # 1 - a, and a.
    signed = Function.multiply(view(row, F4, Slot.FAR_WEIGHT), get(Slot.SIGN))
    return b"".join(
        [
            _coordinates(crops, 3, height),
            keep(Slot.DOWN, Function.add(signed, get(Slot.ONE))),
            keep(Slot.ROWS, Function.array(places, I8)),
        ]
    )


def _decompress(width: int, height: int) -> bytes:
    """Make a photograph's pixel values from the data: planes blue, green, red of float32."""
    plane, one = width * height, ints(1)
    picture, pair, single = (3, height, width), (2, height, width), (height, width)
    inflated = Function.decompress(get(Slot.DATA), ints(15), ints(3 * plane))
    differences = Function.ndarray(tuple_of(*picture), U1, inflated)
    others = view(pair, U1, Slot.PLANES, 0, (2 * plane, width, 1))
    green = view(single, U1, Slot.GREEN)
    green_sums = view(single, U1, Slot.PLANES, plane)
    other_values = view(pair, F4, Slot.VALUES, 0, (8 * plane, 4 * width, 4))
    green_values = view(single, F4, Slot.VALUES, 4 * plane)
    return b"".join(
        [
            do(Function.cumsum(differences, one, U1, view(picture, U1, Slot.PLANES))),
            do(Function.cumsum(green_sums, one, U1, green)),
            do(Function.add(others, green, others)),
            do(Function.true_divide(others, get(Slot.BYTE), other_values)),
            do(Function.true_divide(green, get(Slot.BYTE), green_values)),
            keep(Slot.VALUES_AT, view((3, plane), F4, Slot.VALUES)),
            keep(Slot.VALUES_BESIDE, view((3, plane), F4, Slot.VALUES, 4)),
        ]
    )
