"""Make the golden files beside this program, with the twin, OpenCV and nothing of the package.

    pip install numpy opencv-python-headless pillow && python tests/golden/make.py

They are committed because encoders change between versions: run again, this program may make other
JPEGs, which is as good, but not the same. What each file is says its name:

- `jpeg/COLOUR_WIDTHxHEIGHT_qQUALITY[_EXTRA].jpg`, with the decoded rows of B, G, R bytes (turned as
  EXIF says) in `.bgr`;
- `resize/WxH_to_WIDTHxHEIGHT.f32`: the sample (planes B, G, R of little-endian float32) that the
  rule makes of a crop of W x H at (3, 2) of the picture that `picture` paints with seed 1;
- `database_persons01+05_numbers00+46.tar`: eight photographs with labels;
- `crops_aspectA_seed3_aug2_val1.i32`: its crops for aspect ratio A, rows of x, y, w, h, test behind
  train;
- `bundle_seed3_aug2_val1.json`: SHA-256 digests of the four arrays, for both aspect ratios.

`protocol0_python2.7_numpy1.16.6_train3_test2_5x4.pkl` is not made here but by `write_old` of
`tests/test_bundle.py`, with a real Python 2.7.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import twin  # noqa: E402 (found by the line above)

SUBSAMPLING = {"444": 0x111111, "440": 0x121111, "422": 0x211111, "420": 0x221111, "411": 0x411111}
EXTRA = {
    "": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "restart": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    **{f"exif{orientation}": [] for orientation in range(2, 9)},
}

#: Colour, width, height, quality and what else is special.
JPEGS = [
    ("444", 40, 24, 90, ""),
    ("440", 40, 24, 80, ""),
    ("422", 40, 24, 75, ""),
    ("420", 40, 24, 50, ""),
    ("411", 40, 24, 85, ""),
    ("grey", 40, 24, 85, ""),
    ("grey", 7, 9, 20, "progressive"),
    ("420", 48, 33, 60, "progressive"),
    ("422", 33, 47, 95, "progressive"),
    ("440", 19, 21, 100, "progressive"),
    ("420", 47, 31, 10, "optimised"),
    ("420", 64, 40, 70, "restart"),
    ("444", 33, 17, 100, "restart"),
    ("grey", 25, 26, 30, "restart"),
    ("444", 1, 1, 5, ""),
    ("420", 1, 1, 75, ""),
    ("420", 2, 1, 75, ""),
    ("420", 1, 3, 75, ""),
    ("422", 5, 1, 75, ""),
    ("440", 1, 2, 75, ""),
    ("440", 17, 33, 75, ""),
    ("420", 17, 33, 100, ""),
    *[("420", 20, 12, 90, f"exif{orientation}") for orientation in range(2, 9)],
]

#: Crop and sample sizes, by kind: reducing, enlarging, identity, exactly 2x (in one axis and both),
#: odd, from and to a single pixel.
RESIZES = [
    ((31, 23), (12, 10)),
    ((9, 7), (20, 16)),
    ((16, 12), (16, 12)),
    ((32, 24), (16, 12)),
    ((32, 12), (16, 12)),
    ((16, 24), (16, 12)),
    ((33, 25), (16, 12)),
    ((1, 1), (8, 6)),
    ((1, 20), (8, 6)),
    ((20, 1), (8, 6)),
    ((2, 2), (1, 1)),
    ((27, 19), (1, 1)),
    ((5, 30), (7, 11)),
    ((40, 3), (9, 13)),
]

PERSONS, SERIES = (1, 5), (1, 2)
NUMBERS = {0: (-90, 0), 46: (0, 0)}
SEED = 3
PASSES = (2, 1)


def picture(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """Paint (height, width, 3) bytes: slopes, a disc and noise, so that every step shows."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.RandomState(seed).randint(-20, 21, (height, width, 3))
    slopes = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], 2)
    disc = (x - width * (seed % 5 + 2) / 9) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    slopes[disc] = 255 - slopes[disc]
    return np.clip(slopes + noise, 0, 255).astype(np.uint8)


def encode(pixels: NDArray[np.uint8], colour: str, quality: int, extra: str) -> bytes:
    """Encode pixels as the name of the file says."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, *EXTRA[extra]]
    if colour == "grey":
        pixels = pixels[:, :, 1]
    else:
        flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLING[colour]]
    jpeg = cv2.imencode(".jpg", pixels, flags)[1].tobytes()
    if extra.startswith("exif"):
        exif = Image.Exif()
        exif[0x0112] = int(extra[-1])
        segment = exif.tobytes()
        jpeg = jpeg[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    return jpeg


def save(path: Path, content: bytes) -> None:
    """Write a file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def make_jpegs() -> None:
    """Make `jpeg/`."""
    for seed, (colour, width, height, quality, extra) in enumerate(JPEGS):
        jpeg = encode(picture(width, height, seed), colour, quality, extra)
        pixels = np.ascontiguousarray(twin.pixels(jpeg))
        opened = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if opened is None or not np.array_equal(pixels, opened):
            raise AssertionError("Pillow and OpenCV differ")
        stem = f"{colour}_{width}x{height}_q{quality}" + (f"_{extra}" if extra else "")
        save(HERE / "jpeg" / f"{stem}.jpg", jpeg)
        save(HERE / "jpeg" / f"{stem}.bgr", pixels.tobytes())


def make_resizes() -> None:
    """Make `resize/`."""
    image = picture(48, 40, 1)
    for (w, h), (width, height) in RESIZES:
        sample = twin.sample(image, (3, 2, w, h), width, height)
        save(HERE / "resize" / f"{w}x{h}_to_{width}x{height}.f32", sample.astype("<f4").tobytes())
    save(HERE / "resize" / "picture_48x40.bgr", image.tobytes())


def make_database() -> None:
    """Make the database and the digests of what becomes of it."""
    parts: dict[bool, list[tuple[twin.Frame, NDArray[np.uint8], tuple[int, int]]]]
    parts = {False: [], True: []}
    with tarfile.open(HERE / "database_persons01+05_numbers00+46.tar", "w") as archive:

        def add(name: str, content: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        for person in PERSONS:
            for series in SERIES:
                for number, (tilt, pan) in NUMBERS.items():
                    seed = person * 100 + series * 10 + number
                    jpeg = encode(picture(384, 288, seed), "420", 60, "")
                    box = (150 + 10 * person, 120 + 10 * series, 100 + number, 90)
                    stem = f"person{person:02}{series}{number:02}{tilt:+d}{pan:+d}"
                    lines = [f"{stem}.jpg", "", "Face", *map(str, box), ""]
                    add(f"Person{person:02}/{stem}.jpg", jpeg)
                    add(f"Person{person:02}/{stem}.txt", "\n".join(lines).encode())
                    frame = twin.Frame(384, 288, *box)
                    parts[person == 5].append((frame, twin.pixels(jpeg), (tilt, pan)))

    parameters = f"seed{SEED}_aug{PASSES[0]}_val{PASSES[1]}"
    digests = {}
    for aspect_ratio, size in twin.OUTPUT.items():
        planned = [
            ([frame for frame, _, _ in parts[test]], passes)
            for test, passes in zip((False, True), PASSES, strict=True)
        ]
        crops = twin.plan(planned, aspect_ratio, SEED)
        images = [
            twin.samples([pixels for _, pixels, _ in parts[test]], crops[test], *size)
            for test in (False, True)
        ]
        labels = [
            twin.labels([pose for _, _, pose in parts[test]], PASSES[test])
            for test in (False, True)
        ]
        digests[str(aspect_ratio)] = [
            hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()
            for array in (*images, *labels)
        ]
        rows = np.concatenate([part.reshape(-1, 4) for part in crops]).astype("<i4")
        save(HERE / f"crops_aspect{aspect_ratio}_{parameters}.i32", rows.tobytes())
    path = HERE / f"bundle_{parameters}.json"
    path.write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    make_jpegs()
    make_resizes()
    make_database()
