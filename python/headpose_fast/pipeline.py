"""The whole job: from a database to a bundle on disk."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core, bundle
from headpose_fast.database import (
    PUBLISHED_DIGEST,
    Database,
    DatabaseError,
    Limits,
    Photograph,
)
from headpose_fast.download import find_database, open_with_digest
from headpose_fast.output import output_file, require_writable
from headpose_fast.progress import Progress, bar
from headpose_fast.rendering import (
    SIZES,
    AspectRatio,
    Crops,
    plan_crops,
    raise_failures,
    require_workers,
    sample_size,
)
from headpose_fast.trailer import checked_spans, write_trailer

#: The people that the original script tests with.
TEST_PERSONS = (5, 10, 15)

#: The database's own protocols: known faces train on one series and test on the other, unknown
#: faces leave one person out.
_SPLIT = re.compile(r"(known):([12])|(unknown):([1-9]\d?)", re.ASCII)


@dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote."""

    path: Path
    kind: bundle.Kind
    #: Bytes in the file.
    size: int
    #: Whether there was another file of that name.
    replaced: bool
    #: Shapes of `trn_im`, `test_im`, `trn_output` and `test_output`.
    shapes: tuple[tuple[int, ...], ...]
    train_persons: tuple[int, ...]
    test_persons: tuple[int, ...]
    train_series: tuple[int, ...]
    test_series: tuple[int, ...]
    photographs: int
    #: Of the database: see `Database.digest`.
    digest: str
    seed: int
    #: Wall time.
    seconds: float


class Job(NamedTuple):
    """Photographs and their crops, by part."""

    train: tuple[Photograph, ...]
    test: tuple[Photograph, ...]
    crops: Crops


def plan(
    database: Database,
    *,
    num_data_aug: int,
    num_data_aug_val: int,
    aspect_ratio: AspectRatio,
    seed: int,
    test_persons: Collection[int],
    test_series: Collection[int],
) -> Job:
    """Split a database and plan its crops. All samples follow from the database and these options.

    Raises:
        DatabaseError: A part would be empty, or a face box allows no crop.
        ValueError: An option is out of range.

    """
    train, test = database.split(test_persons, test_series)
    for part, name in ((train, "train"), (test, "test")):
        if not part:
            raise DatabaseError([f"{database.path}: there are no photographs to {name} with"])
    crops = plan_crops(
        train,
        test,
        num_data_aug=num_data_aug,
        num_data_aug_val=num_data_aug_val,
        aspect_ratio=aspect_ratio,
        seed=seed,
    )
    return Job(train, test, crops)


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
    pickle: bundle.Kind = "any",
    workers: int | None = None,
    allow_incomplete: bool = False,
    limits: Limits | None = None,
    sync: bool = False,
    progress: Progress | bool = False,
) -> Prepared:
    """Turn the database into a bundle, as `python -m headpose_fast` does.

    The same database and options make the same bytes, whatever `workers`, paths or time. The
    samples stream to the file: of each, memory holds a plan of some bytes, but no pixels.

    Args:
        input: The database's archive or folder, or an address (`https://...`) to download it
            from. None for `HeadPoseImageDatabase.tar.gz` (or `.tgz`, `.tar`) in the current folder,
            or the current folder if `Person01` is there, or else the published database, which is
            downloaded once and kept in the cache folder.
        output: The file to write, or an existing folder for a file named
            `HeadPoseData_trn_test_x{num_data_aug}_py2.pkl` (kind `py3`: `..._py3.pkl`) in it, with
            a `split` as `..._x15_known1_py2.pkl` and a `size` as `..._x15_224x224_py2.pkl`; None
            for the current folder. An existing file is replaced once the new one is complete.
        num_data_aug: Passes over the photographs to train with.
        num_data_aug_val: Passes over those of the test people.
        aspect_ratio: 1 for 1:1 (84 x 84 pixels), 0 for 16:9 (96 x 54 pixels).
        seed: Of the crops, 0 to 2**32 - 1.
        test_persons: The people to test with; all others train. None for 5, 10 and 15.
        split: A fold of the database's own protocols instead: `known:1` or `known:2` tests with
            that series of everyone and trains with the other, `unknown:1` to `unknown:15` tests
            with that person.
        size: Width and height of the samples in pixels, of the crops' proportions; None for those
            of `aspect_ratio`.
        pickle: `any` loads bare in Python 2.7 and 3, `py2` in Python 2.7 (in Python 3 with
            `encoding="latin1"`), `py3` in Python 3; the latter two are smaller and load faster.
        workers: Threads; None for as many as there are cores that this process may use.
        allow_incomplete: Whether photographs of the published database may lack.
        limits: What the database may ask of the machine; None for `Limits()`.
        sync: Whether to wait until the file and its name are on the disk.
        progress: Is told the number of samples rendered and their total, from time to time; True
            for a bar, in a terminal or notebook.

    Raises:
        DatabaseError: The database is incomplete, malformed or damaged, or a part would be empty.
        FileNotFoundError: There is no database where it was looked for.
        OSError: Something could not be read, downloaded or written. No output is left then.
        ValueError: An option is out of range.

    """
    began = time.perf_counter()
    if pickle not in bundle.KINDS:
        raise ValueError(f"pickle must be one of {', '.join(bundle.KINDS)}, not {pickle!r}")
    if min(num_data_aug, num_data_aug_val) < 1:
        raise ValueError("the numbers of passes must be at least 1")
    require_workers(workers)
    num_data_aug, num_data_aug_val = index(num_data_aug), index(num_data_aug_val)
    persons, series = test_with(test_persons, split)
    width, height = sample_size(aspect_ratio, size)
    with bar("download", "B", progress is True) as shown:
        source = find_database(input, shown, limits)
    marks = [f"x{num_data_aug}"]
    if split is not None:
        marks.append(split.replace(":", ""))
    if (width, height) != SIZES[aspect_ratio]:
        marks.append(f"{width}x{height}")
    target = _target(output, marks, pickle)
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target}: the output would replace the database")
    database, digest = open_with_digest(source, limits)
    if not allow_incomplete:
        database.require_complete(persons)
    if input is None and digest != PUBLISHED_DIGEST:
        raise DatabaseError(
            [f"{source}: not the published database; if that is meant, name it with --input"]
        )
    options: dict[str, Any] = {
        "num_data_aug": num_data_aug,
        "num_data_aug_val": num_data_aug_val,
        "aspect_ratio": aspect_ratio,
        "seed": index(seed),
        "test_persons": sorted(persons),
        "test_series": sorted(series),
    }
    train, test, crops = plan(database, **options)
    layout = bundle.layout(
        pickle, len(train) * num_data_aug, len(test) * num_data_aug_val, height, width
    )
    spans = checked_spans(layout)
    checksums = {name: np.zeros(len(spans[name].offsets), np.uint32) for name in spans}
    length = layout.length + len(write_trailer(layout, checksums, options, digest))
    replaced = target.exists()
    with (
        output_file(target, length, sync=sync) as (path, file),
        bar("rendering", " samples", progress) as shown,
    ):
        for offset, data in layout.skeleton:
            file.seek(offset)
            file.write(data)
        for name, part, array in (
            ("trn_output", train, layout.arrays[2]),
            ("test_output", test, layout.arrays[3]),
        ):
            rows = labels(part, array.shape[0] // len(part))
            for i, offset in enumerate(spans[name].offsets.tolist()):
                encoded = layout.encode(array, rows[spans[name].rows_of(i)])
                checksums[name][i] = crc32(encoded)
                file.seek(offset)
                file.write(encoded)
        rendered = 0
        samples = sum(array.shape[0] for array in layout.arrays[:2])

        def tell(done: int) -> None:
            if shown:
                shown(rendered + done, samples)

        for name, part, part_crops, array in (
            ("trn_im", train, crops.train, layout.arrays[0]),
            ("test_im", test, crops.test, layout.arrays[1]),
        ):
            jpegs = [photograph.jpeg for photograph in part]
            where = places(layout, array, part_crops)
            sums = checksums[name]
            raise_failures(part, _core.render_to_file(jpegs, where, path, sums, workers, tell))
            tell(array.shape[0])
            rendered += array.shape[0]
        file.seek(layout.length)
        file.write(write_trailer(layout, checksums, options, digest))
    return Prepared(
        path=target,
        kind=pickle,
        size=length,
        replaced=replaced,
        shapes=tuple(array.shape for array in layout.arrays),
        train_persons=tuple(sorted({photograph.person for photograph in train})),
        test_persons=tuple(sorted({photograph.person for photograph in test})),
        train_series=tuple(sorted({photograph.series for photograph in train})),
        test_series=tuple(sorted({photograph.series for photograph in test})),
        photographs=len(database),
        digest=digest,
        seed=seed,
        seconds=time.perf_counter() - began,
    )


def test_with(
    test_persons: Collection[int] | None, split: str | None
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the people and the series to test with.

    Raises ValueError if `split` is none of the protocols' folds, or both are given.
    """
    if split is None:
        return frozenset(
            map(index, TEST_PERSONS if test_persons is None else test_persons)
        ), frozenset()
    if test_persons is not None:
        raise ValueError("split and test_persons exclude each other")
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise ValueError(f"split must be known:1, known:2 or unknown:PERSON, not {split!r}")
    fold = frozenset({int(match[2] or match[4])})
    return (frozenset(), fold) if match[1] else (fold, frozenset())


def _target(output: str | os.PathLike[str] | None, marks: Sequence[str], kind: bundle.Kind) -> Path:
    target = Path() if output is None else Path(output)
    if target.is_dir():
        python = "py3" if kind == "py3" else "py2"
        target /= f"HeadPoseData_trn_test_{'_'.join(marks)}_{python}.pkl"
    elif output is not None and os.fspath(output).endswith(("/", os.sep)):
        raise FileNotFoundError(f"{target}: no such folder to write to")
    require_writable(target)
    return target


def labels(photographs: Sequence[Photograph], passes: int) -> NDArray[np.float32]:
    """Tilt and pan of every sample in units of 90 degrees, divided in float32."""
    once = np.array([(p.tilt, p.pan) for p in photographs], np.float32) / np.float32(90)
    return np.tile(once, (passes, 1))


def places(
    layout: bundle.Layout, array: bundle.ArrayLayout, crops: NDArray[np.int32]
) -> tuple[NDArray[np.int32], tuple[int, int], int | None, NDArray[np.uint64]]:
    """Tell the native module where the samples of `crops` stand in the file."""
    _, _, height, width = array.shape
    blocks = array.text_blocks if layout.text else None
    return crops, (width, height), blocks, array.row_offsets().reshape(crops.shape[:2])
