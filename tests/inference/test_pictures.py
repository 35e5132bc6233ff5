"""Whatever a caller gives as a photo: taken for what it is, or said to be none."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from contrastive_age.inference.estimator import AgeEstimator, faces_table
from contrastive_age.inference.photos import Photo, ready_crops
from inference import detectors
from inference.detectors import photo, save_photos
from inference.models import untrained_model


@pytest.fixture(scope="module")
def estimator() -> AgeEstimator:
    return AgeEstimator(untrained_model(), device="cpu", load_detector=detectors.boxes)


FACE = photo("face", size=(256, 256))
GREY = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
GREY[0, :2] = 0, 255


def pixels(picture: Any) -> np.ndarray:
    [taken] = ready_crops([picture])
    assert taken.reason is None
    return taken.faces[0].pixels


class FileOfMine:
    """A path of another library."""

    def __init__(self, path: Any) -> None:
        self._path = path

    def __fspath__(self) -> Any:
        return self._path


def test_a_files_content_is_the_photo_whatever_holds_it(
    estimator: AgeEstimator, tmp_path: Path
) -> None:
    [path] = save_photos(tmp_path, ("face", "face"))
    content = path.read_bytes()
    at_its_end = io.BytesIO()
    at_its_end.write(content)
    with path.open("rb") as file, path.open("rb", buffering=0) as raw, os.scandir(tmp_path) as own:
        held = [content, bytearray(content), memoryview(content), at_its_end, file, raw]
        paths = [path, str(path), os.fsencode(path), FileOfMine(str(path)), *own]
        found = estimator.predict([*paths, *held])
    names = [str(path)] * 2 + ["image 2"] + [str(path)] * 2
    assert [each.name for each in found] == names + [f"image {place}" for place in range(5, 11)]
    assert "unreadable" in str(found.pop(2).reason)  # bytes are a content and no path
    for each in found:
        assert each.reason is None
        for face, expected in zip(each.faces, found[0].faces, strict=True):
            np.testing.assert_array_equal(face.pixels, expected.pixels)


def test_a_buffer_may_be_used_again_once_it_was_given(tmp_path: Path) -> None:
    [first, second] = [path.read_bytes() for path in save_photos(tmp_path, ("face",), ())]
    buffer = bytearray(max(len(first), len(second)))

    def reused() -> Iterator[bytearray]:
        for content in (first, second):
            buffer[:] = content
            yield buffer

    found = AgeEstimator(untrained_model(), device="cpu", load_detector=detectors.boxes).predict(
        reused()
    )
    assert [len(each.faces) for each in found] == [1, 0]


@pytest.mark.parametrize(
    "same",
    [
        GREY[:, :, None],
        np.stack([GREY] * 3, axis=2),
        np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]),
        GREY.astype(int),
        GREY.astype(np.uint16) * 257,
        GREY.astype(">u2") * 257,
        np.round(GREY * (4095 / 255)).astype(np.int16),
        GREY / 255,
        (GREY / 255).astype(np.float32)[:, :, None],
        GREY.astype(np.float16),
        np.ma.masked_array(GREY),
        np.asfortranarray(GREY),
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("RGBA"),
        Image.fromarray(GREY).convert("CMYK"),
        Image.fromarray(GREY).convert("P"),
    ],
    ids=lambda same: f"{getattr(same, 'dtype', 'PIL')} {getattr(same, 'shape', same)}"[:40],
)
def test_an_array_is_taken_for_what_its_type_and_range_say(same: Any) -> None:
    np.testing.assert_array_equal(pixels(same), np.stack([GREY] * 3, axis=2))


def test_what_is_transparent_is_white() -> None:
    layer = np.dstack([np.asarray(FACE), np.zeros_like(GREY)])
    assert (pixels(layer) == 255).all()
    assert (pixels(GREY >= 0) == 255).all()


class Fails:
    """Whatever it is asked, it fails."""

    def __fspath__(self) -> str:
        raise RuntimeError("a path without a name")


def closed_image() -> Image.Image:
    image = Image.open(io.BytesIO(png()))
    image.close()
    return image


def png() -> bytes:
    file = io.BytesIO()
    FACE.save(file, "PNG")
    return file.getvalue()


NO_PHOTOS: dict[str, tuple[Any, str]] = {
    "None": (None, "it is None; give a path"),
    "a number": (5, "type int; give a path"),
    "a list": ([GREY], "type list; give a path"),
    "a class": (Image.Image, "type type; give a path"),
    "a tensor": (torch.zeros(3, 9, 9), r"Tensor, whose numpy.asarray\(...\)"),
    "no bytes": (b"", "unreadable"),
    "other bytes": (b"photo.jpg", "no known image format"),
    "half a file": (png()[:300], "unreadable"),
    "half an image": (Image.open(io.BytesIO(png()[:300])), "truncated"),
    "a closed image": (closed_image(), "closed"),
    "a text": (io.StringIO("photo"), "open it with mode 'rb'"),
    "an address": ("https://example.org/x.jpg", "not fetched from addresses; download it"),
    "another address": ("file:///photos/x.jpg", "not fetched from addresses"),
    "a surrogate": ("\ud800.jpg", "surrogates"),
    "a path that fails": (Fails(), "a path without a name"),
    "nothing": (np.zeros((0, 20, 3), np.uint8), r"shape \(0, 20, 3\); give \(h, w\)"),
    "a line": (np.zeros(20, np.uint8), r"shape \(20,\); give"),
    "five channels": (np.zeros((20, 20, 5), np.uint8), "give"),
    "several": (np.zeros((2, 9, 9, 3), np.uint8), r"of several photos; .* list\(array\)"),
    "channels first": (np.zeros((3, 9, 9), np.uint8), r"give array.transpose\(1, 2, 0\)"),
    "objects": (np.full((9, 9), None), "type object .*; give uint8"),
    "complex": (np.zeros((9, 9), complex), "type complex128 .*; give uint8"),
    "no numbers": (np.full((9, 9), np.nan), "values from nan to nan; give uint8"),
    "negative": (np.full((9, 9), -0.5), "values from -0.5 to -0.5"),
    "black": (GREY > 300, "it is black: its brightest value is 0 of 255"),
    "a spacer": (Image.new("RGB", (1, 300), "white"), "1 x 300 pixels are too few for a face"),
    "a little over 1": (np.full((9, 9), 1.02), "values from 1.02 to 1.02; give uint8"),
    "endless": (np.array([[0, np.inf]]), "to inf"),
}


@pytest.mark.parametrize("aligned", [True, False])
def test_what_is_no_photo_has_its_row_and_takes_no_other_along(
    estimator: AgeEstimator, aligned: bool
) -> None:
    given = [thing for each, _ in NO_PHOTOS.values() for thing in (each, FACE)]
    found = estimator.predict([FACE, *given], aligned=aligned)
    good, bad = found[::2], found[1::2]
    assert [len(each.faces) for each in good] == [1] * (len(NO_PHOTOS) + 1)
    assert np.ptp([each.faces[0].age for each in good]) < 1e-4
    assert faces_table(bad)["reason"].notna().all()
    for place, (each, (name, (given_, words))) in enumerate(
        zip(bad, NO_PHOTOS.items(), strict=True)
    ):
        assert each.faces == ()
        assert str(each.reason).startswith("unreadable: "), name
        with pytest.raises(ValueError, match=words):
            raise ValueError(each.reason)
        if not isinstance(given_, str):
            assert each.name == f"image {2 * place + 1}"


@pytest.mark.parametrize(
    "single",
    [
        "photo.jpg",
        Path("photo.jpg"),
        FileOfMine("photo.jpg"),
        b"content",
        bytearray(b"content"),
        io.BytesIO(b"content"),
        FACE,
        GREY,
        np.asarray(FACE),
        None,
        5,
    ],
)
def test_a_single_photo_is_no_list_of_photos(estimator: AgeEstimator, single: Any) -> None:
    for ask in (estimator.predict, estimator.stream):
        with pytest.raises(TypeError, match="give a list of photos, even of a single one, not"):
            ask(single)


def test_many_photos_in_one_array_are_many(estimator: AgeEstimator) -> None:
    assert len(estimator.predict(np.stack([np.asarray(FACE)] * 3), aligned=True)) == 3


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_what_was_given_before_an_error_is_estimated(aligned: bool, workers: int) -> None:
    estimator = AgeEstimator(
        untrained_model(), device="cpu", workers=workers, load_detector=detectors.boxes
    )

    def ending() -> Iterator[Any]:
        for place in range(21):
            yield None if place == 10 else FACE
        raise OSError("the camera is gone")

    found: list[Photo] = []
    with pytest.raises(OSError, match="the camera is gone"):
        found.extend(estimator.stream(ending(), aligned=aligned))
    assert [len(each.faces) for each in found] == [1] * 10 + [0] + [1] * 10
