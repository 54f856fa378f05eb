"""Converting angles to the forms of labels that networks are trained with, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Form = Literal[
    "degrees",
    "radians",
    "units",
    "unit_interval",
    "tilt_pan_classes",
    "class",
    "hopenet_bins",
    "rotation",
    "grid",
]

#: The tilts and pans of the database, in degrees.
TILTS = np.array([-90, -60, -30, -15, 0, 15, 30, 60, 90])
PANS = np.arange(-90, 91, 15)

#: The database's 93 poses in the order of `Photograph.number`: (93, 2), tilt and pan.
POSES = np.array(
    [(tilt, pan) for tilt in TILTS.tolist() for pan in ([0] if abs(tilt) == 90 else PANS.tolist())]
)

#: Hopenet's 66 bins of 3 degrees, from -99 to 99.
_BIN, _FIRST_BIN, _BINS = 3, -99, 66

#: The AWS job's grid divides sines into three: below, between and above -1/3 and 1/3. These are the
#: border and the middle of an outer third, in degrees.
_GRID = float(np.degrees(np.arcsin(1 / 3)))
_GRID_MIDDLE = float(np.degrees(np.arcsin(2 / 3)))

Floats = NDArray[np.float64]


class _Coding(NamedTuple):
    encode: Callable[[Floats, Floats], NDArray[np.float32] | NDArray[np.int64]]
    decode: Callable[[NDArray[np.generic]], tuple[Floats, Floats]]


def _linear(factor: float, offset: float) -> _Coding:
    """Code as float32 (samples, 2)."""

    def encode(tilt: Floats, pan: Floats) -> NDArray[np.float32]:
        return (np.stack([tilt, pan], axis=-1) * factor + offset).astype(np.float32)

    def decode(label: NDArray[np.generic]) -> tuple[Floats, Floats]:
        values = (label.astype(np.float64) - offset) / factor
        return values[..., 0], values[..., 1]

    return _Coding(encode, decode)


def _encode_units(tilt: Floats, pan: Floats) -> NDArray[np.float32]:
    # As in a bundle, to the bit for all angles.
    return np.stack([tilt, pan], axis=-1).astype(np.float32) / np.float32(90)


def _nearest(values: NDArray[np.int64], angles: Floats) -> NDArray[np.int64]:
    nearest: NDArray[np.int64] = np.abs(angles[..., np.newaxis] - values).argmin(axis=-1)
    return nearest


def _encode_classes(tilt: Floats, pan: Floats) -> NDArray[np.int64]:
    return np.stack([_nearest(TILTS, tilt), _nearest(PANS, pan)], axis=-1)


def _decode_classes(label: NDArray[np.generic]) -> tuple[Floats, Floats]:
    numbers = label.astype(np.int64)
    return TILTS[numbers[..., 0]].astype(np.float64), PANS[numbers[..., 1]].astype(np.float64)


def _encode_class(tilt: Floats, pan: Floats) -> NDArray[np.int64]:
    away = np.stack([tilt, pan], axis=-1)[..., np.newaxis, :] - POSES
    nearest: NDArray[np.int64] = (away**2).sum(axis=-1).argmin(axis=-1)
    return nearest


def _decode_class(label: NDArray[np.generic]) -> tuple[Floats, Floats]:
    poses = POSES[label.astype(np.int64)].astype(np.float64)
    return poses[..., 0], poses[..., 1]


def _encode_bins(tilt: Floats, pan: Floats) -> NDArray[np.int64]:
    bins = np.floor((np.stack([tilt, pan], axis=-1) - _FIRST_BIN) / _BIN).astype(np.int64)
    return np.clip(bins, 0, _BINS - 1)


def _decode_bins(label: NDArray[np.generic]) -> tuple[Floats, Floats]:
    values = label.astype(np.float64) * _BIN + _FIRST_BIN
    return values[..., 0], values[..., 1]


def _encode_rotation(tilt: Floats, pan: Floats) -> NDArray[np.float32]:
    (sx, cx), (sy, cy) = (_sine_and_cosine(angle) for angle in (tilt, pan))
    zero = np.zeros_like(sx)
    matrix = [[cy, sy * sx, sy * cx], [zero, cx, -sx], [-sy, cy * sx, cy * cx]]
    return np.moveaxis(np.array(matrix, np.float32), (0, 1), (-2, -1))


def _sine_and_cosine(angle: Floats) -> tuple[Floats, Floats]:
    radians = np.radians(angle)
    return np.sin(radians), np.cos(radians)


def _decode_rotation(label: NDArray[np.generic]) -> tuple[Floats, Floats]:
    matrix = label.astype(np.float64)
    pitch = np.arcsin(np.clip(-matrix[..., 1, 2], -1, 1))
    yaw = np.arctan2(-matrix[..., 2, 0], matrix[..., 0, 0])
    return np.degrees(pitch), np.degrees(yaw)


def _encode_grid(tilt: Floats, pan: Floats) -> NDArray[np.int64]:
    thirds = [(angle > -_GRID).astype(np.int64) + (angle > _GRID) for angle in (tilt, pan)]
    return thirds[0] + 3 * thirds[1]


def _decode_grid(label: NDArray[np.generic]) -> tuple[Floats, Floats]:
    thirds = label.astype(np.float64)
    return (thirds % 3 - 1) * _GRID_MIDDLE, (thirds // 3 - 1) * _GRID_MIDDLE


_CODINGS: dict[str, _Coding] = {
    "degrees": _linear(1, 0),
    "radians": _linear(np.pi / 180, 0),
    "units": _Coding(_encode_units, _linear(1 / 90, 0).decode),
    "unit_interval": _linear(1 / 180, 0.5),
    "tilt_pan_classes": _Coding(_encode_classes, _decode_classes),
    "class": _Coding(_encode_class, _decode_class),
    "hopenet_bins": _Coding(_encode_bins, _decode_bins),
    "rotation": _Coding(_encode_rotation, _decode_rotation),
    "grid": _Coding(_encode_grid, _decode_grid),
}

#: The names of all forms of labels.
FORMS = tuple(_CODINGS)


def encode(
    tilt: ArrayLike,
    pan: ArrayLike,
    form: Form = "units",
    *,
    mirrored: ArrayLike = False,
) -> NDArray[np.float32] | NDArray[np.int64]:
    """Encode angles as labels.

    Tilt is pitch and pan is yaw; roll is unknown and taken as 0. Positive tilt looks up. A mirrored
    head has the opposite pan.

    Args:
        tilt: Degrees, of any shape.
        pan: Degrees, of the same shape, or one that is broadcast with it.
        form: `degrees`, `radians`, `units` (of 90 degrees, as in a bundle) and `unit_interval`
            (0..1 for -90..90 degrees): float32 (..., 2), tilt and pan. `tilt_pan_classes`: int64
            (..., 2), the nearest of 9 tilts and of 13 pans. `class`: int64 (...), the nearest of
            the database's 93 poses. `hopenet_bins`: int64 (..., 2), tilt and pan in 66 bins of 3
            degrees from -99 on. `rotation`: float32 (..., 3, 3), the matrix Ry(pan) Rx(tilt).
            `grid`: int64 (...), `3 * pan + tilt`, each 0, 1 or 2 for a sine below, between or above
            -1/3 and 1/3, as in the AWS job.
        mirrored: Whether each head is mirrored: of the same shape, or one value for all.

    Raises:
        ValueError: The form is unknown.

    """
    coding = _coding(form)
    tilts, pans = np.broadcast_arrays(np.asarray(tilt, np.float64), np.asarray(pan, np.float64))
    return coding.encode(tilts, np.where(np.asarray(mirrored, np.bool_), -pans, pans))


def decode(
    label: ArrayLike, form: Form = "units", *, mirrored: ArrayLike = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decode labels from `encode`: tilt and pan in degrees, float64, as two arrays.

    `np.stack(decode(...), axis=-1)` makes of them what `score` takes. A class gives its pose, a bin
    its lower edge (where the database's angles are), and the grid the middle of the third of the
    sine. Raises ValueError for an unknown form.
    """
    tilt, pan = _coding(form).decode(np.asarray(label))
    return tilt, np.where(np.asarray(mirrored, np.bool_), -pan, pan)


def _coding(form: str) -> _Coding:
    if form not in _CODINGS:
        raise ValueError(f"form must be one of {', '.join(_CODINGS)}, not {form!r}")
    return _CODINGS[form]
