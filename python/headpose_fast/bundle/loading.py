"""Loading a bundle: its arrays, or views of them."""

import os
from pathlib import Path
from typing import Literal, overload

from headpose_fast.bundle.arrays import Bundle
from headpose_fast.bundle.forms import reading, require_none
from headpose_fast.bundle.lazy import LazyBundle, view


@overload
def load(
    path: str | os.PathLike[str],
    *,
    verify: bool = False,
    mmap: bool = True,
    lazily: Literal[False] = False,
) -> Bundle: ...
@overload
def load(
    path: str | os.PathLike[str],
    *,
    verify: bool = False,
    mmap: bool = True,
    lazily: Literal[True],
) -> LazyBundle: ...
def load(
    path: str | os.PathLike[str], *, verify: bool = False, mmap: bool = True, lazily: bool = False
) -> Bundle | LazyBundle:
    """Load a bundle of any kind, shards, or a file of the original script, without unpickling it.

    Only files of exactly these layouts are read, so no code in a file is ever run. Everything but
    the array data is always compared with what it must be. The array data is compared with its
    checksums only on request, since that reads all of it. Samples of kind `small` are rendered.

    Args:
        path: The file, or the index of shards, which are then loaded as one. The original script's
            must have been written by Python 2.7's `pickle`.
        verify: Whether to compare the array data with the checksums.
        mmap: Whether to map kind `py3`, copy-on-write, instead of reading it. Mapping costs no
            time, and changes to the arrays stay in memory. But if another program truncates or
            rewrites the file meanwhile, the system ends this process with SIGBUS, or the arrays
            change. If false, the arrays are read into memory, as those of all other kinds, and of
            shards, are.
        lazily: Whether to return a `LazyBundle`, whose rows are read when they are asked for.

    Raises:
        ValueError: The file is not a bundle, is damaged, or ends early; or `verify` or `lazily` is
            true and it is the original script's, which has no checksums and no fixed places.
        OSError: It cannot be read.

    """
    path = Path(path)
    with reading(path) as reader:
        if verify:
            require_none(path, reader.damaged(None), "is damaged")
        return view(path, reader) if lazily else reader.load(mmap=mmap)
