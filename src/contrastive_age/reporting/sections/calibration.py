"""Whether the softmax is spread as widely as the ages it is given for."""

from typing import Any

import pandas as pd

from contrastive_age.reporting.groups import Evidence, mean
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

MEASURES = ("crps", "nll", "central_80", "mae")
"""What is measured of the softmax, as it is and (`_tempered`) with the temperature."""

COLUMNS = (*(f"{name}{end}" for name in MEASURES for end in ("", "_tempered")), "temperature")


def _cell(name: str, unit: str) -> str:
    """A value as it is, and below it the one with the temperature."""
    tempered = f"after('with T', {name}_tempered | {unit})"
    return f"{{{{ {name} | {unit} }}}}{{{{ small({tempered}) }}}}"


LAYOUT = Layout(
    "The softmax as it is, and with a temperature T fitted on the other folds.",
    (
        LOSSES,
        Column("Central 80% holds", _cell("central_80", "percent"), "of the true ages"),
        Column("CRPS", _cell("crps", "number"), "years; smaller is better"),
        Column("NLL", _cell("nll", "number"), "nats; smaller is better"),
        Column("MAE", _cell("mae", "number"), "years, of the expectation"),
        Column(
            "Temperature",
            "{{ temperature | number }}{{ small(reason) }}",
            "mean over folds; above 1: the softmax is too narrow",
        ),
    ),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out the calibration of the softmax.

    Returns:
        A row a setting whose softmax was measured: `FAMILY`, `losses`, `seeds` (measured), and
        means over these seeds: `crps` (years), `nll` (nats), `central_80` (percent of images whose
        age is in the central 80% of the softmax), `mae` (years), all of them with `_tempered`, too,
        where there is a temperature; `temperature` (mean over folds), and else in `reason` why
        there is none.
    """
    return evidence.table([*COLUMNS, "reason"], _measured, **dict.fromkeys(COLUMNS, mean))


def _measured(run: Measured) -> list[dict[str, Any]]:
    # Documents of earlier versions do not tell of it.
    told = run.metrics.get("calibration")
    if not told:
        return []
    after, temperature = told["after"] or {}, told["temperature"] or {}
    return [
        {name: told["before"][name] for name in MEASURES}
        | {f"{name}_tempered": after.get(name) for name in MEASURES}
        | {"temperature": temperature.get("mean"), "reason": told["reason"] or ""}
    ]


SECTION = Section(
    "calibration",
    "Calibration of the softmax",
    (
        "If the softmax were true, its central 80% would hold 80% of the true ages. Where it holds "
        "fewer, its spread says too little of how far the age may be off, and no probability of "
        "it should be read as one: that is what the predictive intervals above are for. "
        "CRPS is the error in years of the whole softmax (a single age's would be its absolute "
        "error), NLL its surprise at the true age.",
        "A temperature divides the logits, and is fitted to what the other folds' networks said of "
        "people whom they never saw. It widens or narrows every softmax alike, and moves "
        "its expectation: the MAE with it stands below the plain one, and no predicted age of this "
        "page is tempered.",
    ),
    "calibration",
    make,
    (LAYOUT,),
    pictures="calibration",
    too_little="No setting's softmax has been measured yet.",
)
