"""More rivals: the same job with libraries that are heavy to install, as well as one can write it.

    pip install nvidia-dali-cuda120  # or: torch torchvision, or: albumentations
    python benchmarks/heavy_rivals.py {dali,torchvision,albumentations} ARCHIVE OUTPUT [--workers 2]
        [--check OURS]

The archive, the labels and the crops come from headpose-fast; the pixels and the pickle are the
rival's, on the CPU. It does the job at 1:1 with seed 0. Arrays are allocated once and a photograph
is decoded once for all its passes. OURS is a file of `--pickle py3` to compare the result with.
Keep albumentations in an environment without torch: it imports torch wherever it finds it.
"""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module  # So that mypy needs none of the libraries.
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import headpose_fast

SIDE = 84
TEST_PERSONS = (5, 10, 15)
#: Photographs that DALI works on at once: 32 to 128 take the same time, 8 and 16 take longer.
BATCH = 64

#: Fills samples (passes, photographs, 3, SIDE, SIDE) by JPEGs, crops and a number of threads.
Render = Callable[[list[bytes], NDArray[np.int32], NDArray[np.float32], int], None]


def share(work: Callable[[int], None], count: int, workers: int) -> None:
    """Share out photographs among threads."""
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, range(count), chunksize=16):
            pass


def dali(
    jpegs: list[bytes], crops: NDArray[np.int32], out: NDArray[np.float32], workers: int
) -> None:
    """Render with one resize for each pass in DALI's graph, all fed by one decoder.

    NumPy makes the planes: DALI's own operator (crop_mirror_normalize) takes longer.
    """
    dali, fn, types = map(import_module, ("nvidia.dali", "nvidia.dali.fn", "nvidia.dali.types"))
    boxes = crops.transpose(1, 0, 2).astype(np.float32)
    starts = np.ascontiguousarray(boxes[..., 1::-1])
    ends = starts + boxes[..., :1:-1]
    batches = [slice(i, min(i + BATCH, len(jpegs))) for i in range(0, len(jpegs), BATCH)]

    def source() -> Iterator[list[list[NDArray[Any]]]]:
        for rows in batches:
            files = [np.frombuffer(jpeg, np.uint8) for jpeg in jpegs[rows]]
            yield [files, list(starts[rows]), list(ends[rows])]

    with dali.Pipeline(BATCH, workers, device_id=None, exec_dynamic=True) as pipeline:
        kinds = [types.UINT8, types.FLOAT, types.FLOAT]
        files, start, end = fn.external_source(source, num_outputs=3, dtype=kinds)
        image = fn.decoders.image(files, device="cpu", output_type=types.BGR)
        linear = {"interp_type": types.INTERP_LINEAR, "antialias": False, "dtype": types.FLOAT}
        samples = [
            fn.resize(image, roi_start=start[k], roi_end=end[k], size=(SIDE, SIDE), **linear)
            for k in range(len(crops))
        ]
        pipeline.set_outputs(*samples)
    for rows in batches:
        for batch, part in zip(pipeline.run(), out[:, rows], strict=True):
            planes = np.asarray(batch.as_tensor()).transpose(0, 3, 1, 2)
            np.divide(planes, np.float32(255), out=part)


def torchvision(
    jpegs: list[bytes], crops: NDArray[np.int32], out: NDArray[np.float32], workers: int
) -> None:
    """Render with threads and `interpolate`, which torchvision's `resize` calls after checks."""
    torch, functional = import_module("torch"), import_module("torch.nn.functional")
    io = import_module("torchvision.io")
    torch.set_num_threads(1)
    samples = torch.from_numpy(out)
    # A tensor wants memory that can be written to.
    files = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in jpegs]

    def work(i: int) -> None:
        with torch.inference_mode():
            image = io.decode_jpeg(files[i], io.ImageReadMode.RGB).flip(0)[None] / 255
            for k, (x, y, w, h) in enumerate(crops[:, i].tolist()):
                crop = image[..., y : y + h, x : x + w]
                samples[k, i] = functional.interpolate(crop, (SIDE, SIDE), mode="bilinear")[0]

    share(work, len(jpegs), workers)


def albumentations(
    jpegs: list[bytes], crops: NDArray[np.int32], out: NDArray[np.float32], workers: int
) -> None:
    """Render with threads and the transforms' `apply`: `Compose` takes several times as long."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # The import asks PyPI for a newer version.
    library, cv2 = import_module("albumentations"), import_module("cv2")
    cv2.setNumThreads(1)
    crop, resize = library.Crop(), library.Resize(SIDE, SIDE)

    def work(i: int) -> None:
        pixels = cv2.imdecode(np.frombuffer(jpegs[i], np.uint8), cv2.IMREAD_COLOR)
        image = np.divide(pixels, np.float32(255), dtype=np.float32)
        for k, (x, y, w, h) in enumerate(crops[:, i].tolist()):
            sample = resize.apply(crop.apply(image, crop_coords=(x, y, x + w, y + h)))
            for channel in range(3):
                cv2.extractChannel(sample, channel, out[k, i, channel])

    share(work, len(jpegs), workers)


def run(render: Render, archive: Path, output: Path, workers: int) -> None:
    """Run the job."""
    parts = headpose_fast.open_database(archive).split(TEST_PERSONS)
    images, labels = [], []
    for part, crops in zip(parts, headpose_fast.plan_crops(*parts), strict=True):
        out = np.empty((*crops.shape[:2], 3, SIDE, SIDE), np.float32)
        render([photograph.jpeg for photograph in part], crops, out, workers)
        images.append(out.reshape(-1, 3, SIDE, SIDE))
        once = np.array([(p.tilt, p.pan) for p in part], np.float32) / np.float32(90)
        labels.append(np.tile(once, (len(crops), 1)))
    with output.open("wb") as file:
        pickle.dump((*images, *labels), file, protocol=5)


def check(ours: Path, theirs: Path) -> float:
    """Find the largest difference of two files: 1e-3 is rounding, 0.1 a wrong crop."""
    largest = 0.0
    with theirs.open("rb") as file:
        for a, b in zip(headpose_fast.load(ours), pickle.load(file), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            for row in range(0, len(a), 1000):
                rows = slice(row, row + 1000)
                largest = max(largest, float(np.abs(a[rows] - b[rows]).max()))
    return largest


def main() -> None:
    """Run one rival."""
    rivals: dict[str, Render] = {f.__name__: f for f in (dali, torchvision, albumentations)}
    parser = argparse.ArgumentParser()
    parser.add_argument("rival", choices=rivals)
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", type=Path, metavar="OURS")
    options = parser.parse_args()
    run(rivals[options.rival], options.archive, options.output, options.workers)
    if options.check:
        print(f"largest difference {check(options.check, options.output):.1e}")


if __name__ == "__main__":
    main()
