"""Finding five landmarks in every photo with MTCNN, in a pool of worker processes.

TensorFlow, on which MTCNN runs, and torch crash when they share a process. So MTCNN lives in
spawned workers that never import torch, and the parent never imports MTCNN or TensorFlow. Workers
import this module: it must not import any of them either.
"""

import functools
import logging
import math
import os
import sys
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from tqdm import tqdm

from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import (
    FACE_SIZE,
    LANDMARK_COLUMNS,
    Points,
    five_point_template,
    landmark_array,
    load_image,
    require_files,
    upright_size,
    usable_landmarks,
)
from contrastive_age.files import fingerprint, replacing
from contrastive_age.interruption import end_with_parent, interrupts_held, stop

logger = logging.getLogger(__name__)

Canvas = npt.NDArray[np.uint8]
Faces = npt.NDArray[np.float64]
Thresholds = tuple[float, float, float]

Detector = Callable[[list[Canvas], Thresholds], list[Faces]]
"""From canvases (side, side, 3) and the thresholds of MTCNN's three stages to the faces on each.

A face is a row of 15 numbers: left, top, right and bottom of its box, its confidence, and x and y
of the five points in the order of `alignment.POINTS`, in pixels of the canvas.
"""

FINDING_COLUMNS = ["status", "width", "height", "score", "faces_found", *LANDMARK_COLUMNS]

BATCH_SIZE = 16
"""Canvases in one call of the detector; on a CPU fewer and more were both slower."""

CHUNK_SIZE = 2 * BATCH_SIZE
"""Photos in one task of a worker: what is lost at most, times workers, when all is interrupted."""

MAX_CRASHES = 16
"""A photo or two may crash a worker; when more do, the fault is elsewhere and detection stops."""


LEAST_FALLBACK = 16
"""Side in pixels below which an assumed face's five points would fall into one another."""


@dataclass(frozen=True)
class Attempt:
    """One way of looking for faces.

    Attributes:
        status: What a photo is called whose face is found this way.
        side: Side of the square canvas in pixels, to which the photo's longest side is scaled.
        thresholds: The least confidence that MTCNN's three stages ask for.
    """

    status: str
    side: int
    thresholds: Thresholds


ATTEMPTS = (
    Attempt("detected", 240, (0.6, 0.7, 0.8)),
    Attempt("retried", 240, (0.5, 0.5, 0.6)),
    Attempt("retried", 480, (0.5, 0.5, 0.6)),
)
"""Tried in turn on the photos still without a face; the first has MTCNN's default thresholds."""


@dataclass(frozen=True)
class Finding:
    """What the detector says of one photo.

    Attributes:
        status: `detected`, `retried`, `missed` (no face), `unreadable` or `crashed`.
        width: Of the upright photo in pixels; 0 where unknown.
        height: Of the upright photo in pixels; 0 where unknown.
        score: The chosen face's confidence; NaN without a face.
        faces_found: Number of faces among which the one was chosen.
        landmarks: The values of `LANDMARK_COLUMNS` in pixels of the photo; NaN without a face.
    """

    status: str
    width: int = 0
    height: int = 0
    score: float = math.nan
    faces_found: int = 0
    landmarks: tuple[float, ...] = (math.nan,) * len(LANDMARK_COLUMNS)


@dataclass(frozen=True, eq=False)
class Sighting:
    """All faces that the detector sees in one photo.

    Attributes:
        status: `detected`, `retried` or `missed` (no face).
        size: Width and height of the upright photo in pixels.
        scaled: The same on the canvas on which the faces were found.
        faces: float64 (k, 15) in pixels of that canvas, see `Detector`; none where missed.
    """

    status: str
    size: tuple[int, int]
    scaled: tuple[int, int]
    faces: Faces

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The detector's confidence in each face, (k,)."""
        return self.faces[:, 4]

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """Left, top, right and bottom edge of each face in pixels of the photo, (k, 4).

        An edge counts from the photo's, as Pillow's boxes do, and may lie beyond it.
        """
        return np.asarray(self.faces[:, :4] * np.tile(np.divide(self.size, self.scaled), 2))

    @property
    def landmarks(self) -> Points:
        """The five points of each face in pixels of the photo, (k, 5, 2)."""
        points = (self.faces[:, 5:].reshape(-1, 5, 2) + 0.5) * np.divide(self.size, self.scaled)
        return np.asarray(points - 0.5)


def load_mtcnn() -> Detector:
    """Make the MTCNN detector, on one thread of the CPU. To be called in a worker only.

    Raises:
        RuntimeError: torch is loaded in this process.
    """
    if "torch" in sys.modules:
        raise RuntimeError("torch is loaded: TensorFlow beside it would crash this process")
    os.environ |= {
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    with _silent_stderr():
        from mtcnn import MTCNN
        from mtcnn.utils import bboxes

        mtcnn = MTCNN()
    bboxes.sort_by_scores = _sort_by_scores

    def detect(canvases: list[Canvas], thresholds: Thresholds) -> list[Faces]:
        names = ("threshold_pnet", "threshold_rnet", "threshold_onet")
        # The JSON output rounds landmarks to whole pixels, the array does not.
        # From integers it would compute in double precision, a sixth slower.
        rows = mtcnn.detect_faces(
            [canvas.astype(np.float32) for canvas in canvases],
            output_type="numpy",
            box_format="xyxy",
            **dict(zip(names, thresholds, strict=True)),
        )
        if len(rows) == 0:  # then it has an undefined number of columns
            return [np.empty((0, 15)) for _ in canvases]
        # Columns: photo, box, confidence, five x, five y.
        points = rows[:, 6:16].reshape(-1, 2, 5).transpose(0, 2, 1).reshape(-1, 10)
        faces = np.concatenate([rows[:, 1:6], points], axis=1)
        return [faces[rows[:, 0] == index] for index in range(len(canvases))]

    return detect


def _sort_by_scores(boxes: Faces, scores: npt.NDArray[np.float64], ascending: bool = True) -> Faces:
    """Sort boxes by their confidence, those of equal confidence staying in order.

    MTCNN's own sort is not stable: which of a face's boxes with a confidence of 1 is kept, and with
    it the landmarks by up to a pixel, would depend on the photos that happen to share the call.
    """
    return boxes[np.argsort(scores if ascending else -scores, kind="stable")]


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send the process's stderr nowhere: TensorFlow greets on it before its log level counts."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def find_faces(images: Sequence[Image.Image], detector: Detector) -> list[Finding]:
    """Find the face of each photo, trying the `ATTEMPTS` in turn.

    Args:
        images: Upright RGB photos.
        detector: Finds faces on canvases.

    Returns:
        One finding a photo: `detected`, `retried` or `missed`.
    """
    return [_finding(seen) for seen in find_all_faces(images, detector)]


def find_all_faces(images: Sequence[Image.Image], detector: Detector) -> list[Sighting]:
    """Find every face of each photo: those of the first of the `ATTEMPTS` that sees any.

    Args:
        images: Upright RGB photos.
        detector: Finds faces on canvases.

    Returns:
        One sighting a photo: `detected`, `retried` or `missed`.
    """
    seen = [Sighting("missed", image.size, image.size, np.empty((0, 15))) for image in images]
    for attempt in ATTEMPTS:
        missed = [index for index, own in enumerate(seen) if own.status == "missed"]
        for start in range(0, len(missed), BATCH_SIZE):
            batch = missed[start : start + BATCH_SIZE]
            canvases = [_canvas(images[index], attempt.side) for index in batch]
            found = detector(canvases, attempt.thresholds)
            for index, faces in zip(batch, found, strict=True):
                if len(faces):
                    size = images[index].size
                    scaled = _scaled_size(size, attempt.side)
                    seen[index] = Sighting(attempt.status, size, scaled, faces)
    return seen


def _scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _canvas(image: Image.Image, side: int) -> Canvas:
    """Scale a photo into the top left of a black square, so that all go through in one call."""
    canvas = Image.new("RGB", (side, side))
    size = _scaled_size(image.size, side)
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    return np.asarray(canvas)


def _finding(seen: Sighting) -> Finding:
    if not len(seen.faces):
        return Finding(seen.status, *seen.size)
    chosen = choose_face(seen.faces, seen.scaled)
    return Finding(
        seen.status,
        *seen.size,
        float(seen.scores[chosen]),
        len(seen.faces),
        tuple(seen.landmarks[chosen].ravel().tolist()),
    )


def choose_face(faces: Faces, size: tuple[int, int]) -> int:
    """Choose the largest central face.

    The one with the highest `area * (1 - d / r) * confidence`, where d is the distance of the box's
    centre from the photo's centre and r half the photo's diagonal. The confidence keeps a doubtful
    box around hair or clothes from winning against a sure face that is slightly smaller.

    Args:
        faces: float64 (k, 15), k > 0, see `Detector`.
        size: Width and height of the photo in the same pixels.

    Returns:
        The row of the chosen face.
    """
    boxes = faces[:, :4]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    middle = np.array(size) / 2
    distance = np.linalg.norm(centres - middle, axis=1) / np.linalg.norm(middle)
    return int(np.argmax(area * (1 - distance).clip(0) * faces[:, 4]))


@functools.cache
def loaded(load_detector: Callable[[], Detector]) -> Detector:
    """Give a worker's detector, made at the first call."""
    return load_detector()


def _check_detector(load_detector: Callable[[], Detector]) -> None:
    """Load the detector as a task: an error in a pool's initializer would not reach the parent."""
    loaded(load_detector)


def _detect_files(load_detector: Callable[[], Detector], paths: list[str]) -> list[Finding]:
    images: dict[str, Image.Image] = {}
    for path in paths:
        try:
            images[path] = load_image(Path(path))
        except DataError as error:
            logger.warning("%s", error)
    found = dict(zip(images, find_faces(list(images.values()), loaded(load_detector)), strict=True))
    return [found.get(path, Finding("unreadable")) for path in paths]


class _Worker(SpawnProcess):
    """A spawned process that does not import its parent's main script.

    That script may import torch, and one without a `__main__` guard would start again.
    """

    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _WorkerContext(SpawnContext):
    Process = _Worker


Item = TypeVar("Item")
Result = TypeVar("Result")


class DetectionWorkers(Generic[Item, Result]):
    """Worker processes that have a detector each: started when first needed, up until closed.

    What is asked of one photo is lost by no other's fault: when a worker dies or the detector fails
    at a chunk, the photos that were being worked on are taken one by one, in a fresh worker where
    it died, so that only the guilty ones fail.
    """

    def __init__(
        self,
        task: Callable[[Callable[[], Detector], list[Item]], list[Result]],
        number: int,
        load_detector: Callable[[], Detector] = load_mtcnn,
    ) -> None:
        """Start nothing yet.

        Args:
            task: What a worker does with a chunk, from what loads its detector (see `loaded`) and
                the chunk's items to a result for each; importable without torch, as are items and
                results.
            number: Of processes.
            load_detector: Makes the detector in a worker, where it must be importable.
        """
        self._task = task
        self._number = number
        self._load_detector = load_detector
        self._started: tuple[ProcessPoolExecutor, Future[None]] | None = None
        self._unfinished: set[Future[list[Result]]] = set()

    def run(
        self, waiting: deque[list[Item]]
    ) -> Generator[tuple[list[Item], list[Result] | BaseException], None, None]:
        """Work through chunks until none waits.

        Args:
            waiting: Chunks of items, taken from the left; more may be added between results.

        Yields:
            A chunk and its results, in the order they become ready; or a chunk of one item and the
            error that it ends in.

        Raises:
            RuntimeError: A worker died while it loaded its detector.
            Exception: What `load_detector` raised.
        """
        while waiting:
            suspects = yield from self._work(waiting, self._number)
            alone = deque([item] for chunk, _ in suspects for item in chunk)
            while alone:
                yield from (yield from self._work(alone, 1))

    def close(self) -> None:
        """End the workers, without waiting for what they are at."""
        if self._started is not None:
            pool, _ = self._started
            self._started = None
            self._finalizer.detach()
            stop(pool, finished=not self._unfinished)
            self._unfinished.clear()

    def _work(
        self, waiting: deque[list[Item]], at_once: int
    ) -> Generator[
        tuple[list[Item], list[Result] | BaseException],
        None,
        list[tuple[list[Item], BaseException]],
    ]:
        """Work through the chunks until all are done or some failed.

        Returns:
            The chunks that failed, or were being worked on when a worker died, with the error.
        """
        suspects: list[tuple[list[Item], BaseException]] = []
        running: dict[Future[list[Result]], list[Item]] = {}
        ready = self._start()
        try:
            while (waiting and not suspects) or running:
                if not suspects:
                    self._fill(running, waiting, at_once)
                ready.result()
                done = wait(running, return_when=FIRST_COMPLETED).done
                ended = [(running.pop(future), future) for future in done]
                suspects += [(chunk, error) for chunk, own in ended if (error := own.exception())]
                if not suspects:
                    # Before the results are given away: the workers need not wait for their reader.
                    with suppress(BrokenProcessPool):
                        self._fill(running, waiting, at_once)
                for chunk, future in ended:
                    if future.exception() is None:
                        yield chunk, future.result()
        except BrokenProcessPool as error:
            # Also when it broke while it had nothing to do: then there are no suspects.
            self.close()
            if not ready.done() or ready.exception() is not None:
                raise RuntimeError(
                    "a detection worker died while it loaded its detector"
                ) from error
            suspects += [(chunk, error) for chunk in running.values()]
        except Exception:
            self.close()
            raise
        if any(isinstance(error, BrokenProcessPool) for _, error in suspects):
            self.close()
        return suspects

    def _start(self) -> Future[None]:
        """Start a pool where none is up, and give the task that loads its first detector."""
        if self._started is None:
            pool = ProcessPoolExecutor(self._number, _WorkerContext(), end_with_parent)
            # A pool that outlives its interpreter's modules complains on stderr.
            self._finalizer = weakref.finalize(self, stop, pool, finished=False)
            self._started = pool, _submit(pool, _check_detector, self._load_detector)
        return self._started[1]

    def _fill(
        self, running: dict[Future[list[Result]], list[Item]], waiting: deque[list[Item]], most: int
    ) -> None:
        """Give the workers no more than a chunk each, so that few are suspected when one dies."""
        while waiting and len(running) < most:
            assert self._started is not None  # noqa: S101 - `_work` started it
            pool, _ = self._started
            future: Future[list[Result]] = _submit(
                pool, self._task, self._load_detector, waiting[0]
            )
            running[future] = waiting.popleft()
            self._unfinished.add(future)
            future.add_done_callback(self._unfinished.discard)


def _submit(pool: ProcessPoolExecutor, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Give a pool a task, for which it may start a process."""
    with interrupts_held():
        return pool.submit(task, *arguments)


def too_many_crashes(crashes: int, name: str, workers: int) -> RuntimeError:
    """The error that ends detection when more than `MAX_CRASHES` photos fail in it."""
    return RuntimeError(
        f"{crashes} photos failed in detection, {name} the last; look for a common cause, such as "
        f"too little memory for {workers} workers"
    )


def _run(
    paths: list[str], workers: int, load_detector: Callable[[], Detector]
) -> Generator[tuple[list[str], list[Finding]], None, None]:
    """Give findings of every photo, chunk by chunk, whatever becomes of the workers."""
    waiting = deque(paths[i : i + CHUNK_SIZE] for i in range(0, len(paths), CHUNK_SIZE))
    workers = min(workers, len(waiting))
    crashes = 0
    with closing(DetectionWorkers(_detect_files, workers, load_detector)) as pool:
        for chunk, outcome in pool.run(waiting):
            if not isinstance(outcome, BaseException):
                yield chunk, outcome
                continue
            crashes += 1
            if crashes > MAX_CRASHES:
                raise too_many_crashes(crashes, chunk[0], workers) from outcome
            logger.warning("%s failed in detection: %r", chunk[0], outcome)
            yield chunk, [Finding("crashed", *upright_size(Path(chunk[0])))]


class DetectionCache:
    """Findings on disk by the photos' digests, kept for one detector with one set of parameters.

    Every addition is a file of its own, written beside and renamed, so an interruption loses none.
    """

    def __init__(self, folder: Path) -> None:
        """Use a subfolder of `folder` that is named by the detector's version and parameters."""
        detector = fingerprint(version("mtcnn"), [asdict(attempt) for attempt in ATTEMPTS])
        self._folder = folder / detector

    def load(self) -> pd.DataFrame:
        """Read all findings: `FINDING_COLUMNS`, indexed by `digest`. Damaged files are removed."""
        tables = [empty := _findings_table([], [])]
        for part in self._parts():
            try:
                table = pd.read_parquet(part)[FINDING_COLUMNS]
                table.index = table.index.astype(empty.index.dtype).rename(empty.index.name)
                tables.append(table.astype(empty.dtypes))
            except Exception as error:  # a damaged or foreign file can fail in any way
                logger.warning("%s is damaged and removed; its photos are redone: %s", part, error)
                part.unlink()
        found = pd.concat(tables)
        return found[~found.index.duplicated()]

    def add(self, findings: pd.DataFrame) -> None:
        """Write findings, as `load` gives them, into a new file."""
        if len(findings):
            with replacing(self._folder / f"{fingerprint(*findings.index)}.parquet") as part:
                findings.to_parquet(part)

    def compact(self) -> None:
        """Put all files into one."""
        parts = self._parts()
        if len(parts) > 1:
            findings = self.load()
            self.add(findings)
            kept = fingerprint(*findings.index)
            for part in parts:
                if part.stem != kept:
                    part.unlink(missing_ok=True)

    def _parts(self) -> list[Path]:
        # Dot files are being written.
        return sorted(self._folder.glob("[!.]*.parquet"))


def _findings_table(digests: list[str], findings: list[Finding]) -> pd.DataFrame:
    rows = [
        (found.status, found.width, found.height, found.score, found.faces_found, *found.landmarks)
        for found in findings
    ]
    table = pd.DataFrame(
        rows, index=pd.Index(digests, name="digest", dtype=str), columns=FINDING_COLUMNS
    )
    integers = dict.fromkeys(("width", "height", "faces_found"), np.int64)
    reals = dict.fromkeys(("score", *LANDMARK_COLUMNS), np.float64)
    return table.astype({"status": str, **integers, **reals})


def fallback_landmarks(width: int, height: int) -> Points:
    """Place five points as if the face filled the photo's central square.

    Args:
        width: Of the photo in pixels; 0 where unknown.
        height: Of the photo in pixels; 0 where unknown.

    Returns:
        float64 (5, 2) in pixels; aligned with the default coverage they give the central square. On
        photos of a few pixels they reach beyond its edges, so that they stay apart.
    """
    side = max(min(width, height), LEAST_FALLBACK) if min(width, height) else FACE_SIZE
    shift = np.array([(size - side) / 2 if size else 0 for size in (width, height)])
    points: Points = five_point_template(size=side) + shift
    return points


def detect_landmarks(
    folder: Path,
    files: pd.DataFrame,
    *,
    work_folder: Path,
    annotated: pd.DataFrame | None = None,
    workers: int = 2,
    progress: bool = True,
    load_detector: Callable[[], Detector] = load_mtcnn,
) -> pd.DataFrame:
    """Find the five landmarks of every photo; no photo is ever left out.

    A photo without a face at MTCNN's default thresholds is tried again with lower ones, then also
    enlarged (`retried`); then its annotated landmarks are used where there are any (`annotated`);
    then a face is assumed to fill the photo's central square (`fallback`). Photos that cannot be
    read or that crash a worker end as `annotated` or `fallback`, too, with a warning.

    Findings are kept in `work_folder/detections` by the photo's digest, so an interrupted call goes
    on where it stopped, and a second one looks only at new, changed, unreadable and crashed photos.

    Args:
        folder: The source's folder.
        files: `sample_id`, `path` (below `folder`) and `digest` of the bytes; one row a photo.
        work_folder: Where findings are kept.
        annotated: `sample_id` and `LANDMARK_COLUMNS` in pixels of the upright photo, of any photos.
        workers: Number of worker processes, each with one TensorFlow thread.
        progress: Whether to draw a progress bar on stderr while there is something to do.
        load_detector: Makes the detector in a worker, where it must be importable.

    Returns:
        `sample_id`, `status`, `score`, `faces_found` and `LANDMARK_COLUMNS` in pixels of the
        upright photo, in the row order of `files`. `score` is the detector's confidence; NaN for
        `annotated` and `fallback`, whose `faces_found` is 0.

    Raises:
        DataError: Photos are missing.
        RuntimeError: The workers cannot start, or more than `MAX_CRASHES` photos fail in them.
    """
    cache = DetectionCache(work_folder / "detections")
    known = cache.load()
    new = files[~files["digest"].isin(known.index)].drop_duplicates("digest")
    paths = [str(folder / path) for path in new["path"]]
    digests = dict(zip(paths, new["digest"], strict=True))
    require_files(Path(path) for path in paths)

    tables = [known]
    with (
        closing(_run(paths, workers, load_detector)) as results,
        tqdm(
            total=len(paths),
            desc="Detecting faces",
            unit="photo",
            disable=not (progress and paths),
        ) as bar,
    ):
        for chunk, findings in results:
            table = _findings_table([digests[path] for path in chunk], findings)
            # The others may have failed for a passing cause.
            cache.add(table[table["status"].isin(["detected", "retried", "missed"])])
            tables.append(table)
            bar.update(len(chunk))
    cache.compact()
    return _landmarks_table(files, pd.concat(tables), annotated)


def _annotates(points: Points, width: int, height: int) -> bool:
    """Whether annotated points can be those of a face in the photo: usable, and near its frame."""
    if not usable_landmarks(points):
        return False
    # A face may be cut off; where the size is unknown, any place will do.
    size = np.array([width, height])
    return not size.all() or bool(((points > -size) & (points < 2 * size)).all())


def _landmarks_table(
    files: pd.DataFrame, findings: pd.DataFrame, annotated: pd.DataFrame | None
) -> pd.DataFrame:
    """Join findings to the photos, and give points to those without a face."""
    table = findings.loc[files["digest"]].reset_index(drop=True)
    table.insert(0, "sample_id", files["sample_id"].to_numpy())
    points = landmark_array(table).copy()
    # On a photo of a few pixels, enlarged, a face's points can be found in one and the same.
    usable = np.array([usable_landmarks(own) for own in points], dtype=bool)
    found = table["status"].isin(["detected", "retried"]).to_numpy() & usable
    known: dict[str, Points] = {}
    if annotated is not None:
        known = dict(zip(annotated["sample_id"], landmark_array(annotated), strict=True))
    for row in np.flatnonzero(~found):
        photo = table.iloc[row]
        given = known.get(photo["sample_id"])
        if given is not None and _annotates(given, photo["width"], photo["height"]):
            points[row], status = given, "annotated"
        else:
            points[row] = fallback_landmarks(photo["width"], photo["height"])
            status = "fallback"
        table.loc[row, ["status", "score", "faces_found"]] = status, math.nan, 0
    table[LANDMARK_COLUMNS] = points.reshape(len(table), -1)
    return table[["sample_id", "status", "score", "faces_found", *LANDMARK_COLUMNS]]
