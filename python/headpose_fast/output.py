"""Writing a file that takes its name only once it is complete."""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import BinaryIO

from headpose_fast import _core


def require_writable(target: Path) -> None:
    """Raise OSError if a file cannot be put there, or would replace a folder or a device."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder to write {target.name} to")
    if target.exists() and not target.is_file():
        raise FileExistsError(f"{target}: not a regular file, so it is not replaced")


def target_path(output: str | os.PathLike[str] | None, name: str, source: Path) -> Path:
    """Return the file to write: `output`, or `name` in that folder or, for None, in this one.

    Raises:
        OSError: A file cannot be put there.
        ValueError: It would replace the database, `source`.

    """
    target = Path() if output is None else Path(output)
    if target.is_dir():
        target /= name
    elif output is not None and os.fspath(output).endswith(("/", os.sep)):
        raise FileNotFoundError(f"{target}: no such folder to write to")
    require_writable(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target}: the output would replace the database")
    return target


@contextlib.contextmanager
def output_file(target: Path, length: int, *, sync: bool) -> Iterator[tuple[Path, FileIO]]:
    """Open a temporary file beside `target`; it takes that name once the block succeeds."""
    # A symbolic link stays; its target is replaced.
    final = target.resolve()
    _clear_abandoned(final)
    free = _free_bytes(final.parent)
    if free < length:
        reason = f"the file needs {length:,} bytes, and {free:,} are free"
        raise OSError(errno.ENOSPC, reason, str(target))
    temporary = None
    try:
        while True:
            temporary = final.with_name(f".{final.name}.{os.urandom(8).hex()}.tmp")
            _core.create_file(temporary, length)
            # Before it is locked, another run may take it for an abandoned one.
            with contextlib.suppress(FileNotFoundError):
                file = FileIO(temporary, "r+b")
                if _locked(file) and temporary.exists():
                    break
                file.close()
        with file:
            yield temporary, file
            if sync:
                os.fsync(file.fileno())
            if os.name == "nt":
                file.close()  # Windows cannot rename an open file.
            temporary.replace(final)
        if sync and os.name != "nt":
            folder = os.open(final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        # One without a number is not of the system, and has a text of its own.
        of_system = isinstance(error, OSError) and error.errno is not None
        if of_system and getattr(error, "filename", None) in (None, str(temporary)):
            error.filename = str(target)  # type: ignore[attr-defined]
        raise


@contextlib.contextmanager
def streamed_file(target: Path, most: int, *, sync: bool) -> Iterator[BinaryIO]:
    """Open a file as `output_file` does, to be written from start to end.

    It has room for `most` bytes while it is written, and ends where the block stops writing.
    """
    with output_file(target, most, sync=sync) as (_, file):
        # Unlike the file itself, this writes all that it is given.
        stream = BufferedWriter(file)
        try:
            yield stream
            stream.flush()
            file.truncate(stream.tell())
        finally:
            stream.detach()


def write_all(file: FileIO, data: bytes) -> None:
    """Write all of the data, even if the system takes only part of it at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _free_bytes(folder: Path) -> int:
    if sys.platform != "win32":
        # shutil does the same, but its import takes 4 ms.
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize
    import shutil

    return shutil.disk_usage(folder).free


def _lock(file: FileIO) -> None:
    """Lock a file until it is closed or its process ends, however that happens.

    Raises BlockingIOError if another process has locked it, OSError where there are no locks.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(file: FileIO) -> bool:
    try:
        _lock(file)
    except BlockingIOError:
        return False
    except OSError:
        pass  # A file system without locks, where nothing abandoned is cleared either.
    return True


def _clear_abandoned(final: Path) -> None:
    """Delete the temporary files of killed runs to the same name."""
    name = re.compile(rf"\.{re.escape(final.name)}\.[0-9a-f]{{16}}\.tmp")
    for path in filter(lambda path: name.fullmatch(path.name), final.parent.iterdir()):
        # Files that are in use, already gone, or somebody else's are left alone.
        with contextlib.suppress(OSError), FileIO(path, "r+b") as file:
            _lock(file)
            if sys.platform == "win32":
                file.close()  # Windows cannot delete an open file: one in use stays.
            path.unlink()
