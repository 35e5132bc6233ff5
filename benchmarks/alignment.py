"""From photos to aligned faces: ours against the plain loop over MTCNN's `detect_faces`.

    python -m benchmarks.alignment --fgnet FOLDER    # the folder that holds images/ and points/

measures on photographs of FG-NET, and also the error of the landmarks against the annotated ones.

TensorFlow and torch crash in one process, so the plain loop runs in a child. Both clocks start when
the detectors are loaded and warm; what that takes is said apart.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.measuring import Comparison, Result, in_child

TARGET = 7.6
MOST_SECONDS_AGAIN = 1.0
LEAST_ON_GPU = 500
"""Decoded photos a second."""
DRAWN_SIDE = 400
"""Pixels of a drawn photo, about the size of FG-NET's."""
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pass:
    """One pass over the photos.

    Attributes:
        detecting: Seconds from the moment the detector is ready to the last landmarks.
        others: Seconds for reading files and aligning faces; 0 of the plain loop.
        loading: Seconds until the detector is ready; 0 where it was.
        points: Five landmarks a photo, (n, 5, 2) in pixels; NaN where no face was found.
        missed: Photos without a face at the first look.
        missed_at_last: Photos without a face after all looks.
    """

    detecting: float
    others: float
    loading: float
    points: Points
    missed: int
    missed_at_last: int

    @property
    def seconds(self) -> float:
        """All but loading."""
        return self.detecting + self.others


def plain(folder: Path, paths: Sequence[str]) -> Pass:
    """Call `detect_faces` on one photo after the other, in a process of its own."""
    found = in_child("benchmarks.detectors", str(folder), *paths)
    points = np.array([_largest(faces) for faces in found["faces"]])
    missed = sum(not faces for faces in found["faces"])
    return Pass(found["seconds"], 0.0, found["loading"], points, missed, missed)


def _largest(faces: list[list[float]]) -> Points:
    """The five points of the largest face."""
    if not faces:
        return np.full((5, 2), np.nan)
    left, top, right, bottom = np.array(faces)[:, :4].T
    return np.array(faces[np.argmax((right - left) * (bottom - top))][5:]).reshape(5, 2)


def ours(folder: Path, paths: Sequence[str], work: Path) -> Pass:
    """Read, detect and align as the pipeline does; what `work` holds of an earlier pass is kept.

    Args:
        folder: Where the photos are.
        paths: Below it.
        work: Where findings and faces are kept.
    """
    started = time.time()
    from contrastive_age.faces.alignment import DEFAULT_COVERAGE, landmark_array
    from contrastive_age.faces.landmarks import detect_landmarks
    from contrastive_age.faces.mtcnn import load_mtcnn
    from contrastive_age.faces.store import Wanted, build_faces
    from contrastive_age.sources.reading import inspect_files

    # The first call of every kernel takes longer.
    load_mtcnn("cpu")(np.zeros((16, 240, 240, 3), np.uint8))
    ready = time.time()
    workers = os.cpu_count() or 1
    table = work / "files.parquet"
    known = pd.read_parquet(table) if table.exists() else None
    files = inspect_files(folder, list(paths), known, progress=False)
    work.mkdir(parents=True, exist_ok=True)
    files.to_parquet(table)
    files = files.assign(sample_id=[str(Path(path).with_suffix("")) for path in paths])
    before = time.time()
    landmarks = detect_landmarks(
        folder,
        files,
        work_folder=work,
        load_detector=lambda: load_mtcnn("cpu"),
        workers=workers,
        progress=False,
    )
    detected = time.time()
    joined = files.merge(landmarks, on="sample_id")
    wanted = Wanted(DEFAULT_COVERAGE)
    build_faces(folder, joined, work, wanted, workers=workers, progress=False)
    ended = time.time()
    found = landmarks["status"].isin(["detected", "retried"]).to_numpy()
    points = landmark_array(landmarks)
    points[~found] = np.nan
    missed = int((landmarks["status"] != "detected").sum())
    return Pass(
        detected - before,
        before - ready + ended - detected,
        ready - started,
        points,
        missed,
        int((~found).sum()),
    )


def draw(folder: Path, photos: int) -> list[str]:
    """Draw as many people of all ages; give their paths."""
    from contrastive_age.drawn.face import draw_face

    paths = [f"{number:04d}.jpg" for number in range(photos)]
    for number, path in enumerate(paths):
        draw_face(number, number % 70, size=DRAWN_SIDE).save(folder / path, quality=92)
    return paths


def run(photos: int = 200, rounds: int = 2) -> Result:
    """Measure on drawn faces."""
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(Path(folder), photos + 1)
        compared, again, one_more = compare(Path(folder), paths[:-1], rounds, paths[-1])
    return _result(compared, again, one_more, photos, "drawn faces")


def compare(
    folder: Path, paths: Sequence[str], rounds: int, one_more: str
) -> tuple[list[tuple[Pass, Pass]], Pass, Pass]:
    """Take both ways in turn; then ours with nothing new, and with one photo more.

    Returns:
        Ours and the plain loop's passes, the second pass and the pass with a new photo.
    """
    with tempfile.TemporaryDirectory() as work:
        folders = [Path(work) / str(number) for number in range(rounds)]
        compared = [(ours(folder, paths, own), plain(folder, paths)) for own in folders]
        again = ours(folder, paths, folders[-1])
        return compared, again, ours(folder, [*paths, one_more], folders[-1])


def error(points: Points, truth: Points) -> float:
    """Median distance from the true landmarks over the photos with a face; 1: the eyes' distance.

    Args:
        points: (n, 5, 2) in pixels; NaN without a face.
        truth: Likewise.
    """
    eyes = np.linalg.norm(truth[:, 0] - truth[:, 1], axis=1)
    distance = np.linalg.norm(points - truth, axis=2).mean(axis=1) / eyes
    return float(np.nanmedian(distance))


def _result(
    compared: list[tuple[Pass, Pass]], again: Pass, one_more: Pass, photos: int, what: str
) -> Result:
    first, reference = compared[0]
    loading = statistics.median(own.loading for own, _ in compared)
    others = statistics.median(own.others for own, _ in compared)
    return Result(
        [
            Comparison(
                "detection against plain `detect_faces`",
                [photos / own.detecting for own, _ in compared],
                [photos / other.seconds for _, other in compared],
                "photos/s",
                TARGET,
                True,
            ),
            *(
                Comparison(
                    f"second pass with {what} new: time, limit",
                    [own.seconds],
                    [MOST_SECONDS_AGAIN],
                    "s",
                    1,
                    False,
                )
                for what, own in (("nothing", again), ("one photo", one_more))
            ),
        ],
        "Alignment",
        [
            f"{photos} {what}, the plain loop in a process of its own. Both clocks start when the",
            f"detectors are loaded and warm, for ours {loading:.1f} s after the call. Digesting",
            "files and aligning faces, which the plain loop does not do, takes ours",
            f"{others:.1f} s more.",
            f"Photos without a face: {first.missed} of ours at the first look,",
            f"{first.missed_at_last} after all looks, {reference.missed} of the plain loop.",
            f"A second pass with nothing new takes {again.seconds:.2f} s, with one new photo",
            f"{one_more.seconds:.2f} s.",
        ],
    )


def on_gpu(photos: int = 512) -> Result:
    """Find the main face of decoded photos on a GPU, held against a fixed speed."""
    from contrastive_age.drawn.face import draw_face
    from contrastive_age.faces.detection import BATCH_SIZE, Finder
    from contrastive_age.faces.mtcnn import load_mtcnn
    from contrastive_age.faces.search import on_threads

    finder = Finder(load_mtcnn("cuda"))
    images = [draw_face(n % 64, n % 70, size=DRAWN_SIDE) for n in range(photos)]
    chunks = [images[first : first + BATCH_SIZE] for first in range(0, photos, BATCH_SIZE)]
    finder.main_faces(chunks[0])
    workers = os.cpu_count() or 1
    speeds = []
    for _ in range(3):
        started = time.time()
        list(on_threads(finder.main_faces, chunks, workers))
        speeds.append(photos / (time.time() - started))
    line = Comparison(
        "main faces of decoded photos, least",
        speeds,
        [LEAST_ON_GPU] * 3,
        "photos/s",
        1,
        True,
        "cuda",
    )
    return Result([line], "Detection on cuda", [f"{photos} drawn photos of {DRAWN_SIDE} px."])


def run_on_fgnet(folder: Path, photos: int, rounds: int) -> list[str]:
    """Measure on photographs of FG-NET, spread evenly over all of them.

    Args:
        folder: Holds `images` and `points`.
        photos: How many are compared.
        rounds: How often.

    Returns:
        The findings, in Markdown.
    """
    from contrastive_age.faces.alignment import landmark_array
    from contrastive_age.sources import fgnet

    listed = fgnet.list_images(folder)
    every = np.linspace(0, len(listed) - 1, min(photos, len(listed))).astype(np.int64)
    paths = [listed[row] for row in every]
    samples = pd.DataFrame({"sample_id": paths, "path": paths})
    truth = landmark_array(samples.merge(fgnet.read_points(folder, samples), how="left"))
    with tempfile.TemporaryDirectory() as work:
        compared = []
        for number in range(rounds):
            mine = ours(folder, paths, Path(work) / str(number))
            compared.append((mine, plain(folder, paths)))
        whole = Path(work) / "whole"
        first = ours(folder, listed[:-1], whole)
        again = ours(folder, listed[:-1], whole)
        one_more = ours(folder, listed, whole)
    result = _result(compared, again, one_more, len(paths), "photographs of FG-NET")
    mine, other = compared[0]
    ratio = result.comparisons[0]
    return [
        f"Ratio {ratio.ratio:.2f} (target {TARGET:g}): "
        f"{statistics.median(ratio.ours):.1f} against "
        f"{statistics.median(ratio.reference):.2f} photos/s",
        *result.details,
        f"The passes with nothing or one photo new were over {len(listed)} photographs, the first",
        f"of which took {first.seconds:.0f} s from the call to the last face.",
        f"Median landmark error as part of the eyes' distance: {error(mine.points, truth):.4f} of",
        f"ours, {error(other.points, truth):.4f} of the plain loop.",
    ]


def main() -> None:
    """Compare on FG-NET."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fgnet", type=Path, required=True, help="the folder that holds images/ and points/"
    )
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    sys.stdout.write("\n".join(run_on_fgnet(chosen.fgnet, chosen.photos, chosen.rounds)) + "\n")


if __name__ == "__main__":
    main()
