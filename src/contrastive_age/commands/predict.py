"""`kedro predict`: ages of photos and folders of photos, as a table, a file and drawn copies."""

import logging
import math
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from contrastive_age.commands.final_model import find_model
from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import load_image
from contrastive_age.faces.search import default_workers
from contrastive_age.files import replacing
from contrastive_age.inference.drawing import annotate
from contrastive_age.inference.photos import Photo, list_photos, was_read
from contrastive_age.processes import INTERRUPTED
from contrastive_age.running.console import print_line

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".json")

MOST_ROWS = 50
"""More are not printed."""

DRAWN = b"Ages drawn by contrastive-age"
"""The comment by which a drawn copy is known, so that nothing else is ever overwritten."""


def predict(
    places: Sequence[Path],
    *,
    project: Path,
    model: Path | None = None,
    aligned: bool = False,
    output: Path | None = None,
    draw: Path | None = None,
    workers: int | None = None,
    min_face: float | None = None,
    device: str = "auto",
) -> None:
    """Estimate the ages of all faces in photos, print the table, and write what is asked for.

    What is done when Control-C or an error ends it is printed and written all the same.

    Args:
        places: Photos and folders.
        project: The project's folder, in whose data a model is looked for.
        model: The model's file.
        aligned: Whether the photos are aligned faces.
        output: The table's file, .csv or .json.
        draw: The folder of the copies with boxes and ages.
        workers: Threads that find faces; None: one for each processor, at most 8.
        min_face: Side in pixels from which every face is looked for; None: by the photo's size.
        device: Where the network computes.

    Raises:
        DataError: There is no photo or no model, the output's suffix is another, or a copy would
            lie over a photo.
        SystemExit: Control-C ended it, or no photo at all could be read.
    """
    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise DataError(f"--output={output}: the suffix says the format; give .csv or .json")
    if output is not None and output.is_dir():
        raise DataError(f"--output={output} is a folder; name a file")
    chosen = find_model(model, project)
    photos = list_photos(places, draw)
    if draw is not None:
        photos = _without_copies(photos, draw)
    # By name: what `stream` gives has the name that went in.
    copies = {} if draw is None else {str(k): v for k, v in place_copies(photos, draw).items()}

    # torch is imported when nothing is left that could be a mistake.
    from contrastive_age.inference.estimator import AgeEstimator, face_rows

    estimator = AgeEstimator.load(
        chosen, device=device, workers=workers or default_workers(), min_face=min_face
    )
    rows: list[dict[str, Any]] = []
    with _told(rows, output):
        for photo in estimator.stream(photos, aligned=aligned, progress=True):
            rows += face_rows(photo)
            if photo.faces and draw is not None:
                _draw(photo, copies[photo.name])
    if not any(was_read(row.get("reason")) for row in rows):
        raise SystemExit(1)


def place_copies(photos: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Say where the drawn copy of each photo goes.

    Below `folder`, copies lie as the photos do below the deepest folder that holds them all, so
    that photos of one name do not meet. They are JPEG files: another suffix is kept before `.jpg`.

    Args:
        photos: At least one, each once.
        folder: Where the copies are written.

    Returns:
        The copy of each photo.

    Raises:
        DataError: A copy would lie over a photo, or over another file that was not drawn here.
    """
    base = os.path.commonpath([photo.absolute().parent for photo in photos])
    originals = {photo.resolve() for photo in photos}
    photo_of: dict[Path, Path] = {}
    for photo in photos:
        below = photo.absolute().relative_to(base)
        is_jpeg = photo.suffix.lower() in {".jpg", ".jpeg"}
        copy = folder / (below if is_jpeg else below.with_name(f"{below.name}.jpg"))
        if copy.resolve() in originals or (copy.exists() and not _drawn_here(copy)):
            raise DataError(
                f"--draw={folder}: {copy} is there and no drawn copy, it would be overwritten; "
                f"name another folder"
            )
        if copy in photo_of:
            raise DataError(
                f"--draw={folder}: {photo} and {photo_of[copy]} would have the same copy, {copy}; "
                f"rename one of them"
            )
        photo_of[copy] = photo
    return {photo: copy for copy, photo in photo_of.items()}


def _without_copies(photos: Sequence[Path], folder: Path) -> list[Path]:
    """Leave earlier copies out, where they lie among the photos."""
    inside = folder.resolve()
    kept = [
        photo
        for photo in photos
        if not (photo.resolve().is_relative_to(inside) and _drawn_here(photo))
    ]
    if not kept:
        raise DataError(f"all {len(photos)} photos are drawn copies; name the photos themselves")
    return kept


def _drawn_here(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.info.get("comment") == DRAWN
    except (OSError, ValueError, SyntaxError):
        return False


def _draw(photo: Photo, copy: Path) -> None:
    try:
        image = load_image(Path(photo.name))
        drawn = annotate(image, photo)
    except ValueError as error:  # changed or gone since it was looked at
        logger.warning("%s is not drawn: %s", photo.name, error)
        return
    with replacing(copy) as beside:
        drawn.save(beside, "JPEG", quality=92, comment=DRAWN)


@contextmanager
def _told(rows: list[dict[str, Any]], output: Path | None) -> Iterator[None]:
    """Print and write what is done, however the block ends."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        # Impatience must not keep the results back.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        number = sum(row["face"] <= 0 for row in rows)
        so_far = f"after {_count(number, 'photo')}; what is done is kept."
        interrupted = isinstance(error, KeyboardInterrupt)
        click.echo(
            f"\n{'Interrupted' if interrupted else 'Failed'} "
            f"{so_far if number else 'before the first photo was done.'}",
            err=True,
        )
        try:
            _tell(rows, output)
        finally:
            signal.signal(signal.SIGINT, before)
        if interrupted:
            raise SystemExit(INTERRUPTED) from error
        raise
    _tell(rows, output)


def _tell(rows: list[dict[str, Any]], output: Path | None) -> None:
    from contrastive_age.inference.estimator import table_of

    if rows:
        table = table_of(rows)
        if output is not None:
            write_table(table, output)
        print_table(table, output)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table of faces, whole or not at all.

    Args:
        table: From `faces_table`.
        path: With the suffix .csv or .json. JSON has no infinity: there it is null, as is what is
            not known.
    """
    with replacing(path) as beside:
        if path.suffix.lower() == ".json":
            table.to_json(beside, orient="records", indent=1, force_ascii=False)
        else:
            table.to_csv(beside, index=False)


def print_table(table: pd.DataFrame, output: Path | None = None) -> None:
    """Print the first faces, and how many there are.

    Args:
        table: From `faces_table`, at least a row.
        output: Where all of it is.
    """
    head = table.head(MOST_ROWS).fillna({"reason": ""})
    base = os.path.commonpath([Path(name).absolute().parent for name in head["file"]])
    columns = [Column("file", overflow="fold")]
    for name in ("face", "age", "80%", "95%", "score"):
        columns.append(Column(name, justify="right", no_wrap=True))
    reasons = table["reason"].dropna()
    if len(reasons):
        columns.append(Column("reason", overflow="fold"))
    shown = Table(*columns)
    for row in head.to_dict("records"):
        shown.add_row(*_cells(row, base)[: len(columns)])
    print_line(f"Photos in {base}")
    Console().print(shown)
    photos, faces = int((table["face"] <= 0).sum()), int((table["face"] >= 0).sum())
    unread = sum(not was_read(reason) for reason in reasons)
    summary = f"{_count(faces, 'face')} in {_count(photos, 'photo')}, {len(reasons)} without a face"
    if unread:
        summary += f", {unread} of them unreadable"
    if len(table) > MOST_ROWS:
        rest = f"all are in {output}" if output else "give --output=FILE.csv for all of them"
        summary += f"; {_count(len(table) - MOST_ROWS, 'more row')} not shown, {rest}"
    elif output:
        summary += f"; written to {output}"
    print_line(summary)
    least = table["min_face"].dropna().round().unique()
    if len(least):
        smallest = f"{least.min():.0f}" + f" to {least.max():.0f}" * (len(least) > 1)
        print_line(f"Faces below {smallest} pixels were not looked for; --min-face changes it")


def _cells(row: dict[Any, Any], base: str) -> list[str]:
    def shown(words: str, *values: float) -> str:
        return "-" if math.isnan(values[0]) else words.format(*values)

    intervals = [
        shown("{:.1f} to {:.1f}", row[f"low_{level}"], row[f"high_{level}"])
        for level in ("80", "95")
    ]
    return [
        escape(os.path.relpath(Path(row["file"]).absolute(), base)),
        "-" if row["face"] < 0 else str(row["face"]),
        shown("{:.1f}", row["age"]),
        *intervals,
        shown("{:.3f}", row["score"]),
        escape(row["reason"]),
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
