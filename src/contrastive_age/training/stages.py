"""The stages of a training: epochs of the whole network, then of a fresh head alone.

A decoupled head: once the features are learned, the backbone is frozen, with the running statistics
of its batch normalisation, and a head that is drawn anew learns from the features of random views
by the setting's terms over images alone. The authors of Rank-N-Contrast (Zha et al., NeurIPS 2023)
do so after their own loss alone, and by another one: L1 of a head that gives one number.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from contrastive_age.model.heads import draw
from contrastive_age.model.losses import LOSSES, LossWeights
from contrastive_age.model.losses.registry import acting
from contrastive_age.model.losses.softmax import TERM as SOFTMAX
from contrastive_age.training.recipe import Recipe

HEAD = "fc"
"""A network's module that maps features to logits."""


@dataclass(frozen=True)
class Stage:
    """Some of a training's epochs.

    Attributes:
        recipe: How to train in them; its `epochs` are the stage's own, and so is the progress of
            its schedule.
        before: How many epochs came before.
        head_only: Whether a fresh head learns alone.
    """

    recipe: Recipe
    before: int = 0
    head_only: bool = False

    @property
    def last(self) -> int:
        """The number of its last epoch, from 1."""
        return self.before + self.recipe.training.epochs

    def begin(self, network: nn.Module) -> Iterable[nn.Parameter]:
        """Prepare a network for the stage, and give the parameters that learn."""
        if not self.head_only:
            network.train()
            return network.parameters()
        head = network.get_submodule(HEAD)
        network.eval().requires_grad_(False)
        head.train().requires_grad_(True)
        # On the CPU: another device has other random numbers.
        place = next(head.parameters()).device
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.recipe.seed)
            draw(head.cpu())
        head.to(place)
        return head.parameters()


def stages(recipe: Recipe) -> list[Stage]:
    """Divide a training into its stages."""
    training = recipe.training
    whole = Stage(recipe)
    if not training.head_epochs:
        return [whole]
    alone = replace(
        recipe,
        training=replace(training, epochs=training.head_epochs),
        # Nothing is paired: each image is forwarded once.
        triplets="shared",
        loss=of_head(recipe.loss),
    )
    return [whole, Stage(alone, before=training.epochs, head_only=True)]


def of_head(weights: LossWeights) -> LossWeights:
    """Turn all terms off but those over images.

    Where none of these acts the head learns by the softmax loss.
    """
    kept = [term for term in acting(weights) if term.over == "images"]
    off = [term for term in LOSSES.values() if term not in kept]
    values = {term.weight: 0.0 for term in off}
    values |= {name: default for term in off for name, default in term.options.items()}
    return replace(weights, **values | ({} if kept else {SOFTMAX.weight: SOFTMAX.default}))
