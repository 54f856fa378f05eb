"""Rendering batches in the forms that networks need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph, files_of
from headpose_fast.errors import DatabaseError
from headpose_fast.samples.options import require_workers
from headpose_fast.training.draws import Draws, whole_numbers
from headpose_fast.training.pixels import PixelStore

DType = Literal["uint8", "float32"]
Channels = Literal["rgb", "bgr"]
Layout = Literal["chw", "hwc"]

#: The photographs to render from.
Source = PixelStore | Sequence[bytes] | Sequence[Photograph]

Batch = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True)
class Form:
    """The form of a batch.

    Raises ValueError if the values are not a form.
    """

    dtype: DType = "uint8"
    channels: Channels = "rgb"
    layout: Layout = "chw"
    #: Per channel, for values in 0..1: `(value - mean) / std`. None for no normalisation.
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for name, value, known in (
            ("dtype", self.dtype, ("uint8", "float32")),
            ("channels", self.channels, ("rgb", "bgr")),
            ("layout", self.layout, ("chw", "hwc")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, not {value!r}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together or not at all")
        if self.mean is None or self.std is None:
            return
        if self.dtype != "float32":
            raise ValueError("only float32 can be normalised by mean and std")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(std > 0 for std in self.std):
            raise ValueError("mean and std must have three values each, those of std above 0")

    def shape(self, samples: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the shape of a batch of samples with this width and height."""
        width, height = size
        if self.layout == "chw":
            return samples, 3, height, width
        return samples, height, width, 3


@dataclass(frozen=True)
class _Native:
    """A form as the Rust core expects it."""

    width: int
    height: int
    rgb: bool
    interleaved: bool
    normal: tuple[tuple[float, ...], tuple[float, ...]] | None


def render_batch(
    source: Source,
    indices: ArrayLike,
    draws: Draws,
    out: Batch | None = None,
    *,
    dtype: DType = "uint8",
    channels: Channels = "rgb",
    layout: Layout = "chw",
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    workers: int | None = 1,
) -> Batch:
    """Render one sample for each of a list of photographs.

    A sample is the crop resized as in `headpose_fast.render`, then, as drawn, mirrored, made grey,
    multiplied by the gain and shifted by the offset. As uint8, its values v become `rint(255 * v)`.
    As float32, bgr and chw, draws that change nothing give the result of `render` to the bit.

    Args:
        source: Pixels decoded earlier, JPEG files, or photographs. JPEG files and photographs are
            decoded, each once per call.
        indices: Indices of the photographs in `source`: (samples,).
        draws: What was drawn for these samples.
        out: The array to fill: C-contiguous, writable, with the shape and dtype returned. A new
            array if None.
        dtype: `uint8` for 0..255, `float32` for 0..1.
        channels: `rgb` or `bgr`.
        layout: `chw` for planes, `hwc` for pixels.
        mean: For float32: subtracted from each channel, in the order of `channels`.
        std: The difference is divided by this.
        workers: Number of threads; None for one per core that this process may use. A single one
            is the calling thread. The result does not depend on it.

    Returns:
        `out`, or the new array: (samples, 3, H, W) or (samples, H, W, 3).

    Raises:
        DatabaseError: Photographs are damaged or not usable JPEGs, or crops extend beyond them.
        IndexError: An index is out of range.
        TypeError: `out` is not an array of its dtype, or indices are not whole numbers.
        ValueError: `out` has another shape, or is not contiguous or not writable, or an option is
            out of range.

    """
    form = Form(dtype, channels, layout, mean, std)
    return render_form(source, indices, draws, out, form, workers)


def render_form(
    source: Source,
    indices: ArrayLike,
    draws: Draws,
    out: Batch | None,
    form: Form,
    workers: int | None,
) -> Batch:
    """Render as `render_batch` does, in a form that was checked."""
    require_workers(workers)
    photographs = np.ascontiguousarray(whole_numbers(indices, "indices"), np.int64)
    count = len(source)
    if len(photographs) and not 0 <= photographs.min() <= photographs.max() < count:
        raise IndexError(f"indices must be 0 to {count - 1}")
    width, height = draws.size
    if min(width, height) < 1:
        raise ValueError(f"the size of samples must be at least 1 x 1, not {width} x {height}")
    # The core reads crops row by row.
    draws = draws._replace(crops=np.ascontiguousarray(draws.crops))
    shape = form.shape(len(draws.crops), draws.size)
    if out is None:
        out = np.empty(shape, form.dtype)
    _require_fitting(out, shape, form.dtype)
    normal = None if form.mean is None or form.std is None else (form.mean, form.std)
    native = _Native(width, height, form.channels == "rgb", form.layout == "hwc", normal)
    pictures, own = _pictures(source, photographs)
    failures = _core.render_batch(pictures, own, draws, native, out, workers)
    if failures:
        raise DatabaseError([f"{_name(source, photographs[i])}: {why}" for i, why in failures])
    return out


def _pictures(source: Source, indices: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
    """Return the source for the Rust core, and the indices into it."""
    if isinstance(source, PixelStore):
        return source, indices
    wanted, own = np.unique(indices, return_inverse=True)
    files = [source[i] for i in wanted.tolist()]
    photographs = [file for file in files if isinstance(file, Photograph)]
    if len(photographs) == len(files):
        return files_of(photographs), own.astype(np.int64)
    return [bytes(file) for file in files], own.astype(np.int64)


def _name(source: Source, index: int) -> str:
    if isinstance(source, PixelStore):
        return f"{source.path}: photograph {index}"
    file = source[index]
    return file.name if isinstance(file, Photograph) else f"photograph {index}"


def _require_fitting(out: object, shape: tuple[int, ...], dtype: DType) -> None:
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise TypeError(f"out must be a NumPy array of {dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, not {out.shape}")
    if not out.flags.carray:
        raise ValueError("out must be C-contiguous, aligned and writable")
