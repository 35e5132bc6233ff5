"""The cards of weights and models: what they are, what they were made from, what they are worth."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def weights_card(card: Mapping[str, Any]) -> str:
    """Write the card of pretrained weights in Markdown.

    Args:
        card: As the file of weights carries it, see `pretrained.Pretrained`.
    """
    return _write("weights_card.md.j2", card)


def model_card(facts: Mapping[str, Any]) -> str:
    """Write the card of a final model in Markdown.

    Args:
        facts: As the model carries them: `name, protocol, setting, trained_on, pretrained_on,
            budget, view, cross_validation, radii`.
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
