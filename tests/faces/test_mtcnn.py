"""MTCNN on torch: the faces of the package `mtcnn`, step by step and as a whole."""

import importlib.util
import math
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.measuring import in_child
from contrastive_age.drawn.face import draw_face
from contrastive_age.faces import mtcnn
from contrastive_age.faces.detection import FIRST, canvas_of
from contrastive_age.faces.mtcnn import (
    BLOCK,
    CELL,
    SHRINKAGE,
    Candidates,
    area_weights,
    crop,
    load_mtcnn,
    overlap,
    pyramid,
    shrink,
    squared,
    suppress,
)

Pixels = npt.NDArray[np.uint8]

PARTS = {"fgnet": 40, "fgnet_240": 40, "utkface": 20}
"""Number of real photos that are compared with the package."""

CLOSE = 0.05
"""Pixels."""


def drawn_photos() -> list[Pixels]:
    """Photos of several sizes, with no face, one and several."""
    from skimage.data import astronaut

    photos = [np.asarray(draw_face(person, person * 9, size=240)) for person in range(8)]
    photos += [np.asarray(draw_face(3, 25, size=300))[:, 50:250]]
    photos += [np.asarray(draw_face(5, 60, size=302))[31:233]]
    ground = Image.new("RGB", (333, 251), (150, 160, 140))
    for person, (left, top, side) in enumerate(((5, 9, 90), (120, 30, 140), (250, 150, 77))):
        ground.paste(draw_face(person, 20 + person, size=512).resize((side, side)), (left, top))
    photos += [np.asarray(ground), astronaut(), astronaut()[7:400, 33:350]]
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    return [*photos, noise, np.zeros((240, 240, 3), np.uint8), np.zeros((9, 30, 3), np.uint8)]


def real_photos(folder: Path) -> Iterator[tuple[str, Pixels]]:
    fgnet = sorted((folder / "fgnet" / "images").iterdir())
    utkface = sorted((folder / "utkface").glob("*.jpg"))
    for part, paths in (("fgnet", fgnet), ("fgnet_240", fgnet[1:]), ("utkface", utkface)):
        for path in paths[:: len(paths) // PARTS[part]][: PARTS[part]]:
            with Image.open(path) as image:
                photo = image.convert("RGB")
            scale = 240 / max(photo.size)
            on_canvas = part == "fgnet_240"
            yield part, canvas_of(photo, FIRST, scale) if on_canvas else np.asarray(photo)


@pytest.fixture(scope="module")
def photos(request: pytest.FixtureRequest) -> dict[str, Pixels]:
    """All photos that are compared; those of people only where a test asks for them."""
    named = {f"drawn {number}": photo for number, photo in enumerate(drawn_photos())}
    if any(item.get_closest_marker("real_data") for item in request.session.items):
        folder = request.getfixturevalue("shared_data")
        real = enumerate(real_photos(folder))
        named |= {f"{part} {number}": photo for number, (part, photo) in real}
    return named


@pytest.fixture(scope="module")
def theirs(
    photos: dict[str, Pixels], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, npt.NDArray[np.float64]]:
    """What the package sees; in a process of its own, as TensorFlow crashes beside torch."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed; it comes with the extra `dev`")
    folder = tmp_path_factory.mktemp("theirs")
    for number, photo in enumerate(photos.values()):
        Image.fromarray(photo).save(folder / f"{number}.png")
    found = in_child("benchmarks.detectors", str(folder), *(f"{n}.png" for n in range(len(photos))))
    return {
        name: np.array(faces).reshape(-1, 15)
        for name, faces in zip(photos, found["faces"], strict=True)
    }


def assert_same_faces(
    photos: dict[str, Pixels], theirs: dict[str, npt.NDArray[np.float64]], device: str = "cpu"
) -> None:
    """As many faces on every photo, and all but a few close in all of box and points."""
    errors = []
    for name, photo in photos.items():
        [own] = load_mtcnn(device)(photo[None])
        assert len(own) == len(theirs[name]), name
        # Nearly equal scores may be in another order.
        distance = np.abs(own[:, None, :4] - theirs[name][:, :4]).sum(axis=2)
        other = theirs[name][distance.argmin(axis=1)] if len(own) else own
        assert len({tuple(face) for face in other}) == len(own), name
        np.testing.assert_allclose(own[:, 4], other[:, 4], atol=1e-3)
        errors.append(np.delete(np.abs(own - other), 4, axis=1).max(axis=1, initial=0))
    assert sum(map(len, errors)) > 0
    assert np.mean(np.concatenate(errors) <= CLOSE) >= 0.995


def one_kind(photos: dict[str, Pixels], kind: str) -> dict[str, Pixels]:
    return {name: photo for name, photo in photos.items() if name.split()[0] == kind}


def test_faces_are_those_of_the_package(
    photos: dict[str, Pixels], theirs: dict[str, npt.NDArray[np.float64]]
) -> None:
    assert_same_faces(one_kind(photos, "drawn"), theirs)


@pytest.mark.real_data
@pytest.mark.parametrize("part", PARTS)
def test_faces_of_real_photos_are_those_of_the_package(
    part: str, photos: dict[str, Pixels], theirs: dict[str, npt.NDArray[np.float64]]
) -> None:
    own = one_kind(photos, part)
    assert len(own) == PARTS[part]
    assert_same_faces(own, theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_faces_on_the_gpu_are_those_of_the_package(
    photos: dict[str, Pixels], theirs: dict[str, npt.NDArray[np.float64]]
) -> None:
    assert_same_faces(one_kind(photos, "drawn"), theirs, "cuda")


def canvases() -> Pixels:
    drawn = [draw_face(person, person * 8, size=240) for person in range(5)]
    return np.stack([*map(np.asarray, drawn), np.zeros((240, 240, 3), np.uint8)])


def test_faces_do_not_depend_on_the_other_photos() -> None:
    together = load_mtcnn()(canvases())
    assert [len(faces) for faces in together] == [1] * 5 + [0]
    for photo, faces in zip(canvases(), together, strict=True):
        [alone] = load_mtcnn()(photo[None])
        np.testing.assert_allclose(faces, alone, atol=0.01)


def test_faces_are_given_surest_first_and_within_the_photo() -> None:
    ground = Image.new("RGB", (400, 200), (150, 160, 140))
    for person, left in enumerate((-45, 130, 290)):
        ground.paste(draw_face(person, 30, size=160), (left, 10))
    [faces] = load_mtcnn()(np.asarray(ground)[None], thresholds=(0.5, 0.5, 0.5))
    assert len(faces) >= 2
    assert (np.diff(faces[:, 4]) <= 0).all()
    assert (faces[:, :4] >= 0).all()
    assert (faces[:, 2] <= 399).all()
    assert (faces[:, 3] <= 199).all()
    eyes, mouth = faces[:, 5:9].reshape(-1, 2, 2), faces[:, 11:].reshape(-1, 2, 2)
    assert (eyes[:, 0, 0] < eyes[:, 1, 0]).all()
    assert (eyes[:, :, 1].max(axis=1) < mouth[:, :, 1].min(axis=1)).all()


def test_faces_below_the_smallest_are_not_looked_for() -> None:
    ground = Image.new("RGB", (500, 300), (150, 160, 140))
    ground.paste(draw_face(0, 30, size=280), (10, 10))
    ground.paste(draw_face(1, 30, size=512).resize((70, 70)), (400, 100))
    photo = np.asarray(ground)[None]
    counts = [len(load_mtcnn()(photo, min_face)[0]) for min_face in (20, 100, 400)]
    assert counts == [2, 1, 0]


def test_the_thresholds_ask_for_more() -> None:
    noisy = np.asarray(draw_face(2, 40, size=60).resize((240, 240)))[None]
    few, many = (
        sum(map(len, load_mtcnn()(noisy, 20, limits)))
        for limits in ((0.99, 0.99, 0.99999), (0.3, 0.3, 0.3))
    )
    assert few < many


@pytest.mark.parametrize("shape", [(3, 240, 240, 3), (2, 5, 7, 3), (1, 1, 1, 3), (0, 240, 240, 3)])
def test_where_there_is_nothing_no_face_is_found(shape: tuple[int, ...]) -> None:
    found = load_mtcnn()(np.zeros(shape, np.uint8))
    assert [faces.shape for faces in found] == [(0, 15)] * shape[0]
    assert all(faces.dtype == np.float64 for faces in found)


def test_several_threads_find_the_same() -> None:
    detector, photos = mtcnn.MTCNN(), canvases()
    expected = [detector(photo[None])[0] for photo in photos]
    found: dict[int, list[npt.NDArray[np.float64]]] = {}
    start = threading.Barrier(3)

    def look(number: int) -> None:
        start.wait()
        found[number] = [detector(photo[None])[0] for photo in photos]

    threads = [threading.Thread(target=look, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        for faces, own in zip(found[number], expected, strict=True):
            np.testing.assert_allclose(faces, own, atol=0.01)


def test_the_detector_of_a_device_is_made_once() -> None:
    assert load_mtcnn() is load_mtcnn()
    assert load_mtcnn().device.type == "cpu"


@given(st.integers(1, 700), st.integers(1, 700), st.floats(24, 400))
def test_the_pyramid_has_every_level_on_which_a_cell_fits(
    height: int, width: int, min_face: float
) -> None:
    expected, scale = [], CELL / min_face
    while int(min(height, width) * scale) >= CELL:
        expected.append(scale)
        scale *= SHRINKAGE
    assert pyramid(height, width, min_face) == pytest.approx(expected)


def test_the_pyramid_of_the_default() -> None:
    scales = [0.6, 0.6 * SHRINKAGE, 0.6 * SHRINKAGE**2]
    assert pyramid(50, 900, 20) == pytest.approx(scales)


@given(st.integers(1, 40), st.integers(1, 40))
def test_area_weights_are_the_shares_of_what_a_pixel_covers(size: int, length: int) -> None:
    part = Fraction(size, length)
    expected = [
        [
            float(
                max(Fraction(0), min((row + 1) * part, pixel + 1) - max(row * part, pixel)) / part
            )
            for pixel in range(size)
        ]
        for row in range(length)
    ]
    weights = area_weights(size, length, torch.device("cpu")).to_dense()
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_photos_are_shrunk_to_means_of_areas() -> None:
    photos = np.random.default_rng(0).normal(size=(2, 11, 7, 3)).astype(np.float32)
    shrunk = shrink(torch.from_numpy(photos).transpose(0, 1), 4, 3).numpy()
    assert shrunk.shape == (2, 3, 4, 3)
    tall, wide = Fraction(11, 4), Fraction(7, 3)
    for place in np.ndindex(2, 3, 4, 3):
        photo, channel, row, column = place
        total = 0.0
        for y, x in np.ndindex(11, 7):
            high = min((row + 1) * tall, y + 1) - max(row * tall, y)
            broad = min((column + 1) * wide, x + 1) - max(column * wide, x)
            if high > 0 and broad > 0:
                total += float(high * broad / tall / wide) * float(photos[photo, y, x, channel])
        assert shrunk[place] == pytest.approx(total, abs=1e-5)


def cropped(photo: npt.NDArray[np.float32], box: npt.NDArray[np.float64], side: int) -> np.ndarray:
    """TensorFlow's `crop_and_resize` of a box that is divided by the photo's size."""
    height, width, _ = photo.shape
    left, top, right, bottom = box / (width, height, width, height)
    square = np.zeros((side, side, 3))
    for row, column in np.ndindex(side, side):
        y = top * (height - 1) + row * (bottom - top) * (height - 1) / (side - 1)
        x = left * (width - 1) + column * (right - left) * (width - 1) / (side - 1)
        if 0 <= y <= height - 1 and 0 <= x <= width - 1:
            low, high, near, far = (math.floor(y), math.ceil(y), math.floor(x), math.ceil(x))
            upper = photo[low, near] + (photo[low, far] - photo[low, near]) * (x - near)
            lower = photo[high, near] + (photo[high, far] - photo[high, near]) * (x - near)
            square[row, column] = upper + (lower - upper) * (y - low)
    return square


def test_boxes_are_cut_out_as_tensorflow_defines_it() -> None:
    generator = np.random.default_rng(0)
    photos = generator.normal(size=(3, 9, 13, 3)).astype(np.float32)
    corner = generator.uniform(-5, 10, (24, 2))
    boxes = np.column_stack([corner, corner + generator.uniform(1, 9, (24, 2))])
    boxes[:3] = [(0, 0, 13, 9), (-4, -3, 20, 15), (50, 50, 60, 60)]
    photo = generator.integers(0, 3, 24)
    squares = crop(
        torch.from_numpy(photos).transpose(0, 1),
        torch.from_numpy(photo),
        torch.from_numpy(boxes),
        6,
    )
    assert squares.shape == (24, 3, 6, 6)
    for own, number, box in zip(squares.numpy(), photo, boxes, strict=True):
        expected = cropped(photos[number], box, 6)
        np.testing.assert_allclose(own.transpose(1, 2, 0), expected, atol=1e-5)
    assert not squares[2].any()


BOXES = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 12), st.integers(1, 9), st.integers(1, 9),
        st.integers(0, 3), st.integers(0, 2),
    ),
    max_size=24,
)  # fmt: skip
"""Left, top, width, height, score and group: small numbers, so that many meet."""


def share(one: list[float], other: list[float], of_smaller: bool) -> float:
    """Of the common area in both, or in the smaller box."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0, wide) * max(0, high)
    sizes = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (min(sizes) if of_smaller else sum(sizes) - common)


def as_candidates(rows: list[tuple[int, ...]]) -> tuple[Candidates, torch.Tensor]:
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
    corners = torch.cat([table[:, :2], table[:, :2] + table[:, 2:4]], dim=1)
    group = table[:, 5].long()
    points = torch.arange(len(table)).double()[:, None, None].repeat(1, 5, 2)
    return Candidates(group * 7, corners, table[:, 4].float() / 4, points), group


@given(BOXES, BOXES, st.booleans())
def test_overlap_is_that_of_each_two(
    rows: list[tuple[int, ...]], others: list[tuple[int, ...]], of_smaller: bool
) -> None:
    corners, other_corners = (as_candidates(own)[0].corners for own in (rows, others))
    found = overlap(corners, other_corners, of_smaller)
    assert found.shape == (len(rows), len(others))
    for row, column in np.ndindex(*found.shape):
        expected = share(corners[row].tolist(), other_corners[column].tolist(), of_smaller)
        assert float(found[row, column]) == pytest.approx(expected)


@given(BOXES, st.sampled_from([0.3, 0.5, 0.7]), st.booleans(), st.sampled_from([1, 2, 5, BLOCK]))
def test_a_box_is_dropped_where_a_surer_one_of_its_group_overlaps(
    rows: list[tuple[int, ...]], threshold: float, of_smaller: bool, block: int
) -> None:
    found, group = as_candidates(rows)
    boxes, scores = found.corners.tolist(), found.scores.tolist()
    order = sorted(range(len(rows)), key=lambda row: (int(group[row]), -scores[row], row))
    kept = [
        row
        for place, row in enumerate(order)
        if not any(
            group[surer] == group[row] and share(boxes[surer], boxes[row], of_smaller) > threshold
            for surer in order[:place]
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtcnn, "BLOCK", block)
        left = suppress(found, group, threshold, of_smaller=of_smaller)
    # The points tell which box it was.
    assert left.points[:, 0, 0].tolist() == kept
    for column, own in zip(found, left, strict=True):
        assert torch.equal(own, column[kept])


def test_many_candidates_are_shown_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = canvases()[:2]
    whole = load_mtcnn()(photos)
    monkeypatch.setattr(mtcnn, "BLOCK", 7)
    for faces, own in zip(load_mtcnn()(photos), whole, strict=True):
        np.testing.assert_allclose(faces, own, atol=0.01)


def test_boxes_are_widened_around_their_centres() -> None:
    found, _ = as_candidates([(2, 4, 6, 2, 1, 0), (3, 3, 1, 5, 1, 0)])
    assert squared(found).corners.tolist() == [[2, 2, 8, 8], [1, 3, 6, 8]]
