"""A picture of a bundle: samples with their labels, how many there are, where they come from."""

import colorsys
import functools
import io
import json
import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from headpose_fast.bundle.forms import Reader, reading
from headpose_fast.database.databases import Database
from headpose_fast.images import photograph_image, sample_image
from headpose_fast.job import PREFIXES
from headpose_fast.text import plain, shortened
from headpose_fast.views.index import write_beside
from headpose_fast.views.inspection import Inspection, PoseRows, axes

#: Samples are shown pixel for pixel, unless their longer side is outside these limits.
_LEAST_SIDE, _MOST_SIDE = 64, 128

#: Samples shown of a file whose labels are not poses, and how many side by side.
_UNSORTED, _UNSORTED_COLUMNS = 39, 13

#: Crops shown of the photograph, and its maximum width and height.
_MOST_CROPS = 20
_PHOTOGRAPH_SIZE = (480, 480)

_MARGIN = 28
#: Characters that fit on a line at the minimum width, and most lines of facts.
_LINE, _MOST_LINES = 130, 12
#: Pixels between sections.
_SECTION_GAP = 30
_LEAST_WIDTH = 960

#: Pixels between pictures of a grid.
_GAP = 8

_PAPER, _INK, _FAINT_INK = (255, 255, 255), (32, 36, 44), (96, 102, 114)
_EMPTY, _FEW, _MANY = (246, 247, 249), (222, 232, 246), (38, 88, 160)
_TITLE, _HEADING, _TEXT, _SMALL = 22, 15, 13, 11

_Colour = tuple[int, int, int]


def write_picture(
    inspection: Inspection, output: str | os.PathLike[str], database: Database | None = None
) -> Path:
    """Draw a bundle: a sample of each pose above its label, and how many samples each pose has.

    With the database that it was made from, a photograph is shown with its face box and crops.

    Raises as `write_beside` does, BundleError if the bundle is damaged, does not record its options
    or was made from another database, and DatabaseError if the photograph cannot be decoded.
    """
    sections = [_title(inspection)]
    if database is not None:
        sections.append(_origin(inspection, database))
    with reading(inspection.path) as reader:
        sections += [_pose_samples(reader, inspection, part) for part in PREFIXES]
    sections.append(_histograms(inspection))
    content, stack = io.BytesIO(), _stack(sections, _SECTION_GAP)
    size = (max(stack.width, _LEAST_WIDTH) + 2 * _MARGIN, stack.height + 2 * _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    sheet.paste(stack, (_MARGIN, _MARGIN))
    sheet.save(content, "PNG", optimize=True)
    return write_beside(inspection, output, content.getvalue(), database)


def _title(inspection: Inspection) -> Image.Image:
    height, width = inspection.shapes["trn_im"][2:]
    counts = [f"{inspection.shapes[f'{name}_im'][0]:,} {part}" for part, name in PREFIXES.items()]
    facts = f"{' and '.join(counts)} samples of {width} x {height} pixels, {inspection.origin}"
    if inspection.options is None:
        facts += "\noptions and database unknown (no trailer)"
    else:
        options = (f"{name} {json.dumps(value)}" for name, value in inspection.options.items())
        published = "the published database" if inspection.published else "database"
        facts += f"\n{', '.join(options)}\n{published} {plain(inspection.database)}"
    lines = [part for line in facts.splitlines() for part in textwrap.wrap(line, _LINE)]
    name = shortened(plain(inspection.path.name), _LINE // 2)
    texts = [_text(line, _TEXT, _FAINT_INK) for line in lines[:_MOST_LINES]]
    return _stack([_text(name, _TITLE), *texts], 4)


def _pose_samples(reader: Reader, inspection: Inspection, part: str) -> Image.Image:
    """Draw the first sample of each pose of a part, by tilt and pan; for `test`, only one tilt."""
    name = PREFIXES[part]
    poses = inspection.poses[part]
    if poses:
        which = "the first sample of each pose"
        if part == "test":
            poses = _longest_row(poses)
            which += f" of tilt {min(poses)[0]:+d}"
        tilts, pans = axes(poses)
        rows = [pose.first_row for pose in poses.values()]
        at = [(tilts.index(tilt), pans.index(pan)) for tilt, pan in poses]
        angles: Iterable[Sequence[float]] = poses
    else:
        rows = list(range(min(_UNSORTED, inspection.shapes[f"{name}_im"][0])))
        at = [divmod(row, _UNSORTED_COLUMNS) for row in rows]
        angles = (reader.rows(f"{name}_output", rows).astype(np.float64) * 90).tolist()
        which = "the first samples"
    captions = [f"tilt {tilt:+.3g}, pan {pan:+.3g}" for tilt, pan in angles]
    pictures, scale = _enlarged(reader.rows(f"{name}_im", rows))
    heading = _heading(
        f"{part.capitalize()}: {which}", f"tilt and pan in degrees, as the file has them{scale}"
    )
    return _stack([heading, _grid(pictures, captions, at)], 10)


def _longest_row(poses: dict[tuple[int, int], PoseRows]) -> dict[tuple[int, int], PoseRows]:
    """Choose the poses of one tilt: the tilt with the most poses, and of those the nearest to 0."""
    tilts, _ = axes(poses)
    of_tilt = {tilt: {at: rows for at, rows in poses.items() if at[0] == tilt} for tilt in tilts}
    return max(of_tilt.items(), key=lambda row: (len(row[1]), -abs(row[0])))[1]


def _enlarged(samples: NDArray[np.float32]) -> tuple[list[Image.Image], str]:
    """Turn samples into pictures that are easy to see, and say how they were scaled."""
    images = [sample_image(sample) for sample in samples]
    longer = max(images[0].size)
    if longer > _MOST_SIDE:
        factor = -(-longer // _MOST_SIDE)
        return [image.reduce(factor) for image in images], f"; shown at 1/{factor} of their size"
    factor = max(1, _LEAST_SIDE // longer)
    enlarged = [ImageOps.scale(image, factor, Image.Resampling.NEAREST) for image in images]
    return enlarged, f"; shown {factor} times as large" if factor > 1 else ""


def _histograms(inspection: Inspection) -> Image.Image:
    tables = []
    for part, others in inspection.other_labels.items():
        strange = f"; {others:,} of other labels" if others else ""
        heading = _heading(
            f"{part.capitalize()}: samples of each pose", f"rows: tilt, columns: pan{strange}"
        )
        poses = inspection.poses[part]
        tables.append(_stack([heading, *([_histogram(poses)] if poses else [])], 10))
    return _beside(tables, _SECTION_GAP)


def _histogram(poses: dict[tuple[int, int], PoseRows]) -> Image.Image:
    """Draw a table of poses; the more samples, the darker."""
    tilts, pans = axes(poses)
    most = max(rows.samples for rows in poses.values())
    font = _font(_SMALL)
    width = max(40, int(font.getlength(f"{most:,}")) + 10)
    height, left, top = 24, 32, 20
    table = Image.new("RGB", (left + width * len(pans), top + height * len(tilts)), _PAPER)
    draw = ImageDraw.Draw(table)
    for column, pan in enumerate(pans):
        x = left + column * width + width / 2
        draw.text((x, top / 2), f"{pan:+d}", _FAINT_INK, font, "mm")
    for row, tilt in enumerate(tilts):
        y = top + row * height
        draw.text((left - 8, y + height / 2), f"{tilt:+d}", _FAINT_INK, font, "rm")
        for column, pan in enumerate(pans):
            x = left + column * width
            box = (x, y, x + width - 2, y + height - 2)
            if (tilt, pan) not in poses:
                draw.rectangle(box, _EMPTY)
                continue
            samples = poses[tilt, pan].samples
            share = samples / most
            mixed = (few + (many - few) * share for few, many in zip(_FEW, _MANY, strict=True))
            draw.rectangle(box, _colour(mixed))
            middle = (x + width / 2 - 1, y + height / 2 - 1)
            draw.text(middle, f"{samples:,}", _PAPER if share > 0.5 else _INK, font, "mm")
    return table


def _origin(inspection: Inspection, database: Database) -> Image.Image:
    """Draw a photograph with its face box and crops, beside the samples they became."""
    train = inspection.job(database).train
    # One that looks ahead shows best what was cut out.
    at = next((i for i, p in enumerate(train.photographs) if (p.tilt, p.pan) == (0, 0)), 0)
    photograph = train.photographs[at]
    crops = train.crops[:_MOST_CROPS, at].tolist()
    rows = [at + number * len(train.photographs) for number in range(len(crops))]
    with reading(inspection.path) as reader:
        samples, scale = _enlarged(reader.rows("trn_im", rows))
    # Successive hues are far apart on the colour wheel.
    hues = (number * 0.382 % 1 for number in range(len(crops)))
    shades = (colorsys.hsv_to_rgb(hue, 0.85, 0.9) for hue in hues)
    colours = [_colour(value * 255 for value in shade) for shade in shades]
    image = photograph_image(photograph.name, photograph.jpeg)
    image.thumbnail(_PHOTOGRAPH_SIZE)
    factor = image.width / photograph.width
    draw = ImageDraw.Draw(image)
    for (x, y, width, height), colour in zip(crops, colours, strict=True):
        _draw_box(draw, (x, y, width, height), factor, colour, 2)
    cx, cy, width, height = photograph.face
    _draw_box(draw, (cx - width / 2, cy - height / 2, width, height), factor, (255, 255, 255), 3)
    cell = max(samples[0].width + 6, int(_font(_SMALL).getlength(f"row {rows[-1]:,}"))) + _GAP
    columns = max(1, (_LEAST_WIDTH - image.width - _SECTION_GAP + _GAP) // cell)
    captions = [f"row {row:,}" for row in rows]
    places = [divmod(number, columns) for number in range(len(rows))]
    framed = [
        ImageOps.expand(sample, 3, colour) for sample, colour in zip(samples, colours, strict=True)
    ]
    grid = _grid(framed, captions, places)
    passes = f"{len(crops)} of {len(train.crops)}" if len(crops) < len(train.crops) else ""
    heading = _heading(
        f"Train: {plain('/'.join(photograph.name.split('/')[-2:]))}",
        f"its face box (white), its crops{passes and f' in {passes} passes'}, and the samples they "
        f"became: their rows in trn_im{scale}",
    )
    return _stack([heading, _beside([image, grid], _SECTION_GAP)], 10)


def _grid(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    at: Sequence[tuple[int, int]],
) -> Image.Image:
    """Draw pictures above their captions, each in a row and column."""
    cells = [
        _stack([image, _text(caption, _SMALL, _FAINT_INK)], 3, centred=True)
        for image, caption in zip(images, captions, strict=True)
    ]
    width = max(cell.width for cell in cells) + _GAP
    height = max(cell.height for cell in cells) + _GAP
    rows, columns = (max(places) + 1 for places in zip(*at, strict=True))
    grid = Image.new("RGB", (columns * width - _GAP, rows * height - _GAP), _PAPER)
    for cell, (row, column) in zip(cells, at, strict=True):
        grid.paste(cell, (column * width + (width - _GAP - cell.width) // 2, row * height))
    return grid


def _draw_box(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    factor: float,
    colour: _Colour,
    line: int,
) -> None:
    """Outline a box of x, y, width and height in a picture that was scaled by a factor."""
    left, top, width, height = (value * factor for value in box)
    draw.rectangle((left, top, left + width - 1, top + height - 1), None, colour, line)


def _colour(values: Iterable[float]) -> _Colour:
    red, green, blue = map(round, values)
    return red, green, blue


def _heading(text: str, explained: str) -> Image.Image:
    return _stack([_text(text, _HEADING), _text(explained, _TEXT, _FAINT_INK)], 2)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def _text(text: str, size: int, colour: _Colour = _INK) -> Image.Image:
    """Draw a line of text; all lines of one size have the same height."""
    font = _font(size)
    ascent, descent = font.getmetrics()
    image = Image.new("RGB", (math.ceil(font.getlength(text)) + 1, ascent + descent), _PAPER)
    ImageDraw.Draw(image).text((0, 0), text, colour, font)
    return image


def _stack(images: Sequence[Image.Image], gap: int, *, centred: bool = False) -> Image.Image:
    """Put pictures below each other."""
    width = max(image.width for image in images)
    tops = accumulate((image.height + gap for image in images[:-1]), initial=0)
    lefts = ((width - image.width) // 2 if centred else 0 for image in images)
    return _pasted(images, list(zip(lefts, tops, strict=True)))


def _beside(images: Sequence[Image.Image], gap: int) -> Image.Image:
    """Put pictures beside each other."""
    lefts = accumulate((image.width + gap for image in images[:-1]), initial=0)
    return _pasted(images, [(left, 0) for left in lefts])


def _pasted(images: Sequence[Image.Image], at: Sequence[tuple[int, int]]) -> Image.Image:
    """Put pictures at their places in one that has just room for them."""
    width = max(x + image.width for image, (x, _) in zip(images, at, strict=True))
    height = max(y + image.height for image, (_, y) in zip(images, at, strict=True))
    out = Image.new("RGB", (width, height), _PAPER)
    for image, place in zip(images, at, strict=True):
        out.paste(image, place)
    return out
