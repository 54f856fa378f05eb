"""Which photographs are trained on and which are tested on."""

from __future__ import annotations

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
        seed: Seed of `random5`.

    Raises:
        DatabaseError: The protocol is `deeplens`, and the table has no column `split`.
        ValueError: The protocol is unknown, or a part of a fold would be empty.

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
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    if protocol == "deeplens":
        tests = {"deeplens": np.isin(columns.persons, TEST_PERSONS) if split is None else split}
    elif protocol == "known":
        tests = {f"known:{series}": columns.series == series for series in (1, 2)}
    elif protocol == "unknown":
        people = np.unique(columns.persons).tolist()
        tests = {f"unknown:{person}": columns.persons == person for person in people}
    else:
        # The order of the legacy generator is fixed for all versions of NumPy.
        order = np.random.RandomState(seed).permutation(len(columns.persons))
        tests = {f"random5:{k + 1}": order % _FOLDS == k for k in range(_FOLDS)}
    for name, test in tests.items():
        if test.all() or not test.any():
            side = "train" if test.all() else "test"
            raise ValueError(f"{name}: there are no photographs to {side} on")
    return tuple(
        Fold(name, np.flatnonzero(~test), np.flatnonzero(test)) for name, test in tests.items()
    )


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
    there = {found.name: found for found in folds_of(columns, split, protocol, seed)}
    name = protocol if fold is None else f"{protocol}:{fold}"
    if name not in there:
        known = ", ".join(found.partition(":")[2] or "None" for found in there)
        raise ValueError(f"fold of {protocol} must be one of {known}, not {fold!r}")
    return there[name]
