"""All kinds of bundle, and opening files of any of them.

A form makes the draft of a job's file (`reserved_bytes`, `write`), and opens a file: see
`PlacedForm`, `PlacedDraft` and `PlacedReader`, which explain what the others have, too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from headpose_fast.bundle.arrays import Counts
from headpose_fast.bundle.kind_any import AnyPython
from headpose_fast.bundle.kind_py2 import Python2
from headpose_fast.bundle.kind_py3 import Python3
from headpose_fast.bundle.kind_small import NAME
from headpose_fast.bundle.original import ORIGINAL_START, OriginalReader
from headpose_fast.bundle.placed_files import PlacedForm, PlacedReader
from headpose_fast.bundle.sharded_reading import ShardedReader
from headpose_fast.bundle.shards import is_index
from headpose_fast.bundle.small_files import SmallForm
from headpose_fast.bundle.small_reading import SmallReader
from headpose_fast.errors import BundleError, naming
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


def require_none(path: Path, places: Iterable[str], what: str) -> None:
    """Raise BundleError if there are any such places in a file; `what` says what is wrong."""
    problems = [f"{path}: {place} {what}" for place in places]
    if problems:
        raise BundleError(listed(problems, "places", f"{path}: "))


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a bundle of any kind, an index of shards, or a file of the original script.

    Raises BundleError, which names the file, if it is not a bundle, is damaged, or ends early, and
    for a ValueError of the block; OSError if it cannot be read.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        stack.enter_context(naming(path))
        if is_index(file):
            yield stack.enter_context(ShardedReader(path, file, _opened))
        else:
            yield _opened(path, file)


def _opened(path: Path, file: IO[bytes]) -> Reader:
    """Return what reads a file of one bundle. Raises ValueError if it is none."""
    file.seek(0)
    start = file.read(256)
    if start.startswith(ORIGINAL_START):
        return OriginalReader(file)
    form, counts = _header(start)
    return form.open(path, file, counts)


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
