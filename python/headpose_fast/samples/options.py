"""The options of a job: besides the database, all that determines its samples. Without NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from headpose_fast.database.databases import Database

AspectRatio = Literal[0, 1]

#: Width and height of a sample in pixels, by aspect ratio option.
SIZES: dict[int, tuple[int, int]] = {1: (84, 84), 0: (96, 54)}

MOST_SEED = 2**32 - 1

#: Most pixels on a side of a sample: a dozen samples, then of 3 MB each, are in memory at once.
MOST_SIDE = 512

#: Most bundles that a job is divided into: their names have five digits.
MOST_SHARDS = 9999

#: Most threads that a caller may request.
MOST_WORKERS = 1024


@dataclass(frozen=True)
class Options:
    """Options that are in their ranges."""

    #: Passes over the photographs to train with, and over those to test with.
    num_data_aug: int
    num_data_aug_val: int
    aspect_ratio: AspectRatio
    seed: int
    #: Ascending.
    test_persons: tuple[int, ...]
    test_series: tuple[int, ...]
    #: Width and height of the samples in pixels.
    size: tuple[int, int]

    def __post_init__(self) -> None:
        """Raise ValueError for an option that is out of its range."""
        if min(self.num_data_aug, self.num_data_aug_val) < 1:
            raise ValueError("the numbers of passes must be at least 1")
        sample_size(self.aspect_ratio, self.size)
        require_seed(self.seed)

    def of_table(self, database: Database) -> Options:
        """Return these, or for a table those by which its own column says who is tested.

        Raises DatabaseError for a table that does not say.
        """
        if not database.is_table:
            return self
        database.require_divided()
        return replace(self, test_persons=(), test_series=())

    def shapes(self, train: int, test: int) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of a bundle's arrays for so many photographs."""
        width, height = self.size
        rows = train * self.num_data_aug, test * self.num_data_aug_val
        return *((n, 3, height, width) for n in rows), *((n, 2) for n in rows)

    def recorded(self) -> dict[str, Any]:
        """Return them as a bundle's trailer has them; its arrays have the size."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name != "size"
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], size: tuple[int, int]) -> Options:
        """Read what `recorded` gave, from JSON.

        Raises TypeError or LookupError for what are not options, ValueError for those of other
        arrays.
        """
        lists = {name: record[name] for name in ("test_persons", "test_series")}
        for name, value in record.items():
            values = value if name in lists else [value]
            if not isinstance(values, list) or any(type(number) is not int for number in values):
                raise TypeError(f"{name} is not made of whole numbers")
        return cls(**{**record, **{name: tuple(lists[name]) for name in lists}}, size=size)


def sample_size(aspect_ratio: int, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the width and height of the samples: `size`, or the original script's for None.

    Raises ValueError if `size` does not have the proportions of the crops, 1:1 or 16:9, or a side
    is not 1 to `MOST_SIDE` pixels.
    """
    if aspect_ratio not in SIZES:
        raise ValueError(f"aspect_ratio must be 1 or 0, not {aspect_ratio!r}")
    if size is None:
        return SIZES[aspect_ratio]
    width, height = map(index, size)
    if not 1 <= min(width, height) <= max(width, height) <= MOST_SIDE:
        raise ValueError(f"size must be 1 to {MOST_SIDE} pixels a side, not {width}x{height}")
    across, down = (1, 1) if aspect_ratio == 1 else (16, 9)
    if width * down != height * across:
        raise ValueError(
            f"size {width}x{height} would distort the crops, which are {across}:{down} with "
            f"aspect ratio {aspect_ratio}"
        )
    return width, height


def require_seed(seed: int) -> None:
    """Raise ValueError if this is not a seed."""
    if not 0 <= seed <= MOST_SEED:
        raise ValueError(f"seed must be 0 to {MOST_SEED}, not {seed!r}")


def require_workers(workers: int | None) -> None:
    """Raise ValueError if this is not a number of threads."""
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers must be 1 to {MOST_WORKERS:,}, not {workers}")
