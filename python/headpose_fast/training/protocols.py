"""Which photographs are trained on and which are tested on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_fast.database.columns import Columns
from headpose_fast.database.databases import Database
from headpose_fast.database.photographs import Rows, columns_of
from headpose_fast.database.splits import TEST_PERSONS

Protocol = Literal["deeplens", "known", "unknown", "random5"]

#: The names of all protocols.
PROTOCOLS: tuple[Protocol, ...] = ("deeplens", "known", "unknown", "random5")

#: Folds of `random5`.
_FOLDS = 5


class Fold(NamedTuple):
    """A division of a database."""

    #: For example `deeplens`, `known:1`, `unknown:15` or `random5:3`.
    name: str
    #: Indices of photographs, ascending: int64.
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def folds(
    database: Database | Columns, protocol: Protocol = "deeplens", *, seed: int = 0
) -> tuple[Fold, ...]:
    """Divide a database into photographs to train on and to test on.

    Args:
        database: The photographs.
        protocol: `deeplens`: divided as `prepare` does it by default. People 5, 10 and 15 are
            tested on, as in the original script; of a table, what its column `split` says.
            `known`: two folds, each tests on one series of every person. `unknown`: as many folds
            as people, each tests on one. `random5`: five folds of photographs at random; the same
            people are on both sides, so its scores say little about new faces.
        seed: Seed of `random5`, 0 to 2**32 - 1.

    Raises:
        DatabaseError: The protocol is `deeplens`, and the table has no column `split`.
        ValueError: The protocol is unknown, a part of a fold would be empty, or the seed is out of
            range.

    """
    if not isinstance(database, Database):
        return folds_of(database, None, protocol, seed)
    if protocol == "deeplens":
        database.require_divided()
    return folds_of(columns_of(database.photographs), column_split(database), protocol, seed)


def column_split(database: Database) -> NDArray[np.bool_] | None:
    """Return what the column `split` of a table says: bool (photographs,); None without one."""
    photographs = database.photographs
    return photographs.tested if isinstance(photographs, Rows) else None


def folds_of(
    columns: Columns, split: NDArray[np.bool_] | None, protocol: Protocol, seed: int
) -> tuple[Fold, ...]:
    """Divide photographs as `folds` does; `split` is the column of a table, see `column_split`."""
    tests = _tests(columns, split, protocol, seed)
    return tuple(_divided(name, test()) for name, test in tests.items())


def fold_of(
    columns: Columns,
    split: NDArray[np.bool_] | None,
    protocol: Protocol,
    fold: int | None,
    seed: int,
) -> Fold:
    """Return one fold: `known` 1 or 2, `unknown` a person, `random5` 1 to 5.

    Raises ValueError if there is no such fold.
    """
    tests = _tests(columns, split, protocol, seed)
    name = protocol if fold is None else f"{protocol}:{fold}"
    if name not in tests:
        known = ", ".join(found.partition(":")[2] or "None" for found in tests)
        raise ValueError(f"fold of {protocol} must be one of {known}, not {fold!r}")
    return _divided(name, tests[name]())


def _tests(
    columns: Columns, split: NDArray[np.bool_] | None, protocol: Protocol, seed: int
) -> dict[str, Callable[[], NDArray[np.bool_]]]:
    """Return what makes the mask of the photographs to test on, by the name of each fold.

    A large table may have many people: nothing is made that is not asked for.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    if protocol == "deeplens":
        tested = np.isin(columns.persons, TEST_PERSONS) if split is None else split
        return {"deeplens": lambda: tested}
    if protocol == "known":
        return {f"known:{k}": partial(np.equal, columns.series, k) for k in (1, 2)}
    if protocol == "unknown":
        people = np.unique(columns.persons).tolist()
        return {f"unknown:{k}": partial(np.equal, columns.persons, k) for k in people}
    # The order of the legacy generator is fixed for all versions of NumPy.
    order = np.random.RandomState(seed).permutation(len(columns.persons)) % _FOLDS
    return {f"random5:{k + 1}": partial(np.equal, order, k) for k in range(_FOLDS)}


def _divided(name: str, test: NDArray[np.bool_]) -> Fold:
    if test.all() or not test.any():
        side = "train" if test.all() else "test"
        raise ValueError(f"{name}: there are no photographs to {side} on")
    return Fold(name, np.flatnonzero(~test), np.flatnonzero(test))
