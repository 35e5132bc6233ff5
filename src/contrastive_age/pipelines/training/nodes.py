"""Training one fold, or all samples."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.faces.store import rows_of
from contrastive_age.parameters.origins import (
    networks_decided_by,
    path_of_start,
    seen_by,
    start_of,
    stated_by,
    terms_of,
    triplets_fingerprint,
)
from contrastive_age.parameters.setting import Computing, Learning, Setting
from contrastive_age.pipelines.splitting.nodes import fold_parts, training_part
from contrastive_age.tracking.tracker import log_epoch, tracker

if TYPE_CHECKING:
    import torch

    from contrastive_age.training.fold import Recipe
    from contrastive_age.triplets.index import TripletIndex

Trained = tuple["dict[str, torch.Tensor]", pd.DataFrame]
Arrays = dict[str, npt.NDArray[Any]]


def train(
    samples: pd.DataFrame,
    looks: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    folds: pd.DataFrame,
    triplets: "TripletIndex",
    setting: Setting,
    computing: Computing,
    sources: dict[str, Any],
    training_folder: Path,
    fold: int | None,
) -> tuple["dict[str, torch.Tensor]", pd.DataFrame, Arrays]:
    """Train one fold, or give back the network that was trained by the very same things.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        looks: By what each of their photos is known again.
        faces: uint8 (N, 256, 256, 3).
        folds: The protocol's folds.
        triplets: The index over the fold's training part.
        setting: The protocol's effective values.
        computing: Where and how to compute.
        sources: All sources as the parameters give them.
        training_folder: Where checkpoints, the model and the history of this fold lie.
        fold: The fold that is tested, so not trained on; None to train on all samples.

    Returns:
        The network's state dict, which states what made it; the history, whose `attrs` hold the
        record of both; and the setting's list of photos.

    Raises:
        DataError: The faces or the folds are others than are asked for, an age has no class, or the
            initial weights were made from photos that are tested here.
        TrainingError: A loss is not finite.
    """
    from contrastive_age.model.seen import to_arrays
    from contrastive_age.model.weights import with_reference

    if fold is not None:
        refuse_overlap(setting, looks, fold_parts(folds, samples, setting, fold).tested)
    part = training_part(folds, samples, setting, fold)
    rows = rows_of(samples, faces, part, setting.faces)
    if triplets.fingerprint != triplets_fingerprint(part):
        raise DataError(
            f"The triplet index of {setting.protocol} on disk is that of other samples or code; "
            "run --tags=triplets,training"
        )

    def images() -> "torch.Tensor":
        from contrastive_age.training.augmentation import prepare

        return prepare(faces, rows, setting.training.image_size)

    model, history = learn(
        images,
        part["age"].to_numpy(),
        triplets,
        setting,
        computing,
        training_folder,
        networks_decided_by(setting, faces, part),
        "all samples" if fold is None else f"fold {fold}",
    )
    terms = [(setting.source, terms_of(sources[setting.source]))]
    seen = seen_by(setting, terms, folds.merge(looks, on="sample_id", validate="1:1"))
    return with_reference(model, stated_by(history), seen.digest), history, to_arrays(seen)


def refuse_overlap(setting: Setting, looks: pd.DataFrame, tested: pd.DataFrame) -> None:
    """Refuse to test on photos that the initial weights were trained on, in any generation.

    Weights without a card, such as ImageNet's, name no photos, so that nothing can be compared.

    Args:
        setting: The protocol's effective values.
        looks: By what each photo of the source is known again.
        tested: The samples that will be tested.

    Raises:
        DataError: There are such photos; the message names the first.
    """
    from contrastive_age.model.seen import refuse_known
    from contrastive_age.protocols.copies import Photos

    start = start_of(setting)
    if start is None or start.seen is None:
        return
    photos = tested[["sample_id"]].merge(looks, on="sample_id", validate="1:1")
    refuse_known(
        start.seen,
        Photos.of_table(photos),
        photos["sample_id"].tolist(),
        setting.most_bits,
        setting.model.weights,
    )


def learn(
    images: "Callable[[], torch.Tensor]",
    ages: npt.NDArray[np.int64],
    triplets: "TripletIndex",
    setting: Learning,
    computing: Computing,
    training_folder: Path,
    decided_by: dict[str, Any],
    name: str,
) -> Trained:
    """Train as a setting says, or give back the network that was trained by the very same things.

    Args:
        images: Gives the faces, uint8 (n, 3, S, S).
        ages: In years, (n,).
        triplets: The index over the same rows.
        setting: The values that decide the training.
        computing: Where and how to compute.
        training_folder: Where checkpoints, the model and the history lie.
        decided_by: All that decides the network.
        name: What it is called, besides its setting.
    """
    from contrastive_age.training.acceleration import Acceleration
    from contrastive_age.training.fold import Computer, Watcher, train_or_keep

    return train_or_keep(
        images,
        ages,
        triplets,
        recipe_of(setting),
        folder=training_folder,
        decided_by=decided_by,
        computer=Computer(
            computing.device,
            Acceleration(**computing.acceleration.model_dump()),
            share=1 / computing.folds_at_once,
        ),
        watcher=Watcher(
            f"{setting.key}, {name}",
            f"{setting.protocol} {name}",
            on_epoch=log_epoch,
            # A terminal has room for the bar of one process.
            progress=not tracker.is_worker,
        ),
    )


def recipe_of(setting: Learning) -> "Recipe":
    """Say how a setting trains."""
    from contrastive_age.model.losses import LossWeights
    from contrastive_age.model.network import AgeClasses
    from contrastive_age.training.augmentation import Augmentation
    from contrastive_age.training.fold import Recipe
    from contrastive_age.training.loop import TrainingSettings

    return Recipe(
        AgeClasses(setting.age_min, setting.age_max),
        path_of_start(setting),
        setting.model.digest,
        TrainingSettings(
            **setting.training.model_dump(),
            triplets=setting.triplets.mode,
            augmentation=Augmentation(**setting.augmentation.model_dump()),
        ),
        LossWeights(**setting.loss.model_dump()),
        setting.seed,
    )
