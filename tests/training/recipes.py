"""A small recipe for tests, and others that differ from it in a value or two."""

from dataclasses import fields, replace
from typing import Any

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.losses import LossWeights
from contrastive_age.training.recipe import Augmentation, Recipe, TrainingSettings

SMALL = Recipe(
    AgeClasses(20, 24),
    TrainingSettings(
        epochs=2,
        batch_size=8,
        image_size=32,
        lr=1e-3,
        schedule="constant",
        weight_decay=0,
        supervise="anchor",
    ),
    "explicit",
    Augmentation(degrees=10, translate=0.03, scale=0.1, flip="horizontal"),
    LossWeights(lambda_m=0.2, lambda_v=0.05, lambda_c=1, lambda_t=1, margin=0.2),
    seed=5,
)


def varied(recipe: Recipe = SMALL, **changed: Any) -> Recipe:
    """Give other values to a recipe, or to its `training`, by their names."""
    names = {field.name for field in fields(TrainingSettings)}
    training = {name: value for name, value in changed.items() if name in names}
    others = {name: value for name, value in changed.items() if name not in names}
    return replace(recipe, training=replace(recipe.training, **training), **others)
