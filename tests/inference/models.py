"""A small final model whose ages mean nothing, for the tests of all that reads one."""

from dataclasses import replace

import torch

from contrastive_age.evaluation.conformal import Radii
from contrastive_age.inference.model_file import AgeModel
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import DEFAULT, Architecture
from contrastive_age.model.network import AgeNetwork

DRAWN = "Trained on drawn faces: no real ages."


def drawn_model() -> AgeModel:
    """The same, said to be trained on drawn faces."""
    model = untrained_model()
    drawn = {"parameters": {"drawn": True}, "licence": "synthetic: drawn faces, no terms"}
    return replace(model, facts={**model.facts, **drawn})


def untrained_model(
    seed: int = 0, image_size: int = 32, architecture: Architecture = DEFAULT
) -> AgeModel:
    """A network of random weights over the ages 0..69, with all that a final model carries."""
    classes = AgeClasses(0, 69)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = AgeNetwork(classes, architecture).state_dict()
    return AgeModel(
        state=state,
        classes=classes,
        architecture=architecture,
        image_size=image_size,
        radii=Radii.of_one_width({"80": 6.5, "95": 12.25}),
        card="# A model for tests\n\nIts ages mean nothing.\n",
        facts={"name": "synthetic_se ternary-00000000", "cross_validation": {"mae": 5.0}},
    )
