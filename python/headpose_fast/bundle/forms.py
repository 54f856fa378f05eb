"""All kinds of bundle, and which one a file is."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from headpose_fast.bundle.arrays import Counts
from headpose_fast.bundle.kind_any import AnyPython
from headpose_fast.bundle.kind_py2 import Python2
from headpose_fast.bundle.kind_py3 import Python3
from headpose_fast.bundle.kind_small import NAME
from headpose_fast.bundle.original import OriginalReader, is_original
from headpose_fast.bundle.placed_files import PlacedForm
from headpose_fast.bundle.protocol import Form, Reader
from headpose_fast.bundle.shards import ShardedReader, is_index
from headpose_fast.bundle.small_files import SmallForm
from headpose_fast.errors import BundleError, DatabaseError

PLACED = {kind.name: kind for kind in (AnyPython(), Python2(), Python3())}

#: By the names in `kinds.KINDS`.
FORMS: Mapping[str, Form] = {
    **{name: PlacedForm(kind) for name, kind in PLACED.items()},
    NAME: SmallForm(),
}

_HEADER = re.compile(
    rb"\x80[\x02\x04]U.headpose-fast (\d+) ([a-z0-9]+)"
    rb" (\d{1,10}) (\d{1,10}) (\d{1,5}) (\d{1,5})0",
    re.DOTALL,
)

#: What a pickle's integers hold.
_MOST_SAMPLES = 2**31 - 1


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a bundle of any kind, or a file of the original script.

    Raises:
        BundleError: The file is not a bundle, is damaged, or ends early. A ValueError of the block
            becomes one too. The message names the file.
        OSError: It cannot be read.

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
            if is_original(file):
                yield OriginalReader(file)
                return
            file.seek(0)
            form, counts = _header(file.read(256))
            yield form.open(path, file, counts)
        except (BundleError, DatabaseError):
            raise
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from None


def _header(start: bytes) -> tuple[Form, Counts]:
    match = _HEADER.match(start)
    if match is None:
        raise ValueError("not a bundle of headpose-fast or of the original script")
    number, kind = match[1].decode(), match[2].decode()
    if number != "1" or kind not in FORMS:
        raise ValueError(f"written by a newer headpose-fast, in format {number}, kind {kind}")
    counts = Counts(*(int(match[i]) for i in (3, 4, 5, 6)))
    if min(counts) < 1 or max(counts.train, counts.test) > _MOST_SAMPLES:
        raise ValueError("its first line is invalid")
    return FORMS[kind], counts
