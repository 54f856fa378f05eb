"""Who is tested on: the original script's people, or a fold of the database's own protocols."""

import re
from collections.abc import Collection
from operator import index

#: The people that the original script tests on.
TEST_PERSONS = (5, 10, 15)

#: `known` trains on one series and tests on the other; `unknown` leaves one person out.
_FOLD = re.compile(r"(known):([12])|(unknown):([1-9]\d{0,8})", re.ASCII)


def test_with(
    test_persons: Collection[int] | None, fold: str | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the people and the series to test on, ascending.

    Raises ValueError if `fold` is not a fold of the protocols, or if both are given.
    """
    if fold is None:
        persons = TEST_PERSONS if test_persons is None else test_persons
        return tuple(sorted(set(map(index, persons)))), ()
    if test_persons is not None:
        raise ValueError("split and test_persons cannot be combined")
    match = _FOLD.fullmatch(fold)
    if match is None:
        raise ValueError(f"split must be known:1, known:2 or unknown:PERSON, not {fold!r}")
    tested = (int(match[2] or match[4]),)
    return ((), tested) if match[1] else (tested, ())
