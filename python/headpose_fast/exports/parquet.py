"""The form parquet: photographs without their comments, and everything known about them.

The image column is what the library `datasets` (github.com/huggingface/datasets) takes for images,
and the schema says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from headpose_fast.database.photographs import Photograph, Rows, file_lengths, jpegs_of
from headpose_fast.exports.jpegs import cleaned
from headpose_fast.progress import Progress

#: Of a row group: photographs, as many as `datasets` writes of images, and bytes of their files.
_GROUP_ROWS = 100
_GROUP_BYTES = 16 << 20

#: More than a row takes besides photograph and label, and more than schema and group do.
_ROW_BYTES = 400
_GROUP_OVERHEAD = 16 << 10

#: The columns after the image, and their types, the same in Arrow and in `datasets`.
_COLUMNS = {
    "name": "string",
    "person": "int32",
    "series": "int32",
    "number": "int32",
    "tilt": "int32",
    "pan": "int32",
    "face_x": "int32",
    "face_y": "int32",
    "face_width": "int32",
    "face_height": "int32",
    "width": "int32",
    "height": "int32",
    "split": "string",
    "label_file": "binary",
    "jpeg_sha256": "string",
}


def require_pyarrow() -> None:
    """Raise ModuleNotFoundError, which says what to do, if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "parquet needs pyarrow, which is not installed: pip install headpose-fast[parquet]",
            name=error.name,
        ) from error


def most_bytes(photographs: Sequence[Photograph]) -> int:
    """Return how long the file may become."""
    rows = sum(len(p.label) + 2 * len(_name(p).encode()) + _ROW_BYTES for p in photographs)
    groups = sum(1 for _ in _groups(photographs))
    return sum(file_lengths(photographs)) + rows + _GROUP_OVERHEAD * (1 + groups)


def write(
    stream: BinaryIO,
    photographs: Sequence[Photograph],
    tested: Sequence[bool],
    workers: int | None,
    report: Progress | None,
) -> None:
    """Write a row for each photograph, group by group.

    Raises DatabaseError if a photograph is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    schema = _schema(whole_angles=not isinstance(photographs, Rows))
    # The photographs are already compressed, and the rest is small.
    settings = {"compression": "none", "use_dictionary": False}
    with pyarrow.parquet.ParquetWriter(stream, schema, **settings) as file:
        for group in _groups(photographs):
            some = photographs[group.start : group.stop]
            jpegs = jpegs_of(some)
            both = zip(jpegs, cleaned(some, jpegs, workers), strict=True)
            rows = [
                _row(photographs[i], *files, tested[i])
                for i, files in zip(group, both, strict=True)
            ]
            table = pyarrow.Table.from_pylist(rows, schema)
            file.write_table(table, row_group_size=len(rows))
            if report:
                report(group.stop, len(photographs))


def _schema(*, whole_angles: bool) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return the columns, and what `datasets` reads of their features."""
    import pyarrow

    kinds = _COLUMNS if whole_angles else _COLUMNS | {"tilt": "float64", "pan": "float64"}
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = [(name, pyarrow.type_for_alias(kind)) for name, kind in kinds.items()]
    features: dict[str, dict[str, str]] = {"image": {"_type": "Image"}}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pyarrow.schema([("image", image), *columns], metadata)


def _groups(photographs: Sequence[Photograph]) -> Iterator[range]:
    """Divide the photographs into row groups."""
    start = files = 0
    for i, length in enumerate(file_lengths(photographs)):
        if i > start and (i - start == _GROUP_ROWS or files + length > _GROUP_BYTES):
            yield range(start, i)
            start, files = i, 0
        files += length
    yield range(start, len(photographs))


def _name(photograph: Photograph) -> str:
    """Return its name: the same, whatever folders the database is packed in."""
    return "/".join(photograph.name.split("/")[-2:]) if photograph.label else photograph.name


def _row(photograph: Photograph, original: bytes, jpeg: bytes, test: bool) -> dict[str, object]:
    name, face = _name(photograph), photograph.face
    return {
        "image": {"bytes": jpeg, "path": name},
        "name": name,
        "person": photograph.person,
        "series": photograph.series,
        "number": photograph.number,
        "tilt": photograph.tilt,
        "pan": photograph.pan,
        "face_x": face.cx,
        "face_y": face.cy,
        "face_width": face.width,
        "face_height": face.height,
        "width": photograph.width,
        "height": photograph.height,
        "split": "test" if test else "train",
        "label_file": photograph.label,
        "jpeg_sha256": hashlib.sha256(original).hexdigest(),
    }
