"""Batches made in advance by threads of this process, for any framework."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from operator import index

from headpose_fast.samples.options import require_workers
from headpose_fast.training.dataset import Labels, Samples
from headpose_fast.training.rendering import Batch
from headpose_fast.training.sampling import EpochSampler


class Batches:
    """Yields the batches of one epoch each time it is iterated over: see `batches`."""

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        sampler: EpochSampler,
        workers: int,
        prefetch: int,
        *,
        drop_last: bool,
    ) -> None:
        """Store the arguments of `batches`, which has checked them."""
        self._samples, self._batch_size, self._sampler = samples, batch_size, sampler
        self._workers, self._prefetch, self._drop_last = workers, prefetch, drop_last

    def __len__(self) -> int:
        """Count the batches of a whole epoch."""
        whole, more = divmod(len(self._sampler), self._batch_size)
        return whole + (more > 0 and not self._drop_last)

    def __iter__(self) -> Iterator[tuple[Batch, Labels]]:
        """Yield images and labels; the threads end with the iterator, however that ends.

        After a loop that was left early this is the rest of its epoch.
        """
        sampler, size = self._sampler, self._batch_size
        keys = sampler.remaining()
        firsts = iter(range(0, len(keys) - (len(keys) % size if self._drop_last else 0), size))
        waiting: deque[tuple[int, Future[tuple[Batch, Labels]]]] = deque()
        with ThreadPoolExecutor(self._workers, "headpose-fast") as threads:
            try:
                while True:
                    for first in islice(firsts, self._workers + self._prefetch - len(waiting)):
                        batch = keys[first : first + size]
                        waiting.append((len(batch), threads.submit(self._samples.arrays, batch)))
                    if not waiting:
                        sampler.position = len(sampler)
                        return
                    count, made = waiting.popleft()
                    arrays = made.result()
                    # The position is that of the loop, whatever is made in advance.
                    sampler.position += count
                    if self._drop_last and len(sampler) - sampler.position < size:
                        sampler.position = len(sampler)  # No more batches come of this epoch.
                    yield arrays
            finally:
                threads.shutdown(wait=True, cancel_futures=True)

    def state_dict(self) -> dict[str, int]:
        """Return the position of the loop: just after the last batch that it received."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from such a position the next time this is iterated over."""
        self._sampler.load_state_dict(state)


def batches(
    samples: Samples,
    batch_size: int,
    *,
    sampler: EpochSampler | None = None,
    workers: int = 2,
    prefetch: int = 2,
    drop_last: bool = False,
) -> Batches:
    """Make batches as NumPy arrays in threads, without worker processes.

    Rendering releases the GIL, so threads do not wait for each other. The result depends neither on
    their number nor on how far ahead they are. `torch.from_numpy` and `jax.numpy.asarray` accept
    the arrays, which are new for each batch.

    Args:
        samples: The samples.
        batch_size: Samples in a batch; the last of an epoch may have fewer.
        sampler: The keys and their order; None to shuffle with the samples' seed.
        workers: Number of threads.
        prefetch: Batches to make in advance, beyond one for each thread.
        drop_last: Whether to leave out a last batch that is not full.

    Returns:
        An object that yields the images and labels of one epoch each time it is iterated over, or
        of the rest of one that a loop left early. Its `state_dict` and `load_state_dict` make it
        possible to resume within an epoch.

    Raises:
        ValueError: A number is out of range.

    """
    require_workers(index(workers))
    if batch_size < 1 or prefetch < 0:
        raise ValueError("batch_size must be at least 1, and prefetch not negative")
    order = sampler or EpochSampler(samples, seed=samples.seed)
    return Batches(samples, batch_size, order, workers, prefetch, drop_last=drop_last)
