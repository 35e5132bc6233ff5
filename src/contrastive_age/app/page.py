"""The page: drop a photo, see its faces, and what the model says of each.

`kedro app` serves it to this machine alone. It takes the extra `app` (NiceGUI). Photos stay in the
memory of this process and the browser; nothing of them is written to disk,
and the page asks no other host for anything.
"""

import asyncio
import base64
import io
import logging
import math
import re
import socket
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from nicegui import app, background_tasks, events, ui
from PIL import Image
from starlette.formparsers import MultiPartParser
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from contrastive_age.drawn.face import draw_face
from contrastive_age.errors import DataError
from contrastive_age.evaluation.gradcam import Maps
from contrastive_age.inference.drawing import COLOURS
from contrastive_age.inference.estimator import AgeEstimator, Face, Photo
from contrastive_age.inference.model_file import AgeModel
from contrastive_age.inference.photos import NO_FACE
from contrastive_age.reporting import figures, heatmaps
from contrastive_age.sources.decoding import cause, decode

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

MOST_BYTES = 50 * 2**20
"""Of a photo's file; more is refused in the browser."""

SHOWN_SIDE = 1600
"""Longest side in pixels of the photo as the browser gets it."""

FINE_CELLS = 7
"""Cells a side from which a Grad-CAM map can begin to tell parts of a face from each other."""

POLICY = (
    # NiceGUI's page holds its own scripts and styles, and Vue compiles its templates.
    "default-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
"""The browser's own guard that nothing is fetched from, or sent to, another host."""


def serve(estimator: AgeEstimator, port: int) -> None:
    """Serve the page to this machine until Control-C.

    Args:
        estimator: What finds the faces and estimates the ages.
        port: Where to listen, on 127.0.0.1 only.

    Raises:
        DataError: Something listens there already.
    """
    require_free(port)
    # Uploads of more would be put into a temporary file.
    MultiPartParser.spool_max_size = MOST_BYTES + 1
    app.middleware("http")(_guarded)
    # Else a page of the net whose name leads to 127.0.0.1 could read this one.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.on_startup(lambda: background_tasks.create(_warm_up(estimator)))
    address = f"http://{HOST}:{port}"
    app.on_startup(lambda: print(f"Open {address} (Control-C ends it)", flush=True))  # noqa: T201
    try:
        ui.run(
            lambda: AgePage(estimator),
            host=HOST,
            port=port,
            title="Age from a face",
            favicon=FAVICON,
            language="en-US",
            show=False,
            reload=False,
            show_welcome_message=False,
            # What was sent before a connection broke is kept to be sent again: photos, too.
            message_history_length=50,
        )
    except KeyboardInterrupt:
        logger.debug("Ended by Control-C")


FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect x="3" y="3" width="26" height="26" rx="5" fill="none" stroke="#005caa" '
    'stroke-width="4"/><circle cx="16" cy="16" r="6" fill="#d55e00"/></svg>'
)


def require_free(port: int) -> None:
    """Check that the page can listen on a port.

    Raises:
        DataError: It cannot.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise DataError(
                f"port {port} of {HOST} cannot be used ({error.strerror}); name another by --port"
            ) from error


async def _guarded(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


async def _warm_up(estimator: AgeEstimator) -> None:
    """Do once all that a photo asks for, so that the first one need not wait for it."""
    file = io.BytesIO()
    draw_face(0, 30).save(file, "PNG")
    try:
        image, photo, found = await _in_thread(_look, estimator, file.getvalue())
        await _in_thread(faces_html, photo, image)
        await _in_thread(result_html, photo.faces[0], found, estimator.model, 0, 1)
    except Exception:  # the first photo will meet it again, and say it
        logger.debug("Warming up failed", exc_info=True)


class AgePage:
    """What one browser tab shows: the photo it was given, and the face that is chosen."""

    def __init__(self, estimator: AgeEstimator) -> None:
        """Lay the empty page out.

        Args:
            estimator: Shared by all tabs.
        """
        self._estimator = estimator
        self._photo: Photo | None = None
        self._turn = 0
        ui.add_css(_resource("app.css"))
        ui.query(".nicegui-content").classes("age-page")
        self._upload = (
            ui.upload(
                auto_upload=True,
                max_file_size=MOST_BYTES,
                max_files=1,
                on_upload=self._uploaded,
            )
            .props('accept="image/*"')
            .classes("age-upload")
        )
        self._upload.on(
            "rejected",
            self._rejected,
            js_handler="(all) => emit(all.map((one) => [one.file.name, one.failedPropValidation]))",
        )
        ui.html(_render("header", model=estimator.model, error=error_words(estimator.model.facts)))
        with ui.element("main"):
            self._drop = ui.html(_render("drop"), sanitize=False)
            self._drop.on(
                "click", js_handler=f"() => runMethod({self._upload.id}, 'pickFiles', [])"
            )
            self._says = ui.html(sanitize=False).props("role=status aria-live=polite")
            with ui.element("div").classes("age-columns") as self._columns:
                self._faces = ui.html(sanitize=False).classes("age-faces")
                self._faces.on(
                    "change", self._chosen, js_handler="(e) => emit(Number(e.target.value))"
                )
                self._result = ui.html(sanitize=False).classes("age-result")
            self._spoken = ui.label().classes("age-spoken").props("role=status")
            self._columns.set_visibility(False)
            with ui.element("details").classes("age-card"):
                ui.html("The model's card", tag="summary")
                # Names such as lambda_m hold no emphasis.
                ui.markdown(demoted(estimator.model.card), extras=["tables", "code-friendly"])
        ui.run_javascript(_resource("app.js").replace("UPLOAD", str(self._upload.id)))

    async def _uploaded(self, arguments: events.UploadEventArguments) -> None:
        """Look for the faces of a photo, and choose the first."""
        self._turn += 1
        turn, name = self._turn, arguments.file.name
        # The same photo may come again.
        self._upload.reset()
        self._say("busy", f"Looking for faces in {name} …")
        try:
            image, photo, found = await _in_thread(
                _look, self._estimator, await arguments.file.read()
            )
        except DataError as error:
            if turn == self._turn:
                self._fail(f"{name}: {error}")
            return
        except RuntimeError as error:
            logger.exception("Detection failed")
            if turn == self._turn:
                self._fail(f"{name}: faces could not be looked for ({error})")
            return
        # Another photo may have come meanwhile.
        if turn == self._turn:
            self._photo = photo
            self._faces.set_content(faces_html(photo, image))
            self._columns.set_visibility(True)
            self._drop.classes("age-again")
            self._show(0, found)
            count = len(photo.faces)
            faces = "One face" if count == 1 else f"{count} faces, numbered from left to right,"
            self._say("done", f"{faces} found in {name}. {least_words(photo.min_face)}")

    async def _chosen(self, arguments: events.GenericEventArguments) -> None:
        """Show what the model says of the face whose box or picture was clicked."""
        photo, number = self._photo, int(arguments.args)
        if photo is None or not 0 <= number < len(photo.faces):
            return
        one = await _in_thread(_explained, self._estimator, photo.faces[number])
        if photo is self._photo:
            self._show(number, one)

    def _rejected(self, arguments: events.GenericEventArguments) -> None:
        self._turn += 1
        name, reason = arguments.args[0]
        self._fail(f"{name}: {REJECTIONS.get(reason, 'it was not taken')}")

    def _show(self, number: int, one: Maps) -> None:
        assert self._photo is not None  # noqa: S101 - a face is chosen of a photo
        model, face = self._estimator.model, self._photo.faces[number]
        self._result.set_content(result_html(face, one, model, number, len(self._photo.faces)))
        self._spoken.set_text(f"Face {number + 1}: {age_words(face.age)}")

    def _say(self, kind: str, words: str) -> None:
        self._says.set_content(_render("says", kind=kind, words=words))

    def _fail(self, words: str) -> None:
        self._photo = None
        self._columns.set_visibility(False)
        self._drop.classes(remove="age-again")
        self._say("problem", words)


REJECTIONS = {
    "accept": "this is no photo; give a JPEG, PNG, WebP, TIFF, BMP or GIF file",
    "max-file-size": f"the file is larger than {MOST_BYTES // 2**20} MB; give a smaller one",
}


async def _in_thread(function: Any, *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


def _look(estimator: AgeEstimator, content: bytes) -> tuple[Image.Image, Photo, Maps]:
    """Find the faces of a photo, and explain the first."""
    image = open_photo(content)
    (photo,) = estimator.predict([image])
    if not photo.faces:
        raise DataError(reason_words(photo.reason, photo.min_face))
    return image, photo, _explained(estimator, photo.faces[0])


def _explained(estimator: AgeEstimator, face: Face) -> Maps:
    one: Maps = estimator.explain([face])[0]
    return one


def open_photo(content: bytes) -> Image.Image:
    """Decode an uploaded file into an upright RGB image.

    Raises:
        DataError: It is no image, damaged, or of too many pixels.
    """
    try:
        return decode(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DataError(
            f"the photo has more than {most} million pixels; give a smaller one"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        raise DataError(
            f"this cannot be read as a photo ({cause(error)}); give a JPEG, PNG, WebP, TIFF, BMP "
            f"or GIF file"
        ) from error


def reason_words(reason: str | None, min_face: float) -> str:
    """Say why a photo has no face, and what may help."""
    if reason == NO_FACE:
        return f"{NO_FACE}; faces should look towards the camera. {least_words(min_face)}"
    return reason or NO_FACE


def least_words(min_face: float) -> str:
    """Say which faces were not looked for."""
    return f"Faces below {min_face:.0f} pixels are not looked for."


def age_words(years: float) -> str:
    """Say an age in whole years: more digits would be noise."""
    whole = f"{years:.0f}"
    return f"{whole} year" if whole == "1" else f"{whole} years"


def interval_words(interval: tuple[float, float]) -> str:
    """Say an interval of ages in whole years, such as `28 to 41 years` or `28 years or more`."""
    low, high = interval
    if not math.isfinite(high):
        return f"{age_words(low)} or more" if f"{low:.0f}" != "0" else "any age"
    return f"{low:.0f} to {age_words(high)}"


def error_words(facts: Mapping[str, Any]) -> str:
    """Say how far off a model was in its cross-validation, from its facts."""
    measured = facts.get("cross_validation", {})
    if measured.get("mae") is None:
        return "The file does not say how accurate this model is."
    words = f"Off by {measured['mae']:.2f} years on average in cross-validation"
    if measured.get("leaked_share"):
        words += ", measured in part on people whom it knew"
    interval = measured.get("mae_interval")
    if interval and None not in interval:
        words += f" (95% interval {interval[0]:.2f} to {interval[1]:.2f})"
    return f"{words}, more for some ages: see the model's card."


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
    return _render(
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
    """Show what the model says of one face: age, intervals, distribution and map.

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
    return _render(
        "result",
        title=f"Face {number + 1} of {count}" if count > 1 else "The face",
        age=age_words(face.age),
        intervals={level: interval_words(own) for level, own in face.intervals.items()},
        chart=figure_uri(chart),
        chart_words=(
            f"Probability of each age from {model.classes.age_min} to {model.classes.age_max}: "
            f"highest at {int(likeliest)}, mean {face.age:.1f} years."
        ),
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


def _render(part: str, **values: Any) -> str:
    return str(getattr(_templates(), part)(**values))


@cache
def _templates() -> Any:
    environment = Environment(
        loader=PackageLoader("contrastive_age"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("app.html.j2").module


def _resource(name: str) -> str:
    return (files("contrastive_age") / "templates" / name).read_text(encoding="utf-8")
