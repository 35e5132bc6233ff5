"""Raw folders to the table of samples."""

import json
import logging
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from contrastive_age import packed
from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint
from contrastive_age.params import Source
from contrastive_age.sources import audit, fgnet, manifest, morph2, reading, synthetic, utkface

logger = logging.getLogger(__name__)


class Reader(Protocol):
    """What the modules of raw layouts without a manifest have in common."""

    def list_images(self, folder: Path) -> list[str]:
        """List the images below the folder."""

    def read(self, folder: Path, files: pd.DataFrame) -> reading.Reading:
        """Make the samples."""


READERS: dict[str, Reader] = {"fgnet": fgnet, "morph2": morph2, "utkface": utkface}

Ingested = tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]

WRITTEN = ("samples.parquet", "files.parquet", "audit.json")
"""The files of the ingestion folder."""


def ingest(source: Source, ingestion_folder: Path) -> Ingested:
    """Read a source, after drawing its faces where that is asked for; or keep what was packed.

    Args:
        source: The source's layout and folder.
        ingestion_folder: Where an earlier table of files lies, whose unchanged files are not read,
            or what came in a pack.

    Returns:
        The samples, the files and the audit.

    Raises:
        DataError: The folder or the manifest is missing, or holds nothing that can be used. Or
            what was packed is not what is asked for, is damaged, or there are photos, too.
    """
    kept = packed.read(ingestion_folder)
    if kept is not None:
        return _keep(source, kept)
    if source.synthetic is not None:
        draw = synthetic.write_morph2 if source.layout == "morph2" else synthetic.write_fgnet
        try:
            draw(source.folder, **source.synthetic.model_dump())
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"sources.{source.name}.synthetic cannot be drawn: {error}") from error
    # Once: to find it, the whole manifest is read.
    base = photo_folder(source)
    files = reading.inspect_files(base, _list_images(source, base), known=_known(ingestion_folder))
    found = _read(source, base, files)
    samples = found.samples
    dates = morph2.read_dates(source.folder, samples) if source.layout == "morph2" else None
    report = audit.audit(
        found,
        files,
        max_span=morph2.MAX_SPAN if source.layout == "morph2" else None,
        dates=dates,
    )
    samples.attrs["fingerprint"] = fingerprint(source.layout, report["manifest_hash"])
    logger.info(
        "%s: %d samples of %d identities, %d files rejected",
        source.name,
        report["n"],
        report["identities"],
        len(found.rejected),
    )
    return samples, files, report


def asked_for(source: Source) -> dict[str, Any]:
    """What decides which samples a source holds, besides its photos."""
    manifest = source.manifest
    asked = {
        "layout": source.layout,
        "synthetic": source.synthetic and source.synthetic.model_dump(),
        "manifest": manifest and manifest.name,
        "allow_outside_raw_root": source.outside,
    }
    if manifest is not None and manifest.is_file():
        asked["manifest_digest"] = packed.digest(manifest)
    return asked


def _keep(source: Source, kept: packed.Packed) -> Ingested:
    if _has_photos(source):
        raise DataError(
            f"The samples of {source.name} came in a pack, but there are photos below "
            f"{source.folder}, too. To keep what was packed, give a raw_root without them; to read "
            f"the photos, remove {kept.folder / packed.NAME} and that of the faces"
        )
    kept.require(**asked_for(source))
    samples, files, report = map(kept.checked, WRITTEN)
    logger.info(
        "%s came in a pack of %s%s; its photos are not looked for",
        source.name,
        kept.record.packed["date"],
        ", made by other code than this" if kept.other_code else "",
    )
    document = json.loads(report.read_text(encoding="utf-8"))
    return pd.read_parquet(samples), pd.read_parquet(files), document


def _has_photos(source: Source) -> bool:
    try:
        base = photo_folder(source)
        return any((base / path).is_file() for path in _list_images(source, base))
    except DataError:
        return False


def photo_folder(source: Source) -> Path:
    """The folder that the source's paths are relative to."""
    if source.layout != "manifest":
        return source.folder
    return manifest.base_folder(_manifest(source), source.folder, outside=source.outside)


def _manifest(source: Source) -> Path:
    if source.manifest is None:
        raise DataError(
            "The custom pipelines read a manifest: give --params=manifest=FILE.csv, a table with "
            "the columns path,identity,age and optionally sex,race"
        )
    return source.manifest


def _list_images(source: Source, base: Path) -> list[str]:
    if source.layout == "manifest":
        return manifest.list_images(_manifest(source), base, outside=source.outside)
    return READERS[source.layout].list_images(source.folder)


def _read(source: Source, base: Path, files: pd.DataFrame) -> reading.Reading:
    if source.layout == "manifest":
        return manifest.read(_manifest(source), base, files, outside=source.outside)
    return READERS[source.layout].read(source.folder, files)


def _known(ingestion_folder: Path) -> pd.DataFrame | None:
    """The table of files of an earlier ingestion; None where there is none that can be read."""
    path = ingestion_folder / "files.parquet"
    try:
        return pd.read_parquet(path)[list(reading.FILE_TYPES)].astype(reading.FILE_TYPES)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged or foreign file can fail in any way
        logger.warning("%s cannot be read (%s); all files are read again", path, error)
        return None
