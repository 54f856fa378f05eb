"""What the fuzzers of Python code try, and the tests replay: any bytes as a bundle or a label."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path

from headpose_fast import inspect, load, verify
from headpose_fast.database.names import FaceBox, parse_label


def try_load(data: bytes) -> None:
    """Load a file: four arrays or ValueError, whatever it holds."""
    with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ValueError):
            bundle = load(file.name)
            assert all(array.dtype == "<f4" and array.flags.carray for array in bundle)
            assert sum(array.nbytes for array in bundle) <= len(data)
        with contextlib.suppress(ValueError):
            assert verify(file.name).path == Path(file.name)
        with contextlib.suppress(ValueError):
            inspection = inspect(file.name)
            assert all(line.isprintable() for line in str(inspection).split("\n"))
            json.dumps(inspection.facts(), default=str, allow_nan=False)


def try_label(data: bytes) -> None:
    """Parse a label: four integers or ValueError with a reason."""
    try:
        face = parse_label(data, "person01100-90+0.jpg")
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert isinstance(face, FaceBox)
        assert all(abs(value) < 10**9 for value in face)
