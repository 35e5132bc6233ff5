"""What is drawn on photos: boxes where the faces are, and text that can be read."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contrastive_age.inference import drawing
from contrastive_age.inference.drawing import COLOURS, LEAST_SIDE, annotate, label
from contrastive_age.inference.photos import Face, Photo

NAN = float("nan")


def face(*box: float, age: float = 34.4, **changes: Any) -> Face:
    own = Face(
        age=age,
        std=8.0,
        intervals={"80": (age - 6.5, age + 6.5), "95": (0.0, np.inf)},
        score=0.99,
        box=box or (NAN,) * 4,  # type: ignore[arg-type]
        landmarks=np.zeros((5, 2)),
        probabilities=np.zeros(70, np.float32),
        pixels=np.zeros((256, 256, 3), np.uint8),
    )
    return dataclasses.replace(own, **changes)


def drawn_on(size: tuple[int, int], *faces: Face) -> np.ndarray:
    image = Image.new("RGB", size, (200, 200, 200))
    before = image.tobytes()
    done = annotate(image, Photo("a.jpg", faces, None, size))
    assert image.tobytes() == before
    assert done.mode == "RGB"
    return np.asarray(done)


def marked(pixels: np.ndarray, number: int) -> np.ndarray:
    """Where a face's colour is, as rows of y and x."""
    return np.argwhere((pixels == COLOURS[number]).all(axis=2))


@pytest.mark.parametrize("size", [(640, 480), (3000, 2000), (500, 4000)])
def test_a_caution_stands_whole_in_a_band_below_the_photo(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 200, 200))
    own = Photo("a.jpg", (face(),), None, size)
    plain = np.asarray(annotate(image, own))
    words = "Trained on drawn faces: no real ages. Worse than giving everyone one age."
    cautioned = np.asarray(annotate(image, dataclasses.replace(own, caution=words)))
    assert (cautioned[: size[1]] == plain).all()
    band = cautioned[size[1] :]
    assert 0 < len(band) < size[1]
    for edge in (band[0], band[-1], band[:, 0], band[:, -1]):
        assert (edge == drawing.CAUTION).all()
    assert (band == 255).all(axis=2).any()


@pytest.mark.parametrize("size", [(640, 480), (3000, 2000), (500, 4000)])
def test_a_box_is_around_its_face(size: tuple[int, int]) -> None:
    left, top, right, bottom = (round(side * part) for part in (0.2, 0.6) for side in size)
    pixels = drawn_on(size, face(left, top, right, bottom))
    assert pixels.shape == (size[1], size[0], 3)
    places = marked(pixels, 0)
    # The label is above; at its other edges the box is what is there.
    assert places[:, 0].max() == bottom
    assert places[:, 1].min() == left
    for x in (left, right):
        assert (pixels[top:bottom, x] == COLOURS[0]).all()
    inside = pixels[top + 20 : bottom - 20, left + 20 : right - 20]
    assert (inside == 200).all()


def test_the_label_is_above_its_box_and_white_on_its_colour() -> None:
    pixels = drawn_on((800, 600), face(200, 300, 400, 500))
    above = pixels[:300]
    places = marked(above, 0)
    height = places[:, 0].max() - places[:, 0].min()
    assert 14 <= height <= 60
    assert (above > 235).all(axis=2).sum() > 100
    assert places[:, 1].min() == 200


@pytest.mark.parametrize("size", [(20, 30), (100, 90), (256, 256)])
def test_small_photos_are_enlarged_so_that_text_can_be_read(size: tuple[int, int]) -> None:
    pixels = drawn_on(size, face(0.25 * size[0], 0.5 * size[1], 0.75 * size[0], 0.9 * size[1]))
    height, width, _ = pixels.shape
    factor = width // size[0]
    assert (width, height) == (factor * size[0], factor * size[1])
    assert LEAST_SIDE <= max(width, height) < LEAST_SIDE + max(size)
    assert abs(marked(pixels, 0)[:, 0].max() - 0.9 * height) <= 1


def test_what_lies_beyond_the_edge_is_cut_off() -> None:
    pixels = drawn_on((640, 480), face(-50, -80, 300, 470), face(400, 200, 900, 900))
    assert marked(pixels, 0)[:, 1].min() == 0
    assert marked(pixels, 1)[:, 0].max() == 479
    # The label of the first, for which there is no room above.
    assert (pixels[:100] > 235).all(axis=2).sum() > 50


def test_labels_do_not_lie_over_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    choose = drawing._place

    def noted(*arguments: Any) -> Any:
        places.append(choose(*arguments))
        return places[-1]

    monkeypatch.setattr(drawing, "_place", noted)
    faces = [face(100 + 40 * k, 200 + 5 * k, 130 + 40 * k, 240 + 5 * k) for k in range(3)]
    drawn_on((800, 600), *faces)
    assert len(places) == 3
    for one, other in itertools.combinations(places, 2):
        apart = one[2] <= other[0] or other[2] <= one[0]
        assert apart or one[3] <= other[1] or other[3] <= one[1]


def test_a_ready_crop_has_a_label_alone() -> None:
    pixels = drawn_on((512, 512), face())
    assert (pixels[150:] == 200).all()
    assert len(marked(pixels, 0)) > 100


def test_a_photo_without_faces_stays_as_it_is() -> None:
    assert (drawn_on((640, 480)) == 200).all()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (face(), "34 (28-41)"),
        (face(age=3.0, intervals={"80": (0.0, 9.5)}), "3 (0-10)"),
        (face(intervals={"80": (0.0, np.inf)}), "34 (0+)"),
        (face(intervals={}), "34"),
    ],
)
def test_labels(own: Face, expected: str) -> None:
    assert label(own) == expected


def test_another_image_than_the_photo_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.jpg has \(9, 8\) pixels"):
        annotate(Image.new("RGB", (8, 9)), Photo("a.jpg", (), None, (9, 8)))


def test_colours_can_be_read_under_white() -> None:
    for colour in COLOURS:
        linear = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
            for c in (value / 255 for value in colour)
        ]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        assert 1.05 / (luminance + 0.05) >= 4.5


def test_boxes_are_reduced_as_the_image_is() -> None:
    image = Image.new("RGB", (1000, 700), (200, 200, 200))
    image.info |= {"reduction": 2, "full_size": (2000, 1400)}
    pixels = np.asarray(
        annotate(image, Photo("a.jpg", (face(400, 600, 800, 1000),), size=(2000, 1400)))
    )
    alone = drawn_on((1000, 700), face(200, 300, 400, 500))
    np.testing.assert_array_equal(pixels, alone)
    with pytest.raises(ValueError, match="the image"):
        annotate(image, Photo("a.jpg", (face(),), size=(1000, 700)))
