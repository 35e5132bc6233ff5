"""The landmarks of every photo of a source: none is lost, and nothing is looked for twice."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import contrastive_age
from conftest import Terminal
from contrastive_age.drawn.face import portrait
from contrastive_age.errors import DataError
from contrastive_age.faces import landmarks
from contrastive_age.faces.alignment import (
    LANDMARK_COLUMNS,
    align,
    estimate_similarity,
    five_point_template,
    landmark_array,
    load_image,
    usable_landmarks,
)
from contrastive_age.faces.detection import FIRST, Pass, Sighting
from contrastive_age.faces.landmarks import (
    DetectionCache,
    Finding,
    audit_landmarks,
    detect_landmarks,
    fallback_landmarks,
    finding_of,
)
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.sources import decoding
from faces.scenes import Boxes, box_points, draw, face, make_files

SOURCE = Path(contrastive_age.__file__).parents[1]


@pytest.fixture
def fake() -> Boxes:
    """A detector that counts the canvases it sees."""
    return Boxes()


def detect(fake: Boxes, tmp_path: Path, files: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return detect_landmarks(
        tmp_path / "photos",
        files,
        work_folder=tmp_path / "work",
        load_detector=fake.load,
        progress=False,
        **options,
    )


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "work" / "detections").rglob("*.parquet"))


def test_a_photo_that_is_read_smaller_has_the_landmarks_and_the_face_of_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "a.jpg"
    portrait(0, 25, seed=3, size=800)[0].save(photo, quality=95)
    files = pd.DataFrame({"sample_id": ["a"], "path": ["a.jpg"], "digest": ["whole"]})
    points, faces = [], []
    for number, vast in enumerate((800 * 800, 400 * 400)):
        monkeypatch.setattr(decoding, "VAST", vast)
        assert decoding.reduction(load_image(photo)) == number + 1
        found = detect_landmarks(
            tmp_path,
            files,
            work_folder=tmp_path / str(number),
            load_detector=load_mtcnn,
            progress=False,
        )
        points.append(landmark_array(found)[0])
        faces.append(align(load_image(photo), points[0]).astype(int))
    assert np.abs(points[0] - points[1]).max() < 4  # half a percent of its side
    assert np.abs(faces[0] - faces[1]).mean() < 1.5


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (256, 256), (0, 0)])
def test_fallback_is_the_central_square(width: int, height: int) -> None:
    side = min(width, height) or 256
    matrix = estimate_similarity(fallback_landmarks(width, height), five_point_template())
    left, top = max(0, (width - side) / 2), max(0, (height - side) / 2)
    for corner, expected in (((0, 0), -0.5), ((side, side), 255.5)):
        at = np.array([left, top]) + corner - 0.5
        np.testing.assert_allclose(matrix[:, :2] @ at + matrix[:, 2], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 2000), (8, 8), (9, 9)])
def test_a_fallback_can_always_be_aligned(size: tuple[int, int]) -> None:
    points = fallback_landmarks(*size)
    assert usable_landmarks(points)
    np.testing.assert_allclose(points.mean(axis=0), np.array(size) / 2, atol=3)
    assert align(Image.new("RGB", size, "red"), points).reshape(-1, 3).tolist()[0] == [255, 0, 0]


def test_points_that_cannot_be_a_face_are_not_used() -> None:
    """Found on top of one another in a tiny photo, or annotated far outside of it."""
    right = five_point_template(size=50)
    found = landmarks._findings_table(
        ["a", "b", "c", "d"],
        [
            Finding("detected", 6, 6, 1, 0.9, 2, 1, tuple(np.tile([2.0, 2.5], 5))),
            *[Finding("missed", 100, 100)] * 3,
        ],
    )
    files = pd.DataFrame({"sample_id": list("abcd"), "digest": list("abcd")})
    annotated = pd.DataFrame(
        [("b", *right.ravel()), ("c", *(right * 1e300).ravel()), ("d", *(right + 900).ravel())],
        columns=["sample_id", *LANDMARK_COLUMNS],
    )
    table = landmarks._landmarks_table(files, found, annotated)
    assert table["status"].tolist() == ["fallback", "annotated", "fallback", "fallback"]
    for column in ("faces_found", "larger_faces", "turn"):
        assert table[column].tolist() == [0] * 4
    assert table["score"].isna().all()
    points = landmark_array(table)
    np.testing.assert_allclose(points[0], fallback_landmarks(6, 6))
    np.testing.assert_allclose(points[1], right)
    np.testing.assert_allclose(points[2:], [fallback_landmarks(100, 100)] * 2)


def test_a_finding_is_of_the_main_face() -> None:
    central, larger = face(80, 30, 120, 70, 0.97), face(0, 0, 60, 60, 0.99)
    small = face(150, 80, 170, 100)
    seen = Sighting((200, 100), Pass(240, turn=3), np.array([larger, small, central]))
    found = finding_of(seen)
    points = tuple(central[5:])
    assert found == Finding("retried", 200, 100, 3, 0.97, 3, 1, points)
    nothing = finding_of(Sighting((200, 100), FIRST, np.empty((0, 15))))
    assert (nothing.status, nothing.width, nothing.height) == ("missed", 200, 100)
    assert np.isnan([nothing.score, *nothing.landmarks]).all()
    assert (nothing.faces_found, nothing.larger_faces, nothing.turn) == (0, 0, 0)


@pytest.mark.parametrize("workers", [1, 3])
def test_no_photo_is_lost_whatever_happens(
    fake: Boxes,
    tmp_path: Path,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(landmarks, "BATCH_SIZE", 4)
    kinds = ["face", "dim", "empty", "faulty", "text", "empty", "faulty", "face", "empty"]
    files = make_files(tmp_path / "photos", kinds)
    given = five_point_template(size=50)
    annotated = pd.DataFrame(
        [("05", *given.ravel()), ("08", *np.full(10, np.nan)), ("00", *given.ravel())],
        columns=["sample_id", *LANDMARK_COLUMNS],
    )
    table = detect(fake, tmp_path, files, annotated=annotated, workers=workers)

    assert list(table.columns) == [
        *("sample_id", "status", "score", "faces_found"),
        *LANDMARK_COLUMNS,
        *("turn", "larger_faces"),
    ]
    assert table["sample_id"].tolist() == files["sample_id"].tolist()
    assert table["status"].tolist() == [
        "detected", "retried", "fallback", "fallback", "fallback", "annotated", "fallback",
        "detected", "fallback",
    ]  # fmt: skip
    assert table["faces_found"].tolist() == [1, 1, 0, 0, 0, 0, 0, 1, 0]
    assert table["score"].isna().tolist() == (table["faces_found"] == 0).tolist()
    points = landmark_array(table)
    np.testing.assert_allclose(points[[0, 1, 7]], [box_points()] * 3, atol=1)
    np.testing.assert_allclose(points[5], given)
    np.testing.assert_allclose(points[[2, 3, 6, 8]], [fallback_landmarks(120, 100)] * 4)
    np.testing.assert_allclose(points[4], fallback_landmarks(0, 0))
    for name in ("03.png", "06.png"):
        assert f"{name} failed in detection: ArithmeticError" in caplog.text
    assert "04.png" in caplog.text


@pytest.mark.parametrize("size", [(120, 100), (90, 200), (240, 240), (1000, 611)])
def test_landmarks_are_in_pixels_of_the_photo(
    fake: Boxes, tmp_path: Path, size: tuple[int, int]
) -> None:
    files = make_files(tmp_path / "photos", ["face"])
    draw("face").resize(size, Image.Resampling.NEAREST).save(tmp_path / "photos" / "00.png")
    table = detect(fake, tmp_path, files)
    expected = (box_points() + 0.5) * np.divide(size, (120, 100)) - 0.5
    tolerance = 2 * max(size) / 240
    np.testing.assert_allclose(landmark_array(table)[0], expected, atol=tolerance)


def test_row_order_and_equal_photos(fake: Boxes, tmp_path: Path) -> None:
    files = make_files(tmp_path / "photos", ["face", "face", "face"])
    twin = files.iloc[[1]].assign(sample_id="twin")
    table = detect(fake, tmp_path, pd.concat([files.iloc[::-1], twin]))
    assert table["sample_id"].tolist() == ["02", "01", "00", "twin"]
    assert table["status"].tolist() == ["detected"] * 4
    assert table.index.tolist() == [0, 1, 2, 3]
    assert fake.looks == 3


def test_no_photo_gives_an_empty_table(tmp_path: Path) -> None:
    files = make_files(tmp_path / "photos", [])
    table = detect_landmarks(
        tmp_path, files, work_folder=tmp_path, load_detector=missing, progress=False
    )
    assert table.shape == (0, 16)


def missing() -> Any:
    raise DataError("no weights")


def test_a_missing_detector_is_an_error_not_a_fallback(tmp_path: Path) -> None:
    files = make_files(tmp_path / "photos", ["face"])
    with pytest.raises(DataError, match="no weights"):
        detect_landmarks(
            tmp_path / "photos",
            files,
            work_folder=tmp_path / "work",
            load_detector=missing,
            progress=False,
        )
    assert parts(tmp_path) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_many_failures_have_a_common_cause(
    fake: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(landmarks, "MOST_FAILURES", 1)
    monkeypatch.setattr(landmarks, "BATCH_SIZE", 2)
    files = make_files(tmp_path / "photos", ["faulty", "face", "faulty"])
    with pytest.raises(RuntimeError, match=r"2 photos failed in detection.*02\.png the last"):
        detect(fake, tmp_path, files, workers=workers)


def test_workers_look_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "BATCH_SIZE", 1)
    files = make_files(tmp_path / "photos", ["face", "face"])
    boxes, both = Boxes(), threading.Barrier(2)

    def meet(*asked: Any) -> list[np.ndarray]:
        both.wait(60)
        return boxes(*asked)

    table = detect_landmarks(
        tmp_path / "photos",
        files,
        work_folder=tmp_path / "work",
        load_detector=lambda: meet,
        workers=2,
        progress=False,
    )
    assert table["status"].tolist() == ["detected", "detected"]


def test_missing_photos_are_an_error(fake: Boxes, tmp_path: Path) -> None:
    files = make_files(tmp_path / "photos", ["face", "face"])
    (tmp_path / "photos" / "01.png").unlink()
    with pytest.raises(DataError, match=r"01\.png is missing"):
        detect(fake, tmp_path, files)


def test_the_progress_is_shown_while_there_is_any(fake: Boxes, tmp_path: Path) -> None:
    files = make_files(tmp_path / "photos", ["face"])
    for words in ("Detecting faces", ""):
        with redirect_stderr(Terminal()) as shown:
            detect_landmarks(
                tmp_path / "photos", files, work_folder=tmp_path / "work", load_detector=fake.load
            )
        assert (words in shown.getvalue()) if words else not shown.getvalue()


class TestCache:
    def test_only_new_and_changed_photos_are_looked_at(self, fake: Boxes, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["face", "face", "empty", "text"])
        first = detect(fake, tmp_path, files)
        of_nothing = fake.looks - 2
        assert of_nothing > 1
        pd.testing.assert_frame_equal(detect(fake, tmp_path, files), first)
        assert fake.looks == 0

        more = make_files(tmp_path / "photos", ["face", "dim", "empty", "text", "face"])
        third = detect(fake, tmp_path, more)
        # A dim face is seen in the last look but one.
        assert fake.looks == of_nothing - 1 + 1
        assert third["status"].tolist() == [
            "detected", "retried", "fallback", "fallback", "detected",
        ]  # fmt: skip
        assert len(parts(tmp_path)) == 1

    def test_interrupted_detection_goes_on(
        self, fake: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = make_files(tmp_path / "photos", ["face"] * 7)
        monkeypatch.setattr(landmarks, "BATCH_SIZE", 2)
        add, calls = DetectionCache.add, iter(range(2))

        def add_some(cache: DetectionCache, findings: pd.DataFrame) -> None:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            add(cache, findings)

        with monkeypatch.context() as patch:
            patch.setattr(DetectionCache, "add", add_some)
            with pytest.raises(KeyboardInterrupt):
                detect(fake, tmp_path, files)
        assert len(parts(tmp_path)) == 2
        fake.calls.clear()
        assert detect(fake, tmp_path, files)["status"].tolist() == ["detected"] * 7
        assert fake.looks == 3
        assert len(parts(tmp_path)) == 1

    def test_failures_are_tried_again(self, fake: Boxes, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["faulty", "face"])
        for _ in range(2):
            assert detect(fake, tmp_path, files)["status"].tolist() == ["fallback", "detected"]
            assert fake.looks > 0

        files = make_files(tmp_path / "photos", ["text"])
        assert detect(fake, tmp_path, files)["status"].tolist() == ["fallback"]
        draw("face").save(tmp_path / "photos" / "00.png")  # the medium was at fault, not the bytes
        assert detect(fake, tmp_path, files)["status"].tolist() == ["detected"]

    def test_damaged_parts_are_redone(self, fake: Boxes, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["face", "dim"])
        first = detect(fake, tmp_path, files)
        looks = fake.looks
        [part] = parts(tmp_path)
        part.write_bytes(part.read_bytes()[:-50])
        pd.testing.assert_frame_equal(detect(fake, tmp_path, files), first)
        assert fake.looks == looks

    def test_foreign_parts_are_removed(self, tmp_path: Path) -> None:
        finding = landmarks._findings_table(["a"], [Finding("missed", 3, 4)])
        DetectionCache(tmp_path).add(finding)
        [part] = tmp_path.rglob("*.parquet")
        finding.assign(width="wide").to_parquet(part.with_name("b.parquet"))
        pd.DataFrame({"x": [1]}).to_parquet(part.with_name("c.parquet"))
        part.with_name("d.parquet").write_bytes(b"something else " * 99)
        pd.testing.assert_frame_equal(DetectionCache(tmp_path).load(), finding)
        assert list(tmp_path.rglob("*.parquet")) == [part]

    @pytest.mark.parametrize(
        ("name", "value"), [("code_of", lambda _: "other"), ("WEIGHTS", {"pnet": "other"})]
    )
    def test_other_code_and_another_detector_have_other_findings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
    ) -> None:
        finding = landmarks._findings_table(["a"], [Finding("missed", 3, 4)])
        DetectionCache(tmp_path).add(finding)
        pd.testing.assert_frame_equal(DetectionCache(tmp_path).load(), finding)
        monkeypatch.setattr(landmarks, name, value)
        assert DetectionCache(tmp_path).load().empty

    def test_another_smallest_face_has_other_findings(self, fake: Boxes, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["face"])
        looks = []
        for min_face in (None, 40, None, 40):
            detect(fake, tmp_path, files, min_face=min_face)
            looks.append(fake.looks)
        assert looks == [1, 1, 0, 0]

    def test_the_smallest_face_reaches_the_detector(self, fake: Boxes, tmp_path: Path) -> None:
        detect(fake, tmp_path, make_files(tmp_path / "photos", ["empty"]), min_face=30)
        assert {call.min_face for call in fake.calls if call.size == (120, 100)} == {30}

    def test_with_nothing_new_torch_is_not_imported(self, fake: Boxes, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["face", "empty"])
        first = detect(fake, tmp_path, files)
        files.to_parquet(tmp_path / "files.parquet")
        script = f"""
import sys
from pathlib import Path
import pandas as pd
from contrastive_age.faces.landmarks import audit_landmarks, detect_landmarks
work = Path({str(tmp_path)!r})
files = pd.read_parquet(work / "files.parquet")


def load():
    raise AssertionError("there is nothing to find")


table = detect_landmarks(work / "photos", files, work_folder=work / "work", load_detector=load)
print(table["status"].tolist(), audit_landmarks(table)["n"])
print({{"torch", "mtcnn", "tensorflow", "joblib"}} & sys.modules.keys())
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == [f"{first['status'].tolist()} 2", "set()"]
        assert done.stderr == ""


class TestAudit:
    @pytest.fixture
    def table(self) -> pd.DataFrame:
        rows = [
            ("a", "detected", 0.99, 1, 0, 0),
            ("b", "retried", 0.9, 3, 2, 0),
            ("c", "annotated", np.nan, 0, 0, 0),
            ("d", "detected", 0.98, 2, 0, 1),
            ("e", "fallback", np.nan, 0, 0, 0),
            ("f", "detected", 0.98, 1, 3, 0),
        ]
        columns = ["sample_id", "status", "score", "faces_found", "turn", "larger_faces"]
        return pd.DataFrame(rows, columns=columns)

    def test_what_is_remarkable_is_named_and_counted(self, table: pd.DataFrame) -> None:
        report = audit_landmarks(table)
        assert report["n"] == 6
        assert report["status"] == {"detected": 3, "retried": 1, "annotated": 1, "fallback": 1}
        named = {name: own["items"] for name, own in report["anomalies"].items()}
        assert named == {
            "no_face": [
                {"sample_id": "c", "status": "annotated"},
                {"sample_id": "e", "status": "fallback"},
            ],
            "several_faces": [
                {"sample_id": "b", "faces_found": 3},
                {"sample_id": "d", "faces_found": 2},
            ],
            "larger_bystander": [{"sample_id": "d", "faces_found": 2, "larger_faces": 1}],
            "turned": [{"sample_id": "b", "turn": 2}, {"sample_id": "f", "turn": 3}],
        }
        for own in report["anomalies"].values():
            assert own["count"] == len(own["items"])
            assert own["explanation"].endswith(".")
        assert json.loads(json.dumps(report)) == report

    def test_of_no_photo(self, table: pd.DataFrame) -> None:
        report = audit_landmarks(table[:0])
        assert (report["n"], report["status"]) == (0, {})
        assert {own["count"] for own in report["anomalies"].values()} == {0}

    def test_of_what_was_detected(self, tmp_path: Path) -> None:
        """Two faces, of which the smaller one is central, in an upright photo and a turned one."""

        def see(canvases: np.ndarray, *_: object) -> list[np.ndarray]:
            # The bright corner of the photo is at the top left where the photo is upright.
            upright = canvases[:, :8, :8].min(axis=(1, 2, 3)) > 200
            rows = np.array([face(10, 10, 80, 80, 0.999), face(95, 95, 145, 145, 0.999)])
            return [rows if own else np.empty((0, 15)) for own in upright]

        (tmp_path / "photos").mkdir()
        photo = np.zeros((240, 240, 3), np.uint8)
        photo[:20, :20] = 255
        files = []
        for name, turn in (("upright", 0), ("turned", 1)):
            path = tmp_path / "photos" / f"{name}.png"
            Image.fromarray(np.rot90(photo, -turn)).save(path)
            files.append((name, path.name, name))
        table = detect_landmarks(
            tmp_path / "photos",
            pd.DataFrame(files, columns=["sample_id", "path", "digest"]),
            work_folder=tmp_path / "work",
            load_detector=lambda: see,
            progress=False,
        )
        assert table["faces_found"].tolist() == [2, 2]
        named = audit_landmarks(table)["anomalies"]
        assert [own["sample_id"] for own in named["larger_bystander"]["items"]] == [
            "upright", "turned",
        ]  # fmt: skip
        assert named["turned"]["items"] == [{"sample_id": "turned", "turn": 1}]


def test_the_detector_on_real_files(tmp_path: Path) -> None:
    """On a photo that comes with scikit-image, as it is and turned by its file, and on nothing."""
    from skimage.data import astronaut

    photos = tmp_path / "photos"
    photos.mkdir()
    upright = Image.fromarray(astronaut())
    turned = Image.Exif()
    turned[0x0112] = 6
    upright.save(photos / "a.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(photos / "b.png", exif=turned)
    upright.transpose(Image.Transpose.ROTATE_180).save(photos / "c.png")
    Image.new("RGB", (200, 300)).save(photos / "d.png")
    names = list("abcd")
    files = pd.DataFrame(
        {"sample_id": names, "path": [f"{name}.png" for name in names], "digest": names}
    )
    table = detect_landmarks(
        photos, files, work_folder=tmp_path, load_detector=load_mtcnn, progress=False
    )
    assert table["status"].tolist() == ["detected", "detected", "retried", "fallback"]
    assert table["turn"].tolist() == [0, 0, 2, 0]

    points = landmark_array(table)
    np.testing.assert_allclose(points[1], points[0], atol=1)
    np.testing.assert_allclose(511 - points[2], points[0], atol=2)
    eyes, nose, mouth = points[0, :2], points[0, 2], points[0, 3:]
    np.testing.assert_allclose(eyes, [[203.5, 100.5], [246.5, 103.5]], atol=3)
    assert eyes[0, 0] < nose[0] < eyes[1, 0]
    assert mouth[0, 0] < mouth[1, 0]
    assert eyes[:, 1].max() < nose[1] < mouth[:, 1].min()


@pytest.mark.real_data
def test_landmarks_agree_with_fgnets_own(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted((shared_data / "fgnet" / "images").iterdir())[::50]
    files = pd.DataFrame(
        {
            "sample_id": [path.stem for path in paths],
            "path": [path.name for path in paths],
            "digest": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        }
    )
    folder = paths[0].parent
    table = detect_landmarks(
        folder, files, work_folder=tmp_path, load_detector=load_mtcnn, progress=False
    )
    assert table["status"].isin(["detected", "retried"]).all()
    assert (table["turn"] == 0).all()
    errors = []
    for sample, points in zip(table["sample_id"], landmark_array(table), strict=True):
        lines = (
            (shared_data / "fgnet" / "points" / f"{sample.lower()}.pts").read_text().splitlines()
        )
        truth = np.array([[float(word) for word in line.split()] for line in lines[3:71]])
        truth = truth[[31, 36, 67, 48, 54]]
        eye_distance = np.linalg.norm(truth[0] - truth[1])
        errors.append(np.linalg.norm(points - truth, axis=1).mean() / eye_distance)
    assert np.median(errors) <= 0.05
    assert max(errors) < 0.2
