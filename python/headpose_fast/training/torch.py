"""A dataset for PyTorch. Only this module imports it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, default_collate

from headpose_fast.training import labels
from headpose_fast.training.dataset import Samples
from headpose_fast.training.protocols import Protocol
from headpose_fast.training.recipes import DEEPLENS, Recipe
from headpose_fast.training.rendering import Form


class _Whole(list[tuple[Any, Any]]):
    """The samples of a batch, which are also there in one piece."""

    def __init__(self, images: torch.Tensor, targets: torch.Tensor) -> None:
        super().__init__(zip(images, targets, strict=True))
        self.arrays = images, targets


class HeadPose(Samples, Dataset[tuple[Any, Any]]):
    """A map-style dataset of the samples of a part of a database, after torchvision's manner.

    Its indices are keys, `epoch * len(dataset) + i`: give DataLoader an `EpochSampler`, or every
    epoch has the crops of the first. `collate_fn=collate` spares copying each batch.
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
        transform: Callable[[torch.Tensor], Any] | None = None,
        target_transform: Callable[[torch.Tensor], Any] | None = None,
        download: bool = True,
    ) -> None:
        """Take what `Samples` takes, and two functions.

        Args:
            root: See `Samples`, as for all that is not here.
            split: `train` or `test`.
            protocol: See `folds`.
            fold: Of the protocol.
            recipe: What is drawn for each key.
            plan: Crops in place of those that are drawn.
            form: Of the images.
            target: The form of the labels.
            seed: Of the draws.
            store: Whether pixels are kept decoded.
            transform: Called with the image of each sample.
            target_transform: Called with its label.
            download: Whether the database may be downloaded.

        """
        super().__init__(
            root,
            split,
            protocol=protocol,
            fold=fold,
            recipe=recipe,
            plan=plan,
            form=form,
            target=target,
            seed=seed,
            store=store,
            download=download,
        )
        self.transform, self.target_transform = transform, target_transform

    def __getitem__(self, key: int) -> tuple[Any, Any]:
        """Return image and label of a key, transformed."""
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return those of several keys, rendered by one call."""
        images, targets = (torch.as_tensor(array) for array in self.arrays(keys))
        whole = _Whole(images, targets)
        if self.transform is None and self.target_transform is None:
            return whole
        image = self.transform or _same
        target = self.target_transform or _same
        return [(image(a), target(b)) for a, b in whole]


def _same(value: torch.Tensor) -> torch.Tensor:
    return value


def collate(samples: list[tuple[Any, Any]]) -> Any:  # noqa: ANN401 (as default_collate has it)
    """Return a batch in one piece as it was rendered; other samples as PyTorch collates them."""
    return list(samples.arrays) if isinstance(samples, _Whole) else default_collate(samples)
