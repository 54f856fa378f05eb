"""The order of samples: shuffled by seed and epoch, divided among ranks, resumable."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np
from numpy.typing import NDArray


class EpochSampler:
    """Yields the keys of one epoch each time it is iterated over: `epoch * n + i`.

    Since the keys contain the epoch, worker processes that persist from epoch to epoch know it too.
    Pass it as `sampler` to PyTorch's DataLoader or to `batches`.
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
            samples: The number n of photographs, or a collection of that length.
            seed: Seed of the order, 0 to 2**64 - 1.
            shuffle: Whether each epoch has an order of its own, determined by seed and epoch.
            num_replicas: Number of processes that divide each epoch among them.
            rank: Number of this process, from 0. It takes every `num_replicas`-th key.
            drop_last: Whether all ranks get equally many keys, leaving out the last few.

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
        #: The epoch that the position is in, which may be at its end.
        self.epoch = 0
        #: Keys of it that were yielded; by `batches`, those that its loop has received.
        self.position = 0

    def __len__(self) -> int:
        """Count this rank's samples in an epoch."""
        whole, more = divmod(self._samples, self._replicas)
        return whole + (self._rank < more and not self._drop_last)

    def __iter__(self) -> Iterator[int]:
        """Yield the remaining keys of the current epoch, or those of the next one."""
        for key in self.remaining().tolist():
            self.position += 1
            yield key

    def remaining(self) -> NDArray[np.uint64]:
        """Return the remaining keys of the current epoch; at its end, begin the next one."""
        if self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        return self.keys(self.epoch)[self.position :]

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
        """Return the position of this rank: `epoch`, and `position` in it.

        The end of an epoch is position 0 of the next one.

        Args:
            taken: Number of samples of this epoch that the training loop has received, including
                those before it was resumed. None for the number yielded, which a loader with
                workers fetches ahead of the loop.

        """
        position = self.position if taken is None else taken
        if position >= len(self):
            return {"epoch": self.epoch + 1, "position": 0}
        return {"epoch": self.epoch, "position": position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from such a position. Raises ValueError if it does not exist."""
        epoch, position = state["epoch"], state["position"]
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(f"there is no position {position} in epoch {epoch}")
        self.epoch, self.position = epoch, position
