"""Decoding photos and aligning faces, against closed forms and drawn photos."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.faces import alignment
from contrastive_age.faces.alignment import (
    ARCFACE_POINTS,
    LANDMARK_COLUMNS,
    align,
    estimate_similarity,
    five_point_template,
    landmark_array,
    load_image,
    require_files,
    upright_size,
    usable_landmarks,
    warp,
)

Points = npt.NDArray[np.float64]


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> Points:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def moved(points: Points, matrix: Points) -> Points:
    return points @ matrix[:, :2].T + matrix[:, 2]


def drawn_photo(points: Points, size: tuple[int, int], sigma: float) -> Image.Image:
    """A dark photo with a soft light spot at every point, two of them in the red channel alone."""
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.zeros((size[1], size[0], 3))
    for index, (px, py) in enumerate(points):
        spot = 240 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
        pixels[..., 0] += spot
        pixels[..., 1:] += spot[..., None] if index >= 2 else 0
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def test_coverage_one_is_the_arcface_crop() -> None:
    points = np.array(ARCFACE_POINTS)
    np.testing.assert_allclose(five_point_template(1.0, 112), points)
    np.testing.assert_allclose(five_point_template(1.0, 224), 2 * points + 0.5)


@pytest.mark.parametrize("coverage", [1.0, 1.4, 2.0])
def test_coverage_shrinks_the_template_around_the_centre(coverage: float) -> None:
    tight, wide = five_point_template(1.0), five_point_template(coverage)
    centre = (256 - 1) / 2
    np.testing.assert_allclose((wide - centre) * coverage, tight - centre)


@pytest.mark.parametrize(("coverage", "size"), [(0, 256), (-1, 256), (1, 0), (float("nan"), 256)])
def test_template_refuses_values_without_meaning(coverage: float, size: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        five_point_template(coverage, size)


@settings(deadline=None)  # the first example imports scikit-image
@given(
    scale=st.floats(0.05, 8),
    angle=st.floats(-np.pi, np.pi),
    x=st.floats(-1000, 1000),
    y=st.floats(-1000, 1000),
    coverage=st.floats(0.8, 3),
)
def test_similarity_is_recovered(
    scale: float, angle: float, x: float, y: float, coverage: float
) -> None:
    template = five_point_template(coverage)
    expected = similarity(scale, angle, (x, y))
    inverse = np.linalg.inv(np.vstack([expected, [0, 0, 1]]))[:2]
    found = estimate_similarity(moved(template, inverse), template)
    np.testing.assert_allclose(found, expected, atol=1e-6 * max(1, abs(x), abs(y)))


def test_similarity_never_mirrors() -> None:
    template = five_point_template()
    mirrored = template * [-1, 1]
    assert np.linalg.det(estimate_similarity(mirrored, template)[:, :2]) > 0


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.ones((5, 2)) / 3])
def test_points_without_a_face_are_refused(points: Points) -> None:
    assert not usable_landmarks(points)
    with pytest.raises(DataError, match="not all in one place"):
        estimate_similarity(points, five_point_template())


@pytest.mark.parametrize("scale", [0.25, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_points_land_on_the_template(scale: float, angle: float) -> None:
    template = five_point_template(1.4)
    side = int(420 / scale)
    matrix = similarity(1 / scale, angle, (0.0, 0.0))
    matrix[:, 2] = side / 2 - moved(np.array([[127.5, 127.5]]), matrix)[0]
    landmarks = moved(template, matrix)
    face = align(drawn_photo(landmarks, (side, side), 3 / scale), landmarks, 1.4)
    assert face.shape == (256, 256, 3)
    assert face.dtype == np.uint8
    for index, (x, y) in enumerate(template):
        left, top = round(x) - 7, round(y) - 7
        window = face[top : top + 15, left : left + 15].astype(float)
        light = window[..., 0]
        v, u = np.mgrid[top : top + 15, left : left + 15]
        centre = np.array([(u * light).sum(), (v * light).sum()]) / light.sum()
        np.testing.assert_allclose(centre, (x, y), atol=0.1)
        assert (window[..., 2].max() > 100) == (index >= 2)


def test_fine_patterns_do_not_alias() -> None:
    checks = ((np.indices((800, 800)).sum(axis=0) % 2) * 255).astype(np.uint8)
    photo = Image.fromarray(np.repeat(checks[..., None], 3, axis=2))
    face = warp(photo, similarity(0.3, 0.2, (20, 20)), 200)
    assert np.abs(face.astype(int) - 127).max() <= 6


def test_a_still_image_is_reproduced_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    identity = similarity(1, 0, (0, 0))
    np.testing.assert_array_equal(warp(Image.fromarray(pixels), identity, 64), pixels)


@pytest.mark.parametrize("scale", [0.3, 1.7])
@pytest.mark.parametrize("shift", [(-150.0, 60.0), (90.0, 90.0), (5000.0, 0.0), (0.0, -5000.0)])
def test_outside_of_the_photo_repeats_its_edge(scale: float, shift: tuple[float, float]) -> None:
    photo = Image.new("RGB", (300, 200), (10, 120, 230))
    face = warp(photo, similarity(scale, 0.3, shift), 128)
    assert (face == (10, 120, 230)).all()


def test_landmark_array_reads_x_then_y_of_each_point() -> None:
    table = pd.DataFrame([range(10), range(10, 20)], columns=LANDMARK_COLUMNS)[
        LANDMARK_COLUMNS[::-1]
    ]
    np.testing.assert_array_equal(landmark_array(table), np.arange(20.0).reshape(2, 5, 2))


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 200 * 257, (200, 200, 200)),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (40, 255), (40, 40, 40)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(
    tmp_path: Path, mode: str, colour: object, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (7, 5), colour).save(path)  # type: ignore[arg-type]
    image = load_image(path)
    assert image.mode == "RGB"
    assert image.size == (7, 5)
    assert image.getpixel((3, 2)) == expected


def test_palette_transparency_is_laid_over_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([200, 0, 0, 0, 100, 0])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "a.png", transparency=0)
    loaded = load_image(tmp_path / "a.png")
    assert loaded.getpixel((0, 0)) == (255, 255, 255)
    assert loaded.getpixel((1, 1)) == (0, 100, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    # What was photographed: red in the top left corner of an upright picture 40 wide, 20 high.
    upright = np.zeros((20, 40, 3), np.uint8)
    upright[:8, :16, 0] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(np.asarray(load_image(path)), upright)
    assert upright_size(path) == (40, 20)


def test_unreadable_photos_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)).save(whole)
    for name, content in {"cut.png": whole.read_bytes()[:900], "text.jpg": b"no image"}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=name):
            load_image(path)
    assert upright_size(tmp_path / "text.jpg") == (0, 0)
    assert upright_size(tmp_path / "absent.jpg") == (0, 0)


def test_missing_photos_are_counted(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    require_files([tmp_path / "there"])
    with pytest.raises(DataError, match=r"b\.jpg is missing \(2 missing"):
        require_files([tmp_path / "there", tmp_path / "b.jpg", tmp_path / "c.jpg"])


def test_defaults_keep_the_face_inside_the_networks_view() -> None:
    points = five_point_template(alignment.DEFAULT_COVERAGE)
    margin = (256 - 224) / 2
    eyes_to_mouth = points[3:, 1].mean() - points[:2, 1].mean()
    # The hair line is about 1.2, the chin about 0.7 of that distance away.
    assert points[:2, 1].mean() - 1.2 * eyes_to_mouth > margin
    assert points[3:, 1].mean() + 0.7 * eyes_to_mouth < 256 - margin
