"""How long settings will take, from a step that is measured."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.parts import parts

MEASURED_ANCHORS = 16


def anchors(folds: pd.DataFrame, setting: Setting) -> int:
    """Count the anchors that all folds of a setting see in all epochs.

    Args:
        folds: The protocol's folds.
        setting: The protocol's effective values.
    """
    numbers = folds["fold"].unique()
    seed = setting.splitting.seed
    trained = [len(parts(folds, fold, setting.validation, seed).training) for fold in numbers]
    return sum(trained) * setting.training.epochs


def per_anchor() -> Callable[[Setting], float]:
    """Give a function that tells the seconds an anchor takes, measured once for each kind of step.

    What is measured is a training epoch on made-up images of the setting's size; reading photos,
    evaluation and figures come on top.
    """
    known: dict[tuple[object, ...], float] = {}

    def seconds(setting: Setting) -> float:
        training, mode = setting.training, setting.triplets.mode
        kind = (training.image_size, training.batch_size, training.supervise, mode)
        if kind not in known:
            known[kind] = _measure(setting)
        return known[kind]

    return seconds


def _measure(setting: Setting) -> float:
    """Train on a few made-up images, once to warm up and once for the clock."""
    from contrastive_age.faces.alignment import FACE_SIZE
    from contrastive_age.model.network import AgeNetwork
    from contrastive_age.training import loop
    from contrastive_age.training.augmentation import prepare
    from contrastive_age.triplets.index import build_index

    number = min(MEASURED_ANCHORS, setting.training.batch_size)
    rng = np.random.default_rng(0)
    shape = (number, FACE_SIZE, FACE_SIZE, 3)
    faces = rng.integers(0, 256, shape, dtype=np.uint8)
    # Pairs of one age and two identities, so that every anchor has a positive and a negative.
    ages = setting.age_min + np.arange(number) // 2 % (setting.age_max - setting.age_min)
    recipe = replace(setting.recipe, training=replace(setting.training, epochs=2))
    history = loop.train(
        prepare(faces, np.arange(number), setting.training.image_size),
        ages,
        build_index(ages, np.arange(number).astype(str)),
        AgeNetwork(recipe.classes),
        recipe,
    )
    return float(history["seconds"].iloc[-1]) / number
