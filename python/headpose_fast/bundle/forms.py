"""All kinds of bundle, and loading and checking files of any of them.

A form makes the draft of a job's file (`reserved_bytes`, `write`), and opens a file: see
`PlacedForm`, `PlacedDraft` and `PlacedReader`, which explain what the others have, too.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from headpose_fast.bundle.arrays import Bundle, Counts
from headpose_fast.bundle.kind_any import AnyPython
from headpose_fast.bundle.kind_py2 import Python2
from headpose_fast.bundle.kind_py3 import Python3
from headpose_fast.bundle.kind_small import NAME
from headpose_fast.bundle.original import ORIGINAL_START, OriginalReader
from headpose_fast.bundle.placed_files import PlacedForm, PlacedReader
from headpose_fast.bundle.shards import ShardedReader, is_index
from headpose_fast.bundle.small_files import SmallForm
from headpose_fast.bundle.small_reading import SmallReader
from headpose_fast.errors import BundleError, DatabaseError
from headpose_fast.text import listed

Form = PlacedForm | SmallForm
Reader = PlacedReader | SmallReader | OriginalReader | ShardedReader

PLACED = {kind.name: kind for kind in (AnyPython(), Python2(), Python3())}

#: By the names in `kinds.KINDS`.
FORMS: Mapping[str, Form] = {name: PlacedForm(kind) for name, kind in PLACED.items()} | {
    NAME: SmallForm()
}

_HEADER = re.compile(
    rb"\x80[\x02\x04]U.headpose-fast (\d+) ([a-z0-9]+)"
    rb" (\d{1,10}) (\d{1,10}) (\d{1,5}) (\d{1,5})0",
    re.DOTALL,
)

#: What a pickle's integers hold.
_MOST_SAMPLES = 2**31 - 1


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
            require_none(path, reader.damaged(None), "is damaged")
        return reader.load(mmap=mmap)


def require_none(path: Path, places: Iterable[str], what: str) -> None:
    """Raise BundleError if there are any such places in a file; `what` says what is wrong."""
    problems = [f"{path}: {place} {what}" for place in places]
    if problems:
        raise BundleError(listed(problems, "places", f"{path}: "))


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a bundle of any kind, or a file of the original script.

    Raises BundleError, which names the file, if it is not a bundle, is damaged, or ends early, and
    for a ValueError of the block; OSError if it cannot be read.
    """
    if is_index(path):
        with ExitStack() as stack:
            try:
                yield ShardedReader(path, reading, stack)
            except (BundleError, DatabaseError):
                raise
            except ValueError as error:
                raise BundleError(f"{path}: {error}") from None
        return
    with path.open("rb") as file:
        try:
            start = file.read(256)
            if start.startswith(ORIGINAL_START):
                yield OriginalReader(file)
            else:
                form, counts = _header(start)
                yield form.open(path, file, counts)
        except (BundleError, DatabaseError):
            raise
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from None


def _header(start: bytes) -> tuple[Form, Counts]:
    match = _HEADER.match(start)
    if match is None:
        raise ValueError("not a bundle of headpose-fast or of the original script")
    number, kind, *sizes = (group.decode() for group in match.groups())
    if number != "1" or kind not in FORMS:
        raise ValueError(f"written by a newer headpose-fast, in format {number}, kind {kind}")
    counts = Counts(*map(int, sizes))
    if min(counts) < 1 or max(counts.train, counts.test) > _MOST_SAMPLES:
        raise ValueError("its first line is invalid")
    return FORMS[kind], counts
