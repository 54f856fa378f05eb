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
    """The samples of a batch, which is also available in one piece."""

    def __init__(self, images: torch.Tensor, targets: torch.Tensor) -> None:
        super().__init__(zip(images, targets, strict=True))
        self.arrays = images, targets


class HeadPose(Samples, Dataset[tuple[Any, Any]]):
    """A map-style dataset of the samples of one part of a database, in the style of torchvision.

    Its indices are keys, `epoch * len(dataset) + i`. Give DataLoader an `EpochSampler`, or every
    epoch has the crops of the first. `collate_fn=collate` avoids copying each batch.
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
        """Take the arguments of `Samples`, where they are explained, and two functions.

        Args:
            root: The database.
            split: `train` or `test`.
            protocol: How the database is divided, see `folds`.
            fold: Fold of the protocol.
            recipe: What is drawn for each key.
            plan: Crops instead of those that are drawn.
            form: Form of the images.
            target: Form of the labels.
            seed: Seed of the draws.
            store: Whether decoded pixels are kept.
            transform: Called with the image of each sample, a tensor, but not by `arrays`.
            target_transform: Called with its label, a tensor, in the same way.
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
        """Return the image and label of a key, transformed."""
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[int]) -> list[tuple[Any, Any]]:
        """Return the images and labels of several keys, rendered in one call."""
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
    """Return a batch in one piece, as it was rendered; collate other samples as PyTorch does."""
    return list(samples.arrays) if isinstance(samples, _Whole) else default_collate(samples)
