"""What can be wrong with the files that people bring."""

from collections.abc import Sequence

from headpose_fast.text import listed, one_line


class DatabaseError(ValueError):
    """The database cannot be used. `problems` has one line each, which names the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all problems; the message lists the first of them."""
        self.problems = tuple(map(one_line, problems))
        super().__init__(listed(self.problems, "problems"))


class BundleError(ValueError):
    """A bundle is damaged, or is not what the database makes. It names the file and the places."""


class UploadError(OSError):
    """A file was not uploaded, or what arrived is not the file. The local file is untouched."""
