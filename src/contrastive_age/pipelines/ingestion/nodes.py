"""Raw folders to the table of samples."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.drawn import synthetic
from contrastive_age.errors import DataError
from contrastive_age.faces.store import photos_digest
from contrastive_age.files import fingerprint
from contrastive_age.io import packed
from contrastive_age.parameters.given import Source
from contrastive_age.parameters.loader import own_folders, unchanged
from contrastive_age.provenance import Record, made_with
from contrastive_age.sources import audit, layouts
from contrastive_age.sources.manifest import siblings

logger = logging.getLogger(__name__)

LIBRARIES = ("numpy", "pandas", "pillow", "pillow-heif")
"""What photos and tables are read with."""


def ingest(source: Source, ingestion_folder: Path) -> layouts.Ingested:
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
        try:
            synthetic.draw(
                source.layout,
                source.folder,
                **source.synthetic.model_dump(),
                within=own_folders(),
            )
        except ValueError as error:
            raise DataError(f"sources.{source.name}.synthetic cannot be drawn: {error}") from error
    if source.manifest is not None:
        unchanged(source.manifest, source.manifest_digest)
    # Most manifests of a source list the same photos but for a label.
    folders = [ingestion_folder, *siblings(ingestion_folder, source.name)]
    known = [files for folder in folders if (files := layouts.known_files(folder)) is not None]
    samples, files, report = layouts.read_source(
        *source.place,
        known=pd.concat(known) if known else None,
        most_megapixels=source.most_megapixels,
        round_ages=source.round_ages,
    )
    digests = samples[["path"]].merge(files[["path", "digest"]], on="path", how="left")["digest"]
    samples.attrs |= {
        "record": Record(decided_by(source), made_with(*LIBRARIES)).document,
        "photos": photos_digest(samples["sample_id"], digests),
        "fingerprint": fingerprint(source.layout, report["manifest_hash"]),
    }
    logger.info(
        "%s: %d samples of %d identities, %d entries rejected",
        source.name,
        report["n"],
        report["identities"],
        len(report["rejected"]),
    )
    if much := audit.many_rejected(report):
        listed = ingestion_folder / "audit.json"
        logger.warning("%s: %s. All are listed in %s", source.name, much, listed)
    return layouts.Ingested(samples, files, report)


def decided_by(source: Source) -> dict[str, Any]:
    """What decides which samples a source holds, besides its photos; by name."""
    return {
        "layout": source.layout,
        "synthetic": source.synthetic and source.synthetic.model_dump(),
        "manifest": source.manifest_digest,
        "allow_outside_raw_root": source.manifest is not None and source.outside,
        "most_megapixels": source.most_megapixels,
        "age": source.round_ages and "round",
        "code of ingestion": layouts.code(),
    }


def _keep(source: Source, kept: packed.Packed) -> layouts.Ingested:
    if layouts.has_photos(*source.place):
        raise DataError(
            f"The samples of {source.name} came in a pack, but there are photos below "
            f"{source.folder}, too. To keep what was packed, give a raw_root without them; to read "
            f"the photos, remove {kept.folder / packed.NAME} and that of the faces"
        )
    ingested = layouts.Ingested(*kept.read("samples.parquet", "files.parquet", "audit.json"))
    record = Record.of(ingested.samples)
    kept.require(record, decided_by(source))
    record.say_where(f"the samples of {source.name}", made_with(*LIBRARIES))
    logger.info(
        "%s came in a pack of %s; its photos are not looked for", source.name, kept.contents.date
    )
    return ingested
