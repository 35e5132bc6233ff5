"""From photos to aligned faces: the pixels of training, in order, whatever becomes of a photo."""

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.faces import search
from contrastive_age.faces.alignment import DEFAULT_COVERAGE, landmark_array, load_image
from contrastive_age.faces.detection import BATCH_SIZE, Finder
from contrastive_age.faces.landmarks import detect_landmarks
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.faces.store import Wanted, build_faces
from contrastive_age.inference import photos, pictures
from contrastive_age.inference.photos import Photo, find_faces, list_photos, ready_crops, was_read
from inference import detectors
from inference.detectors import photo, save_photos


def find(pictures: list[Any], load_detector: Any = detectors.boxes, **options: Any) -> list[Photo]:
    return list(find_faces(pictures, load_detector, **options))


def box_edges(found: Photo) -> np.ndarray:
    return np.array([face.box for face in found.faces])


def trained_on(
    folder: Path, paths: list[Path], work: Path, load_detector: Any = detectors.boxes
) -> tuple[pd.DataFrame, np.ndarray]:
    """The landmarks and the rows of faces.npy that training makes of photos."""
    files = pd.DataFrame(
        {
            "sample_id": [path.stem for path in paths],
            "path": [path.relative_to(folder).as_posix() for path in paths],
            "digest": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        }
    )
    table = detect_landmarks(
        folder, files, work_folder=work, workers=1, progress=False, load_detector=load_detector
    )
    whole = table.merge(files, on="sample_id")
    wanted = Wanted(DEFAULT_COVERAGE)
    report = build_faces(folder, whole, work, wanted, workers=1, progress=False)
    return table, np.load(report.path, mmap_mode="r")


def assert_same_faces(found: list[Photo], table: pd.DataFrame, faces: np.ndarray) -> None:
    """The face that training chose is among those found, with the same pixels."""
    for own, row, points, trained in zip(
        found, table.itertuples(), landmark_array(table), faces, strict=True
    ):
        [face] = [face for face in own.faces if np.array_equal(face.landmarks, points)]
        np.testing.assert_array_equal(face.pixels, trained)
        assert face.score == row.score


def test_the_pixels_are_those_of_training(tmp_path: Path) -> None:
    paths = save_photos(tmp_path / "p", ("face",), ("dim",), ("face", "face", "face"))
    turned = Image.Exif()
    turned[0x0112] = 6
    photo("face", "face", size=(900, 700)).save(
        tmp_path / "p" / "turned.jpg", exif=turned, quality=85
    )
    photo("face").convert("P").save(tmp_path / "p" / "palette.gif")
    layer = photo("face").convert("RGBA")
    layer.putalpha(200)
    layer.save(tmp_path / "p" / "layer.webp", lossless=True)
    paths += [tmp_path / "p" / name for name in ("turned.jpg", "palette.gif", "layer.webp")]

    table, faces = trained_on(tmp_path / "p", paths, tmp_path / "work")
    assert table["faces_found"].tolist()[:4] == [1, 1, 3, 2]
    found = find(paths)
    assert_same_faces(found, table, faces)
    assert [len(own.faces) for own in found] == table["faces_found"].tolist()
    assert found[3].size == (700, 900)
    opened = [Image.open(path) for path in paths]
    arrays = [np.asarray(load_image(path)) for path in paths]
    for given in (opened, arrays):
        assert_same_faces(find(given), table, faces)


@pytest.mark.real_data
def test_the_pixels_are_those_of_training_on_real_photos(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted((shared_data / "fgnet" / "images").iterdir())[7::125]
    table, faces = trained_on(paths[0].parent, paths, tmp_path, load_mtcnn)
    assert len(paths) == 8
    assert table["status"].isin(["detected", "retried"]).all()
    assert_same_faces(find(list(paths), load_mtcnn), table, faces)


def test_faces_come_from_left_to_right_with_boxes_of_the_photo() -> None:
    [found] = find([photo("face", "dim", "face", size=(960, 400))])
    assert found.reason is None
    assert found.size == (960, 400)
    # The dim one is not bright enough for the look in which the others are seen.
    expected = [(10, 20, 60, 90), (650, 20, 720, 130)]
    np.testing.assert_allclose(box_edges(found), expected, atol=960 / 240)
    left, top, right, bottom = box_edges(found).T[:, :, None]
    x, y = np.stack([face.landmarks for face in found.faces]).transpose(2, 0, 1)
    assert ((left < x) & (x < right) & (top < y) & (y < bottom)).all()
    assert [face.pixels.shape for face in found.faces] == [(256, 256, 3)] * 2


def test_a_photo_at_which_the_detector_fails_takes_no_other_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = [("face",), ("faulty",), (), ("faulty",), ("face", "face"), ("dim",)]
    paths = save_photos(tmp_path, *kinds)
    found = find(paths)
    assert [own.name for own in found] == [str(path) for path in paths]
    assert [len(own.faces) for own in found] == [1, 0, 0, 0, 2, 1]
    reasons = [own.reason for own in found]
    assert [reasons[place] for place in (0, 2, 4, 5)] == [None, photos.NO_FACE, None, None]
    for place in (1, 3):
        assert str(reasons[place]).startswith(photos.FAILED)
        assert not was_read(reasons[place])
        assert found[place].size == (320, 200)
        assert f"{place:02d}.png failed in detection" in caplog.text
    assert "a detector's fault" in str(reasons[3])


def test_photo_after_photo_that_fails_has_a_common_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "MOST_FAILURES", 1)
    apart = [photo("faulty"), photo("face"), photo("faulty")]
    # Alone in their chunks, so that a good one lies between the bad.
    monkeypatch.setattr(photos, "BATCH_SIZE", 1)
    assert [own.reason is None for own in find(apart)] == [False, True, False]
    with pytest.raises(RuntimeError, match=r"2 photos failed in detection, image 1 the last"):
        find([photo("faulty"), photo("faulty"), photo("face")])
    assert find([photo("face")])[0].reason is None


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    photo("face").save(tmp_path / "cut.jpg")
    content = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    os.mkfifo(tmp_path / "pipe.jpg")
    cut = Image.open(tmp_path / "cut.jpg")
    names = ["text.jpg", "empty.jpg", "cut.jpg", "pipe.jpg", "", "none.jpg", "zero\0byte.jpg"]
    found = find([*(tmp_path / name for name in names), cut, photo("face")])
    expected = [
        "no known image format",
        "no known image format|is empty",
        "truncated|end is missing",
        "neither a file nor a link",
        "it is a folder; give the photos",
        "no such file",
        "null byte",
        "truncated",
    ]
    for own, words in zip(found[:-1], expected, strict=True):
        assert str(own.reason).startswith("unreadable: ")
        assert re.search(words, str(own.reason))
        assert not was_read(own.reason)
        assert own.size == (0, 0)
    assert found[-1].reason is None


def test_a_relative_path_is_of_the_folder_that_is_current_when_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find([photo("face")])
    save_photos(tmp_path, ("face",))
    monkeypatch.chdir(tmp_path)
    [found] = find(["00.png"])
    assert (found.name, found.reason) == ("00.png", None)


def test_photos_are_taken_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal taken
        while True:
            taken += 1
            yield photo("face", size=(60, 60)) if taken % 2 else photo(size=(60, 60))

    found = find_faces(endless(), detectors.boxes)
    for number in range(5 * BATCH_SIZE):
        own = next(found)
        assert (own.name, len(own.faces)) == (f"image {number}", 1 - number % 2)
        assert taken - number <= 5 * BATCH_SIZE
    found.close()
    assert len(find([photo("face")])) == 1


def test_large_images_travel_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def found_in(items: list[Any], *rest: Any) -> Any:
        sizes.append(len(items))
        return search.found_in(items, *rest)

    monkeypatch.setattr(photos, "MOST_PIXELS", 10_000)
    monkeypatch.setattr(photos, "found_in", found_in)
    find([Image.new("RGB", (90, 90)) for _ in range(5)])
    assert sizes == [2, 2, 1]


def test_a_worker_that_holds_few_photos_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = save_photos(tmp_path, ("face",), (), ("face", "face"), ("dim",), ("face",))
    items: list[Any] = [(str(number), path) for number, path in enumerate(paths)]
    items.insert(2, ("9", "unreadable: so it is"))
    finder = Finder(detectors.boxes())
    whole = photos._find_and_align(finder, 1.35, 250, items)
    monkeypatch.setattr(search, "MOST_PIXELS", 320 * 200 * 2)
    parts = photos._find_and_align(finder, 1.35, 250, items)
    assert [own.reason for own in whole] == [
        None, photos.NO_FACE, "unreadable: so it is", None, None, None,
    ]  # fmt: skip
    for one, other in zip(whole, parts, strict=True):
        assert one.reason == other.reason
        for face, again in zip(one.faces, other.faces, strict=True):
            np.testing.assert_array_equal(face.pixels, again.pixels)


def test_any_number_of_workers_finds_the_same(tmp_path: Path) -> None:
    kinds = [("face",) * (number % 3) for number in range(2 * BATCH_SIZE)]
    paths = save_photos(tmp_path, *kinds)
    for workers in (1, 2, 3):
        found = find(paths, workers=workers)
        assert [own.name for own in found] == list(map(str, paths))
        assert [len(own.faces) for own in found] == list(map(len, kinds))


def test_workers_look_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "BATCH_SIZE", 1)
    boxes, both = detectors.boxes(), threading.Barrier(2)

    def meet(*asked: Any) -> Any:
        both.wait(60)
        return boxes(*asked)

    found = find([photo("face"), photo("face")], lambda: meet, workers=2)
    assert [own.reason for own in found] == [None, None]


def test_the_main_face_does_not_come_before_one_further_left() -> None:
    image = photo()
    image.paste(detectors.COLOURS["face"], (210, 60, 300, 180))
    image.paste(detectors.COLOURS["face"], (20, 20, 70, 90))
    [found] = find([image])
    np.testing.assert_allclose(box_edges(found)[:, 0], [20, 210], atol=2)
    first, second = found.faces
    assert first.landmarks[0, 0] < 90 < second.landmarks[0, 0]


def test_faces_below_the_smallest_are_left_out_and_it_is_said() -> None:
    pictures = [photo("face", "face", "face", size=(1200, 300)), photo(), Path("none.png")]
    for min_face, count in ((None, 3), (55, 2), (65, 1)):
        found = find(pictures, min_face=min_face)
        assert [len(own.faces) for own in found] == [count, 0, 0]
        assert [own.min_face for own in found[:2]] == [min_face or 24] * 2
        assert np.isnan(found[2].min_face)


def test_a_face_whose_points_fall_together_is_none() -> None:
    def blurred() -> Any:
        row = [2.0, 2.0, 30.0, 30.0, 0.999, *[9.0] * 10]
        return lambda canvases, *_: [np.array([row]) for _ in canvases]

    [found] = find([photo(size=(240, 240))], blurred)
    assert found.reason == photos.NO_FACE
    assert found.faces == ()


def test_ready_crops_are_taken_as_they_are(tmp_path: Path) -> None:
    whole = photo("face", size=(256, 256))
    grey = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
    large = photo("face", size=(512, 511))
    large.save(tmp_path / "large.png")
    given = [whole, grey, tmp_path / "large.png", photo(size=(300, 298)), tmp_path / "none.png"]
    found = list(ready_crops(given))
    np.testing.assert_array_equal(found[0].faces[0].pixels, np.asarray(whole))
    np.testing.assert_array_equal(found[1].faces[0].pixels, np.stack([grey] * 3, axis=2))
    resized = large.resize((256, 256), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found[2].faces[0].pixels, np.asarray(resized))
    assert found[2].size == (512, 511)
    assert [own.reason is None for own in found] == [True, True, True, False, False]
    assert "300 x 298 pixels" in str(found[3].reason)
    assert was_read(found[3].reason)
    assert str(found[4].reason) == "unreadable: no such file or directory"
    [face] = found[0].faces
    assert np.isnan([*face.box, *face.landmarks.flat, face.score]).all()


def test_what_is_noted_of_a_photo_and_its_full_size_stay_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a vast photo, decoded at half its sides, whose end is missing."""
    decode = pictures.decode

    def reduced(file: Any, most: float) -> Image.Image:
        image = decode(file, most).reduce(2)
        image.info |= {"reduction": 2, "full_size": (640, 400), "remark": "its end is missing"}
        return image

    monkeypatch.setattr(pictures, "decode", reduced)
    paths = save_photos(tmp_path, ("face", "face"), (), ("faulty",))
    photo("face", size=(640, 400)).save(paths[0])
    photo(size=(640, 400)).save(paths[1])
    photo("faulty", size=(640, 400)).save(paths[2])
    for found in (find(paths), list(ready_crops(paths))):
        assert [own.size for own in found] == [(640, 400)] * 3
        assert [own.note for own in found] == ["its end is missing"] * 3
    assert find([photo("face")])[0].note is None


def test_larger_photos_than_asked_for_are_not_read(tmp_path: Path) -> None:
    [path] = save_photos(tmp_path, ("face",))
    given = [path, path.read_bytes(), Image.open(path)]
    for most in (0.063, 0.064):  # of 320 x 200 pixels
        found = find(given[2:], most_megapixels=most)
        assert [own.reason is None for own in found] == [most == 0.064]
        found = list(ready_crops([Image.open(path)], most_megapixels=most))
        assert ("most_megapixels=0.063" in str(found[0].reason)) == (most == 0.063)


def list_files(*places: Path, **options: Any) -> list[Path]:
    files, closed = list_photos(places, **options)
    assert closed == []
    return files


class TestListPhotos:
    def test_folders_are_walked_and_every_file_is_taken(self, tmp_path: Path) -> None:
        names = ["b.JPG", "a/z.jfif", "a/notes.txt", ".hidden.jpg", "a/.h/x.jpg", "odd", "c.HEIC"]
        for name in names:
            (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "p" / name).touch()
        (tmp_path / "p" / "a" / "self.jpg").symlink_to(tmp_path / "p" / "a" / "self.jpg")
        folder = tmp_path / "p"
        walked = ["a/notes.txt", "a/self.jpg", "a/z.jfif", "b.JPG", "c.HEIC", "odd"]
        assert list_files(folder) == [folder / name for name in walked]
        given = [folder / "odd", folder / ".hidden.jpg", folder]
        assert list_files(*given) == [*given[:2], *(folder / name for name in walked[:-1])]

    def test_names_that_are_no_valid_unicode_are_found(self, tmp_path: Path) -> None:
        image = photo(size=(64, 64))
        image.save(tmp_path / r"a\xe9.png")  # a name with a backslash
        try:
            image.save(os.fsencode(tmp_path) + b"/b\xe9\xff.png", "PNG")
        except OSError:
            pytest.skip("such names are not possible here")
        files = list_files(tmp_path)
        assert [os.fsencode(file.name) for file in files] == [rb"a\xe9.png", b"b\xe9\xff.png"]
        assert [own.reason for own in ready_crops(files)] == [None, None]

    def test_folders_that_are_not_entered_are_said(self, tmp_path: Path) -> None:
        [own] = save_photos(tmp_path / "p" / "a", ("face",))
        (tmp_path / "p" / "a" / "again").symlink_to(tmp_path / "p")
        files, [closed] = list_photos([tmp_path / "p"])
        assert files == [own]
        assert closed.name == str(tmp_path / "p" / "a" / "again")
        assert closed.reason == f"{photos.NOT_ENTERED}: a link to a folder that is read already"
        assert not was_read(closed.reason)

    def test_a_folder_that_cannot_be_listed_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [own] = save_photos(tmp_path / "p", ("face",))
        (tmp_path / "p" / "locked").mkdir()
        real = os.scandir

        def scandir(path: Any) -> Any:
            if Path(path).name == "locked":
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
        files, [closed] = list_photos([tmp_path / "p"])
        assert files == [own]
        assert (closed.name, closed.reason) == (
            str(tmp_path / "p" / "locked"), "folder not entered: permission denied",
        )  # fmt: skip
        with pytest.raises(DataError, match=r"no file in .*locked: folder not entered: permission"):
            list_photos([tmp_path / "p" / "locked"])

    def test_what_comes_from_here_is_left_out(self, tmp_path: Path) -> None:
        first, second = save_photos(tmp_path, ("face",), ())
        places = (tmp_path, first)
        assert list_files(*places, is_own=lambda path: path == first) == [second]
        with pytest.raises(DataError, match="name the photos themselves"):
            list_photos([first], lambda _: True)

    def test_a_missing_place_and_one_without_files_are_errors(self, tmp_path: Path) -> None:
        [own] = save_photos(tmp_path / "p", ("face",))
        with pytest.raises(DataError, match=r"typo\.jpg: no such photo or folder; correct"):
            list_photos([own, tmp_path / "typo.jpg"])
        with pytest.raises(DataError, match=r"a\.jpg: .*\(and 1 more that are missing\)"):
            list_photos([tmp_path / "a.jpg", own, tmp_path / "b.jpg"])
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / ".hidden.jpg").touch()
        with pytest.raises(DataError, match=r"there is no file in .*empty; put photos there"):
            list_photos([tmp_path / "empty"])


def test_a_detector_that_cannot_be_loaded_is_an_error() -> None:
    with pytest.raises(AssertionError, match="no detector is needed"):
        find([photo("face")], detectors.none)
