"""Training one fold."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.config import project_path
from contrastive_age.files import fingerprint
from contrastive_age.params import NAMED_WEIGHTS, Computing, Effective
from contrastive_age.pipelines.alignment.nodes import rows_of
from contrastive_age.pipelines.splitting.nodes import fold_parts
from contrastive_age.provenance import faces_digest, state_digest, versions, weights_digest
from contrastive_age.tracking import Tracking, log_epoch, tag_run

if TYPE_CHECKING:
    import torch

    from contrastive_age.triplets.index import TripletIndex

logger = logging.getLogger(__name__)

Trained = tuple["dict[str, torch.Tensor]", pd.DataFrame]


def train(
    samples: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    folds: pd.DataFrame,
    triplets: "TripletIndex",
    setting: Effective,
    computing: Computing,
    training_folder: Path,
    fold: int,
) -> Trained:
    """Train one fold, or give back the network that was trained by the very same things.

    Args:
        samples: The source's samples, whose rows are those of `faces`.
        faces: uint8 (N, 256, 256, 3).
        folds: The protocol's folds.
        triplets: The index over the fold's training part.
        setting: The protocol's effective values.
        computing: Where and how to compute.
        training_folder: Where checkpoints, the model and the history of this fold lie.
        fold: The fold that is tested, so not trained on.

    Returns:
        The network's state dict and the history, whose `attrs` hold the fingerprint of both.

    Raises:
        DataError: The triplet index belongs to other folds, or an age has no class.
        TrainingError: A loss is not finite.
    """
    part = fold_parts(folds, setting, fold).training
    rows = rows_of(samples, faces, part)
    made_by = fingerprint(
        triplets.fingerprint,
        faces_digest(faces),
        setting.model_dump(mode="json"),
        weights_digest(setting.model.weights),
        versions(),
        fold,
    )
    done = _finished(training_folder, made_by)
    if done is not None:
        logger.info("%s, fold %d is trained already", setting.key, fold)
        return done
    return _train(part, faces, rows, triplets, setting, computing, training_folder, fold, made_by)


def _train(
    part: pd.DataFrame,
    faces: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    triplets: "TripletIndex",
    setting: Effective,
    computing: Computing,
    training_folder: Path,
    fold: int,
    made_by: str,
) -> Trained:
    from contrastive_age.model.initialisation import load_initial_weights
    from contrastive_age.model.losses import LossWeights
    from contrastive_age.model.network import AgeClasses, AgeNetwork
    from contrastive_age.training import loop
    from contrastive_age.training.acceleration import Acceleration, resolve
    from contrastive_age.training.augmentation import Augmentation, prepare

    classes = AgeClasses(setting.age_min, setting.age_max)
    network = AgeNetwork(classes)
    weights = setting.model.weights
    load_initial_weights(
        network, weights if weights in NAMED_WEIGHTS else str(project_path(weights)), setting.seed
    )
    images = prepare(faces, rows, setting.training.image_size)
    device = loop.choose_device(computing.device)
    wanted = Acceleration(**computing.acceleration.model_dump())
    plan = resolve(wanted, device, images.nbytes, share=1 / computing.folds_at_once)
    computed = {"device": str(device), **asdict(plan)}
    tag_run(computed)
    history = loop.train(
        images,
        part["age"].to_numpy(),
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
        label=f"{setting.protocol} fold {fold}",
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
