"""Make the JPEG test matrix, the damaged files and the reference pixels.

    python make.py OUT [PHOTOS]        (needs pillow, numpy, opencv-python-headless)
    cargo run --release -- all OUT [PHOTOS]

OUT/good/CLASS/N.jpg     valid files;   N.rgb: the pixels Pillow and OpenCV both give
OUT/damage/CLASS/N.jpg   damaged files; N.rgb: the pixels of the undamaged file
OUT/photos/...           N.rgb for every JPEG below PHOTOS (the photos are not copied)
"""

import io
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SAMPLING = {"444": 0x111111, "422": 0x211111, "420": 0x221111, "440": 0x121111, "411": 0x411111}
MODES = {
    "baseline": [],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "restart": [cv2.IMWRITE_JPEG_RST_INTERVAL, 1],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
}
SIZES = [
    (1, 1),
    (2, 1),
    (1, 2),
    (3, 5),
    (7, 9),
    (8, 8),
    (9, 8),
    (15, 16),
    (16, 16),
    (17, 33),
    (33, 17),
    (31, 65),
    (64, 48),
    (97, 131),
]
QUALITIES = [5, 25, 50, 75, 90, 95, 100]
rng = np.random.default_rng(7)


def picture(width, height, noisy):
    if noisy:
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (3 + c) + c) + np.cos(y / (5 - c)) for c in range(3)]
    return (127 + 63 * np.stack(waves, 2)).astype(np.uint8)


def encode(pixels, quality, flags, sampling=None):
    extra = [] if sampling is None else [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *flags, *extra])
    assert ok
    return data.tobytes()


def pil(pixels, **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def decode(data):
    rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert np.array_equal(rgb, bgr[..., ::-1]), "Pillow and OpenCV differ"
    return rgb.tobytes()


def save(folder, number, data, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:04}.jpg").write_bytes(data)
    (folder / f"{number:04}.rgb").write_bytes(pixels)


def segments(data):
    """Offset and code of each marker up to SOS, then the offset of the entropy data."""
    at, found = 2, {}
    while True:
        code = data[at + 1]
        found.setdefault(code, at)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if code == 0xDA:
            return found, at


def patch(data, at, new):
    return data[:at] + bytes(new) + data[at + len(new) :]


def good(out):
    for mode, flags in MODES.items():
        for sampling, code in [*SAMPLING.items(), ("grey", None)]:
            number = 0
            for width, height in SIZES:
                for quality in QUALITIES:
                    for noisy in (False, True):
                        pixels = picture(width, height, noisy)
                        data = encode(pixels if code else pixels[..., 0], quality, flags, code)
                        save(out / f"{sampling} {mode}", number, data, decode(data))
                        number += 1
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, (width, height) in enumerate(SIZES):
        pixels = picture(width, height, True)
        data = pil(pixels, quality=90, exif=exif, comment=b"c", icc_profile=b"i" * 70000)
        save(out / "exif, icc, comment", number, data, decode(data))
        data = pil(pixels, quality=90, keep_rgb=True)
        save(out / "rgb components", number, data, decode(data))
        data = encode(pixels, 90, MODES["progressive"], SAMPLING["420"])
        last = data.rfind(b"\xff\xda")
        data = data[:last] + b"\xff\xd9"
        save(out / "progressive, last scan absent", number, data, decode(data))


def damage(out):
    def add(kind, data):
        number = counts[kind] = counts.get(kind, -1) + 1
        save(out / kind, number, data, pixels)

    counts = {}
    picture_large = np.asarray(Image.fromarray(picture(97, 131, False)).resize((194, 262)))
    picture_large = (
        (picture_large + rng.integers(0, 12, picture_large.shape)).clip(0, 255).astype(np.uint8)
    )
    for mode, sampling in [
        ("baseline", "420"),
        ("baseline", "444"),
        ("restart", "422"),
        ("optimised", "440"),
        ("progressive", "420"),
        ("baseline", "grey"),
    ]:
        source = picture_large if sampling != "grey" else picture_large[..., 0]
        data = encode(source, 80, MODES[mode], SAMPLING.get(sampling))
        pixels = decode(data)
        found, entropy = segments(data)
        sof = found.get(0xC0) or found[0xC2]
        spots = [int(v) for v in np.linspace(entropy + 2, len(data) - 40, 40)]
        for at in range(0, entropy, 7):
            add("cut in the header", data[:at])
        for at in spots:
            add("cut in the pixels", data[:at])
            add("one bit flipped", patch(data, at, [data[at] ^ (1 << at % 8)]))
            add("32 random bytes", patch(data, at, rng.bytes(32)))
            add("32 zero bytes", patch(data, at, bytes(32)))
            add("32 bytes removed", data[:at] + data[at + 32 :])
            add("end marker inside", patch(data, at, [0xFF, 0xD9]))
            add("other marker inside", patch(data, at, [0xFF, 0xC4]))
            if mode == "restart":
                rst = next(
                    i
                    for i in range(at, len(data))
                    if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7
                )
                add("wrong restart number", patch(data, rst + 1, [0xD0 + (data[rst + 1] + 3) % 8]))
                add("restart marker removed", data[:rst] + data[rst + 2 :])
        for cut in (2, 1):
            add("no end marker", data[:-cut])
        for tail in (b"\0", b"garbage" * 9, rng.bytes(500), data):
            add("bytes after the end (valid)", data + tail)
        for code in [c for c in found if c != 0xE0]:
            at = found[code]
            add("junk before a segment", data[:at] + b"junk" + data[at:])
            add("marker overwritten", patch(data, at, b"\x12\x34"))
        for code in (0xDB, 0xC4):
            cut = data
            while code in segments(cut)[0]:
                at = segments(cut)[0][code]
                cut = cut[:at] + cut[at + 2 + int.from_bytes(cut[at + 2 : at + 4], "big") :]
            add("no quantiser" if code == 0xDB else "no Huffman table", cut)
        if "65535x65535" not in counts:
            add("65535x65535", patch(data, sof + 5, b"\xff\xff\xff\xff"))
        add("zero width or height", patch(data, sof + 5, b"\0\0"))
        add("zero width or height", patch(data, sof + 7, b"\0\0"))
        add("sampling 0 or 5", patch(data, sof + 11, b"\0"))
        add("sampling 0 or 5", patch(data, sof + 11, b"\x55"))
        add("taller than its data", patch(data, sof + 5, b"\x02\0"))
        add("shorter than its data", patch(data, sof + 5, b"\0\x40"))
        for code in (0xC3, 0xC9, 0xC5):
            add("lossless, arithmetic, hierarchical mark", patch(data, sof + 1, [code]))
        add("12-bit mark", patch(data, sof + 4, b"\x0c"))
    for junk in (
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"text" * 99,
        bytes(999),
        cv2.imencode(".png", picture_large)[1].tobytes(),
    ):
        add("empty, PNG, text", junk)
    for quality in (50, 90):
        out_cmyk = io.BytesIO()
        Image.fromarray(picture_large).convert("CMYK").save(out_cmyk, "JPEG", quality=quality)
        add("CMYK", out_cmyk.getvalue())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    good(target / "good")
    damage(target / "damage")
    for photo in Path(sys.argv[2]).rglob("*.jpg") if len(sys.argv) > 2 else []:
        copy = target / "photos" / photo.relative_to(sys.argv[2]).with_suffix(".rgb")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(decode(photo.read_bytes()))
