"""The order of samples: shuffled by seed and epoch, divided among ranks, resumable."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np
from numpy.typing import NDArray


class EpochSampler:
    """Yields the keys of one epoch each time it is iterated over: `epoch * n + i`.

    As the epoch is in the keys, it reaches worker processes that live on from epoch to epoch. Pass
    it as `sampler` to PyTorch's DataLoader or to `batches`.
    """

    def __init__(
        self,
        samples: int | Sized,
        *,
        seed: int = 0,
        shuffle: bool = True,
        num_replicas: int = 1,
        rank: int = 0,
        drop_last: bool = False,
    ) -> None:
        """Take the number of photographs, or a dataset of them.

        Args:
            samples: The number n of photographs, or something of that length.
            seed: Of the order; 0 to 2**64 - 1.
            shuffle: Whether each epoch has an order of its own, which follows from seed and epoch.
            num_replicas: Processes that divide each epoch among them.
            rank: Which of them this is, from 0. It takes every `num_replicas`-th key.
            drop_last: Whether all ranks take equally many, leaving out the last few of the order.

        Raises:
            ValueError: An argument is out of range.

        """
        self._samples = samples if isinstance(samples, int) else len(samples)
        if self._samples < 1:
            raise ValueError("there are no samples")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"rank must be 0 to {num_replicas - 1}, not {rank}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed must be 0 to 2**64 - 1, not {seed}")
        self._seed, self._shuffle = seed, shuffle
        self._replicas, self._rank, self._drop_last = num_replicas, rank, drop_last
        if not len(self):
            raise ValueError(f"rank {rank} has no samples")
        #: The epoch that is being iterated over, or comes next.
        self.epoch = 0
        self._position = 0

    def __len__(self) -> int:
        """Count the samples of an epoch of this rank."""
        whole, more = divmod(self._samples, self._replicas)
        return whole + (self._rank < more and not self._drop_last)

    def __iter__(self) -> Iterator[int]:
        """Yield the keys of the current epoch from the position on, or of the next epoch."""
        if self._position >= len(self):
            self.epoch, self._position = self.epoch + 1, 0
        for key in self.keys(self.epoch)[self._position :].tolist():
            self._position += 1
            yield key

    def keys(self, epoch: int) -> NDArray[np.uint64]:
        """Return all keys of this rank in an epoch: uint64 (samples,)."""
        order = np.arange(self._samples)
        if self._shuffle:
            # The raw words of a bit generator are the same in all versions of NumPy.
            words = np.random.Philox(key=np.array([self._seed, epoch], np.uint64)).random_raw(
                self._samples
            )
            order = np.argsort(words, kind="stable")
        own = order[self._rank :: self._replicas][: len(self)]
        return own.astype(np.uint64) + np.uint64(epoch * self._samples)

    def state_dict(self, taken: int | None = None) -> dict[str, int]:
        """Return where this rank is: `epoch`, and `position` in it.

        Args:
            taken: Samples of this epoch that the training loop has taken. None for those that were
                yielded, which a loader with workers takes ahead of the loop.

        """
        return {"epoch": self.epoch, "position": self._position if taken is None else taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from such a place. Raises ValueError if there is none such."""
        epoch, position = state["epoch"], state["position"]
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(f"there is no position {position} in epoch {epoch}")
        self.epoch, self._position = epoch, position
