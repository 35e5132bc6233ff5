"""What was chosen on validation parts of the training subjects, fold by fold."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contrastive_age.reporting import wording
from contrastive_age.reporting.groups import Evidence, rows_of
from contrastive_age.reporting.sections.section import Column, Contents, Grid, Part, Section

CAPTION = (
    "Chosen in each fold. MAE over all test parts with what was chosen: {{ mae | number }} years"
    "{{ ' ' ~ (mae_low | interval(mae_high)) if mae_low is known }}"
    "{{ '; seeds: ' ~ seeds ~ ' (' ~ (seed_sd | seed_spread) ~ ')' if seeds }}."
)
COLUMNS = (
    Column("Fold", "{{ fold }}", number=False),
    Column("Chosen", "{{ chosen }}", number=False),
    Column("Validation MAE", "{{ validation_mae | number }}", "years"),
)
_OF_CHOICE = ["seeds", "mae", "mae_low", "mae_high", "seed_sd"]
_CHOICE = ["protocol", "pretraining", "candidates", *_OF_CHOICE]


def make(evidence: Evidence) -> pd.DataFrame:
    """List the choices.

    Args:
        evidence: Of its `selections` `protocol`, `candidates` (setting keys, or with several seeds
            the names of settings, of whose keys `runs` tells), `by_fold` (`fold`, `chosen` and
            `validation_mae` by candidate), `mae` over the test parts with what each fold chose,
            the mean over `seeds`, `seed_sd`, and `mae_interval`; its groups tell which candidates
            were pre-trained on faces.

    Returns:
        A row a choice and fold, those with a candidate that was pre-trained on faces last:
        `protocol`, `pretraining` (of the candidates that were pre-trained on faces), `candidates`,
        `fold`, `chosen`, `validation_mae` (of the chosen), and for the whole choice `seeds` (empty
        where they are not told), `mae`, `mae_low`, `mae_high` and `seed_sd`.
    """
    told = {
        (run.protocol, run.key): group.columns["pretraining"]
        for group in evidence.groups
        if group.first.pretraining
        for run in group.runs + group.repeats
    }

    def before(document: Mapping[str, Any]) -> str:
        # Documents of earlier versions have a candidate for each run.
        runs = document.get("runs") or {name: [name] for name in document["candidates"]}
        known = [told.get((document["protocol"], key)) for keys in runs.values() for key in keys]
        return "; ".join(dict.fromkeys(filter(None, known)))

    rows = [
        {
            "protocol": document["protocol"],
            "pretraining": before(document),
            "candidates": ", ".join(document["candidates"]),
            "fold": part["fold"],
            "chosen": part["chosen"],
            "validation_mae": part["validation_mae"][part["chosen"]],
            "seeds": ", ".join(map(str, document.get("seeds", ()))),
            "mae": document["mae"],
            "mae_low": (document.get("mae_interval") or [None, None])[0],
            "mae_high": (document.get("mae_interval") or [None, None])[1],
            "seed_sd": document.get("seed_sd"),
        }
        for document in sorted(evidence.selections, key=lambda document: bool(before(document)))
        for part in document["by_fold"]
    ]
    columns = ["protocol", "pretraining", "candidates", "fold", "chosen", "validation_mae"]
    return pd.DataFrame(rows, columns=[*columns, *_OF_CHOICE])


def show(contents: Contents) -> list[Part]:
    """Each choice in a part of its own."""
    parts = []
    for _, rows in contents.tables["selections"].groupby(_CHOICE, sort=False, dropna=False):
        lines = rows_of(rows)
        first = lines[0]
        title, about = wording.protocol_name(first["protocol"]), first["candidates"]
        if first["pretraining"]:
            title = f"{title}, {wording.ON_FACES}"
            about = f"{about}; {wording.ON_FACES}: {first['pretraining']}"
        parts.append(Part(title, f"Candidates: {about}", [Grid(CAPTION, COLUMNS, lines)]))
    return parts


SECTION = Section(
    "selection",
    "What was chosen, and where",
    ("Chosen on validation parts, whose subjects are neither in training nor in test.",),
    "selections",
    make,
    show=show,
    nothing="Nothing was chosen: every setting has a fixed budget and its last epoch, and no "
    "number here was used to select another.",
)
