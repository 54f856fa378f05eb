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
    """Load a bundle of any kind, or a file of the original script, without the pickle machine.

    Only files of exactly these layouts are read, so no code in a file is ever run. All of the file
    but the array data is compared with what it must be, always; the array data with its checksums
    only on request, as that reads all of it. The samples of kind `small` are rendered.

    Args:
        path: The file. Of the original script's, those that `pickle` of Python 2.7 wrote.
        verify: Whether the array data is compared with the checksums.
        mmap: Whether kind `py3` is mapped, copy-on-write, instead of read: it then costs no time,
            and changes to the arrays stay in memory. If another program truncates or rewrites the
            file meanwhile, the system ends this process with SIGBUS, or the arrays change; with
            false they are read into memory, as those of all other kinds are.

    Raises:
        ValueError: The file is not a bundle, is damaged, or ends early; or it has no checksums,
            as the original script's files, and `verify` is true.
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
