"""Drawing with Pillow: lines of text, stacks, grids and boxes, in the colours of a sheet."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import cast

from PIL import Image, ImageDraw, ImageFont, ImageOps

#: Pixels between pictures of a grid.
GAP = 8

PAPER, INK, FAINT_INK = (255, 255, 255), (32, 36, 44), (96, 102, 114)
EMPTY, FEW, MANY = (246, 247, 249), (222, 232, 246), (38, 88, 160)
TITLE, HEADING, TEXT, SMALL = 22, 15, 13, 11

Colour = tuple[int, int, int]


def draw_grid(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    at: Sequence[tuple[int, int]],
    frames: Sequence[Colour] | None = None,
) -> Image.Image:
    """Draw pictures above their captions, each in a row and column."""
    cells = [
        stack(
            [
                ImageOps.expand(image, 3, frames[i]) if frames else image,
                draw_line(caption, SMALL, FAINT_INK),
            ],
            3,
            centred=True,
        )
        for i, (image, caption) in enumerate(zip(images, captions, strict=True))
    ]
    width = max(cell.width for cell in cells) + GAP
    height = max(cell.height for cell in cells) + GAP
    rows, columns = (max(places) + 1 for places in zip(*at, strict=True))
    grid = Image.new("RGB", (columns * width - GAP, rows * height - GAP), PAPER)
    for cell, (row, column) in zip(cells, at, strict=True):
        grid.paste(cell, (column * width + (width - GAP - cell.width) // 2, row * height))
    return grid


def draw_box(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    factor: float,
    colour: Colour,
    line: int,
) -> None:
    """Outline x, y, width and height in a picture that was scaled by a factor."""
    left, top, width, height = (value * factor for value in box)
    draw.rectangle((left, top, left + width - 1, top + height - 1), None, colour, line)


def mixed(few: Colour, many: Colour, share: float) -> Colour:
    """Mix two colours by the share of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(few, many, strict=True))
    return red, green, blue


def colour_of(colour: tuple[float, float, float]) -> Colour:
    """Give a colour of floats in 0..1 in bytes."""
    red, green, blue = (round(value * 255) for value in colour)
    return red, green, blue


def draw_heading(text: str, explained: str) -> Image.Image:
    """Draw a heading and what explains it."""
    return stack([draw_line(text, HEADING), draw_line(explained, TEXT, FAINT_INK)], 2)


@functools.cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Give Pillow's own font in a size."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def draw_line(text: str, size: int, colour: Colour = INK) -> Image.Image:
    """Draw a line of text; lines of one size have one height."""
    font = font_of(size)
    ascent, descent = font.getmetrics()
    image = Image.new("RGB", (math.ceil(font.getlength(text)) + 1, ascent + descent), PAPER)
    ImageDraw.Draw(image).text((0, 0), text, colour, font)
    return image


def stack(
    images: Sequence[Image.Image],
    gap: int,
    margin: int = 0,
    least_width: int = 0,
    *,
    centred: bool = False,
) -> Image.Image:
    """Put pictures below each other."""
    width = max(least_width, *(image.width for image in images))
    height = sum(image.height for image in images) + gap * (len(images) - 1)
    out = Image.new("RGB", (width + 2 * margin, height + 2 * margin), PAPER)
    y = margin
    for image in images:
        out.paste(image, (margin + ((width - image.width) // 2 if centred else 0), y))
        y += image.height + gap
    return out


def beside(images: Sequence[Image.Image], gap: int) -> Image.Image:
    """Put pictures beside each other."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    out = Image.new("RGB", (width, max(image.height for image in images)), PAPER)
    x = 0
    for image in images:
        out.paste(image, (x, 0))
        x += image.width + gap
    return out
