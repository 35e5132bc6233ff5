"""Everything from networks that were pre-trained on faces, apart from all others."""

from collections import Counter
from typing import Any

import pandas as pd

from contrastive_age.reporting.groups import Evidence, rows_of, whole_numbers
from contrastive_age.reporting.papers import faces
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import (
    LOSSES,
    MAE,
    SEEDS,
    Block,
    Column,
    Contents,
    Grid,
    Missing,
    Section,
)
from contrastive_age.reporting.sections.sweeps import draw
from contrastive_age.reporting.summary import headline

WEIGHTS = (
    Column("Weights", "{{ weights[:8] }}{{ small(name) }}", number=False),
    Column("Faces", "{{ sources }}{{ small('data ' ~ data_hash[:8]) }}", number=False),
    Column("Images", "{{ images | whole }}{{ small(identities | whole) }}", "identities"),
    Column("Epochs", "{{ epochs }}{{ small(image_size ~ ' px') }}", "pixels"),
    Column("Terms of the data", "{{ licence }}", number=False),
    Column("Runs from it", "{{ runs }}", number=False),
)

SETTINGS = (
    Column(
        "Protocol and budget",
        "{{ protocol | protocol }}"
        "{{ small((budget | short) ~ (', drawn faces' if drawn_faces else '')) }}",
        number=False,
    ),
    LOSSES,
    Column("MAE (F)", MAE, "years; 95%, subjects"),
    SEEDS,
    Column(
        "Pre-trained on",
        "{{ pretraining }}{{ small(start.removesuffix(' pre-trained on faces (F)')) }}",
        number=False,
    ),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """List the trainings on other faces from which settings started.

    Returns:
        A row a file of weights, by its digest: `name, sources, images, identities, epochs,
        image_size` (pixels), `data_hash`, `weights` (SHA-256) and `licence`, and in `runs` the
        protocols and keys of what started from it.
    """
    runs_from: dict[str, list[Measured]] = {}
    for group in evidence.groups:
        if (told := group.first.pretraining) is not None:
            runs_from.setdefault(told["weights"], []).extend(group.runs)
    rows: list[dict[str, Any]] = [
        {
            **told,
            "sources": faces(told),
            "images": told["n"],
            "runs": "; ".join(f"{run.protocol} {run.key}" for run in runs),
        }
        for runs in runs_from.values()
        if (told := runs[0].pretraining)
    ]
    columns = ["name", "sources", "images", "identities", "epochs", "image_size", "data_hash"]
    table = pd.DataFrame(rows, columns=[*columns, "weights", "licence", "runs"])
    return whole_numbers(table, ["images", "identities"])


def show(contents: Contents) -> list[Block]:
    """The weights, and what was measured from them: all together, and the paper's claim."""
    measured = contents.rows("measured", on_faces=True)
    if measured.empty:
        return []
    weights = [
        row | {"runs": _by_protocol(row["runs"])}
        for row in rows_of(contents.tables["pretrainings"])
    ]
    claim = "The paper's claim, from networks that were pre-trained on faces (F)."
    return [
        Grid("What the networks were trained on before.", WEIGHTS, weights, "cards"),
        Grid(
            "Networks pre-trained on faces (F): MAE in years.", SETTINGS, rows_of(measured), "cards"
        ),
        *filter(None, [headline(contents, claim, on_faces=True)]),
        *draw(contents.rows("curves", on_faces=True)),
        *contents.pictures.get("on_faces", ()),
    ]


def _by_protocol(runs: str) -> str:
    """How many runs of each protocol, such as "fgnet_se 8, morph_se 3"."""
    counts = Counter(run.partition(" ")[0] for run in runs.split("; "))
    return ", ".join(f"{protocol} {count}" for protocol, count in counts.items())


SECTION = Section(
    "on-faces",
    "Pre-trained on faces (F)",
    (
        "These networks were trained on other faces before, so that they are compared with one "
        "another only, and where they started from the same weights. Beside published numbers "
        "they belong in (F) alone, and those networks saw other collections of faces. A file of "
        "weights of which nothing is told is not among them.",
    ),
    "pretrainings",
    make,
    show=show,
    nothing="No setting started from weights that were pre-trained on faces.",
    missing=Missing(
        "Such weights, for model.weights, are made by", "kedro run --pipeline=pretrain"
    ),
)
