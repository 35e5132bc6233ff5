"""The page: drop a photo, see its faces, and what the model says of each.

`kedro app` serves it to this machine alone. It takes the extra `app` (NiceGUI). Photos stay in the
memory of this process and the browser; nothing of them is written to disk, and the page asks no
other host for anything.
"""

import asyncio
import io
import logging

from nicegui import events, ui
from PIL import Image

from contrastive_age.app.parts import (
    READ,
    age_words,
    demoted,
    faces_html,
    least_words,
    reason_words,
    render,
    resource,
    result_html,
)
from contrastive_age.drawn.face import draw_face
from contrastive_age.errors import DataError
from contrastive_age.evaluation.gradcam import Maps
from contrastive_age.inference.cards import error_words
from contrastive_age.inference.estimator import AgeEstimator
from contrastive_age.inference.photos import Photo
from contrastive_age.sources.decoding import decode

logger = logging.getLogger(__name__)

MOST_BYTES = 50 * 2**20
"""Of a photo's file; more is refused in the browser."""

ACCEPTED = "image/*,.heic,.heif,.avif,.jfif,.jpe,.mpo,.jp2,.j2k,.webp,.tif,.tiff"
"""What can be chosen: not every system knows that these are images, too."""


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
        ui.add_css(resource("app.css"))
        ui.query(".nicegui-content").classes("age-page")
        self._upload = (
            ui.upload(
                auto_upload=True,
                max_file_size=MOST_BYTES,
                max_files=1,
                on_upload=self._uploaded,
            )
            .props(f'accept="{ACCEPTED}"')
            .classes("age-upload")
        )
        self._upload.on(
            "rejected",
            self._rejected,
            js_handler="(all) => emit(all.map((one) => [one.file.name, one.failedPropValidation]))",
        )
        ui.html(render("header", model=estimator.model, error=error_words(estimator.model.facts)))
        with ui.element("main"):
            self._drop = ui.html(render("drop"), sanitize=False)
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
        ui.run_javascript(resource("app.js").replace("UPLOAD", str(self._upload.id)))

    async def _uploaded(self, arguments: events.UploadEventArguments) -> None:
        """Look for the faces of a photo, and choose the first."""
        self._turn += 1
        turn, name = self._turn, arguments.file.name
        # The same photo may come again.
        self._upload.reset()
        self._say("busy", f"Looking for faces in {name} …")
        try:
            image, photo, first = await asyncio.to_thread(
                _look, self._estimator, await arguments.file.read()
            )
        except DataError as error:
            if turn == self._turn:
                self._fail(f"{name}: {error}")
            return
        # Another photo may have come meanwhile.
        if turn == self._turn:
            self._photo = photo
            self._faces.set_content(faces_html(photo, image))
            self._columns.set_visibility(True)
            self._drop.classes("age-again")
            self._show(photo, 0, first)
            count = len(photo.faces)
            faces = "One face" if count == 1 else f"{count} faces, numbered from left to right,"
            said = f"{faces} found in {name}. {least_words(photo.min_face)}"
            self._say("done", f"{said} Note: {photo.note}." if photo.note else said)

    async def _chosen(self, arguments: events.GenericEventArguments) -> None:
        """Show what the model says of the face whose box or picture was clicked."""
        photo, number = self._photo, int(arguments.args)
        if photo is None or not 0 <= number < len(photo.faces):
            return
        maps = await asyncio.to_thread(self._estimator.explain, photo.faces[number : number + 1])
        if photo is self._photo:
            self._show(photo, number, maps[0])

    def _rejected(self, arguments: events.GenericEventArguments) -> None:
        self._turn += 1
        name, reason = arguments.args[0]
        self._fail(f"{name}: {REJECTIONS.get(reason, 'it was not taken')}")

    def _show(self, photo: Photo, number: int, one: Maps) -> None:
        model, face = self._estimator.model, photo.faces[number]
        self._result.set_content(result_html(face, one, model, number, len(photo.faces)))
        said = [f"Face {number + 1}: {age_words(face.age)}", photo.caution]
        self._spoken.set_text(". ".join(filter(None, said)))

    def _say(self, kind: str, words: str) -> None:
        self._says.set_content(render("says", kind=kind, words=words))

    def _fail(self, words: str) -> None:
        self._photo = None
        self._columns.set_visibility(False)
        self._drop.classes(remove="age-again")
        self._say("problem", words)


REJECTIONS = {
    "accept": f"it is not called as a photo is, such as .jpg; {READ}",
    "max-file-size": f"the file is larger than {MOST_BYTES // 2**20} MB; give a smaller one",
}


def _look(estimator: AgeEstimator, content: bytes) -> tuple[Image.Image, Photo, Maps]:
    """Find the faces of a photo, and explain the first.

    Raises:
        DataError: It cannot be read, there is no face, or the detector cannot work.
    """
    try:
        (photo,) = estimator.predict([content])
        if not photo.faces:
            raise DataError(reason_words(photo))
        # Once more: what is shown need not be kept while the next photo is looked at.
        return decode(io.BytesIO(content)), photo, estimator.explain(photo.faces[:1])[0]
    except (RuntimeError, MemoryError) as error:
        logger.exception("Detection failed")
        raise DataError(f"faces could not be looked for ({error})") from error


async def warm_up(estimator: AgeEstimator) -> None:
    """Do once all that a photo asks for, so that the first one need not wait for it."""
    file = io.BytesIO()
    draw_face(0, 30).save(file, "PNG")
    try:
        image, photo, first = await asyncio.to_thread(_look, estimator, file.getvalue())
        await asyncio.to_thread(faces_html, photo, image)
        await asyncio.to_thread(result_html, photo.faces[0], first, estimator.model, 0, 1)
    except Exception:  # the first photo will meet it again, and say it
        logger.debug("Warming up failed", exc_info=True)
