"""The folder where files are kept from run to run."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Increase it when a pixel, a label or a name of the sample database changes.
SAMPLE_VERSION = 1

#: The sample database's file.
SAMPLE_NAME = f"HeadPoseSample-{SAMPLE_VERSION}.tar"

#: The suffix of temporary files.
_PART = ".headpose-fast.part"

#: Seconds after which a temporary file counts as abandoned.
_ABANDONED = 24 * 3600


def cache_folder() -> Path:
    """Return HEADPOSE_FAST_CACHE if set, else `headpose-fast` in the platform's cache folder.

    Raises OSError if there is no home folder to look in.
    """
    own = os.environ.get("HEADPOSE_FAST_CACHE")
    try:
        if own:
            return Path(own).expanduser()
        return _platforms_cache() / "headpose-fast"
    except RuntimeError:
        raise OSError(
            "there is no home folder for the cache: set HEADPOSE_FAST_CACHE to a folder"
        ) from None


def _platforms_cache() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore relative paths.
    return Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache"


@contextlib.contextmanager
def keeping(what: str) -> Iterator[Path]:
    """Yield the cache folder; an OSError in the block becomes one that says what to do."""
    folder = cache_folder()
    _clear_abandoned(folder)
    try:
        yield folder
    except OSError as error:
        raise OSError(
            f"{what} cannot be stored in the cache folder {folder}: {error.strerror or error}; "
            "set HEADPOSE_FAST_CACHE to a writable folder"
        ) from error


def _clear_abandoned(folder: Path) -> None:
    """Delete the temporary files of killed runs."""
    for part in folder.glob(f"*{_PART}"):
        # One that is in use stays, and one may already be gone.
        with contextlib.suppress(OSError):
            # Not st_mtime, which a download takes from the server.
            if part.stat().st_ctime < time.time() - _ABANDONED:
                part.unlink()


@contextlib.contextmanager
def cached_file(path: Path) -> Iterator[Path]:
    """Yield a new name beside `path`; its file is renamed to `path` once the block succeeds.

    The folder is made if it is missing. If several run at once, the last to finish wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.urandom(8).hex()}{_PART}")
    try:
        yield part
        try:
            part.replace(path)
        except PermissionError:
            # On Windows, another run was faster and its file is in use.
            if not path.exists():
                raise
    finally:
        part.unlink(missing_ok=True)
