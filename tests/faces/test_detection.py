"""Detection: the logic with a fake detector, the pool with real processes, and the real MTCNN."""

import hashlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from contrastive_age.errors import DataError
from contrastive_age.faces import detection
from contrastive_age.faces.alignment import (
    LANDMARK_COLUMNS,
    align,
    estimate_similarity,
    five_point_template,
    landmark_array,
    usable_landmarks,
)
from contrastive_age.faces.detection import (
    ATTEMPTS,
    BATCH_SIZE,
    Canvas,
    DetectionCache,
    Faces,
    Finding,
    Thresholds,
    choose_face,
    detect_landmarks,
    fallback_landmarks,
    find_faces,
)

FAKE = '''
"""Stands for MTCNN: a bright red box is a face, a dim one a face at low thresholds."""

import os
from pathlib import Path

import numpy as np


def detect(canvases, thresholds):
    with Path(os.environ["FAKE_LOG"]).open("a") as log:
        log.write("canvas\\n" * len(canvases))
    return [faces_on(canvas.astype(int), thresholds) for canvas in canvases]


def faces_on(canvas, thresholds):
    red, green, blue = canvas.transpose(2, 0, 1)
    if (green > 200).any():
        os.kill(os.getpid(), 9)
    if (blue > 200).any():
        raise ArithmeticError("a detector's fault")
    rows, columns = np.nonzero(red > 100)
    least = red.max() / 255
    if len(rows) == 0 or least < thresholds[2]:
        return np.empty((0, 15))
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    points = points * (right - left, bottom - top) + (left, top) - 0.5
    return np.array([[left, top, right, bottom, least, *points.ravel()]])


def load():
    return detect


def fail_to_load():
    raise ModuleNotFoundError("No module named 'mtcnn'")


def die_on_load():
    os._exit(3)
'''


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that workers can import, too; it counts the canvases it sees."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "fake_detector.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "canvases"))
    monkeypatch.delitem(sys.modules, "fake_detector", raising=False)
    import fake_detector  # type: ignore[import-not-found]

    return fake_detector


@pytest.fixture
def canvases_seen(tmp_path: Path) -> Callable[[], int]:
    """Give the number of canvases that the fake saw since the last call."""

    def count() -> int:
        log = tmp_path / "canvases"
        seen = len(log.read_text().splitlines()) if log.exists() else 0
        log.unlink(missing_ok=True)
        return seen

    return count


BOX = (20, 30, 60, 80)
COLOURS = {
    "face": (255, 0, 0),
    "dim": (170, 0, 0),
    "empty": (0, 0, 0),
    "deadly": (0, 255, 0),
    "faulty": (0, 0, 255),
}


def draw(kind: str, shade: int = 0) -> Image.Image:
    """A photo of 120x100 pixels with a box; the shade makes another photo of it."""
    image = Image.new("RGB", (120, 100), (shade, shade, shade))
    image.paste(COLOURS[kind], BOX)
    return image


def make_files(folder: Path, kinds: list[str]) -> pd.DataFrame:
    folder.mkdir(exist_ok=True)
    rows = []
    for index, kind in enumerate(kinds):
        path = folder / f"{index:02d}.png"
        if kind == "text":
            path.write_text(f"no image {index}")
        else:
            draw(kind, index).save(path)
        rows.append((path.stem, path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return pd.DataFrame(rows, columns=["sample_id", "path", "digest"])


def box_points() -> npt.NDArray[np.float64]:
    left, top, right, bottom = BOX
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    return points * (right - left, bottom - top) + (left, top) - 0.5


def face_row(
    left: float, top: float, right: float, bottom: float, score: float = 1.0
) -> list[float]:
    return [left, top, right, bottom, score, *range(10)]


class TestChooseFace:
    def test_of_one(self) -> None:
        assert choose_face(np.array([face_row(0, 0, 5, 5)]), (100, 100)) == 0

    def test_the_larger_of_equally_central(self) -> None:
        faces = np.array([face_row(40, 40, 60, 60), face_row(35, 35, 65, 65)])
        assert choose_face(faces, (100, 100)) == 1

    def test_the_more_central_of_equally_large(self) -> None:
        faces = np.array([face_row(0, 0, 20, 20), face_row(60, 40, 80, 60)])
        assert choose_face(faces, (100, 100)) == 1

    def test_a_large_face_beats_a_tiny_central_one(self) -> None:
        faces = np.array([face_row(48, 48, 52, 52), face_row(5, 20, 55, 80)])
        assert choose_face(faces, (100, 100)) == 1

    def test_a_sure_face_beats_a_doubtful_box(self) -> None:
        faces = np.array([face_row(40, 40, 60, 60, 0.6), face_row(40, 41, 60, 59, 1.0)])
        assert choose_face(faces, (100, 100)) == 1

    def test_against_the_formula(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(20):
            corners = generator.uniform(0, 60, (6, 2))
            sizes = generator.uniform(5, 60, (6, 2))
            scores = generator.uniform(0.6, 1, 6)
            faces = np.column_stack([corners, corners + sizes, scores, np.zeros((6, 10))])
            weights = []
            for (left, top), (width, height), score in zip(corners, sizes, scores, strict=True):
                off = math.hypot(left + width / 2 - 80, top + height / 2 - 50)
                weights.append(width * height * max(0, 1 - off / math.hypot(80, 50)) * score)
            assert choose_face(faces, (160, 100)) == weights.index(max(weights))


class TestFindFaces:
    @pytest.mark.parametrize("size", [(120, 100), (90, 200), (240, 240), (1000, 611)])
    def test_landmarks_are_in_pixels_of_the_photo(self, fake: Any, size: tuple[int, int]) -> None:
        image = draw("face").resize(size, Image.Resampling.NEAREST)
        [found] = find_faces([image], fake.detect)
        scale = np.divide(size, (120, 100))
        expected = (box_points() + 0.5) * scale - 0.5
        assert (found.status, found.width, found.height) == ("detected", *size)
        assert found.faces_found == 1
        tolerance = 2 * max(size) / 240
        np.testing.assert_allclose(np.reshape(found.landmarks, (5, 2)), expected, atol=tolerance)

    def test_statuses(self, fake: Any) -> None:
        kinds = ["empty", "face", "dim", "face", "empty"]
        found = find_faces([draw(kind) for kind in kinds], fake.detect)
        assert [one.status for one in found] == [
            "missed", "detected", "retried", "detected", "missed",
        ]  # fmt: skip
        assert math.isnan(found[0].score)
        assert found[0].faces_found == 0
        assert found[2].score == pytest.approx(170 / 255)

    def test_only_the_missed_are_retried_and_batches_are_small(self) -> None:
        calls: list[tuple[int, int, Thresholds]] = []

        def blind(canvases: list[Canvas], thresholds: Thresholds) -> list[Faces]:
            calls.append((len(canvases), canvases[0].shape[0], thresholds))
            assert all(canvas.shape == canvases[0].shape for canvas in canvases)
            sees = thresholds == ATTEMPTS[0].thresholds and len(calls) == 1
            return [np.array([face_row(0, 0, 9, 9)]) if sees else np.empty((0, 15))] * len(canvases)

        images = [draw("face")] * (BATCH_SIZE + 3)
        found = find_faces(images, blind)
        assert [one.status for one in found] == ["detected"] * BATCH_SIZE + ["missed"] * 3
        assert [(count, side) for count, side, _ in calls] == [
            (BATCH_SIZE, 240), (3, 240), (3, 240), (3, 480),
        ]  # fmt: skip
        assert all(low < high for low, high in zip(calls[2][2], calls[0][2], strict=True))

    def test_of_several_faces_the_chosen_one_counts_them(self) -> None:
        def several(canvases: list[Canvas], thresholds: Thresholds) -> list[Faces]:
            return [np.array([face_row(0, 0, 9, 9), face_row(80, 80, 160, 160, 0.9)])]

        [found] = find_faces([draw("face")], several)
        assert (found.faces_found, found.score) == (2, 0.9)

    def test_of_none(self, fake: Any) -> None:
        assert find_faces([], fake.detect) == []


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
    found = detection._findings_table(
        ["a", "b", "c", "d"],
        [
            Finding("detected", 6, 6, 0.9, 1, tuple(np.tile([2.0, 2.5], 5))),
            *[Finding("missed", 100, 100)] * 3,
        ],
    )
    files = pd.DataFrame({"sample_id": list("abcd"), "digest": list("abcd")})
    annotated = pd.DataFrame(
        [("b", *right.ravel()), ("c", *(right * 1e300).ravel()), ("d", *(right + 900).ravel())],
        columns=["sample_id", *LANDMARK_COLUMNS],
    )
    table = detection._landmarks_table(files, found, annotated)
    assert table["status"].tolist() == ["fallback", "annotated", "fallback", "fallback"]
    assert table["faces_found"].tolist() == [0] * 4
    assert table["score"].isna().all()
    points = landmark_array(table)
    np.testing.assert_allclose(points[0], fallback_landmarks(6, 6))
    np.testing.assert_allclose(points[1], right)
    np.testing.assert_allclose(points[2:], [fallback_landmarks(100, 100)] * 2)


class TestPool:
    def test_no_photo_is_lost_whatever_happens(
        self, fake: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        kinds = ["face", "dim", "empty", "deadly", "text", "empty", "faulty", "face", "empty"]
        files = make_files(tmp_path / "photos", kinds)
        given = five_point_template(size=50)
        annotated = pd.DataFrame(
            [("05", *given.ravel()), ("08", *np.full(10, np.nan)), ("00", *given.ravel())],
            columns=["sample_id", *LANDMARK_COLUMNS],
        )
        options: dict[str, Any] = {
            "work_folder": tmp_path / "work", "annotated": annotated, "load_detector": fake.load,
        }  # fmt: skip
        table = detect_landmarks(tmp_path / "photos", files, progress=False, **options)

        assert list(table.columns) == [
            "sample_id", "status", "score", "faces_found", *LANDMARK_COLUMNS,
        ]  # fmt: skip
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
            assert f"{name} failed in detection" in caplog.text

    def test_row_order_and_equal_photos(
        self, fake: Any, tmp_path: Path, canvases_seen: Callable[[], int]
    ) -> None:
        files = make_files(tmp_path / "photos", ["face", "dim", "face"])
        twin = files.iloc[[1]].assign(sample_id="twin")
        files = pd.concat([files.iloc[::-1], twin])
        table = detect_landmarks(
            tmp_path / "photos",
            files,
            work_folder=tmp_path,
            progress=False,
            load_detector=fake.load,
        )
        assert table["sample_id"].tolist() == ["02", "01", "00", "twin"]
        assert table["status"].tolist() == ["detected", "retried", "detected", "retried"]
        assert table.index.tolist() == [0, 1, 2, 3]
        assert canvases_seen() == 4  # three photos and one retry

    def test_a_missing_detector_is_an_error_not_a_fallback(self, fake: Any, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["face"])
        for load, error in (
            (fake.fail_to_load, ModuleNotFoundError),
            (fake.die_on_load, RuntimeError),
        ):
            with pytest.raises(error):
                detect_landmarks(
                    tmp_path / "photos",
                    files,
                    work_folder=tmp_path,
                    progress=False,
                    load_detector=load,
                )

    def test_many_crashes_have_a_common_cause(
        self, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(detection, "MAX_CRASHES", 1)
        files = make_files(tmp_path / "photos", ["faulty", "face", "faulty"])
        with pytest.raises(RuntimeError, match=r"2 photos failed in detection.*02\.png the last"):
            detect_landmarks(
                tmp_path / "photos",
                files,
                work_folder=tmp_path,
                progress=False,
                load_detector=fake.load,
            )

    def test_missing_photos_are_an_error(self, fake: Any, tmp_path: Path) -> None:
        files = make_files(tmp_path / "photos", ["face", "face"])
        (tmp_path / "photos" / "01.png").unlink()
        with pytest.raises(DataError, match=r"01\.png is missing"):
            detect_landmarks(
                tmp_path / "photos", files, work_folder=tmp_path, load_detector=fake.load
            )


class TestCache:
    def detect(self, fake: Any, tmp_path: Path, files: pd.DataFrame) -> pd.DataFrame:
        return detect_landmarks(
            tmp_path / "photos",
            files,
            work_folder=tmp_path / "work",
            workers=1,
            progress=False,
            load_detector=fake.load,
        )

    def test_only_new_and_changed_photos_are_looked_at(
        self, fake: Any, tmp_path: Path, canvases_seen: Callable[[], int]
    ) -> None:
        files = make_files(tmp_path / "photos", ["face", "face", "empty", "text"])
        first = self.detect(fake, tmp_path, files)
        assert canvases_seen() == 3 + 2
        pd.testing.assert_frame_equal(self.detect(fake, tmp_path, files), first)
        assert canvases_seen() == 0

        more = make_files(tmp_path / "photos", ["face", "dim", "empty", "text", "face"])
        third = self.detect(fake, tmp_path, more)
        assert canvases_seen() == 2 + 1
        assert third["status"].tolist() == [
            "detected", "retried", "fallback", "fallback", "detected",
        ]  # fmt: skip
        assert len(list((tmp_path / "work" / "detections").rglob("*.parquet"))) == 1

    def test_interrupted_detection_goes_on(
        self,
        fake: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        canvases_seen: Callable[[], int],
    ) -> None:
        files = make_files(tmp_path / "photos", ["face"] * 7)
        monkeypatch.setattr(detection, "CHUNK_SIZE", 2)
        add, calls = DetectionCache.add, iter(range(2))

        def add_some(cache: DetectionCache, findings: pd.DataFrame) -> None:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            add(cache, findings)

        with monkeypatch.context() as patch:
            patch.setattr(DetectionCache, "add", add_some)
            with pytest.raises(KeyboardInterrupt):
                self.detect(fake, tmp_path, files)
        canvases_seen()
        assert self.detect(fake, tmp_path, files)["status"].tolist() == ["detected"] * 7
        assert canvases_seen() == 3

    def test_failures_are_tried_again(
        self, fake: Any, tmp_path: Path, canvases_seen: Callable[[], int]
    ) -> None:
        files = make_files(tmp_path / "photos", ["faulty"])
        self.detect(fake, tmp_path, files)
        assert canvases_seen() > 0
        self.detect(fake, tmp_path, files)
        assert canvases_seen() > 0

        files = make_files(tmp_path / "photos", ["text"])
        assert self.detect(fake, tmp_path, files)["status"].tolist() == ["fallback"]
        draw("face").save(tmp_path / "photos" / "00.png")  # the medium was at fault, not the bytes
        assert self.detect(fake, tmp_path, files)["status"].tolist() == ["detected"]

    def test_damaged_parts_are_redone(
        self, fake: Any, tmp_path: Path, canvases_seen: Callable[[], int]
    ) -> None:
        files = make_files(tmp_path / "photos", ["face", "dim"])
        first = self.detect(fake, tmp_path, files)
        [part] = (tmp_path / "work" / "detections").rglob("*.parquet")
        part.write_bytes(part.read_bytes()[:-50])
        canvases_seen()
        pd.testing.assert_frame_equal(self.detect(fake, tmp_path, files), first)
        assert canvases_seen() == 3

    def test_foreign_parts_are_removed(self, tmp_path: Path) -> None:
        finding = detection._findings_table(["a"], [detection.Finding("missed", 3, 4)])
        DetectionCache(tmp_path).add(finding)
        [part] = tmp_path.rglob("*.parquet")
        finding.assign(width="wide").to_parquet(part.with_name("b.parquet"))
        pd.DataFrame({"x": [1]}).to_parquet(part.with_name("c.parquet"))
        part.with_name("d.parquet").write_bytes(b"something else " * 99)
        pd.testing.assert_frame_equal(DetectionCache(tmp_path).load(), finding)
        assert list(tmp_path.rglob("*.parquet")) == [part]

    def test_another_detector_has_other_findings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finding = detection._findings_table(["a"], [detection.Finding("missed", 3, 4)])
        DetectionCache(tmp_path).add(finding)
        pd.testing.assert_frame_equal(DetectionCache(tmp_path).load(), finding)
        monkeypatch.setattr(detection, "ATTEMPTS", ATTEMPTS[:1])
        assert DetectionCache(tmp_path).load().empty


def run_script(tmp_path: Path, script: str) -> subprocess.Popen[str]:
    """Start a script whose folder holds a stand-in for torch."""
    (tmp_path / "modules" / "torch.py").touch()
    path = tmp_path / "script.py"
    path.write_text(script)
    return subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_workers_do_not_import_the_main_script(fake: Any, tmp_path: Path) -> None:
    """A script without a guard, which imports torch, must neither start again nor reach workers."""
    make_files(tmp_path / "photos", ["face"]).to_parquet(tmp_path / "files.parquet")
    (tmp_path / "modules" / "watchful.py").write_text(
        "import sys\nimport fake_detector\n\n\ndef load():\n"
        "    assert 'torch' not in sys.modules\n    return fake_detector.detect\n"
    )
    script = f"""
import torch
from pathlib import Path
import pandas as pd, watchful
from contrastive_age.faces.detection import detect_landmarks
work = Path({str(tmp_path)!r})
files = pd.read_parquet(work / "files.parquet")
table = detect_landmarks(work / "photos", files, work_folder=work, load_detector=watchful.load)
print(table["status"].tolist())
"""
    process = run_script(tmp_path, script)
    output, _ = process.communicate(timeout=60)
    assert output.splitlines() == ["['detected']"]


def test_workers_end_with_their_parent(fake: Any, tmp_path: Path) -> None:
    make_files(tmp_path / "photos", ["face"]).to_parquet(tmp_path / "files.parquet")
    (tmp_path / "modules" / "endless.py").write_text(
        "import threading\n\n\ndef load():\n"
        "    print('busy', flush=True)\n    threading.Event().wait()\n"
    )
    script = f"""
from pathlib import Path
import pandas as pd, endless
from contrastive_age.faces.detection import detect_landmarks
work = Path({str(tmp_path)!r})
files = pd.read_parquet(work / "files.parquet")
detect_landmarks(work / "photos", files, work_folder=work, load_detector=endless.load)
"""
    process = run_script(tmp_path, script)
    assert process.stdout is not None
    assert process.stdout.readline() == "busy\n"
    process.send_signal(signal.SIGKILL)
    # The worker holds the other end of the pipe: its end is the end of the file.
    output, _ = process.communicate(timeout=60)
    assert output == ""


def test_mtcnn_refuses_to_run_beside_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    with pytest.raises(RuntimeError, match="torch is loaded"):
        detection.load_mtcnn()


WATCHED_MTCNN = """
import os, sys
from pathlib import Path
from contrastive_age.faces.detection import load_mtcnn


def load():
    detect = load_mtcnn()
    modules = [name for name in ("tensorflow", "mtcnn", "torch") if name in sys.modules]
    Path(os.environ["FAKE_LOG"]).write_text(" ".join(modules))
    return detect
"""


def test_mtcnn_in_a_worker(fake: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The real detector, on a photo that comes with scikit-image and on one of nothing."""
    from skimage.data import astronaut

    (tmp_path / "modules" / "watched_mtcnn.py").write_text(WATCHED_MTCNN)
    import watched_mtcnn  # type: ignore[import-not-found]

    photos = tmp_path / "photos"
    photos.mkdir()
    upright = Image.fromarray(astronaut())
    turned = Image.Exif()
    turned[0x0112] = 6
    upright.save(photos / "a.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(photos / "b.png", exif=turned)
    Image.new("RGB", (200, 300)).save(photos / "c.png")
    files = pd.DataFrame(
        {"sample_id": list("abc"), "path": ["a.png", "b.png", "c.png"], "digest": list("abc")}
    )
    before = set(sys.modules)
    table = detect_landmarks(
        photos, files, work_folder=tmp_path, progress=False, load_detector=watched_mtcnn.load
    )
    assert table["status"].tolist() == ["detected", "detected", "fallback"]
    assert (tmp_path / "canvases").read_text() == "tensorflow mtcnn"
    assert not {"tensorflow", "mtcnn", "keras"} & (set(sys.modules) - before)
    assert capfd.readouterr().err == ""

    points = landmark_array(table)
    np.testing.assert_allclose(points[1], points[0], atol=1)
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
    table = detect_landmarks(paths[0].parent, files, work_folder=tmp_path, progress=False)
    assert table["status"].isin(["detected", "retried"]).all()
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
