"""What a network is made of, by name. Commands read it, so that nothing here imports torch."""

from dataclasses import fields
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from contrastive_age.strict import STRICT

RESNET18 = "resnet18"
LINEAR = "linear"

HEAD_NAMES = (LINEAR, "dropout", "ordinal", "coral", "regression", "noisy")
"""The keys of `heads.HEADS`."""


def _known_head(name: str) -> str:
    if name not in HEAD_NAMES:
        raise ValueError(f"it must be one of {', '.join(HEAD_NAMES)}")
    return name


def _known_backbone(name: str) -> str:
    if name != RESNET18:
        raise ValueError(f"it must be {RESNET18}")
    return name


@dataclass(frozen=True, config=STRICT)
class Architecture:
    """What a network is made of.

    Attributes:
        backbone: What makes features of a view.
        head: What makes logits over the age classes of features, see `heads.HEADS`.
    """

    # What is not said is left out, so that settings keep the keys that they had without it.
    backbone: Annotated[str, AfterValidator(_known_backbone)] = Field(
        default=RESNET18, exclude_if=RESNET18.__eq__
    )
    head: Annotated[str, AfterValidator(_known_head)] = Field(
        default=LINEAR, exclude_if=LINEAR.__eq__
    )

    @property
    def given(self) -> dict[str, str]:
        """What is not the default, by name."""
        parts = {field.name: getattr(self, field.name) for field in fields(Architecture)}
        return {name: part for name, part in parts.items() if part != vars(DEFAULT)[name]}


DEFAULT = Architecture()
"""The paper's: a ResNet-18 and one linear layer."""
