"""Samples for training, ours and the rivals': processor time of each, and samples a second.

    python benchmarks/training.py ARCHIVE [--rounds 5]

`python benchmarks/run.py` prints the same tables after its own. Those of torch, torchvision,
albumentations and nvidia-dali-cuda120 that are installed are timed too.

Every program makes an epoch in batches of 64: uint8, RGB, CHW, one crop of each photograph of the
training part, half of them mirrored, in a shuffled order, into one array that is used again. Ours
draws its crops within that time; the rivals are given theirs. Each is checked to make the same
samples, within rounding. Processor time is that of the whole process, in turn A B C A B C ..., each
after an epoch that is not counted; the table has medians. Rivals that are not installed are left
out, and named.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import headpose_fast
from headpose_fast.training import Draws, EpochSampler, Recipe, Samples, batches

_BATCH = 64

#: Threads or worker processes where samples a second are counted.
_WORKERS = 2

#: The most that a rival's byte may differ by: libraries round the weights to few bits.
_MOST_DIFFERENCE = 3

#: Of DALI's bytes, how many may differ by more.
_MOST_AT_BORDERS = 0.02

#: (H, W, 3), RGB.
Pixels = NDArray[np.uint8]

#: A crop (x, y, width and height) of photograph i, resized to a size.
Sample = Callable[[int, Sequence[int], tuple[int, int]], Pixels]

#: Makes an epoch: batches of uint8 (samples, 3, H, W), RGB.
Program = Callable[[], Iterator[Pixels]]


class Work(NamedTuple):
    """An epoch: photographs, which of them each sample shows, and what was drawn for it."""

    jpegs: list[bytes]
    order: list[int]
    draws: Draws


def work_of(samples: Samples, archive: Path) -> Work:
    """Draw an epoch."""
    database = headpose_fast.open_database(archive)
    train, _ = database.split({5, 10, 15})
    keys = EpochSampler(samples).keys(0)
    draws, indices = samples.draws(keys)
    return Work([photograph.jpeg for photograph in train], indices.tolist(), draws)


def ours(samples: Samples) -> Program:
    """Make an epoch with one thread."""
    keys = EpochSampler(samples).keys(0)
    width, height = samples.recipe.size
    buffer = np.empty((_BATCH, 3, height, width), np.uint8)

    def run() -> Iterator[Pixels]:
        for first in range(0, len(keys), _BATCH):
            batch = keys[first : first + _BATCH]
            images, _ = samples.arrays(batch, buffer[: len(batch)])
            yield images  # type: ignore[misc]

    return run


def place(image: Pixels, planes: Pixels, *, mirrored: bool) -> None:
    """Divide pixels into planes: OpenCV takes 0.7 to 0.95 of NumPy's time, all in all."""
    if mirrored:
        image = cv2.flip(image, 1).astype(np.uint8, copy=False)
    cv2.split(image, (planes[0], planes[1], planes[2]))


def by_sample(sample: Sample, work: Work) -> Program:
    """Make an epoch sample by sample."""
    crops, mirrored = work.draws.crops.tolist(), work.draws.mirrored.tolist()
    width, height = size = work.draws.size
    buffer = np.empty((_BATCH, 3, height, width), np.uint8)

    def run() -> Iterator[Pixels]:
        for first in range(0, len(crops), _BATCH):
            batch = buffer[: len(crops) - first]
            for row, i in enumerate(range(first, first + len(batch))):
                place(sample(work.order[i], crops[i], size), batch[row], mirrored=mirrored[i])
            yield batch

    return run


def decoded(jpeg: bytes) -> Pixels:
    """Decode with OpenCV, the fastest of the rivals' decoders here."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return pixels.astype(np.uint8, copy=False)


def opencv(pixels: Pixels, crop: Sequence[int], size: tuple[int, int]) -> Pixels:
    """Cut and resize."""
    x, y, width, height = crop
    resized = cv2.resize(pixels[y : y + height, x : x + width], size)
    return resized.astype(np.uint8, copy=False)


def pillow(image: Image.Image, crop: Sequence[int], size: tuple[int, int]) -> Pixels:
    """Cut and resize without smoothing, as the others do; `resize` smooths, which takes longer."""
    x, y, width, height = crop
    part = image.crop((x, y, x + width, y + height))
    box = (0, 0, width, height)
    resized = part.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(resized)


def torchvision_programs(work: Work, *, store: bool) -> dict[str, Program]:
    """Return torchvision's program: its own transforms of uint8 tensors."""
    torch, functional = (
        import_module("torch"),
        import_module("torchvision.transforms.v2.functional"),
    )
    torchvision_io = import_module("torchvision.io")
    torch.set_num_threads(1)
    files = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in work.jpegs]

    def decode(i: int) -> Any:  # noqa: ANN401 (the library need not be there)
        return torchvision_io.decode_jpeg(files[i], torchvision_io.ImageReadMode.RGB)

    # Interleaved, as its own resize is fastest with.
    layout = torch.channels_last
    images = [decode(i)[None].contiguous(memory_format=layout)[0] for i in range(len(files))]
    crops, mirrored = work.draws.crops.tolist(), work.draws.mirrored.tolist()
    width, height = work.draws.size
    buffer = torch.empty((_BATCH, 3, height, width), dtype=torch.uint8)

    def run() -> Iterator[Pixels]:
        for first in range(0, len(crops), _BATCH):
            batch = buffer[: len(crops) - first]
            count = len(batch)
            for row, i in enumerate(range(first, first + count)):
                x, y, w, h = crops[i]
                photograph = work.order[i]
                image = images[photograph] if store else decode(photograph)
                made = functional.resized_crop(image, y, x, h, w, [height, width], antialias=False)
                batch[row] = made.flip(-1) if mirrored[i] else made
            yield batch.numpy()

    return {"torchvision": run}


def albumentations_programs(work: Work, *, store: bool) -> dict[str, Program]:
    """Return Albumentations' program, by `apply`: `Compose` takes several times as long."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # The import asks PyPI for a newer version.
    library = import_module("albumentations")
    width, height = work.draws.size
    crop, resize = library.Crop(), library.Resize(height, width)
    images = [decoded(jpeg) for jpeg in work.jpegs] if store else None

    def sample(i: int, box: Sequence[int], size: tuple[int, int]) -> Pixels:  # noqa: ARG001
        x, y, w, h = box
        image = images[i] if images is not None else decoded(work.jpegs[i])
        made: Pixels = resize.apply(crop.apply(image, crop_coords=(x, y, x + w, y + h)))
        return made

    return {"Albumentations": by_sample(sample, work)}


def dali_programs(work: Work, *, store: bool) -> dict[str, Program]:
    """Return DALI's program: a graph on the CPU that is fed arrays or files."""
    dali, fn, types = map(import_module, ("nvidia.dali", "nvidia.dali.fn", "nvidia.dali.types"))
    inputs: list[Pixels]
    if store:
        inputs = [decoded(jpeg) for jpeg in work.jpegs]
    else:
        inputs = [np.frombuffer(jpeg, np.uint8) for jpeg in work.jpegs]
    boxes = work.draws.crops.astype(np.float32)
    starts = np.ascontiguousarray(boxes[:, 1::-1])
    ends = starts + boxes[:, :1:-1]
    mirrored = work.draws.mirrored.astype(np.int32)
    width, height = work.draws.size
    # It makes full batches only: the last one goes on at the beginning.
    count = len(work.order)
    padded = [i % count for i in range(-(-count // _BATCH) * _BATCH)]

    def source() -> Iterator[list[list[Any]]]:
        while True:
            for first in range(0, len(padded), _BATCH):
                rows = padded[first : first + _BATCH]
                columns = (starts, ends, mirrored)
                files = [inputs[work.order[i]] for i in rows]
                yield [files, *([column[i] for i in rows] for column in columns)]

    with dali.Pipeline(_BATCH, 1, device_id=None, prefetch_queue_depth=1) as pipeline:
        kinds = [types.UINT8, types.FLOAT, types.FLOAT, types.INT32]
        images, start, end, mirror = fn.external_source(source(), num_outputs=4, dtype=kinds)
        if store:
            images = fn.reshape(images, layout="HWC")
        else:
            images = fn.decoders.image(images, device="cpu", output_type=types.RGB)
        resized = fn.resize(
            images,
            roi_start=start,
            roi_end=end,
            size=(height, width),
            interp_type=types.INTERP_LINEAR,
            antialias=False,
        )
        pipeline.set_outputs(fn.transpose(fn.flip(resized, horizontal=mirror), perm=[2, 0, 1]))
    pipeline.build()

    def run() -> Iterator[Pixels]:
        for first in range(0, count, _BATCH):
            (batch,) = pipeline.run()
            yield np.asarray(batch.as_tensor())[: count - first]

    return {"DALI": run}


#: By the module that must be there.
_HEAVY = {
    "torchvision": torchvision_programs,
    "albumentations": albumentations_programs,
    "nvidia.dali": dali_programs,
}


def programs(samples: Samples, work: Work, *, store: bool) -> dict[str, Program]:
    """Return all programs that can run, ours first."""
    found = {"headpose-fast": ours(samples)}
    jpegs = work.jpegs
    if store:
        arrays = [decoded(jpeg) for jpeg in jpegs]
        images = [Image.fromarray(array) for array in arrays]
        found["OpenCV"] = by_sample(lambda i, crop, size: opencv(arrays[i], crop, size), work)
        found["Pillow"] = by_sample(lambda i, crop, size: pillow(images[i], crop, size), work)
    else:
        found["OpenCV"] = by_sample(
            lambda i, crop, size: opencv(decoded(jpegs[i]), crop, size), work
        )
        found["Pillow"] = by_sample(
            lambda i, crop, size: pillow(Image.open(io.BytesIO(jpegs[i])), crop, size), work
        )
    for module, make in _HEAVY.items():
        if there(module):
            found |= make(work, store=store)
    return found


def there(module: str) -> bool:
    """Whether a module is installed."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check(found: Mapping[str, Program]) -> None:
    """Compare what all programs make, to the first one's."""
    expected = [batch.copy() for batch in next(iter(found.values()))()]
    for name, program in found.items():
        for mine, theirs in zip(expected, program(), strict=True):
            difference = np.abs(mine.astype(np.int16) - theirs)
            # DALI looks beyond the borders of a crop that it enlarges.
            most = _MOST_AT_BORDERS if name == "DALI" else 0.0
            assert (difference > _MOST_DIFFERENCE).mean() <= most, (name, difference.max())


def processor_time(archive: Path, rounds: int) -> Iterator[str]:
    """Yield a table of the processor time of a sample."""
    yield "| one crop a photograph | size | us of processor | against the best rival |"
    yield "|---|---|---|---|"
    for store in (True, False):
        for side in (84, 224):
            samples = Samples(archive, recipe=Recipe(size=(side, side), mirror=0.5), store=store)
            found = programs(samples, work_of(samples, archive), store=store)
            check(found)
            taken: dict[str, list[float]] = {name: [] for name in found}
            for _ in range(rounds):
                for name, program in found.items():
                    # Not counted: memory that the system took back meanwhile is mapped again.
                    for _batch in program():
                        pass
                    began = time.process_time()
                    for _batch in program():
                        pass
                    taken[name].append((time.process_time() - began) / len(samples))
            medians = {name: statistics.median(times) for name, times in taken.items()}
            best = min(list(medians.values())[1:])
            from_what = "decoded before" if store else "from JPEG"
            for name, seconds in medians.items():
                ratio = f"{seconds / best:.2f}"
                yield f"| {from_what}: {name} | {side} | {seconds * 1e6:.1f} | {ratio} |"


class RivalDataset:
    """Samples of decoded photographs by index, for a DataLoader."""

    def __init__(
        self, work: Work, sample: Callable[[Any, Sequence[int], tuple[int, int]], Pixels]
    ) -> None:
        """Decode the photographs."""
        self.images: list[Any] = [decoded(jpeg) for jpeg in work.jpegs]
        if sample is pillow:
            self.images = [Image.fromarray(image) for image in self.images]
        self.order = work.order
        self.crops, self.mirrored = work.draws.crops.tolist(), work.draws.mirrored.tolist()
        self.size, self.sample = work.draws.size, sample

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.order)

    def __getitem__(self, i: int) -> Pixels:
        """Return a sample, (3, H, W)."""
        image = self.sample(self.images[self.order[i]], self.crops[i], self.size)
        made = np.empty((3, *image.shape[:2]), np.uint8)
        place(image, made, mirrored=self.mirrored[i])
        return made


def throughput(archive: Path, rounds: int) -> Iterator[str]:
    """Yield a table of samples a second, with two threads or worker processes."""
    yield f"| {_WORKERS} threads or workers, decoded before | size | samples/s | ratio |"
    yield "|---|---|---|---|"
    data = import_module("torch.utils.data")
    for side in (84, 224):
        recipe = Recipe(size=(side, side), mirror=0.5)
        samples = Samples(archive, recipe=recipe)
        work = work_of(samples, archive)
        loaders: dict[str, Any] = {"batches": batches(samples, _BATCH, workers=_WORKERS)}
        for name, sample in (("OpenCV", opencv), ("Pillow", pillow)):
            dataset = RivalDataset(work, sample)
            options = {"num_workers": _WORKERS, "persistent_workers": True}
            loaders[f"DataLoader over {name}"] = data.DataLoader(dataset, _BATCH, **options)
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        for i in range(rounds + 1):
            for name, loader in loaders.items():
                began = time.perf_counter()
                for _batch in loader:
                    pass
                if i > 0:  # The first starts the workers.
                    rates[name].append(len(samples) / (time.perf_counter() - began))
        medians = {name: statistics.median(some) for name, some in rates.items()}
        for name, rate in medians.items():
            yield f"| {name} | {side} | {rate:,.0f} | {rate / medians['batches']:.2f} |"


def figures(archive: Path, rounds: int) -> Iterator[str]:
    """Yield all tables, and what could not be timed."""
    cv2.setNumThreads(1)
    missing = [module for module in (*_HEAVY, "torch") if not there(module)]
    if missing:
        yield f"not installed, so not timed: {', '.join(missing)}"
        yield ""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADPOSE_FAST_CACHE"] = folder
        yield from processor_time(archive, rounds)
        if there("torch"):
            yield ""
            yield from throughput(archive, rounds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"medians of {options.rounds} alternating rounds\n")
    for line in figures(options.archive, options.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
