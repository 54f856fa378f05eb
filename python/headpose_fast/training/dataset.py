"""The samples of one part of a database by key, as NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_fast.database.databases import PUBLISHED_DIGEST, Database
from headpose_fast.database.photographs import columns_of
from headpose_fast.database.tables import Table
from headpose_fast.errors import DatabaseError
from headpose_fast.sources.finding import find_database, open_with_digest
from headpose_fast.training import labels
from headpose_fast.training.draws import Draws, draw_frames, draws_of_plan, keys_of
from headpose_fast.training.pixels import PixelStore, default_path
from headpose_fast.training.protocols import Protocol, column_split, fold_of
from headpose_fast.training.recipes import DEEPLENS, Recipe
from headpose_fast.training.rendering import Batch, Form, Source, render_form

Labels = NDArray[np.float32] | NDArray[np.int64]


class _Opened(NamedTuple):
    """The pixels or photographs that this process has opened."""

    source: Source
    #: Index in the source of each photograph of the part: int64 (photographs,).
    indices: NDArray[np.int64]
    #: Those of the part, like `tilts` and `pans`.
    frames: NDArray[np.int64]
    tilts: NDArray[np.float64]
    pans: NDArray[np.float64]


class Samples:
    """The samples of one part of a database, by key: `epoch * len(samples) + i`.

    A sample depends only on its key, the seed and the recipe. Every process opens the pixels itself
    when it first needs them, and shares their memory with the others. Only the path, the digest,
    the options, a table's column `split`, and the plan if there is one, are pickled.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        split: Literal["train", "test"] = "train",
        *,
        protocol: Protocol = "deeplens",
        fold: int | None = None,
        recipe: Recipe = DEEPLENS,
        plan: NDArray[np.int32] | None = None,
        form: Form | None = None,
        target: labels.Form = "units",
        seed: int = 0,
        store: bool = True,
        download: bool = True,
    ) -> None:
        """Find the database, and decode it if the cache folder does not have its pixels.

        Args:
            root: The database's archive or folder, a table as a path or a `Table`, or an address to
                download an archive from. None to look where `prepare` does: the current folder, the
                cache folder, a download.
            split: `train` or `test`.
            protocol: How the database is divided, see `folds`.
            fold: Fold of the protocol: `known` 1 or 2, `unknown` a person, `random5` 1 to 5.
            recipe: What is drawn for each key.
            plan: Crops of `plan_crops` for this part, int32 (passes, photographs, 4), instead of
                all that the recipe draws: an epoch is a pass. Of the recipe only `size` is used.
            form: Form of the images; None for uint8, RGB, CHW.
            target: Form of the labels, see `encode`.
            seed: Seed of the draws, 0 to 2**64 - 1, and of the protocol `random5`, to 2**32 - 1.
            store: Whether decoded pixels are kept in the cache folder, 926 MB for the published
                database. If not, each process reads the database and decodes what it needs.
            download: Whether the database may be downloaded, if there is no local copy, or a newer
                one at the address. If not, the network is not used.

        Raises:
            DatabaseError: The database is malformed or damaged, or its face boxes allow no crops.
            FileNotFoundError: There is no database, or no local one and `download` is false.
            OSError: Something cannot be read, downloaded or written.
            ValueError: An option is out of range.

        """
        if split not in ("train", "test"):
            raise ValueError(f"split must be train or test, not {split!r}")
        labels.encode(0, 0, target)
        self.recipe, self.form, self.seed = recipe, form or Form(), seed
        self._split: Literal["train", "test"] = split
        self._protocol: Protocol = protocol
        self._fold, self._plan, self._target, self._store = fold, plan, target, store
        self._root = _found(root, download=download)
        database, self._digest = open_with_digest(self._root, None)
        if root is None and self._digest != PUBLISHED_DIGEST:
            raise DatabaseError([f"{self._root}: not the published database; name it to use it"])
        if protocol == "deeplens":
            database.require_divided()
        self._column = column_split(database)
        self._opened = self._open(database)
        part = self._opened.indices
        self._count = len(part)
        if plan is not None and plan.shape[1:] != (self._count, 4):
            raise ValueError(f"plan must be (passes, {self._count}, 4), not {plan.shape}")
        if plan is None:
            # A photograph that allows no crop is found now, not in the middle of an epoch.
            self._require_drawn(database, part)

    def __len__(self) -> int:
        """Count the photographs, which is the number of samples in an epoch."""
        return self._count

    def __iter__(self) -> Iterator[tuple[Batch, Labels]]:
        """Iterate over the samples of epoch 0."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, key: int) -> tuple[Any, Any]:
        """Return the image and label of a key."""
        images, targets = self.arrays([key])
        return images[0], targets[0]

    def arrays(
        self, keys: ArrayLike, out: Batch | None = None, workers: int | None = 1
    ) -> tuple[Batch, Labels]:
        """Return the images and labels of some keys.

        Args:
            keys: Whole numbers from 0 on.
            out: The array to fill with images, see `render_batch`.
            workers: Number of threads; None for one per core that this process may use.

        Raises:
            DatabaseError: The database changed, or a photograph of it is damaged.
            IndexError: There is a plan, and a key's epoch is not in it.
            TypeError: Keys are not whole numbers.
            ValueError: A key is negative, or `out` does not fit.

        """
        draws, indices = self.draws(keys)
        opened = self._open_here
        images = render_form(opened.source, opened.indices[indices], draws, out, self.form, workers)
        targets = labels.encode(
            opened.tilts[indices], opened.pans[indices], self._target, mirrored=draws.mirrored
        )
        return images, targets

    def draws(self, keys: ArrayLike) -> tuple[Draws, NDArray[np.int64]]:
        """Return what is drawn for some keys, and their photographs' indices in this part."""
        numbers = keys_of(keys)
        indices = (numbers % np.uint64(len(self))).astype(np.int64)
        if self._plan is not None:
            return draws_of_plan(self._plan, numbers, self.recipe.size), indices
        frames = self._open_here.frames
        draws, failures = draw_frames(frames, numbers, seed=self.seed, recipe=self.recipe)
        if failures:
            raise DatabaseError([f"{self._root}: photograph {i}: {why}" for i, why in failures])
        return draws, indices

    def __getstate__(self) -> dict[str, Any]:
        """Leave out open files and pixels."""
        closed = ("_opened", "_open_here")
        return {name: value for name, value in vars(self).items() if name not in closed}

    @cached_property
    def _open_here(self) -> _Opened:
        """The opened pixels; a process that received this object opens them itself."""
        opened: _Opened | None = vars(self).get("_opened")
        return opened or self._open(None)

    def _open(self, database: Database | None) -> _Opened:
        """Open the pixels, or the photographs; read the database only if necessary."""
        source: PixelStore | Database
        if not self._store:
            source = database or self._database()
            columns = columns_of(source.photographs)
        else:
            source = self._pixels(database)
            columns = source.columns
        fold = fold_of(columns, self._column, self._protocol, self._fold, self.seed)
        indices = fold.train if self._split == "train" else fold.test
        parts = columns.frames[indices].copy(), columns.tilts[indices], columns.pans[indices]
        return _Opened(source, indices, *parts)

    def _pixels(self, database: Database | None) -> PixelStore:
        try:
            return PixelStore(default_path(self._digest), self._digest)
        except (FileNotFoundError, ValueError):
            return PixelStore.open(database or self._database(), progress=True)

    def _database(self) -> Database:
        database, digest = open_with_digest(self._root, None)
        if digest != self._digest:
            raise DatabaseError([f"{self._root}: changed since this dataset was made"])
        return database

    def _require_drawn(self, database: Database, part: NDArray[np.int64]) -> None:
        keys = np.arange(len(part), dtype=np.uint64)
        frames = self._open_here.frames
        _, failures = draw_frames(frames, keys, seed=self.seed, recipe=self.recipe)
        if failures:
            raise DatabaseError([f"{database[int(part[i])].name}: {why}" for i, why in failures])


def _found(root: str | os.PathLike[str] | None, *, download: bool) -> Path | Table:
    """Find the database; download it only if that is allowed."""
    from headpose_fast.sources.finding import download_path

    kept = download_path(root)
    if kept is None or download:
        found = find_database(root)
    elif kept.is_file():
        found = kept
    else:
        raise FileNotFoundError(
            f"{root or 'the published database'}: no local copy, and not downloaded"
        )
    # Other processes may have another current folder.
    return (
        replace(found, path=Path(found).absolute())
        if isinstance(found, Table)
        else found.absolute()
    )
