"""The report's pictures: example predictions, and where the networks look."""

import base64
import io
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from contrastive_age import tables
from contrastive_age.errors import DataError
from contrastive_age.evaluation.gradcam import choose_samples
from contrastive_age.faces.store import Wanted, open_faces, rows_of
from contrastive_age.reporting import figures, heatmaps
from contrastive_age.reporting.groups import Evidence, Group, families
from contrastive_age.reporting.papers import SETTINGS, weights_in_words
from contrastive_age.reporting.results import Measured, read_maps
from contrastive_age.reporting.wording import percent
from contrastive_age.sources.manifest import source_key

logger = logging.getLogger(__name__)

PICTURE_DPI = 150
SHARPNESS = 1.5  # pixels of an image for each of the page
WIDE = 730  # pixels of the page

Maps = Mapping[str, npt.NDArray[Any]]
"""`sample_id` (n,) and `maps` (n, h, w)."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        png: The image.
        caption: Shown below.
        alt: What it shows, for readers who do not see it.
        photos: Whether people's photographs are in it; the page then says so.
    """

    png: bytes = field(repr=False)
    caption: str
    alt: str
    photos: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the page, from those that the head of the PNG says."""
        width, height = (int.from_bytes(self.png[at : at + 4], "big") for at in (16, 20))
        return round(width / SHARPNESS), round(height / SHARPNESS)

    @property
    def wide(self) -> bool:
        """Whether a phone had better show it in a box that scrolls."""
        return self.size[0] > WIDE

    @property
    def uri(self) -> str:
        """The image itself as an address, so that the page needs no file beside it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"

    @classmethod
    def of(cls, figure: Figure, caption: str, alt: str, photos: bool = False) -> "Picture":
        """Take a matplotlib figure."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=PICTURE_DPI)
        return cls(buffer.getvalue(), caption, alt, photos)


@dataclass(frozen=True, eq=False)
class Shown:
    """Settings of one budget whose faces are shown.

    Attributes:
        samples: Of their source.
        faces: Its aligned faces, uint8 (N, S, S, 3).
        runs: By the setting's name, at least one.
        about: Protocol and budget in words.
        photos: Whether the faces are photographs of people.
    """

    samples: pd.DataFrame
    faces: npt.NDArray[np.uint8]
    runs: Mapping[str, Measured]
    about: str
    photos: bool

    def of(self, run: Measured, chosen: pd.DataFrame) -> npt.NDArray[np.uint8]:
        """The faces of some samples, as a run was measured on them."""
        return self.faces[rows_of(self.samples, self.faces, chosen, _wanted(run))]

    def picture(self, figure: Figure, what: str, alt: str) -> Picture:
        """A figure of these faces."""
        return Picture.of(figure, f"{what}; {self.about}.", alt, self.photos)


def draw(
    data_folder: Path, evidence: Evidence, settings: Sequence[str], faces: int
) -> dict[str, list[Picture]]:
    """Draw Fig. 2, the mean maps and the softmax's calibration for each protocol and its data.

    Of several budgets it is the one of most settings.

    Args:
        data_folder: The folder of all data.
        evidence: What was measured, and whose faces are drawn.
        settings: The named settings to lay side by side, as far as they were run.
        faces: On how many faces.

    Returns:
        As `sections.section.Contents` takes them. What cannot be drawn is logged with its reason.
    """
    pictures: dict[str, list[Picture]] = {
        name: [] for name in ("figure_2", "attention", "calibration", "on_faces")
    }
    for family in _most_settings(evidence.groups):
        runs = _with_papers_weights(evidence, family, settings)
        runs = runs or {family[0].first.setting: family[0].first}
        on_faces = family[0].first.pretraining is not None
        calibrated = draw_calibration(runs, _about(family[0]))
        pictures["on_faces" if on_faces else "calibration"] += calibrated
        try:
            shown = _shown(data_folder, family[0], runs, evidence.drawn)
            maps = {name: read_maps(data_folder, run) for name, run in shown.runs.items()}
            for name, picture in draw_family(shown, maps, faces):
                pictures["on_faces" if on_faces else name].append(picture)
        except (DataError, OSError) as error:
            # Photos or their alignment may have changed since; numbers stand without examples.
            logger.warning("%s: no example faces (%s)", family[0].first.protocol, error)
    return pictures


def _most_settings(groups: Iterable[Group]) -> Iterable[Sequence[Group]]:
    """Of each data's families the one of most settings."""
    chosen: dict[tuple[Any, ...], Sequence[Group]] = {}
    for family in families(groups):
        run = family[0].first
        data = run.protocol, run.demo, run.metrics["manifest_hash"], run.pretraining is not None
        chosen[data] = max(chosen.get(data, []), family, key=len)
    return chosen.values()


def draw_family(shown: Shown, maps: Mapping[str, Maps], faces: int) -> list[tuple[str, Picture]]:
    """Draw the pictures of settings that can be compared.

    Args:
        shown: Their samples, faces and runs.
        maps: By the setting's name; without any for one of them, or where they are too coarse,
            there are examples alone.
        faces: How many to lay side by side.

    Returns:
        "figure_2" or "attention", and a picture.
    """
    name, run = list(shown.runs.items())[-1]
    pictures = [("figure_2", _examples(shown, name, run))]
    if all(
        len(known["sample_id"]) and not heatmaps.is_coarse(known["maps"].shape[1:])
        for known in maps.values()
    ):
        pictures.append(("figure_2", _side_by_side(shown, maps, faces)))
        pictures += [
            ("attention", _mean_maps(shown, name, run, maps[name]))
            for name, run in shown.runs.items()
        ]
    return pictures


def draw_calibration(runs: Mapping[str, Measured], about: str) -> list[Picture]:
    """Draw the softmax's calibration of those runs that measured it.

    Args:
        runs: By the setting's name.
        about: Protocol and budget in words.
    """
    return [
        Picture.of(
            figures.calibration(told),
            f"Calibration of the softmax of {named({name: run})}, one seed; {about}.",
            f"The central 80% of the softmax of {named({name: run})} holds "
            f"{percent(told['before']['central_80'])} of the true ages. Above: the share that each "
            f"central interval holds; below: where in the softmax the true age lies.",
        )
        for name, run in runs.items()
        if (told := run.metrics.get("calibration"))
    ]


def named(runs: Mapping[str, Measured]) -> str:
    """Settings with their weights, such as "mv (λ_m 0.2, λ_v 0.05) and ce (softmax alone)"."""
    return " and ".join(
        f"{name} ({weights_in_words(run.parameters['loss'])})" for name, run in runs.items()
    )


def _shown(
    data_folder: Path, group: Group, runs: Mapping[str, Measured], drawn: Collection[str]
) -> Shown:
    first = group.first
    source = first.parameters["source"]
    folder = source_key(source, first.parameters.get("manifest"))
    samples = tables.read(data_folder / "02_intermediate" / folder / "samples.parquet")
    faces = open_faces(data_folder / "03_primary" / folder / "faces.npy", samples, _wanted(first))
    return Shown(samples, faces, runs, _about(group), source not in drawn)


def _about(group: Group) -> str:
    """Protocol and budget in words."""
    return f"{group.first.protocol}, {group.columns['budget']}"


def _with_papers_weights(
    evidence: Evidence, family: Sequence[Group], settings: Sequence[str]
) -> dict[str, Measured]:
    """The runs of these named settings whose losses weigh what the paper gives for the protocol."""
    names = {setting: name for name, setting in SETTINGS.items()}
    return {
        setting: groups[0].first
        for setting in settings
        if setting in names
        and (groups := evidence.find(family, family[0].first.protocol, names[setting]))
    }


def _examples(shown: Shown, name: str, run: Measured) -> Picture:
    best, worst = figures.choose_best_and_worst(run.predictions)
    chosen = pd.concat([best, worst])
    figure = figures.face_sheet(
        shown.of(run, chosen),
        chosen["age"].to_numpy(),
        chosen["predicted_age"].to_numpy(),
        n_worst=len(worst),
    )
    return shown.picture(
        figure,
        f"Example predictions of {named({name: run})}",
        f"Faces of {shown.about} with predicted and true ages: small errors above, large ones "
        "below",
    )


def _side_by_side(shown: Shown, maps: Mapping[str, Maps], number: int) -> Picture:
    """Lay the settings' maps of the same faces below one another."""
    common = set.intersection(*(set(setting["sample_id"].tolist()) for setting in maps.values()))
    first = next(iter(shown.runs.values()))
    predictions = first.predictions
    known = predictions[predictions["sample_id"].isin(common)].sort_values(["age", "sample_id"])
    chosen = known.iloc[np.sort(choose_samples(known["sample_id"], known["age"], number, 0))]
    rows = chosen["sample_id"]
    figure = heatmaps.side_by_side(
        shown.of(first, chosen),
        {
            name: setting["maps"][pd.Index(setting["sample_id"]).get_indexer(pd.Index(rows))]
            for name, setting in maps.items()
        },
        {
            name: run.predictions.set_index("sample_id").loc[rows, "predicted_age"].to_numpy()
            for name, run in shown.runs.items()
        },
        chosen["age"].to_numpy(),
    )
    names = named(shown.runs)
    return shown.picture(
        figure,
        f"Grad-CAM of {names} on the same tested faces",
        f"Heat maps of {names} over the same faces, a row a setting",
    )


def _mean_maps(shown: Shown, name: str, run: Measured, maps: Maps) -> Picture:
    explained = run.predictions.set_index("sample_id").loc[maps["sample_id"]].reset_index()
    figure = heatmaps.mean_maps(
        maps["maps"],
        explained["age"].to_numpy(),
        shown.of(run, explained),
        run.parameters["alignment"]["coverage"],
    )
    return shown.picture(
        figure,
        f"Mean Grad-CAM of {named({name: run})} by age, over the mean face",
        f"Where {named({name: run})} looks on average, one panel for each group of ages",
    )


def _wanted(run: Measured) -> Wanted:
    """The faces that a run was measured on."""
    min_face = run.parameters.get("detection", {}).get("min_face")
    return Wanted(run.parameters["alignment"]["coverage"], min_face)
