"""The form parquet: photographs without their comments, and everything known about them.

The image column is what the library `datasets` (github.com/huggingface/datasets) takes for images,
and the schema says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from headpose_fast import _core
from headpose_fast.database.photographs import Photograph
from headpose_fast.errors import DatabaseError
from headpose_fast.exports.jpegs import without_comments
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
    files = sum(len(p.jpeg) + len(p.label) + 2 * len(p.name) + _ROW_BYTES for p in photographs)
    return files + _GROUP_OVERHEAD * (1 + sum(1 for _ in _groups(photographs)))


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

    schema = _schema()
    # The photographs are already compressed, and the rest is small.
    settings = {"compression": "none", "use_dictionary": False}
    with pyarrow.parquet.ParquetWriter(stream, schema, **settings) as file:
        for group in _groups(photographs):
            jpegs = _cleaned(photographs[group.start : group.stop], workers)
            rows = [
                _row(photographs[i], jpeg, tested[i]) for i, jpeg in zip(group, jpegs, strict=True)
            ]
            table = pyarrow.Table.from_pylist(rows, schema)
            file.write_table(table, row_group_size=len(rows))
            if report:
                report(group.stop, len(photographs))


def _schema() -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return the columns, and what `datasets` reads of their features."""
    import pyarrow

    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = [(name, pyarrow.type_for_alias(kind)) for name, kind in _COLUMNS.items()]
    features: dict[str, dict[str, str]] = {"image": {"_type": "Image"}}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, kind in _COLUMNS.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pyarrow.schema([("image", image), *columns], metadata)


def _groups(photographs: Sequence[Photograph]) -> Iterator[range]:
    """Divide the photographs into row groups."""
    start = files = 0
    for i, photograph in enumerate(photographs):
        length = len(photograph.jpeg)
        if i > start and (i - start == _GROUP_ROWS or files + length > _GROUP_BYTES):
            yield range(start, i)
            start, files = i, 0
        files += length
    yield range(start, len(photographs))


def _cleaned(photographs: Sequence[Photograph], workers: int | None) -> list[bytes]:
    """Return the files without comments, once each is known to have the pixels it had before."""
    jpegs, problems = [], []
    for photograph in photographs:
        try:
            jpegs.append(without_comments(photograph.jpeg))
        except ValueError as error:
            problems.append(f"{photograph.name}: {error}")
    if problems:
        raise DatabaseError(problems)
    checksums: list[int] = []
    both = [*(p.jpeg for p in photographs), *jpegs]
    failures = _core.decode_photographs(both, workers, lambda _, crc32: checksums.append(crc32))
    if failures:
        names = [p.name for p in photographs]
        raise DatabaseError([f"{names[i % len(names)]}: {why}" for i, why in failures])
    before, after = checksums[: len(photographs)], checksums[len(photographs) :]
    problems = [
        f"{photograph.name}: it has other pixels without its comments and application data"
        for photograph, one, other in zip(photographs, before, after, strict=True)
        if one != other
    ]
    if problems:
        raise DatabaseError(problems)
    return jpegs


def _row(photograph: Photograph, jpeg: bytes, test: bool) -> dict[str, object]:
    # The same, whatever folders the database is packed in.
    name = "/".join(photograph.name.split("/")[-2:])
    face = photograph.face
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
        "jpeg_sha256": hashlib.sha256(photograph.jpeg).hexdigest(),
    }
