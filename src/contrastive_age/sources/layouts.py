"""The one registry of raw layouts: how the photos of each are found, read and audited."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from contrastive_age import tables
from contrastive_age.errors import DataError
from contrastive_age.provenance import code_of
from contrastive_age.sources import agedb, audit, fgnet, morph2, reading, utkface
from contrastive_age.sources import manifest as manifests
from contrastive_age.sources.decoding import MOST_MEGAPIXELS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """What is known about a raw layout.

    Attributes:
        list_images: Lists the images below a folder.
        read: Makes the samples from the folder and the inspected files.
        base_folder: Finds the folder that paths are relative to, from where the source lies.
        photos: The folder inside the source's own that holds its photos; empty where that is any.
        of_table: Whether a table lists the photos. The three functions above then take it first,
            and whether its paths may leave the folder as `outside`.
        read_table: Reads what a table beside the photos says of them, where the layout has one.
        read_points: Reads the landmarks that somebody has annotated, where the layout has any.
        max_span: Years between a person's youngest and oldest picture above which the audit lists
            the person.
    """

    list_images: Callable[..., list[str]]
    read: Callable[..., reading.Reading]
    base_folder: Callable[..., Path] = lambda folder: folder
    photos: str = ""
    of_table: bool = False
    read_table: Callable[[Path, pd.DataFrame], pd.DataFrame | None] = lambda *_: None
    read_points: Callable[[Path, pd.DataFrame], pd.DataFrame | None] = lambda *_: None
    max_span: int | None = None


LAYOUTS = {
    "fgnet": Layout(
        fgnet.list_images, fgnet.read, photos=fgnet.PHOTOS, read_points=fgnet.read_points
    ),
    "morph2": Layout(
        morph2.list_images,
        morph2.read,
        photos=morph2.PHOTOS,
        read_table=morph2.read_table,
        max_span=morph2.MAX_SPAN,
    ),
    "utkface": Layout(utkface.list_images, utkface.read),
    "agedb": Layout(agedb.list_images, agedb.read),
    "manifest": Layout(manifests.list_images, manifests.read, manifests.base_folder, of_table=True),
}


def of_table(layout: str) -> bool:
    """Whether a table lists a layout's photos; False for a name that is unknown."""
    return layout in LAYOUTS and LAYOUTS[layout].of_table


class Ingested(NamedTuple):
    """What a source holds: its samples, its files as they were inspected, and the audit of both."""

    samples: pd.DataFrame
    files: pd.DataFrame
    audit: dict[str, Any]


def source_folder(raw_root: Path, folder: Path) -> Path:
    """Find a source's folder: the one that is called so, else the only one that is called alike.

    `FGNET` and `FG-NET` are called like `fgnet`: letters and digits count, without regard to case.

    Args:
        raw_root: The raw data folder.
        folder: The source's, relative to it.

    Returns:
        The path as it is named where there is no such folder, or several are called alike.
    """
    exact = raw_root / folder
    alike = [] if os.path.exists(exact) else _alike(exact)  # noqa: PTH110 -- of any name
    return alike[0] if len(alike) == 1 else exact


def photo_folder(layout: str, folder: Path, manifest: Path | None, outside: bool) -> Path:
    """Find the folder that a source's paths are relative to.

    Args:
        layout: A name in `LAYOUTS`.
        folder: Where the source lies.
        manifest: The table, where the layout has one.
        outside: Whether the table's paths may leave the folder.

    Raises:
        DataError: The manifest is not given, or cannot be read.
    """
    return _layout(layout, manifest, outside).base_folder(folder)


def has_photos(layout: str, folder: Path, manifest: Path | None, outside: bool) -> bool:
    """Whether any photo of a source is there; the arguments are those of `photo_folder`."""
    try:
        chosen = _layout(layout, manifest, outside)
        base = chosen.base_folder(folder)
        return any((base / path).is_file() for path in chosen.list_images(base))
    except DataError:
        return False


def read_points(layout: str, folder: Path, samples: pd.DataFrame) -> pd.DataFrame | None:
    """Read the landmarks that somebody has annotated, for photos in which no face is found.

    Args:
        layout: A name in `LAYOUTS`.
        folder: Where the source lies.
        samples: The samples table.

    Returns:
        `sample_id` and `LANDMARK_COLUMNS`, of any samples; None where the layout has none.
    """
    return LAYOUTS[layout].read_points(folder, samples) if layout in LAYOUTS else None


def code() -> str:
    """Name the code that makes samples of photos."""
    return code_of(read_source)


def known_files(folder: Path) -> pd.DataFrame | None:
    """Read the table of files of an earlier reading, whose unchanged files need not be read again.

    Args:
        folder: Where `files.parquet` lies, as `read_source` gave it.

    Returns:
        `reading.FILE_TYPES`; None where there is none by the same code that can be read.
    """
    path = folder / "files.parquet"
    try:
        files = tables.read(path)
        if files.attrs.get("code") != code():
            return None
        return files[list(reading.FILE_TYPES)].astype(reading.FILE_TYPES)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged or foreign file can fail in any way
        logger.warning("%s cannot be read (%s); all files are read again", path, error)
        return None


def read_source(
    layout: str,
    folder: Path,
    manifest: Path | None,
    outside: bool,
    known: pd.DataFrame | None,
    *,
    most_megapixels: float = MOST_MEGAPIXELS,
    round_ages: bool = False,
) -> Ingested:
    """Read a source: inspect its images, make the samples and audit them.

    Args:
        layout: A name in `LAYOUTS`.
        folder: Where the source lies.
        manifest: The table, where the layout has one.
        outside: Whether the table's paths may leave the folder.
        known: An earlier table of files, whose unchanged files are not read again.
        most_megapixels: Photos of more million pixels are rejected.
        round_ages: Whether a table's ages that are no whole numbers are rounded; else they are
            rejected.

    Raises:
        DataError: The folder or the manifest is missing, or holds nothing that can be used.
    """
    chosen = _layout(layout, manifest, outside)
    if not chosen.of_table and not folder.exists():
        _refuse_other_places(layout, folder)
    if chosen.of_table and not folder.is_dir():
        logger.warning("There is no folder %s; paths start at the manifest's own folder.", folder)
    # Once: to find it, the whole manifest is read.
    base = chosen.base_folder(folder)
    files = reading.inspect_files(
        base, chosen.list_images(base), known, most_megapixels=most_megapixels
    )
    files.attrs["code"] = code()
    source = chosen.read(base, files, **({"round_ages": round_ages} if chosen.of_table else {}))
    table = chosen.read_table(base, source.samples)
    report = audit.audit(source, files, max_span=chosen.max_span, table=table)
    return Ingested(source.samples, files, report)


def _layout(name: str, manifest: Path | None, outside: bool) -> Layout:
    """Give the layout, its functions bound to the table where it has one."""
    layout = LAYOUTS[name]
    if not layout.of_table:
        return layout
    if manifest is None:
        raise DataError(
            "The custom pipelines read a manifest: give --params=manifest=FILE.csv, a table with "
            "the columns path,identity,age and optionally sex,race. `kedro manifest FOLDER` writes "
            "one of a folder of photos"
        )
    return replace(
        layout,
        list_images=partial(layout.list_images, manifest, outside=outside),
        read=partial(layout.read, manifest, outside=outside),
        base_folder=partial(layout.base_folder, manifest, outside=outside),
    )


def _refuse_other_places(layout: str, folder: Path) -> None:
    """Name the place of a source's folder that is missing, where it is found near.

    Raises:
        DataError: There are several like it, or `raw_root` names it, or a folder inside it.
    """
    alike, raw_root = _alike(folder), folder.parent
    if alike:
        raise DataError(
            f"{raw_root} has no folder {folder.name}, but "
            f"{' and '.join(path.name for path in alike)}: rename one of them to {folder.name}"
        )
    photos = LAYOUTS[layout].photos
    for inside in [raw_root, *raw_root.parents][:3]:
        called_so = _letters(inside.name) == _letters(folder.name)
        if not inside.is_dir() or not (
            called_so or (photos and (inside / reading.subfolder(inside, photos)).is_dir())
        ):
            continue
        above = f"raw_root={inside.parent}"
        if not called_so:
            above += f" (and {inside.name} renamed to {folder.name})"
        what = "the folder" if inside == raw_root else "a folder inside that"
        raise DataError(
            f"raw_root={raw_root} names {what} of {folder.name} itself: name the folder above, "
            f"{above}"
        )


def _alike(folder: Path) -> list[Path]:
    """The folders beside a folder that are called like it, but for case and other signs."""
    name = _letters(folder.name)
    try:
        beside = sorted(folder.parent.iterdir())
    except OSError:
        return []
    return [path for path in beside if name and _letters(path.name) == name and path.is_dir()]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()
