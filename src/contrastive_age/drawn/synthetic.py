"""Synthetic faces, written as JPEG files in the layouts of FG-NET and MORPH II.

They let the real pipelines run end to end where no photographs are at hand. A marker file,
`synthetic.json`, says what a folder holds, so that finished work is not repeated, interrupted work
goes on, and photographs of real people are never touched.
"""

import io
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.drawn.face import portrait
from contrastive_age.drawn.population import Arrest, Shot, fgnet_population, morph2_population
from contrastive_age.drawn.portrait.people import traits
from contrastive_age.errors import DataError
from contrastive_age.files import replacing
from contrastive_age.provenance import code_of

MARKER = "synthetic.json"
MORPH_TABLE = "morph_2008_nonCommercial.csv"
MORPH_COLUMNS = (
    "id_num",
    "picture_num",
    "dob",
    "doa",
    "race",
    "gender",
    "facial_hair",
    "age",
    "age_diff",
    "glasses",
    "photo",
)

_SIZE = 200
_QUALITY = 92
_DATA_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".pts", ".csv"}

_log = logging.getLogger(__name__)


_Job = tuple[tuple[str, ...], Callable[[], list[bytes]]]
"""Files below a folder, and the function that makes the content of each, or of more."""


def draw(
    layout: str,
    folder: Path,
    *,
    identities: int,
    images: int,
    seed: int,
    within: Iterable[Path] | None = None,
) -> None:
    """Write synthetic faces in one of `LAYOUTS`.

    Nothing is done where the folder already holds this population; what is missing from it is
    completed; another population of this generator is replaced.

    Args:
        layout: A name in `LAYOUTS`.
        folder: Folder to write into; made when missing.
        identities: Number of identities.
        images: Number of pictures in all.
        seed: Seed of the population; identities of different seeds are different people.
        within: Folders; outside of them only what this generator has drawn already is touched,
            so that no drawn faces come among somebody's photos. None: any place will do.

    Raises:
        DataError: The folder holds files that this generator did not write, or lies elsewhere.
        ValueError: The numbers do not fit each other or the layout's names, or no faces can be
            drawn in that layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"faces are drawn in the layouts {' and '.join(LAYOUTS)}, not {layout}")
    if within is not None and _marked(folder)["population"] is None:
        place = folder.resolve()
        if not any(place.is_relative_to(own.resolve()) for own in within):
            raise DataError(
                f"{folder} lies outside the project and its data_root: no faces are drawn there, "
                "where others keep their photos. Leave raw_root away; to use photos, choose a "
                "pipeline and an --env whose sources are not drawn"
            )
    population = {
        "generator": code_of(draw),
        "layout": layout,
        "identities": identities,
        "images": images,
        "seed": seed,
    }
    _fill(folder, population, LAYOUTS[layout](identities, images, seed))


def _fgnet(identities: int, images: int, seed: int) -> list[_Job]:
    """Plan files in the layout of FG-NET.

    `images/001A02.JPG` is identity 001 at age 2 (a letter follows where an age repeats), and
    `points/001a02.pts` holds its 68 landmarks.
    """
    return [
        _picture(shot, seed, points=f"points/{Path(shot.name).stem.lower()}.pts")
        for shot in fgnet_population(identities, images, seed)
    ]


def _morph2(identities: int, images: int, seed: int) -> list[_Job]:
    """Plan files in the layout of MORPH II, where a quarter as many identities as images is usual.

    `Album2/000123_0M34.JPG` is picture 0 of identity 000123, a man of 34, and
    `morph_2008_nonCommercial.csv` holds dates, race and gender.
    """
    arrests = morph2_population(identities, images, seed)

    pictures = [_picture(arrest.shot, seed) for arrest in arrests]
    return [*pictures, ((MORPH_TABLE,), lambda: [_morph2_table(arrests, seed).encode()])]


LAYOUTS: dict[str, Callable[[int, int, int], list[_Job]]] = {"fgnet": _fgnet, "morph2": _morph2}
"""How each layout is drawn, from numbers of identities and images and a seed."""


def _picture(shot: Shot, seed: int, points: str | None = None) -> _Job:
    """Plan a picture and, where they are given a name, its landmarks."""

    def draw_picture() -> list[bytes]:
        face, landmarks = portrait(
            shot.identity, shot.age, seed=seed, picture=shot.picture, size=_SIZE
        )
        jpeg = io.BytesIO()
        face.save(jpeg, format="JPEG", quality=_QUALITY)
        rows = "\r\n".join(f"{x:.3f} {y:.3f}" for x, y in landmarks)
        text = f"version: 1\r\nn_points: {len(landmarks)}\r\n{{\r\n{rows}\r\n}}\r\n"
        return [jpeg.getvalue(), text.encode()]

    return (shot.name,) if points is None else (shot.name, points), draw_picture


def _morph2_table(arrests: list[Arrest], seed: int) -> str:
    """The table beside the pictures; dates are month/day/year, age_diff is in days."""
    people = [traits(row.shot.identity, seed) for row in arrests]
    rows = [
        (
            f"{row.shot.identity:06d}",
            row.shot.picture,
            f"{row.born:%m/%d/%Y}",
            f"{row.taken:%m/%d/%Y}",
            person.race,
            row.sex,
            int(person.bearded(row.shot.age)),
            row.shot.age,
            row.days_since_last,
            int(row.shot.age >= person.glasses_age),
            row.shot.name,
        )
        for row, person in zip(arrests, people, strict=True)
    ]
    return pd.DataFrame(rows, columns=MORPH_COLUMNS).to_csv(index=False, lineterminator="\r\n")


def _marked(folder: Path) -> dict[str, Any]:
    """What the marker says, or nothing where there is none."""
    path = folder / MARKER
    try:
        marker = json.loads(path.read_text())
    except FileNotFoundError:
        return {"population": None, "complete": False, "files": []}
    except ValueError:
        marker = None
    if not isinstance(marker, dict) or not {"population", "complete", "files"} <= marker.keys():
        raise DataError(
            f"{path} is not a marker of the generator of synthetic faces; move {folder} away or "
            "name another folder"
        )
    return marker


def _fill(folder: Path, population: dict[str, Any], jobs: list[_Job]) -> None:
    """Bring a folder to hold exactly a population.

    The marker is written first, as incomplete and with every file's name, and last, as complete. So
    an interrupted run is known as ours, and only files that the marker names are ever removed.
    """
    marker = _marked(folder)
    wanted = sorted(name for names, _ in jobs for name in names)
    present = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in _DATA_SUFFIXES and not path.name.startswith(".")
    }
    foreign = sorted(present - set(marker["files"]))
    if foreign:
        raise DataError(
            f"{folder} holds {len(foreign)} files that the generator of synthetic faces did not "
            f"write (such as {foreign[0]}); they may be real data and are left alone. Name another "
            "folder, or move them away"
        )
    same = marker["population"] == population
    if same and marker["complete"] and present == set(wanted):
        return
    if not same:
        for name in present:
            (folder / name).unlink()
        present = set()
    _mark(folder, population, wanted, complete=False)
    _log.info("Drawing %d synthetic faces into %s", population["images"], folder)
    for names, contents in jobs:
        if not present.issuperset(names):
            for name, content in zip(names, contents(), strict=False):
                with replacing(folder / name) as path:
                    path.write_bytes(content)
    _mark(folder, population, wanted, complete=True)


def _mark(folder: Path, population: dict[str, Any], files: list[str], *, complete: bool) -> None:
    with replacing(folder / MARKER) as path:
        path.write_text(
            json.dumps({"population": population, "complete": complete, "files": files}, indent=1)
        )
