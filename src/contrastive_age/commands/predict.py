"""`kedro predict`: ages of photos and folders of photos, as a table, a file and drawn copies."""

import logging
import math
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contrastive_age.commands.final_model import find_model
from contrastive_age.errors import DataError
from contrastive_age.files import replacing

if TYPE_CHECKING:
    import pandas as pd

    from contrastive_age.inference.estimator import Photo

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".json")

MOST_ROWS = 50
"""More are not printed."""

DRAWN = b"Ages drawn by contrastive-age"
"""The comment by which a drawn copy is known, so that nothing else is ever overwritten."""


@dataclass
class Done:
    """What became of a prediction.

    Attributes:
        rows: Those of `faces_table`.
        photos: Number of photos that were looked at.
        any_read: Whether at least one photo could be read.
        interrupted: Whether Control-C ended it.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    photos: int = 0
    any_read: bool = False
    interrupted: bool = False


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
) -> Done:
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
    """
    from contrastive_age.inference.photos import list_photos

    if output is not None:
        check_output(output)
    chosen = find_model(model, project)
    photos = list_photos(places, draw)
    if draw is not None:
        photos = _without_copies(photos, draw)
    copies = {} if draw is None else place_copies(photos, draw)

    from contrastive_age.faces.search import default_workers
    from contrastive_age.inference.estimator import AgeEstimator, face_rows
    from contrastive_age.inference.photos import was_read

    done = Done()
    estimator = AgeEstimator.load(
        chosen, device=device, workers=workers or default_workers(), min_face=min_face
    )
    with _told(done, output):
        # By name, a copy each: what `stream` gives has the name that went in.
        drawn = {str(photo): copy for photo, copy in copies.items()}
        for photo in estimator.stream(photos, aligned=aligned, progress=True):
            done.rows += face_rows(photo)
            done.photos += 1
            done.any_read |= was_read(photo.reason)
            if draw is not None and photo.faces:
                _draw(photo, drawn[photo.name])
    return done


def check_output(output: Path) -> None:
    """Refuse a table's file before any work.

    Raises:
        DataError: Its suffix is another than those of `SUFFIXES`, or it is a folder.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise DataError(f"--output={output}: the suffix says the format; give .csv or .json")
    if output.is_dir():
        raise DataError(f"--output={output} is a folder; name a file")


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
    absolute = [photo.absolute() for photo in photos]
    base = Path(os.path.commonpath([photo.parent for photo in absolute]))
    copies = {}
    for photo, path in zip(photos, absolute, strict=True):
        jpeg = path.suffix.lower() in {".jpg", ".jpeg"}
        copies[photo] = folder / path.relative_to(base).with_name(path.name + ".jpg" * (not jpeg))
    originals = {photo.resolve() for photo in absolute}
    taken: set[Path] = set()
    for photo, copy in copies.items():
        if copy.resolve() in originals or (copy.exists() and not _drawn_here(copy)):
            raise DataError(
                f"--draw={folder}: {copy} is there and no drawn copy, it would be overwritten; "
                f"name another folder"
            )
        if copy in taken:
            raise DataError(
                f"--draw={folder}: {photo} and another photo would have the same copy, {copy}; "
                f"rename one of them"
            )
        taken.add(copy)
    return copies


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
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.info.get("comment") == DRAWN
    except (OSError, ValueError, SyntaxError):
        return False


def _draw(photo: "Photo", copy: Path) -> None:
    from contrastive_age.faces.alignment import load_image
    from contrastive_age.inference.drawing import annotate

    try:
        image = load_image(Path(photo.name))
        drawn = annotate(image, photo)
    except ValueError as error:  # changed or gone since it was looked at
        logger.warning("%s is not drawn: %s", photo.name, error)
        return
    with replacing(copy) as beside:
        drawn.save(beside, "JPEG", quality=92, comment=DRAWN)


@contextmanager
def _told(done: Done, output: Path | None) -> Iterator[None]:
    """Print and write what is done, however the block ends."""
    try:
        yield
    except KeyboardInterrupt:
        # Impatience must not keep the results back.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        done.interrupted = True
        click.echo(f"\nInterrupted {_so_far(done)}", err=True)
        try:
            _tell(done, output)
        finally:
            signal.signal(signal.SIGINT, before)
    except Exception:
        click.echo(f"\nFailed {_so_far(done)}", err=True)
        _tell(done, output)
        raise
    else:
        _tell(done, output)


def _so_far(done: Done) -> str:
    if not done.photos:
        return "before the first photo was done."
    return f"after {_count(done.photos, 'photo')}; what is done is kept."


def _tell(done: Done, output: Path | None) -> None:
    from contrastive_age.inference.estimator import table_of

    if not done.rows:
        return
    table = table_of(done.rows)
    if output is not None:
        write_table(table, output)
    print_table(table, done.photos, output)


def write_table(table: "pd.DataFrame", path: Path) -> None:
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


def print_table(table: "pd.DataFrame", photos: int, output: Path | None = None) -> None:
    """Print the first faces, and how many there are.

    Args:
        table: From `faces_table`, at least a row.
        photos: Number of photos.
        output: Where all of it is.
    """
    from rich.console import Console
    from rich.table import Table

    from contrastive_age.inference.photos import was_read

    head = table.head(MOST_ROWS)
    base = os.path.commonpath([Path(name).absolute().parent for name in head["file"]])
    shown = Table()
    shown.add_column("file", overflow="fold")
    for column in ("face", "age", "80%", "95%", "score"):
        shown.add_column(column, justify="right", no_wrap=True)
    reasons = table["reason"].notna().any()
    if reasons:
        shown.add_column("reason", overflow="fold")
    for row in head.to_dict("records"):
        row["file"] = os.path.relpath(Path(row["file"]).absolute(), base)
        shown.add_row(*_cells(row)[: 7 if reasons else 6])
    terminal = Console()
    terminal.print(f"Photos in {base}", highlight=False, soft_wrap=True, markup=False)
    terminal.print(shown)
    faces = int((table["face"] >= 0).sum())
    reasons_given = table.loc[table["face"] < 0, "reason"]
    unread = sum(not was_read(reason) for reason in reasons_given)
    summary = (
        f"{_count(faces, 'face')} in {_count(photos, 'photo')}, {len(reasons_given)} without a face"
    )
    if unread:
        summary += f", {unread} of them unreadable"
    if len(table) > MOST_ROWS:
        rest = f"all are in {output}" if output else "give --output=FILE.csv for all of them"
        summary += f"; {_count(len(table) - MOST_ROWS, 'more row')} not shown, {rest}"
    elif output:
        summary += f"; written to {output}"
    terminal.print(summary, highlight=False, soft_wrap=True, markup=False)
    least = table["min_face"].dropna().round().unique()
    if len(least):
        smallest = f"{least.min():.0f}" + f" to {least.max():.0f}" * (len(least) > 1)
        said = f"Faces below {smallest} pixels were not looked for; --min-face changes it"
        terminal.print(said, highlight=False, soft_wrap=True, markup=False)


def _cells(row: dict[Any, Any]) -> list[str]:
    from rich.markup import escape

    name = escape(row["file"])
    if row["face"] < 0:
        return [name, "-", "-", "-", "-", "-", escape(row["reason"])]
    score = "-" if math.isnan(row["score"]) else f"{row['score']:.3f}"
    intervals = [
        "-"
        if math.isnan(row[f"low_{level}"])
        else f"{row[f'low_{level}']:.1f} to {row[f'high_{level}']:.1f}"
        for level in ("80", "95")
    ]
    return [name, str(row["face"]), f"{row['age']:.1f}", *intervals, score, ""]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
