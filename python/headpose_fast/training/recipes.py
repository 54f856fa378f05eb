"""What is drawn for a sample: a crop of its photograph, and how it is changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from headpose_fast.samples.options import MOST_SIDE

#: The crops of the original script, an enlarged face box, or the face box itself.
CropRule = Literal["deeplens", "loose", "face"]


@dataclass(frozen=True)
class Recipe:
    """How samples are drawn. Crops that do not have the proportions of `size` are distorted.

    Raises ValueError if a value is out of range.
    """

    #: `deeplens`: drawn as the original script draws them, with the proportions of `size`, which
    #: must be 1:1 or 16:9. `loose`: the enlarged face box. `face`: the face box.
    crop: CropRule = "deeplens"
    #: Width and height of a sample in pixels.
    size: tuple[int, int] = (84, 84)
    #: For `loose`: the range of the factor k that enlarges the box.
    margin: tuple[float, float] = (0.2, 0.4)
    #: For `loose`: the box grows at the left, top, right and bottom by k times these multiples of
    #: its width or height. It is clipped to the picture.
    sides: tuple[float, float, float, float] = (0.6, 2.0, 0.6, 0.6)
    #: Probability that a sample is mirrored.
    mirror: float = 0.0
    #: Probability that it is made grey (luma of ITU-R BT.601).
    grey: float = 0.0
    #: The range of the factor applied to its values, which are in 0..1.
    gain: tuple[float, float] = (1.0, 1.0)
    #: The range of the number added after that; the sum is clipped to 0..1.
    offset: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        """Check the values."""
        if self.crop not in ("deeplens", "loose", "face"):
            raise ValueError(f"crop must be deeplens, loose or face, not {self.crop!r}")
        width, height = self.size
        if not 1 <= min(width, height) <= max(width, height) <= MOST_SIDE:
            raise ValueError(f"size must be 1 to {MOST_SIDE} pixels a side, not {width}x{height}")
        if self.crop == "deeplens" and width != height and 9 * width != 16 * height:
            raise ValueError(f"size {width}x{height} must be 1:1 or 16:9 for the crops of deeplens")
        for name, (least, most) in (
            ("margin", self.margin),
            ("gain", self.gain),
            ("offset", self.offset),
        ):
            if not -math.inf < least <= most < math.inf:
                raise ValueError(f"{name} must be finite, and its minimum not above its maximum")
        # Comparisons with NaN are false.
        if not (0 <= self.mirror <= 1 and 0 <= self.grey <= 1):
            raise ValueError("mirror and grey are probabilities, 0 to 1")
        if self.margin[0] < 0 or not all(0 <= side < math.inf for side in self.sides):
            raise ValueError("margin and sides must not be negative")

    @property
    def aspect_ratio(self) -> int | None:
        """For `deeplens`, 1 for crops of 1:1 and 0 for 16:9; None for the other rules."""
        if self.crop != "deeplens":
            return None
        return int(self.size[0] == self.size[1])

    @property
    def factor(self) -> tuple[float, float]:
        """The range of k, which is 0 for `face`."""
        return self.margin if self.crop == "loose" else (0.0, 0.0)


#: The original script's crops, and no other changes.
DEEPLENS = Recipe()

#: The face box and nothing else, for testing.
FACE = Recipe(crop="face", size=(224, 224))

#: The crops and flips of `Pose_300W_LP` in `sixdrepnet/datasets.py` of 6DRepNet
#: (github.com/thohemp/6DRepNet), which took them from Hopenet. The original enlarges a box around
#: landmarks and blurs one sample in twenty; here the box is the database's, and nothing is blurred.
HOPENET = Recipe(crop="loose", size=(224, 224), mirror=0.5)
