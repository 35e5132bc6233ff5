"""Finding what has been run, and laying it beside what the paper published."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.faces.store import Wanted, open_faces, rows_of
from contrastive_age.parameters.given import Report
from contrastive_age.parameters.loader import environment
from contrastive_age.provenance import Record, table_digest
from contrastive_age.sources.manifest import source_key

if TYPE_CHECKING:
    from contrastive_age.reporting.elements import Picture
    from contrastive_age.reporting.results import Group, Measured

logger = logging.getLogger(__name__)


def make_report(
    data_folder: Path, sources: dict[str, Any], shown: Report
) -> tuple[str, dict[str, pd.DataFrame]]:
    """Make the report from everything that has been run.

    Args:
        data_folder: The folder of all data.
        sources: The sources, which say whose faces are drawn.
        shown: What the example figures show.

    Returns:
        The page as HTML, and its tables by name.
    """
    from contrastive_age.evaluation.summary import tables_made_with
    from contrastive_age.reporting import page
    from contrastive_age.reporting.results import group_seeds

    drawn = {name for name, own in sources.items() if own["synthetic"] is not None}
    measured = read_results(data_folder, drawn)
    groups = group_seeds(measured)
    audits = {
        path.parent.name: own
        for path in sorted((data_folder / "02_intermediate").glob("*/audit.json"))
        if (own := _read(path))
    }
    chosen = [
        own
        for path in sorted((data_folder / "08_reporting").glob("*/selected-*/selection.json"))
        if (own := _read(path)) and _predictions_of(path, own, data_folder) is not None
    ]
    tables = page.tables(groups, audits, chosen, drawn, environment())
    logger.info("%d runs of %d settings found in %s", len(measured), len(groups), data_folder)
    made_from = {"written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"} | tables_made_with()
    return page.render(tables, _pictures(data_folder, groups, drawn, shown), made_from), tables


def read_results(data_folder: Path, drawn: Collection[str]) -> "list[Measured]":
    """Read every result on test parts whose predictions are those that were measured.

    Args:
        data_folder: The folder of all data.
        drawn: The sources whose faces are drawn.

    Returns:
        Finished runs, by protocol and key. What cannot be used is logged with its reason.
    """
    from contrastive_age.reporting.results import Measured

    found = []
    for path in sorted((data_folder / "08_reporting").glob("*/*/metrics.json")):
        metrics = _read(path)
        if not metrics or metrics.get("part") == "validation":
            continue
        predictions = _predictions_of(path, metrics, data_folder)
        if predictions is None:
            continue
        parameters = metrics["parameters"]
        found.append(
            Measured(
                protocol=metrics["protocol"],
                setting=metrics["setting"],
                key=metrics["key"],
                seed=parameters["seed"],
                parameters=parameters,
                metrics=metrics,
                identity=_beside(path, "identity.json", metrics),
                gradcam=_beside(path, "gradcam.json", metrics),
                predictions=predictions,
                run_id=metrics["run_id"],
                demo=parameters["source"] in drawn,
            )
        )
    return found


def _predictions_of(
    path: Path, document: Mapping[str, Any], data_folder: Path
) -> pd.DataFrame | None:
    """The predictions that a document measures; None, logged with the reason, for others."""
    outputs = data_folder / "07_model_output" / path.parts[-3] / path.parts[-2]
    try:
        predictions = pd.read_parquet(outputs / "predictions.parquet")
    except (OSError, ValueError) as error:
        logger.warning("%s is left out: its predictions cannot be read (%s)", path, error)
        return None
    if document.get("predictions") != table_digest(predictions):
        logger.warning("%s is left out: its predictions were changed; run it again", path)
        return None
    return predictions


def _pictures(
    data_folder: Path, groups: "Sequence[Group]", drawn: Collection[str], shown: Report
) -> "dict[str, list[Picture]]":
    """Draw Fig. 2 and the mean maps for each protocol and budget."""
    from contrastive_age.reporting.results import families

    pictures: dict[str, list[Picture]] = {"figure_2": [], "attention": [], "on_faces": []}
    for family in families(groups):
        try:
            found = _family_pictures(data_folder, family, drawn, shown)
        except (DataError, OSError) as error:
            # Photos or their alignment may have changed since; numbers stand without examples.
            logger.warning("%s: no example faces (%s)", family[0].protocol, error)
            continue
        for name, own in found.items():
            pictures["on_faces" if family[0].on_faces else name] += own
    return pictures


def _family_pictures(
    data_folder: Path, family: "Sequence[Group]", drawn: Collection[str], shown: Report
) -> "dict[str, list[Picture]]":
    first = family[0].first
    source = first.parameters["source"]
    folder = source_key(source, first.parameters.get("manifest"))
    samples = pd.read_parquet(data_folder / "02_intermediate" / folder / "samples.parquet")
    faces = open_faces(data_folder / "03_primary" / folder / "faces.npy", samples, _wanted(first))
    compared = _with_papers_weights(family, shown.settings) or {first.setting: first}
    photos = source not in drawn
    about = f"{first.protocol}, {family[0].budget}"
    examples = _examples(samples, faces, list(compared.items())[-1], about, photos)
    maps = {name: _maps(data_folder, own) for name, own in compared.items()}
    if not all(len(own["sample_id"]) for own in maps.values()):
        return {"figure_2": [examples]}
    beside = _side_by_side(samples, faces, compared, maps, about, photos, shown.faces)
    return {
        "figure_2": [examples, beside],
        "attention": [
            _mean_maps(samples, faces, (name, own), maps[name], about, photos)
            for name, own in compared.items()
        ],
    }


def _with_papers_weights(
    family: "Sequence[Group]", settings: Sequence[str]
) -> "dict[str, Measured]":
    """The runs of these named settings whose losses weigh what the paper gives for the protocol."""
    from contrastive_age.reporting.results import SETTINGS, find, papers_losses

    protocol = family[0].protocol
    losses = {name: papers_losses(own, protocol) for own, name in SETTINGS.items()}
    found = {name: find(family, protocol, losses[name]) for name in settings if name in losses}
    return {name: groups[0].first for name, groups in found.items() if groups}


def _examples(
    samples: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    named: "tuple[str, Measured]",
    about: str,
    photos: bool,
) -> "Picture":
    from contrastive_age.reporting import figures
    from contrastive_age.reporting.elements import Picture

    name, run = named
    best, worst = figures.choose_best_and_worst(run.predictions)
    chosen = pd.concat([best, worst])
    figure = figures.face_sheet(
        faces[rows_of(samples, faces, chosen, _wanted(run))],
        chosen["age"].to_numpy(),
        chosen["predicted_age"].to_numpy(),
        n_worst=len(worst),
    )
    return Picture.of(
        figure,
        f"Example predictions of {name}; {about}.",
        f"Faces of {about} with predicted and true ages: small errors above, large ones below",
        photos,
    )


def _side_by_side(
    samples: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    compared: "Mapping[str, Measured]",
    maps: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    about: str,
    photos: bool,
    number: int,
) -> "Picture":
    """Lay the settings' maps of the same faces below one another."""
    from contrastive_age.evaluation.gradcam import choose_samples
    from contrastive_age.reporting import heatmaps
    from contrastive_age.reporting.elements import Picture

    common = set.intersection(*(set(own["sample_id"].tolist()) for own in maps.values()))
    first = next(iter(compared.values())).predictions
    known = first[first["sample_id"].isin(common)].sort_values(["age", "sample_id"])
    chosen = known.iloc[np.sort(choose_samples(known["sample_id"], known["age"], number, 0))]
    figure = heatmaps.side_by_side(
        faces[rows_of(samples, faces, chosen, _wanted(next(iter(compared.values()))))],
        {
            name: own["maps"][pd.Index(own["sample_id"]).get_indexer(chosen["sample_id"])]
            for name, own in maps.items()
        },
        {
            name: own.predictions.set_index("sample_id")
            .loc[chosen["sample_id"], "predicted_age"]
            .to_numpy()
            for name, own in compared.items()
        },
        chosen["age"].to_numpy(),
    )
    names = " and ".join(compared)
    return Picture.of(
        figure,
        f"Grad-CAM of {names} on the same tested faces; {about}.",
        f"Heat maps of {names} over the same faces, a row a setting",
        photos,
    )


def _mean_maps(
    samples: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    named: "tuple[str, Measured]",
    maps: Mapping[str, npt.NDArray[Any]],
    about: str,
    photos: bool,
) -> "Picture":
    from contrastive_age.reporting import heatmaps
    from contrastive_age.reporting.elements import Picture

    name, run = named
    explained = run.predictions.set_index("sample_id").loc[maps["sample_id"]].reset_index()
    figure = heatmaps.mean_maps(
        maps["maps"],
        explained["age"].to_numpy(),
        faces[rows_of(samples, faces, explained, _wanted(run))],
        run.parameters["alignment"]["coverage"],
    )
    return Picture.of(
        figure,
        f"Mean Grad-CAM of {name} by age, over the mean face; {about}.",
        f"Where {name} looks on average, one panel for each group of ages",
        photos,
    )


def _wanted(run: "Measured") -> Wanted:
    """The faces that a run was measured on."""
    coverage = run.parameters["alignment"]["coverage"]
    return Wanted(coverage, run.parameters.get("detection", {}).get("min_face"))


def _maps(data_folder: Path, run: "Measured") -> dict[str, npt.NDArray[Any]]:
    """The maps of all folds of a run that are there."""
    folder = data_folder / "07_model_output" / run.protocol / run.key
    found = [np.load(path) for path in sorted(folder.glob("fold_*/gradcam.npz"))]
    if not found:
        return {"sample_id": np.array([], dtype=np.str_)}
    return {name: np.concatenate([own[name] for own in found]) for name in ("sample_id", "maps")}


def _read(path: Path) -> dict[str, Any]:
    """Read a document; one that is damaged is logged, and counts as empty."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    logger.warning("%s is left out: it is damaged; run it again", path)
    return {}


def _beside(path: Path, name: str, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """A document beside metrics.json, where it is there and of the same predictions."""
    beside = path.with_name(name)
    found = _read(beside) if beside.is_file() else {}
    # Documents of earlier versions do not say what they were made from.
    known, own = (Record.read(document.get("made_from")) for document in (metrics, found))
    if own.decided_by and own.differences(known.decided_by):
        logger.warning("%s is left out: it is of other predictions; run the setting again", beside)
        return None
    return found or None
