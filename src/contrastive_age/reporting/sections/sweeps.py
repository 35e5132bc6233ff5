"""How the error depends on one parameter: the weights of the losses, or any other number."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from contrastive_age.reporting import curves, sweeps, wording
from contrastive_age.reporting.groups import SETTING, Evidence, Group, rows_of
from contrastive_age.reporting.papers import default_of
from contrastive_age.reporting.pictures import Picture
from contrastive_age.reporting.sections.section import Contents, Part, Section, heading
from contrastive_age.reporting.sweeps import Curve

_NAMES: Mapping[str, str] = {
    "loss.lambda_c": "Weight of the cosine loss λ_c",
    "loss.lambda_t": "Weight of the triplet loss λ_t",
    "loss.lambda_k": "Weight of the KL loss λ_k",
    "loss.margin": "Margin of the triplet loss",
    "training.lr": "Learning rate (training.lr)",
    "training.image_size": "Image size (pixels)",
    "training.epochs": "Epochs",
    "training.batch_size": "Batch size",
    "training.weight_decay": "Weight decay",
}
"""What axes call parameters; others are called by their own names."""

POINTS = ("sweep", "parameter", "value", "curve", "shared_losses", "shared_budget")


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out MAE over each parameter in which settings differ alone, see `sweeps.find`.

    They are measured on test folds, so that they tell how sensitive the error is and select
    nothing. The paper's own curves, on MORPH II subject-exclusive, have a row that is "not run"
    where they were not; networks that were pre-trained on faces do not count as having run them.

    Returns:
        A row a point: `SETTING`, `status`, `sweep` (numbers those drawn together), `parameter` and
        its `value`, `curve` (the losses in which it differs from others of its sweep, in words),
        `shared_losses` and `shared_budget` (what all of its sweep have), `mae`, `mae_low`,
        `mae_high` (95%, subjects), `seed_sd` and `command`.
    """
    found = sweeps.find(evidence.groups)
    rows: list[dict[str, Any]] = [
        group.columns
        | {"sweep": number, "parameter": curve.parameter, "value": value, "curve": label}
        | shared
        for number, some in enumerate(found)
        for shared in [_shared(some)]
        for curve, label in zip(some, _labels(some), strict=True)
        for value, group in curve.points.items()
    ]
    missing = {"protocol": PAPERS_CURVES, "pretraining": "", "status": "not run"}
    rows += [
        missing | {"parameter": parameter, "command": command}
        for parameter, command in _not_drawn(evidence, found)
    ]
    columns = ["status", "mae", "mae_low", "mae_high", "seed_sd", "command"]
    table = pd.DataFrame(rows, columns=[*SETTING, *POINTS, *columns])
    return table.astype({"sweep": "Int64"})


PAPERS_CURVES = "morph_se"
"""The protocol of the paper's Fig. 3."""

_PAPERS = {"loss.lambda_c": "fig3a", "loss.lambda_t": "fig3b"}


def _not_drawn(evidence: Evidence, found: Sequence[Sequence[Curve]]) -> list[tuple[str, str]]:
    """The curves of the paper's figure that were not run: their parameters and commands."""
    usual = {f"loss.{name}": weight for name, weight in evidence.papers.mean_variance.items()}
    drawn = {
        curve.parameter
        for some in found
        for curve in some
        for first in [next(iter(curve.points.values())).first]
        if first.protocol == PAPERS_CURVES and first.pretraining is None
        # Fig. 3a is drawn without triplets, Fig. 3b with the cosine loss.
        if (curve.losses == usual) == (curve.parameter == "loss.lambda_c")
        and (curve.parameter != "loss.lambda_t" or "loss.lambda_c" in curve.losses)
    }
    return [
        (parameter, evidence.command("sweep", f"--preset={preset}"))
        for parameter, preset in _PAPERS.items()
        if parameter not in drawn
    ]


def _labels(some: Sequence[Curve]) -> list[str]:
    """What tells each curve from the others: the losses in which they differ."""
    names = dict.fromkeys(name for curve in some for name in curve.losses)
    known = {name: {c.losses[name] for c in some if name in c.losses} for name in names}
    differing = [
        name
        for name in names
        if len(known[name]) > 1
        or (name != "loss.margin" and any(name not in curve.losses for curve in some))
    ]
    return [
        ", ".join(
            f"{symbol(name)} = {curve.losses.get(name, default_of(name.rpartition('.')[2])):g}"
            for name in differing
            if name in curve.losses or name != "loss.margin"
        )
        for curve in some
    ]


def _shared(some: Sequence[Curve]) -> dict[str, str]:
    """In words the losses that all curves have, and the budget that all points have."""
    first, *others = some
    losses = {
        name: weight
        for name, weight in first.losses.items()
        if all(curve.losses.get(name) == weight for curve in others)
    }
    budgets = [_words(group) for curve in some for group in curve.points.values()]
    return {
        "shared_losses": ", ".join(f"{symbol(name)} {value:g}" for name, value in losses.items()),
        "shared_budget": ", ".join(
            word for word in budgets[0] if all(word in words for words in budgets)
        ),
    }


def _words(group: Group) -> list[str]:
    return str(group.columns["budget"]).split(", ")


def symbol(parameter: str) -> str:
    """Such as λ_c or margin, and of what is no loss its last name."""
    return parameter.rpartition(".")[2].replace("lambda_", "λ_")


def draw(points: pd.DataFrame) -> list[Part]:
    """Draw the curves of each budget in a part of its own.

    Args:
        points: As `make` gives them; what was not run is passed over.
    """
    parts: dict[tuple[str, str], list[Picture]] = {}
    for _, rows in points[points["status"] == "measured"].groupby("sweep", sort=False):
        first = rows_of(rows)[0]
        inputs = first["inputs"] if len(set(rows["inputs"])) == 1 else ""
        title = heading(first | {"budget": first["shared_budget"], "inputs": inputs})
        parts.setdefault(title, []).append(_picture(rows))
    return [Part(*title, pictures) for title, pictures in parts.items()]


def _picture(rows: pd.DataFrame) -> Picture:
    points = rows_of(rows)
    parameter, shared = points[0]["parameter"], points[0]["shared_losses"]
    name = symbol(parameter)
    if not parameter.startswith("loss."):
        name = _NAMES.get(parameter, parameter)
        name = name[0].lower() + name[1:]
    # The legend's names, such as λ_t of "λ_t = 1", "λ_t = 2".
    others = dict.fromkeys(re.findall(r"(\S+) =", " ".join(point["curve"] for point in points)))
    each = f", a curve for each {' and '.join(others)}" if others else ""
    what = f"MAE over {name}{each}"
    values = "; ".join(
        f"{name} {point['value']:g}{', ' if others else ''}{point['curve']}: "
        f"{wording.number(point['mae'])} years "
        f"{wording.interval(point['mae_low'], point['mae_high'])}".strip()
        for point in points
    )
    given = f" All with {shared}." if shared else ""
    return Picture.of(
        curves.draw(rows, _NAMES.get(parameter, name)),
        f"{what}.{given} {_bars(rows)} {_seeds(points)}",
        f"{what}. {values}.",
    )


def _bars(rows: pd.DataFrame) -> str:
    known = rows["mae_low"].notna()
    words = ["Bars are 95% intervals over subjects."] if known.any() else []
    words += [] if known.all() else ["There is no interval below four subjects."]
    return " ".join(words)


def _seeds(points: Sequence[Mapping[str, Any]]) -> str:
    numbers = [len(point["seeds"].split(", ")) for point in points]
    fewest, most = min(numbers), max(numbers)
    if most == 1:
        return "One seed a point: where points differ, the seed may be all that does it."
    return f"{fewest if fewest == most else f'{fewest} to {most}'} seeds a point."


def _show(contents: Contents) -> list[Part]:
    return draw(contents.rows("curves", on_faces=False))


SECTION = Section(
    "sweeps",
    "Sweeps",
    (
        "One parameter over its values, wherever at least "
        f"{sweeps.POINTS_OF_A_CURVE} settings differ in it alone. Sensitivity on test folds: a "
        "curve selects nothing. Settings of one budget are compared with one another below; where "
        "the parameter is part of the budget, such as the image size, nothing is compared.",
    ),
    "curves",
    make,
    show=_show,
    too_little="No curve: it takes three settings that differ in one parameter alone, such as "
    "those of kedro sweep --set loss.lambda_c=0,1,4.",
)
