"""How an object is displayed in a notebook: some facts and some pictures, as HTML.

Pictures are newly made JPEGs, never a database's own files, whose comments may name people.
"""

import base64
import html
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from headpose_fast.text import shortened

#: Pictures shown, and the most pixels of their longer side: eight of pure noise have 80 KB.
_PICTURES = 8
_MOST_SIDE = 96

#: Most characters of a text: 99 people are listed in full.
_LONGEST = 400

#: A caption, and the picture if there is one.
Figure = tuple[str, Image.Image | None]


def spread(count: int) -> list[int]:
    """Choose some of `count` indices, the first and the last among them."""
    return [round(i) for i in np.linspace(0, count - 1, min(count, _PICTURES))]


def page(title: str, facts: Iterable[tuple[str, str]], figures: Iterable[Figure]) -> str:
    """Lay out facts (name, value) and figures below a title."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(shortened(value, _LONGEST))}</td></tr>'
        for name, value in facts
    )
    pictures = "".join(
        '<figure style="display:inline-block;margin:4px;text-align:center;vertical-align:top">'
        f"{_picture(image) if image else ''}"
        f'<figcaption style="font-size:11px">{html.escape(shortened(caption, _LONGEST))}'
        "</figcaption></figure>"
        for caption, image in figures
    )
    return (
        f"<div><b>{title}</b><table>{rows}</table>"
        f"<div>{pictures}</div><small>under each picture: tilt, pan in degrees</small></div>"
    )


def _picture(image: Image.Image) -> str:
    image = image.copy()
    image.thumbnail((_MOST_SIDE, _MOST_SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="">'
