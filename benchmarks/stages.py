"""The stages of the job alone, on one thread, and `render` against OpenCV."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import headpose_fast
from headpose_fast import _core
from headpose_fast.bundle.placed_files import Places


def seconds(work: Callable[[], object], runs: int) -> float:
    """Median wall time of some runs, after one that is not counted."""
    taken = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def stages(archive: Path, folder: Path, runs: int, *, test_persons: set[int]) -> str:
    """Time each stage of kind `py3` and the text of kind `any`, on one thread."""
    opened = headpose_fast.open_database(archive)
    train, test = opened.split(test_persons)
    crops = headpose_fast.plan_crops(train, test).train
    jpegs = [photograph.jpeg for photograph in train]
    shape = crops.shape[:2]
    tiny = np.tile(np.array([0, 0, 1, 1], np.int32), (1, len(jpegs), 1))
    small = np.empty((1, len(jpegs), 3, 84, 84), np.float32)
    path = folder / "stage.bin"

    def write(length: int, text_blocks: int | None) -> Callable[[], object]:
        offsets = np.arange(shape[0] * shape[1], dtype=np.uint64).reshape(shape) * np.uint64(length)

        sums = np.zeros(offsets.size, np.uint32)

        def work() -> None:
            path.unlink(missing_ok=True)
            _core.create_file(path, offsets.size * length)
            _core.render_to_file(jpegs, Places(crops, 84, 84, text_blocks, offsets), path, sums, 1)

        return work

    rows = {
        "read the archive, parse names, labels and headers": seconds(
            lambda: headpose_fast.open_database(archive), runs
        ),
        "plan crops": seconds(lambda: headpose_fast.plan_crops(train, test), runs),
        "decode": seconds(lambda: _core.render_samples(jpegs, tiny, small, 1), runs),
        "decode, resize, write raw": seconds(write(84672, None), runs),
        "decode, resize, encode, write text": seconds(write(96768, 7), runs),
    }
    path.unlink()
    lines = ["| stage, one thread | s |", "|---|---|"]
    lines += [f"| {name} | {taken:.3f} |" for name, taken in rows.items()]
    return "\n".join(lines)


def opencv(jpegs: list[bytes], crops: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Render with OpenCV on one thread, into a buffer that is used again."""
    for i, jpeg in enumerate(jpegs):
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        image = np.divide(pixels, np.float32(255), dtype=np.float32)
        for k, (x, y, w, h) in enumerate(crops[:, i].tolist()):
            sample = cv2.resize(image[y : y + h, x : x + w], (84, 84))
            for channel in range(3):
                cv2.extractChannel(sample, channel, out[k, i, channel])


def render(archive: Path, runs: int, *, test_persons: set[int]) -> str:
    """Compare crops a second: `render` with one and two workers, and OpenCV with one thread."""
    cv2.setNumThreads(1)
    train, _ = headpose_fast.open_database(archive).split(test_persons)
    train = train[::8]
    crops = headpose_fast.plan_crops(train).train
    jpegs = [photograph.jpeg for photograph in train]
    out = np.zeros((*crops.shape[:2], 3, 84, 84), np.float32)
    programs: dict[str, Callable[[], object]] = {
        "OpenCV, one thread": lambda: opencv(jpegs, crops, out),
        "render, 1 worker": lambda: headpose_fast.render(jpegs, crops, out, workers=1),
        "render, 2 workers": lambda: headpose_fast.render(jpegs, crops, out, workers=2),
    }
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for i in range(runs + 1):
        for name, work in programs.items():
            began = time.perf_counter()
            work()
            if i > 0:
                taken[name].append(time.perf_counter() - began)
    count = crops.shape[0] * crops.shape[1]
    first = taken["OpenCV, one thread"]
    lines = ["| 15 crops a photograph, in memory | crops/s | ratio |", "|---|---|---|"]
    for name, times in taken.items():
        ratio = statistics.median(a / b for a, b in zip(first, times, strict=True))
        lines.append(f"| {name} | {count / statistics.median(times):,.0f} | {ratio:.2f} |")
    return "\n".join(lines)
