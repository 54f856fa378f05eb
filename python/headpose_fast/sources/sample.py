"""The sample database: 2,790 rendered heads in place of the Head Pose Image Database.

Named, sized and labelled like the real one, it lets the whole job run anywhere, offline.
"""

import functools
import io
import os
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from headpose_fast.progress import Progress
from headpose_fast.sources.cache import SAMPLE_NAME, cached_file, keeping
from headpose_fast.sources.heads import POSES, SITTINGS, photograph, sit


def sample_database(progress: Progress | None = None) -> Path:
    """Return the path of the sample database, a tar in the cache folder, made if it is missing.

    `progress` is called with the number of photographs made and the total, from time to time.
    Raises OSError if the cache folder cannot be written.
    """
    with keeping("the sample database") as folder:
        path = folder / SAMPLE_NAME
        if not path.exists():
            _write_database(path, SITTINGS, range(len(POSES)), progress)
    return path


def _write_database(
    path: Path,
    sittings: Sequence[tuple[int, int]],
    numbers: Sequence[int],
    progress: Progress | None,
) -> None:
    """Write the tar of some (person, series) and numbers: always the same bytes, or no file."""
    # NumPy and Pillow release the GIL. Processes would need the user's `__main__` to be guarded.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with (
            cached_file(path) as part,
            tarfile.open(part, "x", format=tarfile.USTAR_FORMAT) as tar,
        ):
            results = pool.map(functools.partial(_members, numbers=numbers), sittings)
            for done, members in enumerate(results, 1):
                for name, content in members:
                    member = tarfile.TarInfo(name)  # of time 0, owner 0 and mode 644
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                if progress:
                    progress(done * len(numbers), len(sittings) * len(numbers))
    finally:
        pool.shutdown(cancel_futures=True)


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
        # The real photographs' quality and subsampling.
        Image.fromarray(picture).save(jpeg, "JPEG", quality=75, subsampling="4:2:0")
        label = "\n".join((f"{stem}.jpg", "", "Face", *map(str, box), ""))
        members += [
            (f"Person{person:02}/{stem}.jpg", jpeg.getvalue()),
            (f"Person{person:02}/{stem}.txt", label.encode()),
        ]
    return members
