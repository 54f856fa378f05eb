"""How databases and bundles show themselves in a notebook: some numbers and some pictures.

Pictures are JPEGs made anew of pixels, never a database's own, whose comments may name people.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from headpose_fast.bundle import Bundle
from headpose_fast.database import PUBLISHED_DIGEST, Database, DatabaseError
from headpose_fast.picture import photograph_image, sample_image

#: Pictures that are shown, and their longer side in pixels at most: eight of pure noise have 80 KB.
_PICTURES = 8
_MOST_SIDE = 96

#: A caption, and the picture if there is one.
_Figure = tuple[str, Image.Image | None]

#: Characters of a text: 99 people are listed whole.
_MOST_TEXT = 400


def database_html(database: Database) -> str:
    """Show how much there is in a database, and photographs spread over it."""
    missing = sum(map(len, database.missing().values()))
    digest = database.digest
    facts = [
        ("database", str(database.path)),
        ("photographs", f"{len(database):,}"),
        ("people", ", ".join(map(str, database.persons))),
        ("lacking", f"{missing:,} of the published photographs" if missing else "nothing"),
        ("digest", f"{digest}{' (the published one)' if digest == PUBLISHED_DIGEST else ''}"),
    ]
    figures: list[_Figure] = []
    for i in _spread(len(database)):
        photograph = database[i]
        caption = f"person {photograph.person}, {photograph.tilt:+d}, {photograph.pan:+d}"
        try:
            figures.append((caption, photograph_image(photograph)))
        except DatabaseError as error:
            # The rest is shown, and what is wrong in place of the picture.
            figures.append((f"{caption}: {error}", None))
    return _page("Database", facts, figures)


def bundle_html(bundle: Bundle) -> str:
    """Show the shapes of a bundle's arrays, and samples to train with spread over them."""
    facts = [
        (name, f"float32 {array.shape}") for name, array in zip(Bundle._fields, bundle, strict=True)
    ]
    figures: list[_Figure] = []
    for i in _spread(len(bundle.trn_im)):
        tilt, pan = (bundle.trn_output[i].astype(np.float64) * 90).tolist()
        figures.append((f"trn {i:,}: {tilt:+.3g}, {pan:+.3g}", sample_image(bundle.trn_im[i])))
    return _page("Bundle", facts, figures)


def _spread(count: int) -> list[int]:
    """Choose some of `count`, the first and the last among them."""
    return [round(i) for i in np.linspace(0, count - 1, min(count, _PICTURES))]


def _page(
    title: str,
    facts: Iterable[tuple[str, str]],
    figures: Sequence[_Figure],
) -> str:
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(_shortened(value))}</td></tr>'
        for name, value in facts
    )
    shown = "".join(
        '<figure style="display:inline-block;margin:4px;text-align:center;vertical-align:top">'
        f"{_picture(image) if image else ''}"
        f'<figcaption style="font-size:11px">{html.escape(_shortened(caption))}</figcaption>'
        "</figure>"
        for caption, image in figures
    )
    return (
        f"<div><b>{title}</b><table>{rows}</table>"
        f"<div>{shown}</div><small>under each picture: tilt, pan in degrees</small></div>"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _picture(image: Image.Image) -> str:
    image = image.copy()
    image.thumbnail((_MOST_SIDE, _MOST_SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="">'
