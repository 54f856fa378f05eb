"""Rendering the heads of the sample database.

A person is sculpted once as a cloud of coloured points; a photograph turns the cloud, keeps the
nearest point of each pixel and lights it. Directions are those of the real photographs: tilt +90
looks up, pan +90 to the picture's left. Axes: x to the picture's right, y up, z to the camera;
lengths in pixels; a face's features are placed from the point between the eyes.

Pixels are the same on every machine: arrays meet only operations that IEEE 754 rounds exactly
(+ - * / sqrt, comparisons), no sum, matrix product or array sine, which depend on the CPU.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
Colour = tuple[float, float, float]
Box = tuple[int, int, int, int]

WIDTH, HEIGHT = 384, 288
#: (tilt, pan) in degrees of the numbers 00 to 92 of each series, as in the real database.
POSES: tuple[tuple[int, int], ...] = (
    (-90, 0),
    *((tilt, pan) for tilt in (-60, -30, -15, 0, 15, 30, 60) for pan in range(-90, 91, 15)),
    (90, 0),
)
SITTINGS = tuple((person, series) for person in range(1, 16) for series in (1, 2))

# Real heads turn by less than the tilt they are asked for: for heads that look up, the height of
# the real face boxes varies as cos(0.58 tilt).
_TILT_SEEN = 0.58
_POINTS = 38_000  # on a head: in front about one per pixel of its surface
_HEAD = (0.0, 85.0, 12.0)  # the head's centre, from the pivot in the neck
# x, y, z of the points that a face box encloses: temples, brow, chin, nose and cheeks.
_FACE = (
    (-50.0, 50.0, 0.0, 0.0, 0.0, -42.0, 42.0),
    (8.0, 8.0, 18.0, -76.0, -28.0, -40.0, -40.0),
    (18.0, 18.0, 66.0, 58.0, 88.0, 22.0, 22.0),
)


class _Person(NamedTuple):
    """What distinguishes one person from another. Colours are 0xRRGGBB."""

    skin: int
    hair: int
    iris: int
    cloth: int
    thick: float  # height of the hair above the skull
    curl: float  # height of its locks
    hairline: float  # above the eyes
    nape: float  # where the hair ends, below the eyes
    width: float  # of the head; 1 is usual
    nose: float  # its length; 1 is usual
    beard: float  # 0 none .. 1 full
    glasses: int  # the series in which they are worn; 0 never


_PERSONS = (
    _Person(0xBA927E, 0x463A32, 0x5C7080, 0x2A2A2E, 3, 1, 46, 42, 1.04, 1.0, 0.2, 1),
    _Person(0xCCA896, 0x4A3226, 0x687C78, 0x3E282C, 14, 9, 40, 54, 0.96, 0.9, 0.0, 0),
    _Person(0xC69E7E, 0x201C1C, 0x3A2A22, 0x8C7896, 7, 1, 34, 64, 0.98, 0.8, 0.0, 0),
    _Person(0xBE9682, 0x483428, 0x60543C, 0xBEBEC2, 11, 3, 42, 56, 0.97, 1.1, 0.7, 2),
    _Person(0xCEA694, 0x282220, 0x4A382A, 0x2C2C32, 9, 4, 44, 40, 0.94, 1.05, 0.0, 1),
    _Person(0xC09680, 0x382C26, 0x544230, 0x707460, 5, 2, 42, 38, 1.0, 1.0, 0.1, 0),
    _Person(0xC49886, 0x58483C, 0x708088, 0x302E30, 7, 2, 46, 44, 1.05, 1.2, 0.15, 0),
    _Person(0xC29A88, 0x42322A, 0x564638, 0x444C60, 16, 10, 38, 48, 0.93, 1.2, 0.2, 0),
    _Person(0xD2AC9A, 0x70543C, 0x6E8896, 0x968068, 9, 6, 44, 42, 0.99, 0.9, 0.0, 0),
    _Person(0xD0AA98, 0x4E382A, 0x626E54, 0x464246, 8, 4, 44, 46, 1.0, 1.05, 0.0, 2),
    _Person(0xA0745C, 0x241E1C, 0x382820, 0xAAA498, 8, 3, 45, 44, 1.02, 1.1, 0.3, 0),
    _Person(0x8C644E, 0x221E1E, 0x32241E, 0x7E828A, 6, 5, 44, 40, 0.98, 1.1, 0.45, 1),
    _Person(0xC89C8A, 0x7E6242, 0x6C828C, 0x76706C, 4, 2, 48, 40, 1.03, 0.95, 0.1, 0),
    _Person(0xCCA292, 0x3A2A22, 0x503E2E, 0x363C48, 8, 5, 42, 44, 1.01, 1.0, 0.0, 2),
    _Person(0xBC8E78, 0x543626, 0x5C6852, 0xB4B0AA, 12, 9, 47, 36, 0.95, 1.15, 0.5, 0),
)


class _Part(NamedTuple):
    """N points of a head."""

    places: Floats  # (3, N) from the head's centre
    normals: Floats  # (3, N) of length 1
    colours: Floats  # (N, 3) RGB, 0 .. 255


class _Cloud(NamedTuple):
    """N points, the last n of them the neck. A point is at R h, where R turns the head.

    The neck adds a part that stays in place, so it follows the head without being twisted.
    """

    turning: Singles  # (3, N) h
    staying: Singles  # (3, n)
    normals: Singles  # (3, N) of length 1, 0 for the neck
    neck_normals: Singles  # (3, n)
    colours: Singles  # (N, 3) RGB, 0 .. 255


class Sitting(NamedTuple):
    """What the 93 photographs of one series of a person share."""

    cloud: _Cloud
    backdrop: NDArray[np.int16]  # (HEIGHT, WIDTH, 3): the wall and the shoulders
    pivot: tuple[float, float]  # column and row
    scale: float
    light: tuple[float, float, float]  # of length 1, to the lamp
    chances: list[list[float]]  # for each photograph six numbers in 0 .. 1


def render_photograph(person: int, series: int, number: int) -> tuple[NDArray[np.uint8], Box]:
    """Render photograph `number` (0 .. 92, see POSES) of a person (1 .. 15) in a series (1 or 2).

    Return (288, 384, 3) RGB and the face's centre x, centre y, width and height in pixels.
    """
    if (person, series) not in SITTINGS or number not in range(len(POSES)):
        raise ValueError(f"no photograph {number} of person {person} in series {series}")
    return photograph(sit(person, series), number)


def _rgb(colour: int, factor: float = 1.0) -> Colour:
    return (factor * (colour >> 16), factor * (colour >> 8 & 255), factor * (colour & 255))


def _bump(x: Floats, y: Floats, centre: tuple[float, float], radii: tuple[float, float]) -> Floats:
    """Raise a smooth hill: 1 at the centre, 0 from the ellipse on."""
    u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    inside = np.maximum(0.0, 1.0 - u * u - v * v)
    return inside * inside


def _step(x: Floats) -> Floats:
    """Rise from 0 at 0 to 1 at 1, smoothly, and stay."""
    t = np.minimum(np.maximum(x, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def _unit(vectors: Floats) -> Floats:
    x, y, z = vectors
    units: Floats = vectors / np.sqrt(x * x + y * y + z * z)
    return units


def _sine_cosine(angle: float) -> tuple[float, float]:
    # Rounded, so that a C library whose sine differs in the last bit gives the same picture.
    return round(math.sin(angle), 9), round(math.cos(angle), 9)


@functools.cache
def _spiral(points: int) -> Floats:
    """Spread points evenly over a cylinder: (3, points) sine, cosine, and height from 1 to -1."""
    turns = [_sine_cosine(2.0 * math.pi * math.fmod(k * 0.618033988, 1.0)) for k in range(points)]
    heights = 1.0 - (2.0 * np.arange(points) + 1.0) / points
    return np.stack((*np.array(turns).T, heights))


@functools.cache
def _sphere(points: int) -> Floats:
    """Spread (3, points) unit vectors over the sphere, denser in front than behind."""
    sine, cosine, height = _spiral(points)
    ring = np.sqrt(1.0 - height * height)
    return _unit(np.stack((ring * sine, height, ring * cosine + 0.15)))


@functools.cache
def _lattice() -> Floats:
    return np.random.RandomState(1).random_sample(4096)


def _noise(x: Floats, y: Floats, z: Floats, size: float) -> Floats:
    """Look up random values in 0 .. 1 that vary smoothly over `size` pixels."""
    cells = [np.floor(c / size) for c in (x, y, z)]
    far: list[Floats] = [_step(c / size - cell) for c, cell in zip((x, y, z), cells, strict=True)]
    strides = (73, 1151, 283)
    base = [cell.astype(np.int32) * n for cell, n in zip(cells, strides, strict=True)]

    def mix(axis: int, corner: NDArray[np.int32]) -> Floats:
        if axis == 3:
            return _lattice().take(corner & 4095)
        low, high = mix(axis + 1, corner), mix(axis + 1, corner + strides[axis])
        return low + far[axis] * (high - low)

    return mix(0, base[0] + base[1] + base[2])


def _sculpt(person: _Person, directions: Floats) -> tuple[Floats, Floats]:
    """Shape the head: its points (3, N) in the directions (3, N), and their share of hair."""
    dx, dy, dz = directions
    low, high = np.maximum(0.0, -dy), np.maximum(0.0, dy)
    x = 52.0 * person.width * dx * (1.15 - 0.15 * dx * dx) * (1.0 - 0.12 * low + 0.2 * high * high)
    y = 78.0 * dy * (1.08 - 0.08 * dy * dy) + 16.0 * low * low * np.maximum(0.0, 0.5 - dz)
    z = 66.0 * dz * (1.25 - 0.25 * dz * dz) + 28.0 * low * low  # a flat face, the chin forward
    side = np.abs(x)
    nose = np.minimum(np.maximum((4.0 - y) / 31.0, 0.0), 1.0)
    across = side / (7.0 + 6.0 * nose)
    relief = 18.0 * person.nose * nose * np.maximum(0.0, 1.0 - across * across)
    relief *= _step((y + 39.0) / 14.0)
    relief += 5.0 * _bump(side, y, (9.0, -28.0), (7.0, 7.0))  # nostrils
    relief += 4.0 * _bump(side, y, (20.0, 14.0), (24.0, 9.0))  # brow
    relief -= 9.0 * _bump(side, y, (20.0, 1.0), (18.0, 13.0))  # eye socket
    relief += 5.0 * _bump(side, y, (21.0, 0.0), (12.0, 9.0))  # eyeball
    relief += 5.0 * _bump(side, y, (33.0, -18.0), (22.0, 18.0))  # cheekbone
    relief += 4.0 * _bump(side, y, (0.0, -42.0), (19.0, 5.0))  # upper lip
    relief += 5.0 * _bump(side, y, (0.0, -49.0), (16.0, 6.0))  # lower lip
    relief += 6.0 * _bump(side, y, (0.0, -67.0), (20.0, 14.0))  # chin
    z += relief * _step((dz - 0.15) / 0.3)
    # The hairline falls from the forehead to the ear, and behind the ear to the nape.
    temple = np.minimum(np.maximum((40.0 - z) / 28.0, 0.0), 1.0)
    nape = np.minimum(np.maximum((-10.0 - z) / 20.0, 0.0), 1.0)
    above = y - person.hairline * (1.0 - temple) + person.nape * nape
    above += 8.0 * (_noise(x, y, z, 6.0) - 0.5)
    # Thick hair rises slowly from its edge: a steep rise would tear the cloud of points.
    volume = _step(above / (7.0 + 1.5 * person.thick))
    locks = 2.0 * person.curl * (_noise(x, y, z, 11.0) - 0.5)
    strands = 1.5 * (_noise(x, 0.3 * y, 0.3 * z, 3.5) - 0.5)
    lift = 1.0 + volume * (person.thick + locks + strands) / 66.0
    return np.stack((x * lift, y * lift, z * lift)), _step(above / 6.0)


def _skull(person: _Person) -> _Part:
    """Make head and hair; normals by differences over half a degree."""
    directions = _sphere(_POINTS)
    dx, dy, dz = directions
    ring = np.sqrt(dx * dx + dz * dz)
    east = np.stack((dz, 0.0 * dy, -dx)) / ring
    north = np.stack((-dy * dx, ring * ring, -dy * dz)) / ring
    places, hair = _sculpt(person, directions)
    ax, ay, az = _sculpt(person, directions + 0.01 * east)[0] - places
    bx, by, bz = _sculpt(person, directions + 0.01 * north)[0] - places
    normals = _unit(np.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)))
    return _Part(places, normals, _paint(person, places, hair))


def _paint(person: _Person, places: Floats, hair: Floats) -> Floats:
    """Colour the skull's points: (N, 3)."""
    x, y, z = places
    side = np.abs(x)
    front = _step((z - 15.0) / 10.0) * (1.0 - hair)
    colours = np.empty((len(x), 3))
    colours[:] = _rgb(person.skin)

    def brush(where: Floats, colour: int, factor: float = 1.0) -> None:
        colours[:] += where[:, None] * (np.array(_rgb(colour, factor)) - colours)

    brush(0.25 * (_noise(x, y, z, 5.0) - 0.3), person.skin, 0.7)  # skin is uneven
    beard = _step((-12.0 - y - side * side / 60.0) / 18.0) * _step((z + 5.0) / 20.0)
    brush(0.8 * person.beard * beard * (1.0 - hair), person.hair, 0.9)
    brush(0.25 * front * _bump(side, y, (30.0, -20.0), (17.0, 15.0)), 0xCD6E60)  # cheek
    brush(0.5 * front * _bump(side, y, (20.0, 2.0), (19.0, 13.0)), person.skin, 0.62)  # socket
    brush(0.3 * front * _bump(side, y, (0.0, -36.0), (15.0, 6.0)), person.skin, 0.6)
    brush(0.6 * front * _step(2.0 * _bump(side, y, (5.0, -33.5), (3.8, 2.6))), person.skin, 0.3)
    brush(0.4 * front * _bump(side, y, (0.0, -57.0), (17.0, 5.0)), person.skin, 0.6)
    brush(0.8 * front * _step(3.0 * _bump(x, y, (0.0, -45.0), (20.0, 7.0))), 0x9E5854)  # lips
    brush(0.9 * front * _step(3.0 * _bump(x, y, (0.0, -45.0), (20.0, 2.0))), person.skin, 0.3)
    brow = _step(3.0 * _bump(side, y - 0.1 * side, (21.0, 12.5), (16.0, 4.0)))
    brush(0.85 * front * brow, person.hair, 0.8)
    lid = 1.0 - (side - 21.0) * (side - 21.0) / 130.0  # an eye is almond-shaped
    lashes = _step(1.4 - np.abs(y - 0.4 - 3.8 * lid) / 1.7) * _step(4.0 * lid)
    brush(0.8 * front * lashes, person.skin, 0.2)
    eye = front * _step(0.4 + 3.8 * lid - np.abs(y - 0.3)) * _step(6.0 * lid)
    from_pupil = np.sqrt((side - 21.0) * (side - 21.0) + y * y)
    brush(eye, 0xBEB6B0)
    brush(eye * _step(5.4 - from_pupil), person.iris)
    brush(eye * _step(2.8 - from_pupil), 0x0E0C0C)
    brush(hair, person.hair)
    brush(hair * (_noise(x, 0.25 * y, 0.25 * z, 2.5) - 0.4), person.hair, 1.7)
    return colours


def _ear(person: _Person, side: int) -> _Part:
    """Make the ear at the picture's left (-1) or right (1) in the frontal view."""
    dx, dy, dz = _sphere(1_200)
    outward = side * (53.5 * person.width - 5.0 * dz) + 5.0 * dx
    places = np.stack((outward, 17.0 * dy + 2.0 * dz - 6.0, 11.0 * dz - 9.0))
    shade = 1.0 - 0.55 * _bump(dy, dz, (0.1, 0.15), (0.7, 0.6))
    colours = shade[:, None] * np.array(_rgb(person.skin)) * np.array((1.0, 0.9, 0.88))
    return _Part(places, _unit(np.stack((dx / 5.0, dy / 17.0, dz / 11.0))), colours)


def _glasses() -> _Part:
    """Make rims, bow and temples."""
    sine, cosine = np.array([_sine_cosine(math.pi * k / 80.0) for k in range(160)]).T
    rim = 21.0 + 15.0 * cosine
    along = np.arange(140) / 140.0
    x = np.concatenate((rim, 36.0 + 21.0 * np.sqrt(along), 6.0 * along))
    y = np.concatenate((12.0 * sine - 0.5, 4.0 + 0.0 * along, 3.0 + 0.0 * along))
    z = np.concatenate((71.0 - 0.006 * rim * rim, 63.0 - 71.0 * along, 73.0 + 0.0 * along))
    places = np.stack((np.concatenate((x, -x)), np.concatenate((y, y)), np.concatenate((z, z))))
    normals = _unit(places * np.array(((1.0,), (0.0,), (1.0,))))
    return _Part(places, normals, np.zeros((len(places[0]), 3)) + 50.0)


def _cloud(person: _Person, glasses: bool) -> _Cloud:
    """Put a person together: skull, ears, glasses and neck."""
    parts = [_skull(person), _ear(person, -1), _ear(person, 1), *([_glasses()] if glasses else ())]
    sine, cosine, height = _spiral(9_000)
    up = 0.5 * (1.0 - height)  # 0 at the collar, 1 in the head
    axis = np.stack((0.0 * up, 82.0 * up - 32.0, 8.0 * up - 14.0))
    collar = _step((0.16 + 0.05 * cosine - up) / 0.02)
    down = 1.0 - up
    radius = person.width * (30.0 + 16.0 * down * down * down) + 3.0 * collar
    lean = up * (2.0 - up)
    ring = np.stack((radius * sine, -7.0 * cosine * down, radius * cosine))
    shade = 0.95 - 0.43 * _step((up - 0.4) / 0.4)  # below the chin
    colours = shade[:, None] * np.array(_rgb(person.skin))
    colours += collar[:, None] * (np.array(_rgb(person.cloth, 1.15)) - colours)
    heads = [part.places + np.array(_HEAD)[:, None] for part in parts]
    return _Cloud(
        np.concatenate((*heads, lean * axis), axis=1).astype(np.float32),
        ((1.0 - lean) * axis + ring).astype(np.float32),
        np.concatenate((*(p.normals for p in parts), 0.0 * axis), axis=1).astype(np.float32),
        _unit(np.stack((sine, 0.15 + 0.0 * up, cosine))).astype(np.float32),
        np.concatenate((*(part.colours for part in parts), colours)).astype(np.float32),
    )


def _backdrop(person: _Person, pivot: tuple[float, float], grey: float) -> NDArray[np.int16]:
    """Paint (HEIGHT, WIDTH, 3): a wall with a rail, and the shoulders before it."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    across = (columns - 210.0) / WIDTH
    wall = grey * (1.04 - 0.35 * across * across - 0.10 * rows / HEIGHT)
    wall += 18.0 * _bump(0.0 * columns, rows, (0.0, 257.0), (1.0, 3.0))
    wall -= 45.0 * _bump(0.0 * columns, rows, (0.0, 262.0), (1.0, 3.0))
    picture: Floats = wall[:, :, None] * np.array((1.0, 0.985, 0.985))
    aside = np.abs(columns - pivot[0])
    arm = np.maximum(0.0, aside - 128.0)
    below = rows - (pivot[1] + 4.0 + 0.22 * aside + 0.0004 * aside * aside + 0.04 * arm * arm)
    folds = _noise(columns + 0.6 * rows, 0.3 * rows, 0.0 * rows, 26.0)
    cloth = (0.75 + 0.35 * _step(below / 30.0)) * (0.9 + 0.2 * folds) * (1.0 - 0.002 * aside)
    shoulders = cloth[:, :, None] * np.array(_rgb(person.cloth))
    picture += _step(below / 1.5)[:, :, None] * (shoulders - picture)
    return picture.astype(np.int16)


def sit(person: int, series: int) -> Sitting:
    """Seat a person for a series: each has its place, distance, lamp and wall."""
    chances = np.random.RandomState(100 * person + series).random_sample((len(POSES) + 1, 6))
    *photographs, (right, down, size, lamp_x, lamp_y, wall) = chances.tolist()
    pivot = (184.0 + 16.0 * right, 196.0 + 8.0 * down)
    x, y, z = 0.5 * lamp_x - 0.25, 0.5 + 0.2 * lamp_y, 0.7
    far = math.sqrt(x * x + y * y + z * z)
    who = _PERSONS[person - 1]
    return Sitting(
        _cloud(who, glasses=who.glasses == series),
        _backdrop(who, pivot, 168.0 + 30.0 * wall),
        pivot,
        0.96 + 0.08 * size,
        (x / far, y / far, z / far),
        photographs,
    )


def _turn(points: Singles, tilt: float, pan: float) -> tuple[Singles, Singles, Singles]:
    """Turn points (3, N) as the head: by the tilt about x, then the pan about y; degrees."""
    up, upright = _sine_cosine(math.radians(_TILT_SEEN * tilt))
    left, ahead = _sine_cosine(math.radians(pan))
    x, y, z = points
    near = z * upright - y * up
    return x * ahead - near * left, y * upright + z * up, x * left + near * ahead


def photograph(sitting: Sitting, number: int) -> tuple[NDArray[np.uint8], Box]:
    """Turn the cloud, light what is seen of it before the backdrop, and add blur and noise."""
    cloud, neck = sitting.cloud, sitting.cloud.staying.shape[1]
    chance = sitting.chances[number]
    # Nobody holds a pose, or the place, exactly.
    tilt, pan = (a + 8.0 * c - 4.0 for a, c in zip(POSES[number], chance[:2], strict=True))
    across, down = (p + 8.0 * c - 4.0 for p, c in zip(sitting.pivot, chance[2:4], strict=True))
    x, y, z = _turn(cloud.turning, tilt, pan)
    nx, ny, nz = _turn(cloud.normals, tilt, pan)
    for turned, staying in zip(
        (x, y, z, nx, ny, nz), (*cloud.staying, *cloud.neck_normals), strict=True
    ):
        turned[-neck:] += staying
    # Points that face away are hidden; just past the edge they close the gaps between locks.
    seen = np.flatnonzero(nz > -0.2)
    column, row = across + sitting.scale * x[seen], down - sitting.scale * y[seen]
    pixels, nearest = _nearest(column, row, z[seen])
    points = seen[nearest]
    lx, ly, lz = sitting.light
    lamp = np.maximum(nx[points] * lx + ny[points] * ly + nz[points] * lz, 0)
    light = 0.5 + 0.42 * lamp + 0.22 * np.maximum(nz[points], 0)
    picture = sitting.backdrop.copy()
    picture.reshape(-1, 3)[pixels] = cloud.colours.take(points, axis=0) * light[:, None]
    _soften(picture, pixels)
    top, left = (int(64 * c) for c in chance[4:])
    picture += _grain()[top : top + HEIGHT, left : left + WIDTH]
    box = _face_box(sitting.scale, across, down, tilt, pan)
    return np.clip(picture, 0, 255).astype(np.uint8), box


def _nearest(column: Singles, row: Singles, depth: Singles) -> tuple[Indices, Indices]:
    """Find the pixels (row * WIDTH + column) with points, and the nearest point in each."""
    # A key orders points by depth, to a 64th of a pixel, and ends in the index, below 65,536.
    key = ((depth + 256.0) * 64.0).astype(np.int32) * 65536 + np.arange(len(depth), dtype=np.int32)
    canvas = np.full(HEIGHT * WIDTH, -1, dtype=np.int32)
    # No point lies outside the picture: the heads leave two rows and 27 columns free.
    np.maximum.at(canvas, row.astype(np.int32) * WIDTH + column.astype(np.int32), key)
    # Points are about a pixel apart: each also covers the pixels right of and below its own.
    keys = _spread(canvas, 1)
    # Gaps of up to two pixels within the head take their nearest neighbour.
    around = _spread(_spread(keys, 1), -1)
    outside = _spread(_spread((around < 0).view(np.uint8), 1), -1)
    pixels = np.flatnonzero(outside == 0)
    found = keys[pixels]
    return pixels, np.where(found < 0, around[pixels], found) & 65535


def _spread(picture: NDArray[Any], step: int) -> NDArray[Any]:
    """Take the maximum with the pixels to the left and above (1) or right and below (-1)."""
    for distance in (1, WIDTH):
        after, before = (slice(distance, None), slice(None, -distance))[::step]
        wider = picture.copy()
        np.maximum(picture[after], picture[before], out=wider[after])
        picture = wider
    return picture


def _soften(picture: NDArray[np.int16], pixels: Indices) -> None:
    """Blur the window around the pixels with weights 1 2 1, as a lens does, in place."""
    columns = pixels % WIDTH
    top, bottom = max(pixels[0] // WIDTH, 1), min(pixels[-1] // WIDTH + 1, HEIGHT - 1)
    left, right = max(columns.min(), 1), min(columns.max() + 1, WIDTH - 1)
    window = picture[top - 1 : bottom + 1, left - 1 : right + 1]
    rows = window[:, :-2] + 2 * window[:, 1:-1] + window[:, 2:]
    picture[top:bottom, left:right] = (rows[:-2] + 2 * rows[1:-1] + rows[2:] + 8) >> 4


@functools.cache
def _grain() -> NDArray[np.int16]:
    """Make a sensor's noise, (HEIGHT + 64, WIDTH + 64, 3): each photograph takes a window."""
    chances = np.random.RandomState(2).random_sample((2, HEIGHT + 64, WIDTH + 64, 1))
    grey = np.floor(9.0 * (chances[0] + chances[1] - 1.0) + 0.5)
    return np.repeat(grey, 3, axis=2).astype(np.int16)


def _face_box(scale: float, across: float, down: float, tilt: float, pan: float) -> Box:
    """Enclose the turned face: centre x, centre y, width and height, in pixels."""
    face = np.array(_FACE, dtype=np.float32) + np.array(_HEAD, dtype=np.float32)[:, None]
    x, y, _ = _turn(face, tilt, pan)
    left, right = (across + scale * float(edge) for edge in (x.min(), x.max()))
    top, bottom = (down - scale * float(edge) for edge in (y.max(), y.min()))
    box = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return round(box[0]), round(box[1]), round(box[2]), round(box[3])
