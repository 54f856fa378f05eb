"""The Rust core. Functions over photographs return failures as pairs of index and reason."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "__version__",
    "checksums",
    "compare_photographs",
    "compare_with_file",
    "compress_photographs",
    "create_file",
    "decode_photographs",
    "digests",
    "draw",
    "from_text",
    "jpeg_sizes",
    "plan_crops",
    "plan_states",
    "plan_stretch",
    "read_archive",
    "render_batch",
    "render_compressed",
    "render_samples",
    "render_to_file",
    "to_text",
]

__version__: str

class _Limits(Protocol):
    """The attributes of `headpose_fast.Limits` that apply to an archive."""

    @property
    def members(self) -> int: ...
    @property
    def archive_bytes(self) -> int: ...
    @property
    def unpacked_bytes(self) -> int: ...
    @property
    def expansion(self) -> int: ...

class _Place(Protocol):
    """Bytes of a file on disk."""

    @property
    def path(self) -> str | PathLike[str]: ...
    @property
    def offset(self) -> int: ...
    @property
    def length(self) -> int: ...

_JpegFile = bytes | _Place

class _Places(Protocol):
    """Where samples are in a file."""

    @property
    def crops(self) -> NDArray[np.int32]:
        """(passes, photographs, 4): x, y, width and height in pixels."""

    @property
    def width(self) -> int:
        """Width of a sample in pixels."""

    @property
    def height(self) -> int:
        """Height of a sample in pixels."""

    @property
    def text_blocks(self) -> int | None:
        """Blocks of a sample written as text (`docs/format.md`); None for raw samples."""

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """(passes, photographs): the offset of each sample in bytes."""

class _Pieces(Protocol):
    """Where the texts of compressed photographs are in a file."""

    @property
    def path(self) -> str | PathLike[str]:
        """The file."""

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """(photographs,), in bytes."""

    @property
    def lengths(self) -> NDArray[np.uint64]:
        """(photographs,), in bytes."""

    @property
    def sizes(self) -> NDArray[np.uint64]:
        """(photographs, 2): width and height in pixels."""

class _Recipe(Protocol):
    """What is drawn: see `headpose_fast.training.Recipe`."""

    @property
    def aspect_ratio(self) -> int | None: ...
    @property
    def factor(self) -> tuple[float, float]: ...
    @property
    def sides(self) -> tuple[float, float, float, float]: ...
    @property
    def mirror(self) -> float: ...
    @property
    def grey(self) -> float: ...
    @property
    def gain(self) -> tuple[float, float]: ...
    @property
    def offset(self) -> tuple[float, float]: ...

class _Draws(Protocol):
    """What was drawn: see `headpose_fast.training.Draws`."""

    @property
    def crops(self) -> NDArray[np.int32]: ...
    @property
    def mirrored(self) -> NDArray[np.bool_]: ...
    @property
    def grey(self) -> NDArray[np.bool_]: ...
    @property
    def gain(self) -> NDArray[np.float32]: ...
    @property
    def offset(self) -> NDArray[np.float32]: ...

class _Pixels(Protocol):
    """Photographs that are already decoded."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(bytes,), with 64 or more after the last photograph."""

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """(photographs,): where each one's planes blue, green, red begin."""

    @property
    def sizes(self) -> NDArray[np.int32]:
        """(photographs, 2): width and height in pixels."""

class _BatchForm(Protocol):
    """The form of a batch."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def rgb(self) -> bool: ...
    @property
    def interleaved(self) -> bool: ...
    @property
    def normal(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None: ...

def read_archive(
    path: str | PathLike[str],
    limits: _Limits,
    wanted: Callable[[str], tuple[int, bool] | None],
) -> list[tuple[str, bytes | tuple[int, int]]]:
    """Names and contents of the regular members of a tar file, which may be gzipped.

    `wanted` returns the most bytes that the member of a name may have, and whether offset and
    length will do instead of its bytes if the archive is plain; None to skip it. Raises
    OSError when the file cannot be read, ValueError when it is not a complete archive or exceeds a
    limit, and whatever `wanted` raises.
    """

def jpeg_sizes(
    files: Sequence[_JpegFile],
    most_pixels: int,
    out: NDArray[np.uint32],
    workers: int | None,
) -> list[tuple[int, str]]:
    """Fill `out` (photographs, 2) with width and height in pixels, turned as EXIF says."""

def digests(
    files: Sequence[_JpegFile], out: NDArray[np.uint8], workers: int | None
) -> list[tuple[int, str]]:
    """Fill `out` (files, 32) with the SHA-256 of each file."""

def plan_crops(
    frames: NDArray[np.int64],
    photographs: Sequence[int],
    passes: Sequence[int],
    *,
    aspect_ratio: int,
    seed: int,
    out: NDArray[np.int32],
) -> list[tuple[int, str]]:
    """Fill `out` (crops, 4) with x, y, width and height in pixels, part by part, pass-major.

    `frames` (photographs, 6) holds picture width and height and the face box's centre x, centre y,
    width and height. Part i consists of the next `photographs[i]` of them, in `passes[i]` passes.
    """

def plan_states(
    frames: NDArray[np.int64],
    photographs: Sequence[int],
    passes: Sequence[int],
    *,
    aspect_ratio: int,
    seed: int,
    starts: Sequence[Sequence[int]],
    out: NDArray[np.uint32],
) -> list[tuple[int, str]]:
    """Fill `out` (stretches, 624) with states where stretches begin, part by part, pass by pass.

    `starts` has the first photographs of each part's stretches, ascending; see `plan_crops`.
    """

def plan_stretch(
    frames: NDArray[np.int64],
    states: NDArray[np.uint32],
    *,
    aspect_ratio: int,
    out: NDArray[np.int32],
) -> list[tuple[int, str]]:
    """Fill `out` (passes, photographs, 4) from the states (passes, 624) where a stretch begins."""

def render_samples(
    jpegs: Sequence[_JpegFile],
    crops: NDArray[np.int32],
    out: NDArray[np.float32],
    workers: int | None,
) -> list[tuple[int, str]]:
    """Fill `out` (passes, photographs, 3, height, width) from `crops` (passes, photographs, 4)."""

def create_file(path: str | PathLike[str], length: int) -> None:
    """Create a file with room for `length` bytes; if the disk is full, that fails at once.

    Raises OSError if it already exists or cannot be created.
    """

def render_to_file(
    jpegs: Sequence[_JpegFile],
    places: _Places,
    path: str | PathLike[str],
    checksums: NDArray[np.uint32],
    workers: int | None,
    progress: Callable[[int], object] | None = None,
) -> list[tuple[int, str]]:
    """Write samples into an existing file, and the CRC-32 of each into `checksums`.

    `progress` is called with the number of samples done, about every 50 ms. Raises OSError if
    writing fails, and whatever `progress` raises.
    """

def compare_with_file(
    jpegs: Sequence[_JpegFile],
    places: _Places,
    path: str | PathLike[str],
    equal: NDArray[np.bool_],
    workers: int | None,
) -> list[tuple[int, str]]:
    """Set in `equal` which samples of a file are the same, to the bit.

    Raises OSError if reading fails or the file ends early.
    """

def checksums(
    path: str | PathLike[str],
    offsets: NDArray[np.uint64],
    lengths: NDArray[np.uint64],
    workers: int | None,
) -> NDArray[np.uint32]:
    """CRC-32 of pieces of a file. Raises OSError if reading fails or the file ends early."""

def to_text(data: bytes) -> bytes:
    """Pad bytes with zeros and encode them as text with seven bits per byte (`docs/format.md`)."""

def from_text(text: bytes) -> bytes:
    """Decode a result of `to_text`, zeros included; ValueError if it is not one."""

def compress_photographs(
    jpegs: Sequence[_JpegFile],
    parts: NDArray[np.int32],
    workers: int | None,
    sink: Callable[[bytes, int], object],
) -> list[tuple[int, str]]:
    """Compress a part of each photograph, (1, photographs, 4): x, y, width and height in pixels.

    `sink` receives each photograph's text and its CRC-32, in order, until one fails.
    """

def compare_photographs(
    jpegs: Sequence[_JpegFile],
    parts: NDArray[np.int32],
    pieces: _Pieces,
    equal: NDArray[np.bool_],
    workers: int | None,
) -> list[tuple[int, str]]:
    """Fill `equal`: whether each part has the same pixels as in a file."""

def render_compressed(
    pieces: _Pieces,
    crops: NDArray[np.int32],
    out: NDArray[np.float32],
    workers: int | None,
) -> list[tuple[int, str]]:
    """Render crops (passes, photographs, 4) into `out`, (passes, photographs, 3, height, width)."""

def draw(
    frames: NDArray[np.int64],
    keys: NDArray[np.uint64],
    seed: int,
    recipe: _Recipe,
    out: _Draws,
) -> list[tuple[int, str]]:
    """Draw for each key, from `frames` (photographs, 6), into the arrays of `out`."""

def render_batch(
    source: _Pixels | Sequence[_JpegFile],
    photographs: NDArray[np.int64],
    draws: _Draws,
    form: _BatchForm,
    out: NDArray[np.uint8] | NDArray[np.float32],
    workers: int | None,
) -> list[tuple[int, str]]:
    """Render one sample for each of a list of photographs into `out`."""

def decode_photographs(
    jpegs: Sequence[_JpegFile], workers: int | None, sink: Callable[[bytes, int], object]
) -> list[tuple[int, str]]:
    """Decode photographs; `sink` receives planes and their CRC-32, in order, until one fails."""
