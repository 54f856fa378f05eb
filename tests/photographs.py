"""Making photographs of many kinds, and tables of them, for tests."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

#: Widths and heights in pixels.
SIZES = ((64, 48), (120, 160), (384, 288), (641, 480), (1000, 1501), (4000, 3000))

COLUMNS = "photograph,tilt,pan,face_x,face_y,face_width,face_height,person,split"


def picture(width: int, height: int, number: int) -> Image.Image:
    """Make a picture of smooth colours, unlike those of other numbers."""
    random = np.random.default_rng(number)
    coarse = random.integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(number: int, sizes: tuple[tuple[int, int], ...] = SIZES) -> tuple[bytes, int, int]:
    """Make a JPEG of one of the kinds, and return its width and height once it is turned."""
    width, height = sizes[number % len(sizes)]
    image = picture(width, height, number)
    if number % 5 == 0:
        image = image.convert("L")
    exif = Image.Exif()
    if number % 3 == 0:
        exif[0x0112] = 1 + number % 8
    content = io.BytesIO()
    image.save(
        content,
        "JPEG",
        quality=60 + number % 40,
        progressive=number % 2 == 1,
        subsampling=number % 3,
        exif=exif,
    )
    if exif.get(0x0112, 1) > 4:
        width, height = height, width
    return content.getvalue(), width, height


def write_photographs(
    folder: Path, count: int, distinct: int, sizes: tuple[tuple[int, int], ...] = SIZES
) -> Iterator[tuple[str, int, int]]:
    """Write `count` photographs, links to `distinct` files; yield names, widths and heights."""
    (folder / "files").mkdir(parents=True)
    made = []
    for number in range(distinct):
        content, width, height = encoded(number, sizes)
        path = folder / "files" / f"{number}.jpg"
        path.write_bytes(content)
        made.append((path, width, height))
    for number in range(count):
        path, width, height = made[number % distinct]
        name = f"{number // 1000}/{number}.jpg"
        (folder / name).parent.mkdir(exist_ok=True)
        os.link(path, folder / name)
        yield name, width, height


def write_table(
    path: Path, count: int, distinct: int, sizes: tuple[tuple[int, int], ...] = SIZES
) -> Path:
    """Write a table of such photographs; every tenth is tested with, and a person has 20."""
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(","))
        photographs = write_photographs(path.parent, count, distinct, sizes)
        for number, (name, width, height) in enumerate(photographs):
            angles = random.uniform(-90, 90, 2).round(2).tolist()
            face = (width // 2, height // 2, width // 4, height // 4)
            split = "test" if number % 10 == 9 else "train"
            writer.writerow((name, *angles, *face, 1 + number // 20, split))
    return path
