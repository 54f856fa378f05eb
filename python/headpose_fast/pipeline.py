"""The whole job: from a database to a bundle on disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_fast import _core, bundle
from headpose_fast.database import DatabaseError, Limits, Photograph, open_database
from headpose_fast.rendering import SIZES, AspectRatio, plan_crops, raise_failures

#: The people that the original script tests with.
TEST_PERSONS = (5, 10, 15)

#: What stands for the database in the current folder, the first that is there.
_ARCHIVES = tuple(f"HeadPoseImageDatabase{suffix}" for suffix in (".tar.gz", ".tgz", ".tar"))


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
    photographs: int
    seed: int
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
    test_persons: Collection[int] = TEST_PERSONS,
    pickle: bundle.Kind = "any",
    workers: int | None = None,
    allow_incomplete: bool = False,
    limits: Limits | None = None,
) -> Prepared:
    """Turn the database into a bundle, as `python -m headpose_fast` does.

    The same database and options make the same bytes, whatever `workers`, paths or time. The
    samples stream to the file: of each, memory holds a plan of some bytes, but no pixels.

    Args:
        input: The database's archive or folder; None for `HeadPoseImageDatabase.tar.gz` (or
            `.tgz`, `.tar`) in the current folder, or the current folder if `Person01` is there.
        output: The file to write, or an existing folder for a file named
            `HeadPoseData_trn_test_x{num_data_aug}_py2.pkl` (kind `py3`: `..._py3.pkl`) in it; None
            for the current folder. An existing file is replaced once the new one is complete.
        num_data_aug: Passes over the photographs to train with.
        num_data_aug_val: Passes over those of the test people.
        aspect_ratio: 1 for 1:1 (84 x 84 pixels), 0 for 16:9 (96 x 54 pixels).
        seed: Of the crops, 0 to 2**32 - 1.
        test_persons: The people to test with; all others train.
        pickle: `any` loads bare in Python 2.7 and 3, `py2` in Python 2.7 (in Python 3 with
            `encoding="latin1"`), `py3` in Python 3; the latter two are smaller and load faster.
        workers: Threads; None for as many as there are cores that this process may use.
        allow_incomplete: Whether photographs of the published database may lack.
        limits: What the database may ask of the machine; None for `Limits()`.

    Raises:
        DatabaseError: The database is incomplete, malformed or damaged, or a part would be empty.
        FileNotFoundError: There is no database where it was looked for.
        OSError: Something could not be read or written. No output is left then.
        ValueError: An option is out of range.

    """
    began = time.perf_counter()
    if pickle not in bundle.KINDS:
        raise ValueError(f"pickle must be one of {', '.join(bundle.KINDS)}, not {pickle!r}")
    if min(num_data_aug, num_data_aug_val) < 1:
        raise ValueError("the numbers of passes must be at least 1")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    num_data_aug, num_data_aug_val = index(num_data_aug), index(num_data_aug_val)
    test_persons = frozenset(map(index, test_persons))
    source = _find_database() if input is None else Path(input)
    target = _target(output, num_data_aug, pickle)
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target}: the output would replace the database")
    database = open_database(source, limits)
    if not allow_incomplete:
        database.require_complete(test_persons)
    train, test = database.split(test_persons)
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
    width, height = SIZES[aspect_ratio]
    layout = bundle.layout(
        pickle, len(train) * num_data_aug, len(test) * num_data_aug_val, height, width
    )
    replaced = target.exists()
    with _complete_file(target, layout.length) as path:
        with path.open("r+b", buffering=0) as file:
            for offset, data in layout.skeleton:
                file.seek(offset)
                file.write(data)
            for part, passes, array in (
                (train, num_data_aug, layout.arrays[2]),
                (test, num_data_aug_val, layout.arrays[3]),
            ):
                rows = _labels(part, passes)
                for first, count, offset, _ in array.pieces:
                    file.seek(offset)
                    file.write(layout.encode(array, rows[first : first + count]))
        for part, part_crops, array in (
            (train, crops.train, layout.arrays[0]),
            (test, crops.test, layout.arrays[1]),
        ):
            failures = _core.render_to_file(
                [photograph.jpeg for photograph in part],
                part_crops,
                (width, height),
                path,
                array.row_offsets().reshape(part_crops.shape[:2]),
                array.text_blocks if layout.text else None,
                workers,
            )
            raise_failures(part, failures)
    return Prepared(
        path=target,
        kind=pickle,
        size=layout.length,
        replaced=replaced,
        shapes=tuple(array.shape for array in layout.arrays),
        train_persons=tuple(sorted({photograph.person for photograph in train})),
        test_persons=tuple(sorted({photograph.person for photograph in test})),
        photographs=len(database),
        seed=seed,
        seconds=time.perf_counter() - began,
    )


def _find_database() -> Path:
    for name in _ARCHIVES:
        if Path(name).is_file():
            return Path(name)
    if Path("Person01").is_dir() or Path("Personne01").is_dir():
        return Path()
    raise FileNotFoundError(
        f"no database: there is neither {' nor '.join(_ARCHIVES)} nor Person01 in {Path.cwd()}; "
        "name an archive or folder with --input, or try --sample"
    )


def _target(output: str | os.PathLike[str] | None, num_data_aug: int, kind: bundle.Kind) -> Path:
    target = Path() if output is None else Path(output)
    if target.is_dir():
        python = "py3" if kind == "py3" else "py2"
        target /= f"HeadPoseData_trn_test_x{num_data_aug}_{python}.pkl"
    elif output is not None and os.fspath(output).endswith(("/", os.sep)):
        raise FileNotFoundError(f"{target}: no such folder to write to")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder to write {target.name} to")
    if target.exists() and not target.is_file():
        raise FileExistsError(f"{target}: there is something that is no file, and is not replaced")
    return target


def _labels(photographs: Sequence[Photograph], passes: int) -> NDArray[np.float32]:
    """Tilt and pan of every sample in units of 90 degrees, divided in float32."""
    once = np.array([(p.tilt, p.pan) for p in photographs], np.float32) / np.float32(90)
    return np.tile(once, (passes, 1))


@contextlib.contextmanager
def _complete_file(target: Path, length: int) -> Iterator[Path]:
    """Give a temporary file beside `target` that takes its name once the block has ended well."""
    # A symbolic link stays one; what it points to is replaced.
    final = target.resolve()
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(8)}.tmp")
    try:
        _core.create_file(temporary, length)
        yield temporary
        temporary.replace(final)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(target)
        raise
