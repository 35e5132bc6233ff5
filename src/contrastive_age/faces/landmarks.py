"""The five landmarks of every photo of a source, found once and kept."""

import functools
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from contrastive_age import tables
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
from contrastive_age.faces.detection import BATCH_SIZE, Detector, Finder, Sighting, areas
from contrastive_age.faces.search import MOST_FAILURES, found_in, on_threads, too_many_failures
from contrastive_age.faces.weights import WEIGHTS
from contrastive_age.files import DAY, fingerprint, remove_unfinished, replacing
from contrastive_age.provenance import code_of

logger = logging.getLogger(__name__)

LEAST_FALLBACK = 16
"""Side in pixels below which an assumed face's five points would fall into one another."""


@dataclass(frozen=True)
class Finding:
    """The face of one photo, as far as the detector tells.

    Attributes:
        status: `detected`, `retried`, `missed` (no face), `unreadable` or `failed`.
        width: Of the upright photo in pixels; 0 where unknown.
        height: Of the upright photo in pixels; 0 where unknown.
        turn: Quarter turns, counter-clockwise, that make the photo upright.
        score: The chosen face's confidence; NaN without a face.
        faces_found: Number of faces among which the one was chosen.
        larger_faces: Number of those that are larger than it.
        landmarks: The values of `LANDMARK_COLUMNS` in pixels of the photo; NaN without a face.
    """

    status: str
    width: int = 0
    height: int = 0
    turn: int = 0
    score: float = math.nan
    faces_found: int = 0
    larger_faces: int = 0
    landmarks: tuple[float, ...] = (math.nan,) * len(LANDMARK_COLUMNS)


FINDING_TYPES: dict[str, type] = {
    "status": str,
    **dict.fromkeys(("width", "height", "turn"), np.int64),
    "score": np.float64,
    **dict.fromkeys(("faces_found", "larger_faces"), np.int64),
    **dict.fromkeys(LANDMARK_COLUMNS, np.float64),
}
"""Columns of a table of findings."""

TABLE_COLUMNS = ["sample_id", "status", "score", "faces_found", *LANDMARK_COLUMNS]
"""Of `landmarks.parquet`."""


def finding_of(seen: Sighting) -> Finding:
    """Put the main face of a photo into words for a table."""
    if not len(seen.faces):
        return Finding(seen.status, *seen.size)
    sizes = areas(seen.faces)
    return Finding(
        seen.status,
        *seen.size,
        seen.look.turn,
        float(seen.scores[seen.main]),
        len(seen.faces),
        int((sizes > sizes[seen.main]).sum()),
        tuple(seen.landmarks[seen.main].ravel().tolist()),
    )


def _find_in_files(finder: Finder, paths: Sequence[str]) -> list[Finding]:
    outcomes = found_in(paths, _opened, finder.main_faces)
    return [_finding(path, outcome) for path, outcome in zip(paths, outcomes, strict=True)]


def _opened(path: str) -> Image.Image | str:
    try:
        return load_image(Path(path))
    except DataError as error:
        return str(error)


def _finding(path: str, outcome: Sighting | str | Exception) -> Finding:
    if isinstance(outcome, Sighting):
        return finding_of(outcome)
    if isinstance(outcome, str):
        logger.warning("%s", outcome)
        return Finding("unreadable")
    logger.warning("%s failed in detection: %r", path, outcome)
    return Finding("failed", *upright_size(Path(path)))


def decided_by(min_face: float | None) -> dict[str, Any]:
    """What decides, beside the photos, which face is found where; by name.

    Args:
        min_face: Pixels from which faces are looked for, see `detect_landmarks`.
    """
    return {
        "min_face": min_face,
        "detector": fingerprint(WEIGHTS),
        "code of detection": code_of(detect_landmarks),
    }


def table_decided_by(samples: pd.DataFrame, min_face: float | None) -> dict[str, Any]:
    """What decides the landmarks of some samples; by name.

    Args:
        samples: Their `attrs` name their photos, see `store.photos_digest`.
        min_face: See `decided_by`.
    """
    return decided_by(min_face) | {"photos": samples.attrs.get("photos")}


class DetectionCache:
    """Findings on disk by the photos' digests, kept for one way of finding faces.

    Every addition is a file of its own, written beside and renamed, so an interruption loses none.
    """

    def __init__(self, folder: Path, min_face: float | None = None) -> None:
        """Use a subfolder of `folder` that is named by what decides the findings."""
        self._folder = folder / fingerprint(decided_by(min_face))

    def load(self) -> pd.DataFrame:
        """Read all findings: `FINDING_TYPES`, indexed by `digest`. Damaged files are removed."""
        # Manifests share them, and so may be writing into them now.
        remove_unfinished(self._folder, older_than=DAY)
        found = [empty := _findings_table([], [])]
        for part in self._parts():
            try:
                table = tables.read(part)[list(FINDING_TYPES)]
                table.index = table.index.astype(empty.index.dtype).rename(empty.index.name)
                found.append(table.astype(empty.dtypes))
            except FileNotFoundError:  # another run has put it into one with others
                return self.load()
            except Exception as error:  # a damaged or foreign file can fail in any way
                logger.warning("%s is damaged and removed; its photos are redone: %s", part, error)
                part.unlink(missing_ok=True)
        findings = pd.concat(found)
        return findings[~findings.index.duplicated()]

    def add(self, findings: pd.DataFrame) -> None:
        """Write findings, as `load` gives them, into a new file."""
        if len(findings):
            with replacing(self._part(findings)) as part:
                tables.write(findings, part)

    def compact(self) -> None:
        """Put all files into one."""
        parts = self._parts()
        if len(parts) > 1:
            findings = self.load()
            self.add(findings)
            for part in set(parts) - {self._part(findings)}:
                part.unlink(missing_ok=True)

    def _part(self, findings: pd.DataFrame) -> Path:
        return self._folder / f"{fingerprint(*findings.index)}.parquet"

    def _parts(self) -> list[Path]:
        # Dot files are being written.
        return sorted(self._folder.glob("[!.]*.parquet"))


def _findings_table(digests: list[str], findings: list[Finding]) -> pd.DataFrame:
    rows = [(*list(vars(finding).values())[:-1], *finding.landmarks) for finding in findings]
    index = pd.Index(digests, name="digest", dtype=str)
    return pd.DataFrame(rows, index=index, columns=list(FINDING_TYPES)).astype(FINDING_TYPES)


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
    return np.asarray(five_point_template(size=side) + shift)


def detect_landmarks(
    folder: Path,
    files: pd.DataFrame,
    *,
    work_folder: Path,
    load_detector: Callable[[], Detector],
    min_face: float | None = None,
    annotated: pd.DataFrame | None = None,
    workers: int = 2,
    progress: bool = True,
) -> pd.DataFrame:
    """Find the five landmarks of every photo; no photo is ever left out.

    A photo in which no look sees a face (see `Finder.main_faces`) gets its annotated landmarks
    where there are any (`annotated`); else a face is assumed to fill its central square
    (`fallback`). Photos that cannot be read or at which detection fails end so, too, with a
    warning.

    Findings are kept in `work_folder/detections` by the photo's digest, so an interrupted call goes
    on where it stopped, and a second one looks only at new, changed, unreadable and failed photos.

    Args:
        folder: The source's folder.
        files: `sample_id`, `path` (below `folder`) and `digest` of the bytes; one row a photo.
        work_folder: Where findings are kept.
        load_detector: Gives the detector; called only where there is something to find.
        min_face: Pixels from which all faces are looked for where none is large; see `least_face`.
        annotated: `sample_id` and `LANDMARK_COLUMNS` in pixels of the upright photo, of any photos.
        workers: Number of threads.
        progress: Whether to draw a progress bar on stderr while there is something to do.

    Returns:
        `sample_id`, `status`, `score`, `faces_found` and `LANDMARK_COLUMNS` in pixels of the
        upright photo, in the row order of `files`, and behind them `turn` and `larger_faces`, see
        `Finding`. `score` is the detector's confidence; NaN for `annotated` and `fallback`, whose
        `faces_found` is 0.

    Raises:
        DataError: Photos are missing.
        RuntimeError: Detection fails at more than `MOST_FAILURES` photos.
    """
    cache = DetectionCache(work_folder / "detections", min_face)
    known = cache.load()
    new = files[~files["digest"].isin(known.index)].drop_duplicates("digest")
    paths = [str(folder / path) for path in new["path"]]
    digests = dict(zip(paths, new["digest"], strict=True))
    require_files(Path(path) for path in paths)

    found = [known]
    if paths:
        look = functools.partial(_find_in_files, Finder(load_detector(), min_face))
        chunks = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
        shown = not progress or None
        bar = tqdm(total=len(paths), desc="Detecting faces", unit="photo", disable=shown)
        failed: list[str] = []
        with bar, closing(on_threads(look, chunks, min(workers, len(chunks)))) as results:
            for chunk, findings in zip(chunks, results, strict=True):
                table = _findings_table([digests[path] for path in chunk], findings)
                # The others may have failed for a passing cause.
                cache.add(table[table["status"].isin(["detected", "retried", "missed"])])
                found.append(table)
                bar.update(len(chunk))
                failed += compress(chunk, table["status"] == "failed")
                if len(failed) > MOST_FAILURES:
                    raise too_many_failures(len(failed), failed[-1])
    cache.compact()
    return _landmarks_table(files, pd.concat(found), annotated)


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
    usable = np.array([usable_landmarks(five) for five in points], dtype=bool)
    seen = table["status"].isin(["detected", "retried"]).to_numpy() & usable
    known: dict[str, Points] = {}
    if annotated is not None:
        known = dict(zip(annotated["sample_id"], landmark_array(annotated), strict=True))
    for row in np.flatnonzero(~seen):
        photo = table.iloc[row]
        given = known.get(photo["sample_id"])
        if given is not None and _annotates(given, photo["width"], photo["height"]):
            points[row], status = given, "annotated"
        else:
            points[row] = fallback_landmarks(photo["width"], photo["height"])
            status = "fallback"
        nothing = ["status", "score", "faces_found", "larger_faces", "turn"]
        table.loc[row, nothing] = status, math.nan, 0, 0, 0
    table[LANDMARK_COLUMNS] = points.reshape(len(table), len(LANDMARK_COLUMNS))
    return table[[*TABLE_COLUMNS, "turn", "larger_faces"]]


def audit_landmarks(landmarks: pd.DataFrame) -> dict[str, Any]:
    """Count and name the photos whose face a person should look at.

    Args:
        landmarks: From `detect_landmarks`.

    Returns:
        A dictionary that JSON can hold: `n`, the number of photos of each `status`, and
        `anomalies`: for each its `count`, an `explanation` and the `items`.
    """
    status, several = landmarks["status"], landmarks["faces_found"] > 1
    kinds = {
        "no_face": (
            "No face was found, or the photo could not be read: annotated points are used, or its "
            "central square.",
            status.isin(["annotated", "fallback"]),
            ["sample_id", "status"],
        ),
        "several_faces": (
            "The look that found the face saw several, and the largest central one was taken.",
            several,
            ["sample_id", "faces_found"],
        ),
        "larger_bystander": (
            "The face that was taken is central, and another one is larger.",
            landmarks["larger_faces"] > 0,
            ["sample_id", "faces_found", "larger_faces"],
        ),
        "turned": (
            "The photo lies on its side or upside down, by so many quarter turns.",
            landmarks["turn"] > 0,
            ["sample_id", "turn"],
        ),
    }
    return {
        "n": len(landmarks),
        "status": {str(name): int(count) for name, count in status.value_counts().items()},
        "anomalies": {
            name: {
                "count": int(rows.sum()),
                "explanation": explanation,
                "items": landmarks.loc[rows, columns].to_dict("records"),
            }
            for name, (explanation, rows, columns) in kinds.items()
        },
    }
