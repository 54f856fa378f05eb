"""The whole job: from a database to a bundle on disk."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from operator import index
from pathlib import Path

from headpose_fast.bundle.kinds import KINDS, SUFFIXES, Kind
from headpose_fast.bundle.writing import Written, write_bundle
from headpose_fast.database.databases import Database
from headpose_fast.database.limits import Limits
from headpose_fast.database.photographs import persons_of, series_of
from headpose_fast.database.splits import test_with
from headpose_fast.database.tables import Table
from headpose_fast.job import Job
from headpose_fast.output import target_path
from headpose_fast.progress import Progress, bar
from headpose_fast.samples.options import (
    MOST_SHARDS,
    SIZES,
    AspectRatio,
    Options,
    require_workers,
    sample_size,
)
from headpose_fast.sources.finding import find_database, open_as_asked


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote."""

    #: The file, or the index of shards.
    path: Path
    #: Of an index in a bucket, whose path is its name alone.
    address: str | None
    kind: Kind
    #: Bytes in the file, or in all shards and their index.
    size: int
    #: Whether it replaced another file of that name.
    replaced: bool
    #: Shapes of `trn_im`, `test_im`, `trn_output` and `test_output`.
    shapes: tuple[tuple[int, ...], ...]
    train_persons: tuple[int, ...]
    test_persons: tuple[int, ...]
    train_series: tuple[int, ...]
    test_series: tuple[int, ...]
    photographs: int
    #: The `Database.digest` of the database.
    digest: str
    seed: int
    #: Number of shards; None for one file.
    shards: int | None
    #: Shards that were there already, whole and right.
    shards_found: int
    #: Wall time.
    seconds: float


def prepare(
    input: str | os.PathLike[str] | None = None,  # noqa: A002 (the name of the option)
    output: str | os.PathLike[str] | None = None,
    *,
    num_data_aug: int = 15,
    num_data_aug_val: int = 3,
    aspect_ratio: AspectRatio = 1,
    seed: int = 0,
    test_persons: Collection[int] | None = None,
    split: str | None = None,
    size: tuple[int, int] | None = None,
    pickle: Kind = "any",
    shards: int | None = None,
    ray: str | bool = False,
    workers: int | None = None,
    allow_incomplete: bool = False,
    limits: Limits | None = None,
    sync: bool = False,
    progress: Progress | bool = False,
) -> Prepared:
    """Turn the database into a bundle, as `python -m headpose_fast` does.

    The same database and options make the same bytes, whatever the workers, paths or time. The
    samples stream to the file: memory holds a plan of some bytes for each, but no pixels.

    Args:
        input: The database's archive or folder, a table (docs/tables.md) as a path or a `Table`,
            or an address (`https://...`) to download an archive from. None for
            `HeadPoseImageDatabase.tar.gz` (or `.tgz`, `.tar`) in the current folder, or the current
            folder if `Person01` is there, or else the published database, which is downloaded once
            and kept in the cache folder.
        output: The file to write, or an existing folder, in which the file is named
            `HeadPoseData_trn_test_x{num_data_aug}_py2.pkl` (kind `py3`: `..._py3.pkl`); with a
            `split`, `..._x15_known1_py2.pkl`; with a `size`, `..._x15_224x224_py2.pkl`. None
            for the current folder. An existing file is replaced once the new one is complete.
        num_data_aug: Passes over the training photographs.
        num_data_aug_val: Passes over the test photographs.
        aspect_ratio: 1 for 1:1 (84 x 84 pixels), 0 for 16:9 (96 x 54 pixels).
        seed: Seed of the crops, 0 to 2**32 - 1.
        test_persons: The people to test on; all others train. None for 5, 10 and 15, or for what
            a table's column `split` says.
        split: A fold of the database's own protocols instead: `known:1` or `known:2` tests on
            that series of every person and trains on the other, `unknown:1` to `unknown:15` tests
            on that person.
        size: Width and height of the samples in pixels, in the proportions of the crops; None for
            those of `aspect_ratio`.
        pickle: `any` loads bare in Python 2.7 and 3, `py2` in Python 2.7 (in Python 3 with
            `encoding="latin1"`), `py3` in Python 3; the latter two are smaller and load faster.
            `small` loads bare in both, has a twentieth of the size and takes longer to load: NumPy
            renders the samples as it loads them.
        shards: Write this many files instead of one, `NAME-00000-of-00064.pkl` and so on, each a
            stretch of the photographs with all their passes and loadable by itself, and then
            `NAME.json`, which lists them (docs/shards.md). Shards that are there and right are not
            made again. `output` may then be a path that ends in `.json`, or `s3://bucket/folder`.
        ray: Make the shards on a Ray cluster: its address, or true for the cluster that Ray finds
            or starts. Needs the extra `headpose-fast[ray]`.
        workers: Number of threads; None for one per core that this process may use. On Ray, of
            each task; None for 1.
        allow_incomplete: Whether photographs of the published database may be missing.
        limits: Limits on what the database may demand; None for `Limits()`.
        sync: Whether to wait until the file and its name are on the disk.
        progress: Called with the number of samples rendered and the total, from time to time; True
            for a progress bar in a terminal or notebook.

    Raises:
        DatabaseError: The database is incomplete, malformed or damaged, or a part would be empty.
        FileNotFoundError: No database was found.
        OSError: Something could not be read, downloaded or written. No output is left behind.
        ValueError: An option is out of range.

    """
    began = time.perf_counter()
    if pickle not in KINDS:
        raise ValueError(f"pickle must be one of {', '.join(KINDS)}, not {pickle!r}")
    require_workers(workers)
    options = _options(
        num_data_aug, num_data_aug_val, aspect_ratio, seed, test_persons, split, size
    )
    with bar("download", "B", progress is True) as report:
        source = find_database(input, report, limits)
    name = _default_name(pickle, options, split)
    write = _writer(output, name, source, shards, ray)
    by_default = test_persons is None and split is None
    asked = {"by_default": by_default, "published": input is None, "complete": not allow_incomplete}
    database, digest = open_as_asked(source, limits, options.test_persons, **asked)
    options = options.of_table(database) if by_default else options
    with bar("rendering", " samples", progress) as report:
        written = write(
            database, digest, options, pickle, workers=workers, sync=sync, progress=report
        )
    train, test = written.train, written.test
    return Prepared(
        path=written.path,
        address=written.address,
        kind=pickle,
        size=written.size,
        replaced=written.replaced,
        shapes=options.shapes(len(train), len(test)),
        train_persons=persons_of(train),
        test_persons=persons_of(test),
        train_series=series_of(train),
        test_series=series_of(test),
        photographs=len(train) + len(test),
        digest=digest,
        seed=options.seed,
        shards=shards,
        shards_found=written.found,
        seconds=time.perf_counter() - began,
    )


def _options(
    num_data_aug: int,
    num_data_aug_val: int,
    aspect_ratio: AspectRatio,
    seed: int,
    test_persons: Collection[int] | None,
    split: str | None,
    size: tuple[int, int] | None,
) -> Options:
    persons, series = test_with(test_persons, split)
    return Options(
        index(num_data_aug),
        index(num_data_aug_val),
        size=sample_size(aspect_ratio, size),
        aspect_ratio=1 if aspect_ratio == 1 else 0,
        seed=index(seed),
        test_persons=persons,
        test_series=series,
    )


def _writer(
    output: str | os.PathLike[str] | None,
    name: str,
    source: Path | Table,
    shards: int | None,
    ray: str | bool,
) -> Callable[..., Written]:
    """Return what writes one file, or shards; the place to write to is checked now."""
    if shards is None:
        if ray:
            raise ValueError("ray needs a number of shards")
        if isinstance(output, str) and output.startswith("s3://"):
            raise ValueError(f"{output}: only shards are written to a bucket; or upload the file")
        return partial(_write_one, target_path(output, f"{name}.pkl", Path(source)))
    from headpose_fast.sharding.choosing import destination_for, engine_for
    from headpose_fast.sharding.making import write_shards

    number = index(shards)
    if not 1 <= number <= MOST_SHARDS:
        raise ValueError(f"shards must be 1 to {MOST_SHARDS:,}, not {number}")
    destination, index_name = destination_for(output, name)
    return partial(write_shards, destination, index_name, number, engine_for(ray))


def _write_one(
    target: Path,
    database: Database,
    digest: str,
    options: Options,
    kind: Kind,
    *,
    workers: int | None,
    sync: bool,
    progress: Progress,
) -> Written:
    job = Job.plan(database, digest, options)
    samples, replaced = job.train.rows + job.test.rows, target.exists()
    size = write_bundle(
        job,
        kind,
        target,
        workers=workers,
        sync=sync,
        progress=lambda done: progress(done, samples),
    )
    return Written(target, None, size, replaced, 0, job.train.photographs, job.test.photographs)


def _default_name(kind: Kind, options: Options, split: str | None) -> str:
    """Return the name of a file in a folder, without what says its type."""
    marks = [f"x{options.num_data_aug}"]
    if split is not None:
        marks.append(split.replace(":", ""))
    if options.size != SIZES[options.aspect_ratio]:
        marks.append("{}x{}".format(*options.size))
    return f"HeadPoseData_trn_test_{'_'.join(marks)}_{SUFFIXES[kind]}"
