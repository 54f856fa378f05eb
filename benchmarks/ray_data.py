"""The rival: the same crops by Ray Data and OpenCV, as one writes it with both.

    python benchmarks/ray_data.py CROPS.parquet FOLDER --address ADDRESS

CROPS.parquet has a row for each sample: the photograph's path and the crop, which spares the rival
the drawing. Each batch of rows is decoded, cropped and resized, and written as Parquet. It needs
ray[data] and opencv-python-headless; it uses nothing of headpose-fast.
"""

from __future__ import annotations

import argparse
from typing import Any

import cv2
import numpy as np
import ray

_BATCH = 256


def render(batch: dict[str, Any], *, side: int) -> dict[str, Any]:
    """Make the samples of some rows: float32 (rows, 3, side, side), blue, green, red in 0..1."""
    cv2.setNumThreads(1)
    out = np.empty((len(batch["path"]), 3, side, side), np.float32)
    crops = zip(*(batch[name].tolist() for name in ("x", "y", "width", "height")), strict=True)
    for i, (path, (x, y, width, height)) in enumerate(zip(batch["path"], crops, strict=True)):
        pixels = cv2.imread(path, cv2.IMREAD_COLOR)
        assert pixels is not None
        crop = np.divide(pixels[y : y + height, x : x + width], np.float32(255), dtype=np.float32)
        sample = cv2.resize(crop, (side, side))
        for channel in range(3):
            cv2.extractChannel(sample, channel, out[i, channel])
    return {"row": batch["row"], "image": out, "tilt": batch["tilt"], "pan": batch["pan"]}


def main() -> None:
    """Run the job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("crops")
    parser.add_argument("folder")
    parser.add_argument("--address")
    parser.add_argument("--side", type=int, default=84)
    parser.add_argument("--blocks", type=int)
    options = parser.parse_args()
    ray.init(options.address, log_to_driver=False)
    rows = ray.data.read_parquet(options.crops, override_num_blocks=options.blocks)
    samples = rows.map_batches(render, batch_size=_BATCH, fn_kwargs={"side": options.side})
    samples.write_parquet(options.folder)


if __name__ == "__main__":
    main()
