"""What a network is made of, by name. Commands read it, so that nothing here imports torch."""

from dataclasses import fields
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from contrastive_age.strict import STRICT

RESNET18 = "resnet18"
TIMM = "timm/"
"""What names of timm's networks begin with."""

LINEAR = "linear"

IMAGENET, EFFICIENTNET_LITE0, NO_WEIGHTS = "imagenet", "efficientnet_lite0", "none"
NAMED_WEIGHTS = {
    IMAGENET: RESNET18,
    EFFICIENTNET_LITE0: f"{TIMM}tf_efficientnet_lite0",
    NO_WEIGHTS: None,
}
"""Initial weights that are not a file, and the backbone that they are for; None for any.

How they are read, their terms and their words stand where they are used, since words decide no
network: `tests/test_named_weights.py` names what one lacks.
"""

HEAD_NAMES = (LINEAR, "dropout", "ordinal", "coral", "regression", "noisy")
"""The keys of `heads.HEADS`."""

OF_ONE_NUMBER = ("regression", "noisy")
"""Heads whose softmax is a Gaussian of one year about the number they give, whatever it learns."""


def _known_head(name: str) -> str:
    if name not in HEAD_NAMES:
        raise ValueError(f"it must be one of {', '.join(HEAD_NAMES)}")
    return name


def _known_backbone(name: str) -> str:
    if name != RESNET18 and not (name.startswith(TIMM) and name != TIMM):
        raise ValueError(f"it must be {RESNET18}, or {TIMM} and the name of a network of timm")
    return name


@dataclass(frozen=True, config=STRICT)
class Architecture:
    """What a network is made of.

    Attributes:
        backbone: What makes features of a view: `resnet18`, or `timm/` and a name that timm knows.
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

    @property
    def title(self) -> str:
        """What cards call it, such as "ResNet-18" or "ResNet-18, head dropout"."""
        backbone = "ResNet-18" if self.backbone == RESNET18 else self.backbone
        return backbone if self.head == LINEAR else f"{backbone}, head {self.head}"

    @property
    def libraries(self) -> tuple[str, ...]:
        """What it is made with besides torch, which are extras of this project, too."""
        return ("timm",) if self.backbone.startswith(TIMM) else ()


DEFAULT = Architecture()
"""The paper's: a ResNet-18 and one linear layer."""
