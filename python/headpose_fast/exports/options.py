"""The options of an export. NumPy is not needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from headpose_fast.database.splits import test_with
from headpose_fast.samples.options import MOST_SIDE

if TYPE_CHECKING:
    from headpose_fast.database.databases import Database

Form = Literal["npz", "parquet"]
FORMS: tuple[Form, ...] = ("npz", "parquet")

Part = Literal["all", "train", "test"]
PARTS: tuple[Part, ...] = ("all", "train", "test")

Channels = Literal["bgr", "rgb"]
CHANNELS: tuple[Channels, ...] = ("bgr", "rgb")

#: Of npz, in pixels: what FSA-Net takes.
SIZE = (64, 64)


@dataclass(frozen=True)
class Options:
    """Options that are in their ranges and go together."""

    form: Form
    part: Part
    test_persons: tuple[int, ...]
    test_series: tuple[int, ...]
    #: Of npz: width and height of the images in pixels, which are equal.
    size: tuple[int, int]
    #: Of npz: the order of the channels.
    channels: Channels
    #: A file's name in a folder.
    name: str

    @property
    def needs_split(self) -> bool:
        """Whether the file depends on which photographs are tested with."""
        return self.form == "parquet" or self.part != "all"

    def of_table(self, database: Database) -> Options:
        """Return these, or for a table those by which its own column says who is tested.

        Raises DatabaseError for a table that does not say.
        """
        if not database.is_table:
            return self
        database.require_divided()
        return replace(self, test_persons=(), test_series=())

    @classmethod
    def chosen(
        cls,
        form: Form,
        part: Part,
        *,
        test_persons: Collection[int] | None,
        split: str | None,
        size: tuple[int, int] | None,
        channels: Channels | None,
    ) -> Options:
        """Make them from the arguments of `export`; None is the form's default.

        Raises ValueError if they are out of range or have no effect.
        """
        for what, value, known in (
            ("form", form, FORMS),
            ("part", part, PARTS),
            ("channels", channels or "bgr", CHANNELS),
        ):
            if value not in known:
                raise ValueError(f"{what} must be one of {', '.join(known)}, not {value!r}")
        persons, series = test_with(test_persons, split)
        if form == "parquet" and (size, channels) != (None, None):
            raise ValueError("size and channels apply only to npz; parquet has whole photographs")
        if form == "npz" and part == "all" and (test_persons, split) != (None, None):
            raise ValueError("test_persons and split need part train or test: npz has no column")
        width, height = size or SIZE
        if width != height or not 1 <= width <= MOST_SIDE:
            raise ValueError(
                f"size must be a square of 1 to {MOST_SIDE} pixels a side, not {width}x{height}"
            )
        marks = [] if split is None else [split.replace(":", "")]
        marks += [part] if part != "all" else []
        marks += [f"{width}x{height}"] if (width, height) != SIZE else []
        marks += ["rgb"] if channels == "rgb" else []
        name = "_".join(["HeadPoseImageDatabase", *marks])
        chosen = (width, height), channels or "bgr", f"{name}.{form}"
        return cls(form, part, persons, series, *chosen)
