"""Photos with a box around each face, and what the model says of it."""

import math
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from contrastive_age.inference.photos import Face, Photo
from contrastive_age.sources.decoding import full_size, reduction

LEVEL = "80"
"""The interval that is written beside the age, by its level in percent."""

LEAST_SIDE = 480
"""Smaller photos are enlarged, to this longest side in pixels or more: their text would fill them.
"""

COLOURS = ((0, 92, 170), (176, 58, 0), (0, 107, 74), (139, 38, 130))
"""Of boxes, in turn from left to right; white text on each has a contrast of at least 4.5."""

CAUTION = (109, 36, 0)
"""Of the band in which a caution stands; white text on it has a contrast of more than 10."""

_Box = tuple[float, float, float, float]


def annotate(image: Image.Image, photo: Photo) -> Image.Image:
    """Draw a box around each face, with its age and 80% interval in years, and below the caution.

    Args:
        image: The photo, upright, as `faces.alignment.load_image` gives it.
        photo: What is said of it. A ready crop, which has no box, gets its label alone.

    Returns:
        A new RGB image, without the photo's metadata; enlarged by a whole factor where the photo is
        smaller than `LEAST_SIDE`, and reduced as the image is. Where the ages have a caution, it
        stands in a band below the photo, by which the picture is higher.

    Raises:
        ValueError: The image has another size than the photo.
    """
    if full_size(image) != photo.size:
        raise ValueError(f"{photo.name} has {photo.size} pixels, the image {full_size(image)}")
    factor = math.ceil(LEAST_SIDE / max(image.size))
    size = (image.width * factor, image.height * factor)
    scale = factor / reduction(image)
    drawn = Image.new("RGB", size)
    drawn.paste(image.resize(size, Image.Resampling.BICUBIC) if factor > 1 else image)

    pen = ImageDraw.Draw(drawn)
    line = max(2, round(max(size) / 400))
    # A label is some five times as wide as its font is high.
    font = ImageFont.load_default(max(14, min(math.sqrt(math.prod(size)) / 36, size[0] / 10)))
    labels: list[_Box] = []
    for number, face in enumerate(photo.faces):
        colour = COLOURS[number % len(COLOURS)]
        box: _Box = (0, 0, size[0] - 1, size[1] - 1)
        if math.isfinite(face.box[0]):
            left, top, right, bottom = np.clip(np.multiply(face.box, scale), 0, box[2:] * 2)
            box = (float(left), float(top), float(right), float(bottom))
            pen.rectangle(box, outline=colour, width=line)
        text = label(face)
        place = _place(_text_size(pen, text, font), box, size, labels)
        labels.append(place)
        pen.rectangle(place, fill=colour)
        pen.text(((place[0] + place[2]) / 2, (place[1] + place[3]) / 2), text, "white", font, "mm")
    return drawn if photo.caution is None else _with_band(drawn, photo.caution, font)


def label(face: Face) -> str:
    """Say a face's age and interval in whole years, such as `34 (28-41)`, or `34 (28+)`."""
    age = f"{face.age:.0f}"
    if LEVEL not in face.intervals:
        return age
    low, high = face.intervals[LEVEL]
    return f"{age} ({low:.0f}-{high:.0f})" if math.isfinite(high) else f"{age} ({low:.0f}+)"


def _with_band(
    drawn: Image.Image, caution: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> Image.Image:
    """Put a band below a picture, as wide as it, in which a caution stands."""
    pen = ImageDraw.Draw(drawn)
    letters = int(0.9 * drawn.width / font.getlength(caution) * len(caution))
    text = "\n".join(textwrap.wrap(caution, max(1, letters)))
    margin = 0.5 * font.getlength("n")
    height = math.ceil(pen.multiline_textbbox((0, 0), text, font)[3] + 2 * margin)
    banded = Image.new("RGB", (drawn.width, drawn.height + height), CAUTION)
    banded.paste(drawn)
    ImageDraw.Draw(banded).multiline_text((margin, drawn.height + margin), text, "white", font)
    return banded


def _text_size(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[float, float]:
    left, top, right, bottom = pen.textbbox((0, 0), text, font)
    margin = 0.3 * (bottom - top)
    return right - left + 2 * margin, bottom - top + 2 * margin


def _place(text: tuple[float, float], box: _Box, size: tuple[int, int], taken: list[_Box]) -> _Box:
    """Choose where a label goes: above its box, below it, or inside, and over no other label."""
    width, height = text
    left = min(max(box[0], 0), max(0, size[0] - 1 - width))
    tops = (box[1] - height, box[3], box[1], box[3] - height)
    places = [
        (left, top, left + width, top + height)
        for top in tops
        if top >= 0 and top + height <= size[1]
    ]
    free = [place for place in places if not any(_overlap(place, other) for other in taken)]
    return (free or places or [(left, 0, left + width, height)])[0]


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
