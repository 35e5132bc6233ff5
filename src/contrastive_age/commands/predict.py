"""`kedro predict`: ages of photos and folders of photos, as a table, a file and drawn copies."""

import functools
import logging
import math
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from contrastive_age.commands.final_model import announce, find_model
from contrastive_age.commands.table_file import SUFFIXES, TableFile
from contrastive_age.errors import DataError
from contrastive_age.faces.alignment import load_image
from contrastive_age.faces.search import default_workers
from contrastive_age.files import replacing, why_not_writable
from contrastive_age.inference.drawing import annotate
from contrastive_age.inference.photos import LEVELS, NOT_ENTERED, Photo, list_photos, was_read
from contrastive_age.processes import INTERRUPTED
from contrastive_age.running.printing import print_line
from contrastive_age.sources.decoding import MOST_MEGAPIXELS
from contrastive_age.sources.reading import UNREADABLE, called_as_photos

logger = logging.getLogger(__name__)

MOST_ROWS = 50
"""More are not printed."""

USE = "An age that a face looks to the model: it must not decide anything about a person."
"""Stands below the table."""

DRAWN = b"Ages drawn by contrastive-age"
"""The comment by which a drawn copy is known, so that nothing else is ever overwritten."""


JPEG = {".jpg", ".jpeg"}
"""The suffixes of drawn copies."""

ATTEMPT = 64
"""Where the table could not be written: rows after which it is tried again."""


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
    most_megapixels: float | None = None,
    device: str = "auto",
) -> None:
    """Estimate the ages of all faces in photos, print the table, and write what is asked for.

    The table's file grows as photos are done. What is done when Control-C or an error ends it is
    printed all the same.

    Args:
        places: Photos and folders.
        project: The project's folder, in whose data a model is looked for.
        model: The model's file.
        aligned: Whether the photos are aligned faces.
        output: The table's file, .csv or .json.
        draw: The folder of the copies with boxes and ages.
        workers: Threads that find faces; None: one for each processor, at most 8.
        min_face: Side in pixels from which every face is looked for; None: by the photo's size.
        most_megapixels: Photos of more million pixels are not read; None: `MOST_MEGAPIXELS`.
        device: Where the network computes.

    Raises:
        DataError: There is no photo or no model, what is asked for cannot be written, or a copy
            would lie over a photo.
        SystemExit: Control-C ended it, no photo at all could be read, or not all could be written.
    """
    _require_writable(output, draw)
    chosen = find_model(model, project)
    photos, closed = list_photos(places, functools.partial(_comes_from_here, output=output))
    # By name: what `stream` gives has the name that went in.
    copies = {} if draw is None else {str(k): v for k, v in place_copies(photos, draw).items()}

    # torch is imported when nothing is left that could be a mistake.
    from contrastive_age.inference.estimator import COLUMNS, AgeEstimator

    estimator = AgeEstimator.load(
        chosen,
        device=device,
        workers=workers or default_workers(),
        min_face=min_face,
        most_megapixels=MOST_MEGAPIXELS if most_megapixels is None else most_megapixels,
    )
    announce(chosen, estimator.model)
    table = None if output is None else TableFile(output, list(COLUMNS))
    done = _Done(table, copies, estimator.model.facts)
    with _told(done):
        for photo in estimator.stream(photos, aligned=aligned, progress=True):
            done.add(photo)
        for folder in closed:
            done.add(folder)
    if done.faults() or not any(was_read(row.get("reason")) for row in done.rows):
        raise SystemExit(1)


def _require_writable(output: Path | None, draw: Path | None) -> None:
    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise DataError(f"--output={output}: the suffix says the format; give .csv or .json")
    if output is not None and (why := why_not_writable(output)):
        raise DataError(f"--output={output} cannot be written: {why}")
    if output is not None and TableFile(output, ["file", "face"]).replaces_another():
        raise DataError(
            f"--output={output} is there and no table of ages, it would be overwritten; name "
            "another file"
        )
    if draw is not None and (why := why_not_writable(draw, folder=True)):
        raise DataError(f"--draw={draw} cannot be written into: {why}")


class _Done:
    """What is done so far, and what became of the files that were asked for.

    Attributes:
        rows: Of the table.
    """

    def __init__(
        self, table: TableFile | None, copies: Mapping[str, Path], facts: Mapping[str, Any]
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self._table = table
        self._copies = copies
        self._facts = facts
        self._unwritten: OSError | None = None
        self._undrawn: list[str] = []

    def add(self, photo: Photo) -> None:
        """Keep what is said of a photo."""
        from contrastive_age.inference.estimator import face_rows

        self.rows += face_rows(photo)
        if self._unwritten is None or len(self.rows) % ATTEMPT == 0:
            self._write()
        if photo.faces and photo.name in self._copies:
            self._draw(photo, self._copies[photo.name])

    def tell(self) -> None:
        """Print the table, all of it where its file does not hold it, and what is not written."""
        from contrastive_age.inference.cards import cautions
        from contrastive_age.inference.estimator import table_of

        if self._unwritten is not None:
            self._write()
        output = self._table.path if self._table and self._unwritten is None else None
        most = MOST_ROWS if self._unwritten is None else len(self.rows)
        try:
            if self.rows:
                caution = " ".join(cautions(self._facts))
                print_table(table_of(self.rows), output, most, caution)
                print_line(USE)
                print_line(f"Terms of its photos: {self._facts.get('licence', 'not stated')}")
        finally:
            for fault in self.faults():
                click.echo(f"Error: {fault}", err=True)

    def faults(self) -> list[str]:
        """Say what could not be written."""
        said = []
        if self._table is not None and self._unwritten is not None:
            said.append(
                f"{self._table.path}: {self._unwritten.strerror}; {self._table.rows} of "
                f"{_count(len(self.rows), 'row')} are in it, all in the table that was printed"
            )
        if self._undrawn:
            said.append(
                f"{_count(len(self._undrawn), 'drawn copy', 'drawn copies')} could not be written, "
                f"the first: {self._undrawn[0]}"
            )
        return said

    def _write(self) -> None:
        if self._table is None:
            return
        try:
            self._table.append(self.rows[self._table.rows :])
            self._unwritten = None
        except OSError as error:
            if self._unwritten is None:
                logger.warning("%s: %s; going on without", self._table.path, error.strerror)
            self._unwritten = error

    def _draw(self, photo: Photo, copy: Path) -> None:
        try:
            drawn = annotate(load_image(Path(photo.name)), photo)
        except ValueError as error:  # changed or gone since it was looked at
            logger.warning("%s is not drawn: %s", photo.name, error)
            return
        try:
            with replacing(copy) as beside:
                drawn.save(beside, "JPEG", quality=92, comment=DRAWN)
        except OSError as error:
            self._undrawn.append(f"{copy}: {error.strerror or error}")


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
    # `Path.resolve` fails at links that lead in a circle.
    originals = {os.path.realpath(photo) for photo in photos}
    photo_of: dict[Path, Path] = {}
    for photo in photos:
        below = photo.absolute().relative_to(base)
        is_jpeg = photo.suffix.lower() in JPEG
        copy = folder / (below if is_jpeg else below.with_name(f"{below.name}.jpg"))
        if os.path.realpath(copy) in originals or (copy.exists() and not _drawn_here(copy)):
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


def _comes_from_here(path: Path, output: Path | None) -> bool:
    """Whether a file is an earlier drawn copy, or the table that is to be written."""
    if output is not None and path.name == output.name:
        return os.path.realpath(path) == os.path.realpath(output)
    return path.suffix.lower() in JPEG and _drawn_here(path)


def _drawn_here(path: Path) -> bool:
    # A pipe would be waited for without end.
    if not path.is_file():
        return False
    try:
        with Image.open(path) as image:
            return image.info.get("comment") == DRAWN
    except Exception:  # a damaged file can fail anywhere inside a decoder
        return False


@contextmanager
def _told(done: _Done) -> Iterator[None]:
    """Print what is done, however the block ends."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        # Impatience must not keep the results back.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        number = sum(row["face"] <= 0 for row in done.rows)
        so_far = f"after {_count(number, 'photo')}; what is done is kept."
        interrupted = isinstance(error, KeyboardInterrupt)
        click.echo(
            f"\n{'Interrupted' if interrupted else 'Failed'} "
            f"{so_far if number else 'before the first photo was done.'}",
            err=True,
        )
        try:
            done.tell()
        finally:
            signal.signal(signal.SIGINT, before)
        if interrupted:
            raise SystemExit(INTERRUPTED) from error
        raise
    done.tell()


def print_table(
    table: pd.DataFrame, output: Path | None = None, most: int = MOST_ROWS, caution: str = ""
) -> None:
    """Print the first faces, and how many there are; what was no photo to begin with comes last.

    Args:
        table: From `faces_table`, at least a row.
        output: Where all of it is.
        most: Rows that are printed.
        caution: What the notes of all faces say; it stands below the table, once.
    """
    others = _others(table)
    head = pd.concat([table[~others], table[others]]).head(most)
    base = os.path.commonpath([Path(name).absolute().parent for name in head["file"]])
    reasons, notes = (head[name].fillna("") for name in ("reason", "note"))
    words = (reasons + "; " + notes.str.removesuffix(caution)).str.strip("; ")
    shown = Table(Column("file", overflow="fold"))
    for name in ("face", "age", *(f"{level}%" for level in LEVELS), "score"):
        shown.add_column(name, justify="right", no_wrap=True)
    if words.any():
        shown.add_column("reason or note", overflow="fold")
    for row, said in zip(head.to_dict("records"), words, strict=True):
        shown.add_row(*_cells(row, base), *([escape(said)] if words.any() else []))
    print_line(f"Photos in {base}")
    Console().print(shown)
    if caution:
        print_line(f"Caution: {caution}")
    print_line(_summary(table, output, most))
    least = table["min_face"].dropna().round().unique()
    if len(least):
        smallest = f"{least.min():.0f}" + f" to {least.max():.0f}" * (len(least) > 1)
        print_line(f"Faces below {smallest} pixels were not looked for; --min-face changes it")
    unknown = [level for level in LEVELS if np.isinf(table[f"high_{level}"]).any()]
    if unknown:
        levels = " and ".join(f"{level}%" for level in unknown)
        print_line(f"Where a {levels} interval is unknown, too few people were measured to say it")


def _others(table: pd.DataFrame) -> pd.Series:
    """Which rows are of files that lie beside photos: neither read nor called as one."""
    unread = table["reason"].str.startswith(UNREADABLE).fillna(value=False)
    return unread & ~called_as_photos(table["file"])


def _summary(table: pd.DataFrame, output: Path | None, most: int) -> str:
    others = int(_others(table).sum())
    photos = table[~_others(table)]
    closed = int(photos["reason"].str.startswith(NOT_ENTERED).sum())
    without = photos.loc[photos["face"] < 0, ["file", "reason"]]
    without = without[~without["reason"].str.startswith(NOT_ENTERED)]
    unread = without[[not was_read(reason) for reason in without["reason"]]]
    faces, number = int((photos["face"] >= 0).sum()), int((photos["face"] <= 0).sum()) - closed
    parts = [f"{_count(faces, 'face')} in {_count(number, 'photo')}, {len(without)} without a face"]
    if len(unread):
        file, reason = unread.iloc[0]
        why = reason.removeprefix(f"{UNREADABLE}: ")
        parts[0] += f", {len(unread)} of them unreadable, the first {Path(file).name}: {why}"
    if others:
        parts.append(f"{_count(others, 'other file')} beside them, no photo")
    if closed:
        parts.append(f"{_count(closed, 'folder')} not entered")
    if len(table) > most:
        rest = f"all are in {output}" if output else "give --output=FILE.csv for all of them"
        parts.append(f"{_count(len(table) - most, 'more row')} not shown, {rest}")
    elif output:
        parts.append(f"written to {output}")
    return "; ".join(parts)


def _cells(row: dict[Any, Any], base: str) -> list[str]:
    def shown(words: str, value: float) -> str:
        return "-" if math.isnan(value) else words.format(value)

    return [
        escape(os.path.relpath(Path(row["file"]).absolute(), base)),
        "-" if row["face"] < 0 else str(row["face"]),
        shown("{:.1f}", row["age"]),
        *(_interval(row[f"low_{level}"], row[f"high_{level}"]) for level in LEVELS),
        shown("{:.3f}", row["score"]),
    ]


def _interval(low: float, high: float) -> str:
    if math.isnan(low):
        return "-"
    if math.isinf(high):
        return f"{low:.1f} or more" if low > 0 else "unknown"
    return f"{low:.1f} to {high:.1f}"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
