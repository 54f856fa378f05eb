"""Pictures of photographs and samples: only pixels, no comments that could name people."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from headpose_fast.errors import DatabaseError


def sample_image(sample: NDArray[np.float32]) -> Image.Image:
    """Make a picture of a sample: float32 (3, height, width), planes blue, green, red in 0..1."""
    finite = np.nan_to_num(sample[::-1].transpose(1, 2, 0), nan=0.0)
    return Image.fromarray(np.rint(finite.clip(0, 1) * 255).astype(np.uint8))


def photograph_image(name: str, jpeg: bytes) -> Image.Image:
    """Decode a photograph, turned as its EXIF orientation says, or raise DatabaseError."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            turned = ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        raise DatabaseError([f"{name}: {error}"]) from None
    # Otherwise saving would keep the file's comment and EXIF data, which may name the person.
    turned.info.clear()
    return turned
