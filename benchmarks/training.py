"""Processor time of a sample for training, ours and the rivals', in one process and one thread.

Every program makes an epoch in batches of 64: uint8, RGB, CHW, one crop of each photograph, half of
them mirrored. Ours draws its crops within that time; the rivals are given them, which spares them
the drawing. Each is checked to make the same samples, within rounding.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import headpose_fast
from headpose_fast.training import Draws, Recipe, Samples

_BATCH = 64
_ROUNDS = 5

#: The most that a rival's byte may differ by: libraries round the weights to few bits.
_MOST_DIFFERENCE = 3

Pixels = NDArray[np.uint8]

#: A crop (x, y, width and height) of photograph i, resized to a size: (H, W, 3), RGB.
Sample = Callable[[int, Sequence[int], tuple[int, int]], Pixels]


def training(archive: Path, *, short: bool) -> list[str]:
    """Time an epoch of all programs, in turn; lines of a table."""
    lines = ["| one crop a photograph | size | us of processor | ratio |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADPOSE_FAST_CACHE"] = folder
        for side in (84, 224):
            for store in (True, False):
                taken = _compare(archive, side, store=store, rounds=1 if short else _ROUNDS)
                best = min(taken[name] for name in list(taken)[1:])
                for name, seconds in taken.items():
                    lines.append(
                        f"| {'decoded before' if store else 'from JPEG'}: {name} | {side} "
                        f"| {seconds * 1e6:.1f} | {seconds / best:.2f} |"
                    )
    return lines


def _compare(archive: Path, side: int, *, store: bool, rounds: int) -> dict[str, float]:
    """Return the median seconds of processor time a sample of each program, ours first."""
    recipe = Recipe(size=(side, side), mirror=0.5)
    samples = Samples(archive, recipe=recipe, store=store)
    part = headpose_fast.open_database(archive).split({5, 10, 15})[0]
    jpegs = [photograph.jpeg for photograph in part]
    draws, _ = samples.draws(np.arange(len(samples)))
    rivals = _of_arrays(jpegs) if store else _of_jpegs(jpegs)
    programs: dict[str, Callable[[], Iterator[Pixels]]] = {"headpose-fast": lambda: _ours(samples)}
    for name, sample in rivals.items():
        programs[name] = lambda sample=sample: _theirs(sample, draws)  # type: ignore[misc]
    expected = [batch.copy() for batch in programs["headpose-fast"]()]
    for name, program in programs.items():
        for ours, theirs in zip(expected, program(), strict=True):
            difference = np.abs(ours.astype(np.int16) - theirs).max()
            assert difference <= _MOST_DIFFERENCE, (name, difference)
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            began = time.process_time()
            for _batch in program():
                pass
            taken[name].append((time.process_time() - began) / len(samples))
    return {name: statistics.median(times) for name, times in taken.items()}


def _ours(samples: Samples) -> Iterator[Pixels]:
    for first in range(0, len(samples), _BATCH):
        images, _ = samples.arrays(range(first, min(first + _BATCH, len(samples))))
        yield images  # type: ignore[misc]


def _theirs(sample: Sample, draws: Draws) -> Iterator[Pixels]:
    crops, mirrored = draws.crops.tolist(), draws.mirrored.tolist()
    width, height = draws.size
    for first in range(0, len(crops), _BATCH):
        batch = np.empty((min(_BATCH, len(crops) - first), 3, height, width), np.uint8)
        for row, i in enumerate(range(first, first + len(batch))):
            image = sample(i, crops[i], draws.size)
            batch[row] = (image[:, ::-1] if mirrored[i] else image).transpose(2, 0, 1)
        yield batch


def _of_arrays(jpegs: Sequence[bytes]) -> dict[str, Sample]:
    """Rivals that are given arrays of all pixels."""
    arrays = [_decode(jpeg) for jpeg in jpegs]
    images = [Image.fromarray(array) for array in arrays]
    return {
        "OpenCV": lambda i, crop, size: _opencv(arrays[i], crop, size),
        "Pillow": lambda i, crop, size: _pillow(images[i], crop, size),
    }


def _of_jpegs(jpegs: Sequence[bytes]) -> dict[str, Sample]:
    """Rivals that decode each photograph for its crop."""
    return {
        "OpenCV": lambda i, crop, size: _opencv(_decode(jpegs[i]), crop, size),
        "Pillow": lambda i, crop, size: _pillow(Image.open(io.BytesIO(jpegs[i])), crop, size),
    }


def _decode(jpeg: bytes) -> Pixels:
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    return decoded.astype(np.uint8, copy=False)


def _opencv(array: Pixels, crop: Sequence[int], size: tuple[int, int]) -> Pixels:
    x, y, width, height = crop
    resized = cv2.resize(array[y : y + height, x : x + width], size)
    return resized.astype(np.uint8, copy=False)


def _pillow(image: Image.Image, crop: Sequence[int], size: tuple[int, int]) -> Pixels:
    """Cut and resize without smoothing, as the others do; `resize` smooths, which takes longer."""
    x, y, width, height = crop
    part = image.crop((x, y, x + width, y + height))
    box = (0, 0, width, height)
    resized = part.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(resized)
