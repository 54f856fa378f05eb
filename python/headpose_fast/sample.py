"""The sample database: 2,790 rendered heads in place of the Head Pose Image Database.

Named, sized and labelled as the real one, it lets the whole job run anywhere, offline.
"""

from __future__ import annotations

import functools
import io
import os
import sys
import tarfile
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from headpose_fast.heads import POSES, SITTINGS, photograph, sit
from headpose_fast.progress import Progress

#: Part of the file's name: raise it when a pixel, a label or a name changes.
SAMPLE_VERSION = 1


def sample_database(progress: Progress | None = None) -> Path:
    """Return the path of the sample database, a tar in the cache folder; make it if missing.

    `progress` is told the number of photographs made and their total, from time to time.
    Raises OSError if the cache folder cannot be written.
    """
    folder = cache_folder()
    path = folder / f"HeadPoseSample-{SAMPLE_VERSION}.tar"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _write_database(path, SITTINGS, range(len(POSES)), progress)
    except OSError as error:
        raise OSError(
            f"the sample database cannot be kept in the cache folder {folder}: "
            f"{error.strerror or error}; set HEADPOSE_FAST_CACHE to a folder that can be written"
        ) from error
    return path


def cache_folder() -> Path:
    """Return HEADPOSE_FAST_CACHE if set, else `headpose-fast` in the platform's cache folder."""
    own = os.environ.get("HEADPOSE_FAST_CACHE")
    if own:
        return Path(own)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "headpose-fast"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "headpose-fast"
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    root = Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache"
    return root / "headpose-fast"


def _write_database(
    path: Path,
    sittings: Sequence[tuple[int, int]],
    numbers: Sequence[int],
    progress: Progress | None,
) -> None:
    """Write the tar of some (person, series) and numbers: the same bytes always, or no file."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    # NumPy and Pillow release the GIL; processes would need a guarded `__main__` of the user.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with (
            part.open("xb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            results = pool.map(functools.partial(_members, numbers=numbers), sittings)
            for done, members in enumerate(results, 1):
                for name, content in members:
                    member = tarfile.TarInfo(name)  # of time 0, owner 0 and mode 644
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                if progress:
                    progress(done * len(numbers), len(sittings) * len(numbers))
        try:
            part.replace(path)
        except PermissionError:
            # Windows: another run was faster and its file, the same bytes, is in use.
            if not path.exists():
                raise
    finally:
        pool.shutdown(cancel_futures=True)
        part.unlink(missing_ok=True)


def _members(sitting: tuple[int, int], numbers: Sequence[int]) -> list[tuple[str, bytes]]:
    """Make names and contents of the photographs and labels of one (person, series)."""
    members = []
    person, series = sitting
    prepared = sit(person, series)
    for number in numbers:
        picture, box = photograph(prepared, number)
        tilt, pan = POSES[number]
        stem = f"person{person:02}{series}{number:02}{tilt:+}{pan:+}"
        jpeg = io.BytesIO()
        # Quality and subsampling of the real photographs.
        Image.fromarray(picture).save(jpeg, "JPEG", quality=75, subsampling="4:2:0")
        label = "\n".join((f"{stem}.jpg", "", "Face", *map(str, box), ""))
        members += [
            (f"Person{person:02}/{stem}.jpg", jpeg.getvalue()),
            (f"Person{person:02}/{stem}.txt", label.encode()),
        ]
    return members
