"""Loading a bundle into memory, and checking one by its checksums."""

import os
from collections.abc import Iterable
from pathlib import Path

from headpose_fast.bundle.arrays import Bundle
from headpose_fast.bundle.forms import reading
from headpose_fast.bundle.protocol import Reader
from headpose_fast.errors import BundleError
from headpose_fast.text import listed


def load(path: str | os.PathLike[str], *, verify: bool = False, mmap: bool = True) -> Bundle:
    """Load a bundle of any kind, or a file of the original script, without unpickling it.

    Only files of exactly these layouts are read, so no code in a file is ever run. Everything but
    the array data is always compared with what it must be. The array data is compared with its
    checksums only on request, since that reads all of it. Samples of kind `small` are rendered.

    Args:
        path: The file. The original script's must have been written by Python 2.7's `pickle`.
        verify: Whether to compare the array data with the checksums.
        mmap: Whether to map kind `py3`, copy-on-write, instead of reading it. Mapping costs no
            time, and changes to the arrays stay in memory. But if another program truncates or
            rewrites the file meanwhile, the system ends this process with SIGBUS, or the arrays
            change. If false, the arrays are read into memory, as those of all other kinds are.

    Raises:
        ValueError: The file is not a bundle, is damaged, or ends early; or `verify` is true and it
            has no checksums, as is the case for the original script's files.
        OSError: It cannot be read.

    """
    path = Path(path)
    with reading(path) as reader:
        if verify:
            require_undamaged(path, reader, None)
        return reader.load(mmap=mmap)


def require_undamaged(path: Path, reader: Reader, workers: int | None) -> None:
    """Raise BundleError with the places whose bytes do not have their checksums."""
    require_none(path, reader.damaged(workers), "is damaged")


def require_none(path: Path, places: Iterable[str], what: str) -> None:
    """Raise BundleError if there are places in a file of which this is said."""
    problems = [f"{path}: {place} {what}" for place in places]
    if problems:
        raise BundleError(listed(problems, "places", f"{path}: "))
