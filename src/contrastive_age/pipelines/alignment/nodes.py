"""Photos to landmarks to aligned faces."""

import logging
import os
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.faces import store
from contrastive_age.faces.detection import Detector
from contrastive_age.faces.landmarks import (
    TABLE_COLUMNS,
    audit_landmarks,
    detect_landmarks,
    table_decided_by,
)
from contrastive_age.faces.search import default_workers
from contrastive_age.io import packed
from contrastive_age.parameters.given import Detection, Source
from contrastive_age.parameters.setting import Alignment
from contrastive_age.provenance import Record, made_with
from contrastive_age.sources import layouts
from contrastive_age.sources.manifest import siblings
from contrastive_age.training.recipe import Computing

logger = logging.getLogger(__name__)


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
    wanted = table_decided_by(samples, detection.min_face)
    kept = packed.read(alignment_folder)
    if kept is not None:
        landmarks, report = kept.read("landmarks.parquet", "audit.json")
        record = Record.of(landmarks)
        kept.require(record, wanted)
        record.say_where(f"the landmarks of {source.name}", made_with(*store.LIBRARIES))
        return landmarks, report

    def load_detector() -> Detector:
        # torch is imported only where there is something to find.
        from contrastive_age.faces.mtcnn import load_mtcnn
        from contrastive_age.training.loop import choose_device

        return load_mtcnn(str(choose_device(computing.device)))

    findings = detect_landmarks(
        layouts.photo_folder(*source.place),
        store.photos_of(samples, files),
        # By the photos' bytes, for all manifests that list them.
        work_folder=alignment_folder.parent / source.name,
        load_detector=load_detector,
        min_face=detection.min_face,
        annotated=layouts.read_points(source.layout, source.folder, samples),
        workers=detection.workers or default_workers(),
    )
    landmarks, report = findings[TABLE_COLUMNS].copy(), audit_landmarks(findings)
    landmarks.attrs["record"] = Record(wanted, made_with(*store.LIBRARIES)).document
    kinds = {name: kind["count"] for name, kind in report["anomalies"].items() if kind["count"]}
    counts = [f"{n} {name.replace('_', ' ')}" for name, n in (report["status"] | kinds).items()]
    logger.info("%s: %s", source.name, ", ".join(counts))
    return landmarks, report


def align(
    source: Source,
    samples: pd.DataFrame,
    files: pd.DataFrame,
    landmarks: pd.DataFrame,
    alignment_folder: Path,
    alignment: Alignment,
    detection: Detection,
) -> tuple[Path, pd.DataFrame]:
    """Write the aligned face of every sample, or keep those that were packed.

    Args:
        source: The source's layout and folder.
        samples: The source's samples.
        files: The source's files with their digests.
        landmarks: In the order of the samples.
        alignment_folder: Where the array lies, so that only new or changed photos are aligned.
        alignment: How much of the head is shown.
        detection: The smallest face that was looked for.

    Returns:
        The file of the array; and by what each photo is known again.

    Raises:
        DataError: The landmarks are those of other samples or made otherwise, or the disk is too
            small. Or what was packed is not what is asked for, or damaged.
    """
    differences = Record.of(landmarks).differences(table_decided_by(samples, detection.min_face))
    if differences or not landmarks["sample_id"].equals(samples["sample_id"]):
        raise DataError(
            f"The landmarks of {source.name} are those of other samples, or found otherwise "
            f"({'; '.join(differences)}); detect again (--tags=detection)"
        )
    table = store.photos_of(samples, files).merge(landmarks, on="sample_id", validate="1:1")
    wanted = store.Wanted(alignment.coverage, detection.min_face)
    kept = packed.read(alignment_folder)
    if kept is not None:
        path = kept.checked("faces.npy")
        kept.require(store.record_of(path), wanted.decided_by)
        store.open_faces(path, samples, wanted)
        return path, store.looks_of(path, table)
    report = store.build_faces(
        layouts.photo_folder(*source.place),
        table,
        alignment_folder,
        wanted,
        # Other manifests list most of the same photos.
        others=[folder / "faces.npy" for folder in siblings(alignment_folder, source.name)],
        workers=os.cpu_count() or 1,
    )
    logger.info("%s: %d faces aligned, %d kept", source.name, report.processed, report.reused)
    return report.path, store.looks_of(report.path, table)
