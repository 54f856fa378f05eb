"""The rival: the same job with OpenCV and threads, as well as one can write it in Python.

    python benchmarks/opencv_threads.py ARCHIVE OUTPUT [--num-data-aug 15] [--workers 2]

Arrays are allocated once, a photograph is decoded once for all its passes, threads share out the
photographs (OpenCV releases the GIL), and one pickle of protocol 5 is written. It does the job at
1:1 with seed 0 and needs numpy and opencv-python-headless; it uses nothing of headpose-fast.
"""

from __future__ import annotations

import argparse
import os
import pickle
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

NAME = re.compile(r".*Person\d\d/person(\d\d)(\d\d\d)([+-]\d+)([+-]\d+)\.(jpg|txt)")
TEST_PERSONS = ("05", "10", "15")
SIDE = 84
WIDTH, HEIGHT = 384, 288


class Photograph(NamedTuple):
    """A photograph and its label."""

    jpeg: NDArray[np.uint8]
    pose: tuple[int, int]
    box: tuple[int, int, int, int]


def read(archive: str) -> tuple[list[Photograph], list[Photograph]]:
    """Read train and test photographs, in order."""
    files: dict[tuple[str, ...], dict[str, bytes]] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            match = NAME.fullmatch(member.name)
            content = tar.extractfile(member) if match else None
            if match and content:
                *key, kind = match.groups()
                files.setdefault(tuple(key), {})[kind] = content.read()
    parts: tuple[list[Photograph], list[Photograph]] = ([], [])
    for (person, _, tilt, pan), pair in sorted(files.items()):
        cx, cy, width, height = map(int, pair["txt"].split()[2:])
        jpeg = np.frombuffer(pair["jpg"], np.uint8)
        photograph = Photograph(jpeg, (int(tilt), int(pan)), (cx, cy, width, height))
        parts[person in TEST_PERSONS].append(photograph)
    return parts


def plan(
    photographs: list[Photograph], passes: int, uniform: np.random.RandomState
) -> NDArray[np.int32]:
    """Draw crops (passes, photographs, 4) of x, y, width, height."""
    draw = uniform.random_sample
    crops = np.empty((passes, len(photographs), 4), np.int32)
    for k in range(passes):
        for i, photograph in enumerate(photographs):
            cx, cy, width, height = photograph.box
            mx, my = width // 2, height // 2
            while True:
                x, y = int(draw() * (cx - mx)), int(draw() * (cy - my))
                low, high = cy + my - y, HEIGHT - y
                h = (low + int(draw() * (high - low))) // 9 * 9
                if cx + mx < x + h < WIDTH and cy + my < y + h < HEIGHT:
                    break
            crops[k, i] = x, y, h, h
    return crops


def render(
    photographs: list[Photograph], crops: NDArray[np.int32], workers: int
) -> NDArray[np.float32]:
    """Render all samples (passes * photographs, 3, SIDE, SIDE)."""
    count = len(photographs)
    out = np.empty((len(crops) * count, 3, SIDE, SIDE), np.float32)

    def work(i: int) -> None:
        pixels = cv2.imdecode(photographs[i].jpeg, cv2.IMREAD_COLOR)
        assert pixels is not None
        image = np.divide(pixels, np.float32(255), dtype=np.float32)
        for k, (x, y, w, h) in enumerate(crops[:, i].tolist()):
            sample = cv2.resize(image[y : y + h, x : x + w], (SIDE, SIDE))
            for channel in range(3):
                cv2.extractChannel(sample, channel, out[k * count + i, channel])

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, range(count), chunksize=16):
            pass
    return out


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("archive")
    parser.add_argument("output")
    parser.add_argument("--num-data-aug", type=int, default=15)
    parser.add_argument("--num-data-aug-val", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    cv2.setNumThreads(1)
    uniform = np.random.RandomState(0)
    parts = read(options.archive)
    images, labels = [], []
    passes = (options.num_data_aug, options.num_data_aug_val)
    plans = [plan(part, times, uniform) for part, times in zip(parts, passes, strict=True)]
    for part, crops in zip(parts, plans, strict=True):
        images.append(render(part, crops, options.workers))
        once = np.array([photograph.pose for photograph in part], np.float32) / np.float32(90)
        labels.append(np.tile(once, (len(crops), 1)))
    with Path(options.output).open("wb") as file:
        pickle.dump((*images, *labels), file, protocol=5)


if __name__ == "__main__":
    main()
