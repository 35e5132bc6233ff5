"""The cards of weights and models: what they are, what they were made from, what they are worth."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from contrastive_age.model.seen import Seen


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
            `pretrained_on` (see `weights.external_faces`), `radii` (empty where there are none),
            `cross_validation` with `leaked_share`, `mae_lookup` and `conformal` (None where there
            are no intervals), `groups`, `thresholds` and how it was trained.
    """
    return _write("model_card.md.j2", facts)


def _write(template: str, values: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("contrastive_age.inference"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, of names that our own parameters gave
    )
    return environment.get_template(template).render(**values)
