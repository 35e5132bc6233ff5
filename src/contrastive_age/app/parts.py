"""The parts of the page as HTML: its words, the faces of a photo, what is said of one."""

import base64
import io
import math
import re
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from contrastive_age.evaluation.gradcam import Maps
from contrastive_age.inference.cards import cautions, on_drawn_faces
from contrastive_age.inference.drawing import COLOURS
from contrastive_age.inference.model_file import AgeModel
from contrastive_age.inference.photos import NO_FACE, Face, Photo
from contrastive_age.reporting import figures, heatmaps
from contrastive_age.sources.decoding import FORMATS, NO_PHOTO, UNKNOWN
from contrastive_age.templates import environment

_PARTS: Any = environment("contrastive_age.app").get_template("app.html.j2").module

SHOWN_SIDE = 1600
"""Longest side in pixels of the photo as the browser gets it."""

FINE_CELLS = 7
"""Cells a side from which a Grad-CAM map can begin to tell parts of a face from each other."""


READ = f"read are {', '.join(FORMATS)}"
"""Which photos can be given."""


def reason_words(photo: Photo) -> str:
    """Say why a photo has no face, and what may help."""
    if photo.reason == NO_FACE:
        words = f"{NO_FACE}; faces should look towards the camera. {least_words(photo.min_face)}"
        return f"{words} Note: {photo.note}." if photo.note else words
    if photo.reason is not None and photo.reason.endswith((UNKNOWN, NO_PHOTO)):
        return f"{photo.reason}; {READ}"
    return photo.reason or NO_FACE


def least_words(min_face: float) -> str:
    """Say which faces were not looked for."""
    return f"Faces below {min_face:.0f} pixels are not looked for."


def age_words(years: float) -> str:
    """Say an age in whole years: more digits would be noise."""
    return f"{years:.0f} years" if round(years) != 1 else "1 year"


def interval_words(interval: tuple[float, float]) -> str:
    """Say an interval of ages in whole years, such as `28 to 41 years` or `28 years or more`."""
    low, high = interval
    if not math.isfinite(high):
        return f"{age_words(low)} or more" if f"{low:.0f}" != "0" else "any age"
    return f"{low:.0f} to {age_words(high)}"


def map_words(one: Maps) -> str:
    """Say how a Grad-CAM map is to be read."""
    if not one.any():
        return "Nothing in this face speaks for the age: the map is empty."
    height, width = one.shape
    words = (
        f"Where the face speaks for the age (Grad-CAM): 1 is what every place would have if none "
        f"counted more than another. The map has {height} × {width} cells"
    )
    if min(height, width) < FINE_CELLS:
        return f"{words}: too coarse to tell eyes from forehead, so take it as a rough direction."
    return f"{words}; read it as a neighbourhood, not as a single feature."


def faces_html(photo: Photo, image: Image.Image) -> str:
    """Show a photo with a numbered box around each face, and the faces as a row to choose from.

    Args:
        photo: With at least one face.
        image: The same photo, upright.
    """
    faces = [
        {
            "number": number,
            "words": f"Face {number + 1}, about {age_words(face.age)}",
            "age": f"{face.age:.0f}",
            "colour": "#{:02x}{:02x}{:02x}".format(*COLOURS[number % len(COLOURS)]),
            "place": placement(face.box, photo.size),
            "picture": picture_uri(Image.fromarray(face.pixels), 128),
        }
        for number, face in enumerate(photo.faces)
    ]
    width, height = photo.size
    return render(
        "faces", faces=faces, photo=picture_uri(image, SHOWN_SIDE), width=width, height=height
    )


def placement(box: tuple[float, float, float, float], size: tuple[int, int]) -> dict[str, float]:
    """Say where a box lies on its photo, in percent of width and height, cut at the edges.

    Args:
        box: Left, top, right and bottom in pixels.
        size: Width and height of the photo in pixels.

    Returns:
        `left`, `top`, `width` and `height`.
    """
    left, right = (min(max(x / size[0], 0), 1) * 100 for x in box[0::2])
    top, bottom = (min(max(y / size[1], 0), 1) * 100 for y in box[1::2])
    return {"left": left, "top": top, "width": right - left, "height": bottom - top}


def result_html(face: Face, one: Maps, model: AgeModel, number: int, count: int) -> str:
    """Show what the model says of one face: its cautions, age, intervals, distribution and map.

    Args:
        face: The face.
        one: Its Grad-CAM map, (h, w).
        model: What the age comes from.
        number: Of the face in its photo, from 0.
        count: Of the faces in the photo.
    """
    chart = figures.age_distribution(
        model.classes.values, face.probabilities, face.age, face.intervals
    )
    likeliest = model.classes.values[int(np.argmax(face.probabilities))]
    return render(
        "result",
        title=f"Face {number + 1} of {count}" if count > 1 else "The face",
        age=age_words(face.age),
        cautions=cautions(model.facts),
        intervals={level: interval_words(ends) for level, ends in face.intervals.items()},
        drawn=on_drawn_faces(model.facts),
        chart=figure_uri(chart),
        chart_words=(
            f"Probability of each age from {model.classes.age_min} to {model.classes.age_max}: "
            f"highest at {int(likeliest)}, predicted age {face.age:.1f} years."
        ),
        tempered=model.temperature != 1,
        map=figure_uri(heatmaps.single(face.pixels, one)),
        map_words=map_words(one),
    )


def demoted(card: str) -> str:
    """Put the headings of a card two levels down, below those of the page."""
    return re.sub(r"^(#{1,4} )", r"##\1", card, flags=re.MULTILINE)


def picture_uri(image: Image.Image, side: int) -> str:
    """Put a picture, reduced to a longest side in pixels, into an address of its own."""
    reduced = image.copy()
    reduced.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    reduced.save(content, "JPEG", quality=88)
    return _uri("image/jpeg", content.getvalue())


def figure_uri(figure: Figure) -> str:
    """Put a figure into an address of its own."""
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    return _uri("image/svg+xml", content.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def render(part: str, **values: Any) -> str:
    """Fill a part of the page's template in; values are escaped."""
    return str(getattr(_PARTS, part)(**values))


def resource(name: str) -> str:
    """Read a script or a style sheet of the page."""
    return (files("contrastive_age.app") / "templates" / name).read_text(encoding="utf-8")
