"""Photos as every part of the project sees them: upright, RGB, 8 bits a channel."""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_MEGAPIXELS = 250.0
"""Million pixels of a photo that is decoded, unless more are allowed."""

FORMATS = (*("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM"),)
"""Pillow's formats that are read."""


def decode(photo: Path | BinaryIO, most_megapixels: float = math.inf) -> Image.Image:
    """Decode a photo into an upright RGB image of 8 bits a channel.

    The EXIF orientation is applied, transparency is laid over white, 16-bit greys are scaled to 8
    bits, and of an animation the first picture is taken.

    Args:
        photo: The image file.
        most_megapixels: Photos of more million pixels are refused before any is decoded.

    Returns:
        An image of mode RGB, fully decoded.

    Raises:
        Exception: The content is damaged, no image, or of more pixels than Pillow takes for an
            attack. Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
    """
    with Image.open(photo) as image:
        return upright(image)


def upright(image: Image.Image) -> Image.Image:
    """Turn an opened photo into the upright RGB image that `decode` gives of its file.

    Raises:
        Exception: As `decode`, where the pixels were not decoded yet.
    """
    return _to_rgb(ImageOps.exif_transpose(image))


def reduction(image: Image.Image) -> int:
    """By how much `decode` has reduced a photo's sides: 1, or 2, 4 or 8 of a vast JPEG."""
    return int(image.info.get("reduction", 1))


def full_size(image: Image.Image) -> tuple[int, int]:
    """Width and height that a decoded photo has in its file, upright, in pixels."""
    return image.width * reduction(image), image.height * reduction(image)


def size_of(photo: Path | BinaryIO) -> tuple[int, int]:
    """Read a photo's upright width and height from its header.

    Raises:
        Exception: As `decode`.
    """
    try:
        with Image.open(photo, formats=FORMATS) as image:
            return image.size
    except Image.DecompressionBombError:
        return 60_000, 60_000


def remark(image: Image.Image) -> str:
    """What is to be noted of a photo that was decoded, such as an end that is missing; or ""."""
    return str(image.info.get("remark", ""))


def cause(error: BaseException) -> str:
    """Say in a few words why a photo does not decode, from what `decode` raised."""
    if isinstance(error, UnidentifiedImageError):
        return "the content is no known image format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are real numbers, whose black and white are unknown")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
