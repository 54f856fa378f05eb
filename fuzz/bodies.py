"""What the fuzzers of Python code try, and the tests replay: any bytes as a bundle or a label."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path

import numpy as np

from headpose_fast import inspect, load, verify
from headpose_fast.bundle.forms import reading
from headpose_fast.database.names import FaceBox, parse_label

#: Of the arrays of kind `small`, which may be thousands of times as large as the file.
_MOST_RENDERED = 1 << 24

#: An index may list shards, and none are there.
_EXPECTED = (ValueError, FileNotFoundError)


def try_load(data: bytes) -> None:
    """Load a file: four arrays or an error that is expected, whatever it holds."""
    with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
        file.write(data)
        file.flush()
        rendered = _rendered(Path(file.name))
        if rendered > _MOST_RENDERED:
            return
        with contextlib.suppress(*_EXPECTED):
            bundle = load(file.name)
            assert all(array.dtype == "<f4" and array.flags.carray for array in bundle)
            assert sum(array.nbytes for array in bundle) <= max(len(data), rendered)
        with contextlib.suppress(*_EXPECTED):
            assert verify(file.name).path == Path(file.name)
        with contextlib.suppress(*_EXPECTED):
            inspection = inspect(file.name)
            assert all(line.isprintable() for line in str(inspection).split("\n"))
            json.dumps(inspection.facts(), default=str, allow_nan=False)


def _rendered(path: Path) -> int:
    """Return the bytes that a file of kind `small` is rendered to; 0 for any other file."""
    with contextlib.suppress(*_EXPECTED), reading(path) as reader:
        if reader.kind == "small" and reader.counts is not None:
            return 4 * sum(int(np.prod(shape)) for shape in reader.counts.shapes())
    return 0


def try_label(data: bytes) -> None:
    """Parse a label: four integers or ValueError with a reason."""
    try:
        face = parse_label(data, "person01100-90+0.jpg")
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert isinstance(face, FaceBox)
        assert all(abs(value) < 10**9 for value in face)
