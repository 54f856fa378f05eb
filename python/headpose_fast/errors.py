"""What can be wrong with the files that users supply."""

from collections.abc import Sequence

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
    """A file was not uploaded, or a different one arrived. The local file is untouched."""
