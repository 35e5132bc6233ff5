"""Training one fold, or all samples."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.faces.store import Faces, rows_of, sound
from contrastive_age.io.arrays import Arrays
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.copies import Ints
from contrastive_age.protocols.namespaces import fold_name, in_words
from contrastive_age.tracking.tracker import log_epoch, tracker
from contrastive_age.training.recipe import TEST, VALIDATION, Computing, Testing
from contrastive_age.triplets.index import TripletIndex
from contrastive_age.triplets.part import fingerprint_of

if TYPE_CHECKING:
    from torch import Tensor


def train(
    samples: pd.DataFrame,
    looks: pd.DataFrame,
    faces: Faces,
    training_samples: pd.DataFrame,
    training_looks: pd.DataFrame,
    training_faces: Faces,
    folds: pd.DataFrame,
    triplets: TripletIndex,
    setting: Setting,
    computing: Computing,
    sources: dict[str, Any],
    training_folder: Path,
    fold: int | None,
) -> tuple[dict[str, Any], pd.DataFrame, Arrays]:
    """Train one fold, or give back the network that was trained by the very same things.

    Args:
        samples: The samples of the source that is tested.
        looks: By what each of their photos is known again.
        faces: Theirs, uint8 (N, 256, 256, 3), of which some may be watched.
        training_samples: The samples of the source that trains, in a transfer another one; their
            rows are those of `training_faces`.
        training_looks: By what each of their photos is known again.
        training_faces: uint8 (N, 256, 256, 3).
        folds: The protocol's folds.
        triplets: The index over the fold's training part.
        setting: The protocol's effective values.
        computing: Where and how to compute.
        sources: All sources as the parameters give them.
        training_folder: Where each fold has a folder of checkpoints, the model and the history.
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
    from contrastive_age.model.weights import refuse_tested, with_seen
    from contrastive_age.parameters.origins import (
        located_start,
        network_of_fold,
        seen_by,
        start_of,
        terms_of,
    )
    from contrastive_age.protocols.parts import held_out
    from contrastive_age.training.augmentation import prepare
    from contrastive_age.training.fold import Watcher, stated_by, train_or_keep
    from contrastive_age.training.watching import Watched

    parts = setting.plan.parts(folds, samples, fold)
    part, tested = parts
    refuse_tested(
        start_of(setting),
        tested.merge(looks, on="sample_id", validate="1:1"),
        setting.most_bits,
    )
    trained = setting.plan.trained(folds, training_samples)
    rows = rows_of(training_samples, training_faces, trained.loc[part.index], setting.faces)
    if triplets.fingerprint != fingerprint_of(part):
        raise DataError(
            f"The triplet index of {setting.protocol} on disk is that of other samples or code; "
            "run --tags=triplets,training"
        )
    validates = held_out(
        trained.loc[part.index].merge(training_looks, on="sample_id", validate="1:1"),
        setting.training.validated_on,
        setting.seed,
        setting.most_bits,
    )
    # Whatever is asked of tests the same network validates best.
    looked_at = {VALIDATION: (part[validates], training_faces, rows[validates], Testing())}
    if setting.training.watch_test:
        tested_rows = rows_of(samples, faces, tested, setting.faces)
        looked_at[TEST] = tested, faces, tested_rows, setting.testing

    def images(source: Faces, chosen: Ints) -> "Tensor":
        return prepare(source, sound(source, chosen), setting.training.image_size)

    model, history = train_or_keep(
        lambda: images(training_faces, rows[~validates]),
        part["age"].to_numpy()[~validates],
        triplets.of_rows(~validates),
        setting.recipe,
        located_start(setting),
        folder=training_folder / fold_name(fold),
        decided_by=network_of_fold(setting, parts, training_faces, faces),
        computing=computing,
        watcher=Watcher(
            f"{setting.protocol} {setting.key}, {in_words(fold)}",
            on_epoch=log_epoch,
            # A terminal has room for the bar of one process.
            progress=not tracker.is_worker,
        ),
        watched=lambda: {
            column: Watched(images(source, chosen), table["age"].to_numpy(), testing)
            for column, (table, source, chosen, testing) in looked_at.items()
            if len(table)
        },
    )
    photos = trained.merge(training_looks, on="sample_id", validate="1:1")
    terms = {setting.learns_from: terms_of(sources[setting.learns_from])}
    seen = seen_by(setting, terms, photos)
    return with_seen(model, stated_by(history), seen.digest), history, to_arrays(seen)
