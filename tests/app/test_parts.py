"""The parts of the page: its words, boxes, pictures and charts."""

import base64
import dataclasses
import io
import math
import re

import numpy as np
import pytest
from PIL import Image

import page_server
from contrastive_age.app import parts
from contrastive_age.inference.estimator import AgeEstimator
from contrastive_age.inference.photos import FAILED, NO_FACE, Photo
from contrastive_age.sources.decoding import FORMATS, not_read
from inference.models import DRAWN, drawn_model, untrained_model


@pytest.fixture(scope="module")
def photo() -> Photo:
    """What is said of the two drawn faces; their boxes are cut out here, without a detector."""
    image = page_server.two_faces()
    crops = [np.asarray(image.crop(box).resize((256, 256))) for box in page_server.boxes()]
    seen = AgeEstimator(untrained_model(), device="cpu").predict(crops, aligned=True)
    faces = [
        type(own.faces[0])(**vars(own.faces[0]) | {"box": box})
        for own, box in zip(seen, page_server.boxes(), strict=True)
    ]
    return Photo("two.jpg", tuple(faces), None, image.size)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((27.6, 40.6), "28 to 41 years"),
        ((0.0, 1.2), "0 to 1 year"),
        ((12.4, math.inf), "12 years or more"),
        ((0.0, math.inf), "any age"),
    ],
)
def test_intervals_are_said_in_whole_years(interval: tuple[float, float], words: str) -> None:
    assert parts.interval_words(interval) == words


def test_a_photo_without_a_face_says_what_was_not_looked_for() -> None:
    words = parts.reason_words(Photo("", reason=NO_FACE, min_face=66.7))
    assert words.startswith("no face found; ")
    assert words.endswith("Faces below 67 pixels are not looked for.")
    noted = parts.reason_words(Photo("", reason=NO_FACE, min_face=66.7, note="its end is missing"))
    assert noted == f"{words} Note: its end is missing."
    assert parts.reason_words(Photo("", reason=FAILED)) == FAILED
    assert parts.reason_words(Photo("")) == "no face found"


def test_what_is_no_photo_that_is_read_says_which_are() -> None:
    for content in (b"text", b"%PDF-1.7"):
        reason = f"unreadable: {not_read(content)}"
        words = parts.reason_words(Photo("", reason=reason))
        assert words.startswith(f"{reason}; read are ")
        assert all(name in words for name in FORMATS)
    assert parts.reason_words(Photo("", reason="unreadable: black")) == "unreadable: black"


def test_coarse_and_empty_maps_are_called_so() -> None:
    assert "3 × 3 cells: too coarse" in parts.map_words(np.full((3, 3), 1 / 9, np.float32))
    assert "coarse" not in parts.map_words(np.full((7, 7), 1 / 49, np.float32))
    assert "empty" in parts.map_words(np.zeros((7, 7), np.float32))


def test_boxes_are_placed_in_percent_and_cut_at_the_edges() -> None:
    placed = parts.placement((-10, 20, 60, 240), (100, 200))
    assert placed == {"left": 0, "top": 10, "width": 60, "height": 90}


def test_each_face_has_a_box_on_the_photo_and_a_named_choice(photo: Photo) -> None:
    html = parts.faces_html(photo, page_server.two_faces())
    assert re.findall(r'<label class="age-box[^"]*" for="(.+?)"', html) == [
        "age-face-0",
        "age-face-1",
    ]
    for number, face in enumerate(photo.faces):
        assert f'aria-label="Face {number + 1}, about {face.age:.0f} years"' in html
        assert f"left: {100 * face.box[0] / 1200:.2f}%;" in html
    assert html.count(" checked") == 1
    [first, *small] = re.findall(r'src="data:image/jpeg;base64,(.+?)"', html)
    sizes = [Image.open(io.BytesIO(base64.b64decode(own))).size for own in (first, *small)]
    assert sizes == [(1200, 700), (128, 128), (128, 128)]


def test_a_result_holds_age_intervals_chart_and_map(photo: Photo) -> None:
    face = photo.faces[1]
    one = np.full((2, 2), 0.25, np.float32)
    html = parts.result_html(face, one, untrained_model(), 1, 2)
    assert "Face 2 of 2" in html and f">{face.age:.0f} years<" in html
    for level, (low, high) in face.intervals.items():
        assert f'data-level="{level}">{low:.0f} to {high:.0f} years<' in html
    assert f"{int(np.argmax(face.probabilities))}, predicted age {face.age:.1f} years" in html
    assert "The line is their mean, the age above." in html
    assert "2 × 2 cells" in html
    assert "errors on other faces" in html
    assert "age-caution" not in html and "age-doubtful" not in html
    charts = re.findall(r'src="data:image/svg\+xml;base64,(.+?)" alt="[^"]+"', html)
    assert len(charts) == 2
    assert all(b"<svg" in base64.b64decode(own) for own in charts)


def test_a_caution_stands_at_the_age_of_a_face(photo: Photo) -> None:
    one = np.full((2, 2), 0.25, np.float32)
    html = parts.result_html(photo.faces[0], one, drawn_model(), 0, 1)
    assert f'role="note"><p>{DRAWN}</p></div>\n<p class="age-years age-doubtful">' in (
        re.sub("\n+", "\n", html)
    )
    assert "errors on other drawn faces" in html


def test_a_result_says_that_a_temperature_spreads_the_distribution(photo: Photo) -> None:
    model = dataclasses.replace(untrained_model(), temperature=2.0)
    html = parts.result_html(photo.faces[0], np.full((2, 2), 0.25, np.float32), model, 0, 1)
    assert "The line is their mean before a temperature spread them, the age above." in html


def test_names_in_a_model_cannot_become_markup() -> None:
    model = untrained_model()
    model = type(model)(**vars(model) | {"facts": {"name": "<script>alert(1)</script>"}})
    header = parts.render("header", model=model, error="")
    assert "&lt;script&gt;" in header and "<script>" not in header


def test_headings_of_a_card_go_below_those_of_the_page() -> None:
    assert parts.demoted("# A\ntext # no\n## B\n") == "### A\ntext # no\n#### B\n"
