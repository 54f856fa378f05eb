"""From a database to a file of one of the forms."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_fast.database.databases import Database, tested
from headpose_fast.database.limits import Limits
from headpose_fast.database.photographs import Photograph, persons_of, select
from headpose_fast.errors import DatabaseError
from headpose_fast.exports import npz, parquet
from headpose_fast.exports.options import Channels, Form, Options, Part
from headpose_fast.output import streamed_file, target_path
from headpose_fast.progress import Progress, bar
from headpose_fast.samples.options import require_workers
from headpose_fast.sources.finding import find_database, open_as_asked


@dataclass(frozen=True)
class Exported:
    """What `export` wrote."""

    path: Path
    form: Form
    part: Part
    #: Bytes in the file.
    size: int
    #: Whether there was another file of that name.
    replaced: bool
    photographs: int
    #: Who is in the file, ascending.
    persons: tuple[int, ...]
    #: The `Database.digest` of the whole database.
    digest: str
    #: Wall time.
    seconds: float


def export(
    form: Form,
    input: str | os.PathLike[str] | None = None,  # noqa: A002 (the name of the option)
    output: str | os.PathLike[str] | None = None,
    *,
    part: Part = "all",
    test_persons: Collection[int] | None = None,
    split: str | None = None,
    size: tuple[int, int] | None = None,
    channels: Channels | None = None,
    workers: int | None = None,
    allow_incomplete: bool = False,
    limits: Limits | None = None,
    progress: Progress | bool = False,
) -> Exported:
    """Write the photographs and their poses for other loaders; docs/export.md explains the files.

    The same database and options make the same bytes with the same version of headpose-fast, and,
    for parquet, of pyarrow. Photographs are in the order of person, series and number; those of a
    table in its order.

    Args:
        form: `npz`: arrays `image` uint8 (photographs, size, size, 3), `pose` float64
            (photographs, 3) of yaw, pitch and roll in degrees, and `img_size`, as FSA-Net's
            `TYY_create_db_biwi.py` writes them (github.com/shamangary/FSA-Net). `parquet`: the
            JPEG files without their comments, and everything known about them. It needs pyarrow.
        input: The database, as for `prepare`.
        output: The file to write, or an existing folder, in which the file is named
            `HeadPoseImageDatabase.npz` (or `.parquet`); with a `part`,
            `HeadPoseImageDatabase_train.npz`. None for the current folder. An existing file is
            replaced once the new one is complete.
        part: `train` or `test` for only the photographs to train or test on.
        test_persons: The people to test on; all others train. None for 5, 10 and 15, or for what
            a table's column `split` says.
        split: A fold of the database's own protocols instead, as for `prepare`.
        size: For npz: width and height of the images in pixels, which are equal; None for 64.
        channels: For npz: the order of the channels, `bgr` or `rgb`; None for `bgr`.
        workers: Number of threads; None for one per core that this process may use.
        allow_incomplete: Whether photographs of the published database may be missing.
        limits: Limits on what the database may demand; None for `Limits()`.
        progress: Called with the number of photographs done and the total, from time to time; True
            for a progress bar in a terminal or notebook.

    Raises:
        DatabaseError: The database is incomplete, malformed or damaged, or the part is empty.
        FileNotFoundError: No database was found.
        ModuleNotFoundError: pyarrow is not installed.
        OSError: Something could not be read, downloaded or written. No output is left behind.
        ValueError: An option is out of range, or has no effect with the others.

    """
    began = time.perf_counter()
    require_workers(workers)
    options = Options.chosen(
        form, part, test_persons=test_persons, split=split, size=size, channels=channels
    )
    if form == "parquet":
        parquet.require_pyarrow()
    with bar("download", "B", progress is True) as report:
        source = find_database(input, report, limits)
    target = target_path(output, options.name, Path(source))
    by_default = test_persons is None and split is None
    asked = {"by_default": by_default, "published": input is None, "complete": not allow_incomplete}
    database, digest = open_as_asked(source, limits, options.test_persons, **asked)
    if by_default and options.needs_split:
        options = options.of_table(database)
    photographs, test = _chosen(database, options)
    replaced = target.exists()
    if form == "npz":
        most = npz.most_bytes(photographs, options)
        write = partial(npz.write, photographs=photographs, options=options)
    else:
        most = parquet.most_bytes(photographs)
        write = partial(parquet.write, photographs=photographs, tested=test.tolist())
    with (
        streamed_file(target, most, sync=False) as stream,
        bar("exporting", " photographs", progress) as report,
    ):
        write(stream, workers=workers, report=report)
    return Exported(
        path=target,
        form=form,
        part=part,
        size=target.stat().st_size,
        replaced=replaced,
        photographs=len(photographs),
        persons=persons_of(photographs),
        digest=digest,
        seconds=time.perf_counter() - began,
    )


def _chosen(database: Database, options: Options) -> tuple[Sequence[Photograph], NDArray[np.bool_]]:
    """Return the photographs of the part, and whether each is one to test on."""
    test = tested(database, options.test_persons, options.test_series)
    wanted = {"all": np.ones_like(test), "train": ~test, "test": test}[options.part]
    if not wanted.any():
        raise DatabaseError([f"{database.path}: there are no photographs to {options.part} on"])
    return select(database.photographs, wanted), test[wanted]
