"""From photos to aligned faces: ours against the plain loop over MTCNN's `detect_faces`.

    python -m benchmarks.alignment --fgnet FOLDER    # the folder that holds images/ and points/

measures on photographs of FG-NET, and also the error of the landmarks against the annotated ones.

TensorFlow and torch crash in one process, so the plain loop runs in a child, and nothing here
imports torch. Both clocks start when the detectors are loaded and warm; what that takes is said
apart.
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

from benchmarks import detectors
from benchmarks.measuring import Comparison, Result, in_child

TARGET = 7.0
MOST_SECONDS_AGAIN = 2.0
DRAWN_SIDE = 400
"""Pixels of a drawn photo, about the size of FG-NET's."""
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pass:
    """One pass over the photos.

    Attributes:
        detecting: Seconds from the moment the detectors are ready to the last landmarks.
        others: Seconds for reading files and aligning faces; 0 of the plain loop.
        loading: Seconds until the detectors are ready; 0 where nothing had to be detected.
        points: Five landmarks a photo, (n, 5, 2) in pixels; NaN where no face was found.
        missed: Photos without a face at the detector's own thresholds.
        missed_at_last: Photos without a face after all further attempts.
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
    points = np.array(
        [np.full((5, 2), np.nan) if own is None else own for own in found["points"]], np.float64
    )
    missed = sum(own is None for own in found["points"])
    return Pass(found["seconds"], 0.0, found["loading"], points, missed, missed)


def ours(folder: Path, paths: Sequence[str], work: Path, *, warm: bool = True) -> Pass:
    """Read, detect and align as the pipeline does; what `work` holds of an earlier pass is kept.

    Args:
        folder: Where the photos are.
        paths: Below it.
        work: Where findings and faces are kept.
        warm: Whether the clock waits until the detectors are ready; else all is detecting.
    """
    from contrastive_age.faces.alignment import landmark_array
    from contrastive_age.faces.detection import detect_landmarks, load_mtcnn
    from contrastive_age.faces.store import build_faces
    from contrastive_age.sources.reading import inspect_files

    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as stamps:
        os.environ[detectors.STAMPS] = stamps
        started = time.time()
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
            workers=workers,
            progress=False,
            load_detector=detectors.load_warm if warm else load_mtcnn,
        )
        # the first to be ready begins to work while the others load, so the clock starts then
        ready = min(detectors.stamps(Path(stamps)), default=before)
        detected = time.time()
        joined = files.merge(landmarks, on="sample_id")
        build_faces(folder, joined, work, workers=workers, progress=False)
        ended = time.time()
    found = landmarks["status"].isin(["detected", "retried"]).to_numpy()
    points = landmark_array(landmarks)
    points[~found] = np.nan
    missed = int((landmarks["status"] != "detected").sum())
    return Pass(
        detected - ready,
        before - started + ended - detected,
        ready - before,
        points,
        missed,
        int((~found).sum()),
    )


def draw(folder: Path, photos: int) -> list[str]:
    """Draw as many people of all ages; give their paths."""
    from contrastive_age.sources.drawing import draw_face

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
        again = ours(folder, paths, folders[-1], warm=False)
        return compared, again, ours(folder, [*paths, one_more], folders[-1], warm=False)


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
            Comparison(
                "second pass with nothing new: time, limit",
                [again.seconds],
                [MOST_SECONDS_AGAIN],
                "s",
                1,
                False,
            ),
        ],
        "Alignment",
        [
            f"{photos} {what}, each way in processes of its own. Both clocks start when the",
            f"detectors are loaded and warm, for ours {loading:.1f} s after the call. Digesting",
            "files and aligning faces, which the plain loop does not do, takes ours",
            f"{others:.1f} s more.",
            f"Photos without a face: {first.missed} of ours at the detector's own thresholds,",
            f"{first.missed_at_last} after further attempts, {reference.missed} of the plain loop.",
            f"A second pass with nothing new takes {again.seconds:.2f} s, one new photo",
            f"{one_more.seconds:.1f} s, nearly all of it to load TensorFlow and build its graphs.",
        ],
    )


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
        first = ours(folder, listed[:-1], whole, warm=False)
        again = ours(folder, listed[:-1], whole, warm=False)
        one_more = ours(folder, listed, whole, warm=False)
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
