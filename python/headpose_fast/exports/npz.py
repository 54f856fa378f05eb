"""The form npz: crops and poses, as FSA-Net and 6DRepNet read those of other databases.

That is what `TYY_create_db_biwi.py` of FSA-Net (github.com/shamangary/FSA-Net) writes with
`numpy.savez`, and `sixdrepnet/datasets.py` of 6DRepNet (github.com/thohemp/6DRepNet) reads.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, BinaryIO

import numpy as np

from headpose_fast.database.photographs import Photograph
from headpose_fast.exports.options import Options
from headpose_fast.progress import Progress
from headpose_fast.training.draws import Draws, draw
from headpose_fast.training.recipes import Recipe
from headpose_fast.training.rendering import Form, render_form

#: By how much of its width or height the face box grows on each side, as FSA-Net grows the box of
#: a face detector for this kind of file.
_MARGIN = 0.4

#: Photographs that are rendered at once.
_BATCH = 32

#: More than the headers of a file have.
_HEADERS_BYTES = 4096


def most_bytes(photographs: Sequence[Photograph], options: Options) -> int:
    """Return how long the file may become."""
    width, height = options.size
    return len(photographs) * (3 * width * height + 24) + _HEADERS_BYTES


def write(
    stream: BinaryIO,
    photographs: Sequence[Photograph],
    options: Options,
    workers: int | None,
    report: Progress | None,
) -> None:
    """Write `image`, `pose` and `img_size`.

    Raises DatabaseError if a photograph or its face box is damaged.
    """
    # Nothing is left to chance: the margin's range is one value, and there is no augmentation.
    recipe = Recipe("loose", options.size, (_MARGIN, _MARGIN), sides=(1.0, 1.0, 1.0, 1.0))
    draws = draw(photographs, np.arange(len(photographs)), recipe=recipe)
    form = Form("uint8", options.channels, "hwc")
    poses = np.array([(p.pan, p.tilt, 0) for p in photographs], np.float64)
    with zipfile.ZipFile(stream, "w") as file:
        with _member(file, "image") as member:
            header = {
                "descr": "|u1",
                "fortran_order": False,
                "shape": form.shape(len(photographs), options.size),
            }
            np.lib.format.write_array_header_1_0(member, header)
            for first in range(0, len(photographs), _BATCH):
                batch = photographs[first : first + _BATCH]
                part = Draws.plain(draws.crops[first : first + _BATCH], options.size)
                indices = np.arange(len(batch))
                member.write(render_form(batch, indices, part, None, form, workers).data)
                if report:
                    report(first + len(batch), len(photographs))
        for name, array in (("pose", poses), ("img_size", np.int64(options.size[0]))):
            with _member(file, name) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


@contextmanager
def _member(file: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open an array to be written: neither time nor platform change the file."""
    info = zipfile.ZipInfo(f"{name}.npy")  # of 1980, the first time there is
    info.create_system = 3  # Unix, wherever it is written
    with file.open(info, "w", force_zip64=True) as member:
        yield member
