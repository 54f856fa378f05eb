"""What can be wrong with the files that users supply."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headpose_fast.text import listed, one_line


class DatabaseError(ValueError):
    """The database cannot be used. `problems` has a line for each problem, naming the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all problems; the message lists the first of them."""
        self.problems = tuple(map(one_line, problems))
        super().__init__(listed(self.problems, "problems"))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        """Keep all problems when it is sent to another process."""
        return type(self), (self.problems,)


class BundleError(ValueError):
    """A bundle is damaged or differs from what the database makes. Names the file and places."""


class UploadError(OSError):
    """A store refused, or a different file arrived there. The local file is untouched."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn a ValueError of the block into a BundleError that names the file."""
    try:
        yield
    except (BundleError, DatabaseError):
        raise
    except ValueError as error:
        raise BundleError(f"{path}: {error}") from None
