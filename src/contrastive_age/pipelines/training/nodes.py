"""Training one fold, or all samples."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.config import project_path
from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint
from contrastive_age.params import NAMED_WEIGHTS, Computing, Effective, Learning, Overlap
from contrastive_age.pipelines.alignment.nodes import rows_of
from contrastive_age.pipelines.splitting.nodes import fold_parts, training_part
from contrastive_age.protocols.overlap import find_overlap, take_fingerprints
from contrastive_age.provenance import (
    faces_digest,
    pretraining_of,
    state_digest,
    versions,
    weights_digest,
)
from contrastive_age.tracking import Tracking, log_epoch, tag_run

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from contrastive_age.model.network import AgeClasses, AgeNetwork
    from contrastive_age.triplets.index import TripletIndex

logger = logging.getLogger(__name__)

Trained = tuple["dict[str, torch.Tensor]", pd.DataFrame]


def train(
    samples: pd.DataFrame,
    files: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    folds: pd.DataFrame,
    triplets: "TripletIndex",
    setting: Effective,
    computing: Computing,
    overlap: Overlap,
    training_folder: Path,
    fold: int | None,
) -> Trained:
    """Train one fold, or give back the network that was trained by the very same things.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        files: The source's files with their digests.
        faces: uint8 (N, 256, 256, 3).
        folds: The protocol's folds.
        triplets: The index over the fold's training part.
        setting: The protocol's effective values.
        computing: Where and how to compute.
        overlap: When a tested photo counts as one that the initial weights were made from.
        training_folder: Where checkpoints, the model and the history of this fold lie.
        fold: The fold that is tested, so not trained on; None to train on all samples.

    Returns:
        The network's state dict and the history, whose `attrs` hold the fingerprint of both.

    Raises:
        DataError: The triplet index belongs to other folds, an age has no class, or the initial
            weights were made from photos that are tested here.
        TrainingError: A loss is not finite.
    """
    if fold is not None:
        tested = fold_parts(folds, setting, fold).tested
        weights = setting.model.weights
        refuse_overlap(weights, samples, files, faces, tested, overlap.most_bits)
    part = training_part(folds, setting, fold)
    rows = rows_of(samples, faces, part)
    made_by = fingerprint(
        triplets.fingerprint,
        faces_digest(faces),
        setting.model_dump(mode="json"),
        weights_digest(setting.model.weights),
        versions(),
        fold,
    )

    def images() -> "torch.Tensor":
        from contrastive_age.training.augmentation import prepare

        return prepare(faces, rows, setting.training.image_size)

    name = "all samples" if fold is None else f"fold {fold}"
    ages = part["age"].to_numpy()
    return learn(images, ages, triplets, setting, computing, training_folder, made_by, name)


def refuse_overlap(
    weights: str,
    samples: pd.DataFrame,
    files: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    tested: pd.DataFrame,
    most_bits: int,
) -> None:
    """Refuse to test on photos that the initial weights were pretrained on.

    Weights without a card, such as ImageNet's, name no photos, so that nothing can be compared.

    Args:
        weights: `imagenet`, `none` or the path of a file.
        samples: The source's samples, whose rows are those of `faces`.
        files: The source's files with their digests.
        faces: uint8 (N, 256, 256, 3).
        tested: The samples that will be tested.
        most_bits: See `overlap.find_overlap`.

    Raises:
        DataError: There are such photos; the message names the first.
    """
    pretrained = pretraining_of(weights)
    if pretrained is None:
        return
    rows = rows_of(samples, faces, tested)
    digests = samples.iloc[rows].merge(files[["path", "digest"]], on="path", how="left")["digest"]
    photos = take_fingerprints(digests, faces, rows)
    found = find_overlap(pretrained.photos, photos, most_bits)
    if len(found):
        first = found.iloc[0]
        how = "has the same bytes as" if first["how"] == "bytes" else "looks the same as"
        raise DataError(
            f"{len(found)} of {len(tested)} test photos were seen in the pretraining of {weights}, "
            f"{int((found['how'] == 'bytes').sum())} of them with the same bytes; the first is "
            f"{tested['sample_id'].iloc[first['tested']]}, which {how} one of "
            f"{', '.join(pretrained.card['sources'])}. An error on photos seen in training says "
            f"nothing: give model.weights that were made without them, or test on others"
        )


def learn(
    images: "Callable[[], torch.Tensor]",
    ages: npt.NDArray[np.int64],
    triplets: "TripletIndex",
    setting: Learning,
    computing: Computing,
    training_folder: Path,
    made_by: str,
    name: str,
) -> Trained:
    """Train a network, or give back the one that was trained by the very same things.

    Args:
        images: Gives the faces, prepared for the network: uint8 (n, 3, S, S).
        ages: Of the faces in years, (n,).
        triplets: The index over the faces.
        setting: The values that decide the training.
        computing: Where and how to compute.
        training_folder: Where checkpoints, the model and the history lie.
        made_by: The fingerprint of all that decides the result.
        name: What the progress bar calls the training.

    Returns:
        The network's state dict and the history, whose `attrs` hold the fingerprint of both.

    Raises:
        DataError: An age has no class.
        TrainingError: A loss is not finite.
    """
    done = _finished(training_folder, made_by)
    if done is not None:
        logger.info("%s, %s is trained already", setting.key, name)
        return done
    return _train(
        images(),
        ages,
        triplets,
        setting,
        computing,
        training_folder,
        made_by,
        f"{setting.protocol} {name}",
    )


def _train(
    images: "torch.Tensor",
    ages: npt.NDArray[np.int64],
    triplets: "TripletIndex",
    setting: Learning,
    computing: Computing,
    training_folder: Path,
    made_by: str,
    label: str,
) -> Trained:
    from contrastive_age.model.losses import LossWeights
    from contrastive_age.model.network import AgeClasses, AgeNetwork
    from contrastive_age.training import loop
    from contrastive_age.training.acceleration import Acceleration, resolve
    from contrastive_age.training.augmentation import Augmentation

    classes = AgeClasses(setting.age_min, setting.age_max)
    network = AgeNetwork(classes)
    _start(network, classes, setting)
    device = loop.choose_device(computing.device)
    wanted = Acceleration(**computing.acceleration.model_dump())
    plan = resolve(wanted, device, images.nbytes, share=1 / computing.folds_at_once)
    computed = {"device": str(device), **asdict(plan)}
    tag_run(computed)
    history = loop.train(
        images,
        ages,
        triplets,
        network,
        classes,
        settings=loop.TrainingSettings(
            **setting.training.model_dump(),
            triplets=setting.triplets.mode,
            augmentation=Augmentation(**setting.augmentation.model_dump()),
        ),
        weights=LossWeights(**setting.loss.model_dump()),
        seed=setting.seed,
        work_folder=training_folder,
        fingerprint=made_by,
        on_epoch=log_epoch,
        # A terminal has room for the bar of one process.
        progress=Tracking.employer is None,
        label=label,
        device=device,
        plan=plan,
    )
    state = {name: own.cpu().contiguous() for name, own in network.state_dict().items()}
    history.attrs |= {
        "fingerprint": made_by,
        "computed": computed,
        "model": state_digest(state),
    }
    return state, history


def _start(network: "AgeNetwork", classes: "AgeClasses", setting: Learning) -> None:
    """Give a network the weights that it starts from."""
    from contrastive_age.inference.pretrained import keep_known_ages
    from contrastive_age.model.initialisation import load_initial_weights

    weights = setting.model.weights
    if weights in NAMED_WEIGHTS:
        load_initial_weights(network, weights, setting.seed)
        return
    path = project_path(weights)
    load_initial_weights(network, str(path), setting.seed)
    kept = keep_known_ages(network, classes, path)
    if kept:
        logger.info("Of the pretrained classifier, the weights of %d ages are kept", kept)


def _finished(training_folder: Path, made_by: str) -> Trained | None:
    """The model and history in the folder, if the same things made them."""
    import torch

    try:
        history = pd.read_parquet(training_folder / "history.parquet")
        if history.attrs.get("fingerprint") != made_by:
            return None
        state: dict[str, Any] = torch.load(
            training_folder / "model.pth", map_location="cpu", weights_only=True
        )
        # Histories of earlier versions do not name their model.
        if history.attrs.get("model", state_digest(state)) != state_digest(state):
            logger.warning("%s holds the model of another training", training_folder)
            return None
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file can fail in any way: then the fold is trained again
        logger.warning("%s holds a damaged result (%s); it is made again", training_folder, error)
        return None
    return state, history
