"""Training one network, or giving back the one that the very same things have trained."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.weights import initial_weights, require_digest
from contrastive_age.provenance import Record, made_with
from contrastive_age.training import loop
from contrastive_age.training.acceleration import resolve
from contrastive_age.training.recipe import Computing, Recipe, Start
from contrastive_age.triplets.index import TripletIndex

logger = logging.getLogger(__name__)

LIBRARIES = ("numpy", "torch", "torchvision")
"""What networks are trained with."""

State = OrderedDict[str, Tensor]


@dataclass(frozen=True)
class Watcher:
    """Who is told of a training.

    Attributes:
        name: What the network is called in the log, such as `ternary-1234abcd, fold 2`.
        label: What it is called at the progress bar.
        on_start: Called with how it is computed, where there is something to train.
        on_epoch: As `loop.train` calls it.
        progress: Whether a progress bar is shown on stderr.
    """

    name: str = "training"
    label: str = "training"
    on_start: Callable[[dict[str, Any]], None] = lambda _: None
    on_epoch: loop.OnEpoch | None = None
    progress: bool = False


def train_or_keep(
    images: Callable[[], Tensor],
    ages: npt.NDArray[np.int64],
    triplets: TripletIndex,
    recipe: Recipe,
    start: Start,
    *,
    folder: Path,
    decided_by: Mapping[str, Any],
    computing: Computing,
    watcher: Watcher,
) -> tuple[State, pd.DataFrame]:
    """Train a network, unless the folder holds the one that is wanted.

    Args:
        images: Gives the faces, uint8 (n, 3, S, S); called only where there is something to train.
        ages: In years, (n,).
        triplets: The index over the same rows.
        recipe: How to train.
        start: From which weights.
        folder: Where checkpoints, the model and the history lie.
        decided_by: All that decides the network, by name, see `provenance.Record`.
        computing: Where and how to compute.
        watcher: Who is told.

    Returns:
        The network's state dict, and the history of its training. `attrs` of the history hold the
        `record` of what made both, how they were `computed`, and the digest of the `model`.

    Raises:
        DataError: An age has no class, or the initial weights cannot be used.
        TrainingError: A loss is not finite.
    """
    done = _finished(folder, decided_by, watcher.name)
    if done is not None:
        logger.info("%s is trained already", watcher.name)
        return done
    network = AgeNetwork(recipe.classes)
    initial = initial_weights(start.weights)
    require_digest(initial, start.digest)
    if initial is not None and initial.seen is None and initial.name != "imagenet":
        logger.warning(
            "%s: nothing is known of the photos that it was trained on, so that no test photo can "
            "be looked for among them",
            initial.name,
        )
    load_initial_weights(network, recipe.classes, initial, recipe.seed)
    faces = images()
    device = loop.choose_device(computing.device)
    share = 1 / computing.folds_at_once
    plan = resolve(computing.acceleration, device, faces.nbytes, share)
    computed = {"device": str(device), **asdict(plan), "threads": torch.get_num_threads()}
    watcher.on_start(computed)
    record = Record(decided_by, made_with(*LIBRARIES))
    history = loop.train(
        faces,
        ages,
        triplets,
        network,
        recipe,
        work_folder=folder,
        fingerprint=record.fingerprint,
        on_epoch=watcher.on_epoch,
        progress=watcher.progress,
        label=watcher.label,
        device=device,
        plan=plan,
    )
    state = OrderedDict(
        (name, own.cpu().contiguous()) for name, own in network.state_dict().items()
    )
    history.attrs |= {
        "record": record.document,
        "computed": computed,
        "model": state_digest(state),
    }
    return state, history


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Name the tensors of a state dict on the CPU, in 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return digest.hexdigest()[:16]


def _finished(
    folder: Path, decided_by: Mapping[str, Any], name: str
) -> tuple[State, pd.DataFrame] | None:
    """The model and history in the folder, if the same things made them."""
    try:
        history = pd.read_parquet(folder / "history.parquet")
        record = Record.read(history.attrs.get("record"))
        differences = record.differences(decided_by)
        if differences:
            logger.warning("%s is trained anew: %s", name, "; ".join(differences))
            return None
        state: State = torch.load(folder / "model.pth", map_location="cpu", weights_only=True)
        if history.attrs["model"] != state_digest(state):
            logger.warning("%s holds the model of another training", folder)
            return None
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file can fail in any way: then the fold is trained again
        logger.warning("%s holds a damaged result (%s); it is made again", folder, error)
        return None
    record.say_where(name, made_with(*LIBRARIES))
    return state, history
