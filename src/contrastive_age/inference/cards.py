"""The cards of weights and models: what they are, what they were made from, what they are worth."""

import math
from collections.abc import Mapping
from typing import Any

from contrastive_age.evaluation.conformal import Radii
from contrastive_age.evaluation.groups import tail_words
from contrastive_age.model.seen import Seen
from contrastive_age.templates import environment

SHOWN_AGES = (5, 15, 25, 40, 60)
"""The predicted ages in years at which a card says how wide intervals are."""


def weights_card(seen: Seen) -> str:
    """Write the card of pretrained weights in Markdown.

    Args:
        seen: As the file of weights carries it. Besides `seen.CARD` the latest card says `data`
            (of each source `source, n, identities, terms, manifest_hash`) and how it was trained.
    """
    latest, *before = seen.cards
    facts = {**latest, "licence": seen.licence, "before": before, "photos": len(seen.photos)}
    return _write("weights_card.md.j2", facts)


def model_card(facts: Mapping[str, Any]) -> str:
    """Write the card of a final model in Markdown.

    Args:
        facts: As the model carries them: `name, protocol, split, setting, trained_on, licence`,
            `pretrained_on` (see `weights.external_faces`), `radii` (see `conformal.Radii`),
            `cross_validation` with `leaked_share`, `mae_lookup`, `predicted_range` and `conformal`
            (None where there are no intervals), `groups`, `thresholds`, `calibration` (see
            `calibration.report`), `temperature` (1 where there is none) and how it was trained.
    """
    radii = Radii.from_json(facts["radii"]).at(SHOWN_AGES)
    widths = [
        {"age": age, "by_level": {level: float(radii[level][place]) for level in radii}}
        for place, age in enumerate(SHOWN_AGES)
    ]
    shown = {
        "levels": list(radii),
        "widths": widths,
        "infinity": math.inf,
        "tail": tail_words(facts["cross_validation"]["predicted_range"]),
        "cautions": cautions(facts),
        "drawn": on_drawn_faces(facts),
    }
    return _write("model_card.md.j2", {**facts, **shown})


def _write(template: str, facts: Mapping[str, Any]) -> str:
    return environment("contrastive_age.inference").get_template(template).render(facts)


def error_words(facts: Mapping[str, Any]) -> str:
    """Say how far off a model was in its cross-validation, and what its ages are not worth."""
    measured = facts.get("cross_validation", {})
    if measured.get("mae") is None:
        return " ".join([*cautions(facts), "The file does not say how accurate this model is."])
    shown = " on drawn faces" if on_drawn_faces(facts) else ""
    words = f"Off by {measured['mae']:.2f} years on average{shown} in cross-validation"
    if measured.get("leaked_share"):
        words += ", measured in part on people whom it knew"
    interval = measured.get("mae_interval")
    if interval and None not in interval:
        words += f" (95% interval {interval[0]:.2f} to {interval[1]:.2f}, one seed)"
    return " ".join([*cautions(facts), f"{words}, more for some ages: see the model's card."])


def on_drawn_faces(facts: Mapping[str, Any]) -> bool:
    """Whether a model was trained on drawn faces, and so measured on them."""
    return bool(facts.get("parameters", {}).get("drawn"))


def cautions(facts: Mapping[str, Any]) -> list[str]:
    """Say what keeps a model's ages from being ages of people, a sentence each.

    Args:
        facts: As the model carries them.
    """
    measured, said = facts.get("cross_validation", {}), []
    if on_drawn_faces(facts):
        said.append("Trained on drawn faces: no real ages.")
    trained_on = facts.get("trained_on", {})
    if trained_on and trained_on["n"] == trained_on["identities"]:
        said.append(
            "Every photo counted as another person: where people have several, the error is too "
            "small."
        )
    mae, constant = measured.get("mae"), measured.get("mae_constant")
    if mae is not None and constant is not None and mae >= constant:
        said.append(
            f"Worse than giving everyone one age, which errs by {constant:.2f} years: train longer."
        )
    return said
