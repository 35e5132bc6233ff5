"""Photos to landmarks to aligned faces."""

import functools
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age import packed
from contrastive_age.errors import DataError
from contrastive_age.faces import store
from contrastive_age.faces.detection import Detector, default_workers
from contrastive_age.faces.landmarks import TABLE_COLUMNS, audit_landmarks, detect_landmarks
from contrastive_age.files import fingerprint
from contrastive_age.params import Alignment, Computing, Detection, Source
from contrastive_age.sources import fgnet, layouts

logger = logging.getLogger(__name__)

WRITTEN = ("landmarks.parquet", "audit.json", "faces.npy")
"""The files of the alignment folder that later stages read."""


def detect(
    source: Source,
    samples: pd.DataFrame,
    files: pd.DataFrame,
    alignment_folder: Path,
    detection: Detection,
    computing: Computing,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Find the landmarks of every sample, or keep those that were packed.

    Args:
        source: The source's layout and folder.
        samples: The source's samples.
        files: The source's files with their digests.
        alignment_folder: Where findings are kept, so that only new photos are looked at.
        detection: The smallest face that is looked for, and the number of threads.
        computing: The device.

    Returns:
        The landmarks, in the order of the samples, and what is remarkable about them.

    Raises:
        DataError: Photos are missing, or what was packed is of other samples or damaged.
    """
    kept = packed.read(alignment_folder)
    if kept is not None:
        kept.require(samples=samples.attrs.get("fingerprint"), min_face=detection.min_face)
        table, audit = map(kept.checked, WRITTEN[:2])
        return pd.read_parquet(table), json.loads(audit.read_text(encoding="utf-8"))
    found = detect_landmarks(
        layouts.photo_folder(source.layout, source.folder, source.manifest, source.outside),
        _with_digests(samples, files),
        work_folder=alignment_folder,
        load_detector=functools.partial(_load_detector, computing.device),
        min_face=detection.min_face,
        annotated=fgnet.read_points(source.folder, samples) if source.layout == "fgnet" else None,
        workers=detection.workers or default_workers(),
    )
    landmarks, report = found[TABLE_COLUMNS].copy(), audit_landmarks(found)
    landmarks.attrs["min_face"] = detection.min_face
    landmarks.attrs["fingerprint"] = landmarks_fingerprint(samples, landmarks)
    kinds = {name: own["count"] for name, own in report["anomalies"].items() if own["count"]}
    counts = [f"{n} {name.replace('_', ' ')}" for name, n in (report["status"] | kinds).items()]
    logger.info("%s: %s", source.name, ", ".join(counts))
    return landmarks, report


def _load_detector(device: str) -> Detector:
    # torch is imported only where there is something to find.
    from contrastive_age.faces.mtcnn import load_mtcnn
    from contrastive_age.training.loop import choose_device

    return load_mtcnn(str(choose_device(device)))


def align(
    source: Source,
    samples: pd.DataFrame,
    files: pd.DataFrame,
    landmarks: pd.DataFrame,
    alignment_folder: Path,
    alignment: Alignment,
) -> Path:
    """Write the aligned face of every sample, or keep those that were packed.

    Args:
        source: The source's layout and folder.
        samples: The source's samples.
        files: The source's files with their digests.
        landmarks: In the order of the samples.
        alignment_folder: Where the array lies, so that only new or changed photos are aligned.
        alignment: How much of the head is shown.

    Returns:
        The file of the array.

    Raises:
        DataError: The landmarks are those of other samples, or the disk is too small. Or what was
            packed is not what is asked for, or damaged.
    """
    kept = packed.read(alignment_folder)
    if kept is not None:
        kept.require(**asked_for(samples, alignment))
        return kept.checked(WRITTEN[2])
    if not landmarks["sample_id"].equals(samples["sample_id"]):
        raise DataError(f"The landmarks of {source.name} are those of other samples; detect again")
    table = _to_align(samples, files, landmarks)
    report = store.build_faces(
        layouts.photo_folder(source.layout, source.folder, source.manifest, source.outside),
        table,
        alignment_folder,
        coverage=alignment.coverage,
        workers=os.cpu_count() or 1,
    )
    logger.info("%s: %d faces aligned, %d kept", source.name, report.processed, report.reused)
    return report.path


def asked_for(samples: pd.DataFrame, alignment: Alignment) -> dict[str, Any]:
    """What decides the aligned faces: the samples, which name their photos, and the parameters."""
    return {"samples": samples.attrs.get("fingerprint"), **alignment.model_dump()}


def landmarks_fingerprint(samples: pd.DataFrame, landmarks: pd.DataFrame) -> str:
    """Name landmarks and the samples that they are of."""
    return fingerprint(samples.attrs.get("fingerprint"), _hash_rows(landmarks))


def are_aligned(
    samples: pd.DataFrame,
    files: pd.DataFrame,
    landmarks: pd.DataFrame,
    alignment_folder: Path,
    alignment: Alignment,
) -> bool:
    """Whether all faces of the samples are on disk, as `align` would write them."""
    table = _to_align(samples, files, landmarks)
    return store.are_built(table, alignment_folder, coverage=alignment.coverage)


def rows_of(
    samples: pd.DataFrame, faces: npt.NDArray[np.uint8], part: pd.DataFrame
) -> npt.NDArray[np.int64]:
    """The rows of some samples in the array of faces, after making sure that it is theirs.

    Args:
        samples: All samples, in the order of the array.
        faces: uint8 (N, 256, 256, 3), as the catalog maps it.
        part: Any table with `sample_id`.

    Returns:
        int64 (n,), in the order of `part`.

    Raises:
        DataError: The array holds the faces of other samples, or a sample has no face.
    """
    if isinstance(faces, np.memmap):
        store.open_faces(Path(str(faces.filename)), samples["sample_id"])
    rows = pd.Index(samples["sample_id"]).get_indexer(pd.Index(part["sample_id"]))
    if (rows < 0).any():
        unknown = part["sample_id"].to_numpy()[rows < 0]
        raise DataError(
            f"{len(unknown)} samples of the folds are no longer in the source, the first is "
            f"{unknown[0]}; run the splitting again"
        )
    return np.asarray(rows, dtype=np.int64)


def _to_align(samples: pd.DataFrame, files: pd.DataFrame, landmarks: pd.DataFrame) -> pd.DataFrame:
    return _with_digests(samples, files).merge(landmarks, on="sample_id", validate="1:1")


def _with_digests(samples: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """`sample_id`, `path` and `digest` of every sample."""
    return samples[["sample_id", "path"]].merge(
        files[["path", "digest"]], on="path", validate="1:1"
    )


def _hash_rows(table: pd.DataFrame) -> int:
    return int(pd.util.hash_pandas_object(table, index=False).sum())
