"""Training one network, or giving back the one that the very same things have trained."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from contrastive_age import tables
from contrastive_age.errors import DataError
from contrastive_age.faces.store import Faces, faces_digest
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.initialisation import InitialWeights, load_initial_weights
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.weights import (
    about,
    initial_weights,
    read_saved,
)
from contrastive_age.protocols.parts import parts
from contrastive_age.provenance import Record, code_of, made_with, table_digest
from contrastive_age.training import loop
from contrastive_age.training.acceleration import resolve
from contrastive_age.training.recipe import Computing, Recipe, Start
from contrastive_age.training.stages import HEAD
from contrastive_age.training.watching import Watched
from contrastive_age.triplets.index import TripletIndex, build_index

logger = logging.getLogger(__name__)

LIBRARIES = ("numpy", "torch", "torchvision")
"""What networks are trained with, besides those of their architecture."""

_NAMED = 3

State = OrderedDict[str, Tensor]


@dataclass(frozen=True)
class Watcher:
    """Who is told of a training.

    Attributes:
        name: What the network is called, such as `fgnet_se ternary-1234abcd, fold 2`.
        on_epoch: As `loop.train` calls it.
        progress: Whether a progress bar is shown on stderr.
    """

    name: str = "training"
    on_epoch: loop.OnEpoch | None = None
    progress: bool = False


def networks_decided_by(
    key: str,
    weights: str,
    faces: Sequence[Faces],
    trained_on: pd.DataFrame,
) -> dict[str, Any]:
    """Name all that decides a network.

    Args:
        key: Of the setting that it is trained with.
        weights: SHA-256 of the file that it starts from, or its name in `Start`.
        faces: Of each source, as mapped from their files.
        trained_on: The samples that train, in their order: `sample_id, identity, age` at least.
    """
    return {
        "setting": key,
        "weights": weights,
        "faces": [faces_digest(array) for array in faces],
        "samples trained on": table_digest(trained_on[["sample_id", "identity", "age"]]),
        "code of training": code_of(parts, build_index, train_or_keep),
    }


def require_network(model: Mapping[str, Tensor], wanted: Mapping[str, Any], what: str) -> None:
    """Make sure that a network is the one that would be trained now.

    Args:
        model: Its state dict, which states what made it.
        wanted: As `networks_decided_by` gives it.
        what: The network, for the message, such as `fgnet_se ternary-1234abcd, fold 2`.

    Raises:
        DataError: It is another; the message says in what.
    """
    Record.read(about(model).get("record")).require(
        wanted,
        f"The network of {what}, is another than would be trained now",
        "run its triplets and its training again",
    )


def stated_by(history: pd.DataFrame) -> dict[str, Any]:
    """What a network's file states of its training: its record, and how it was computed."""
    return {name: history.attrs[name] for name in ("record", "computed")}


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
    watched: Callable[[], Mapping[str, Watched]] = dict,
) -> tuple[State, pd.DataFrame]:
    """Train a network, unless the folder holds the one that is wanted.

    Args:
        images: Gives the faces, uint8 (n, 3, S, S); called only where there is something to train,
            which of no epochs there is not: the network is that of the initial weights.
        ages: In years, (n,).
        triplets: The index over the same rows.
        recipe: How to train.
        start: From which weights.
        folder: Where checkpoints, the model and the history lie.
        decided_by: All that decides the network, by name, see `provenance.Record`.
        computing: Where and how to compute.
        watcher: Who is told.
        watched: Gives the faces that are only looked at, see `loop.train`; called likewise.

    Returns:
        The network's state dict, and the history of its training. `attrs` of the history hold the
        `record` of what made both, how they were `computed`, when the training `ended`, and the
        digest of the `model`.

    Raises:
        DataError: An age has no class, nothing trains that should, or see `started`.
        TrainingError: A loss is not finite.
    """
    libraries = made_with(*LIBRARIES, *recipe.architecture.libraries)
    done = _finished(folder, decided_by, libraries, watcher.name)
    if done is not None:
        logger.debug("%s is trained already", watcher.name)
        return done
    network = started(recipe, start)
    untrained = not recipe.training.trains
    if not untrained and not len(ages):
        raise DataError(
            f"{watcher.name}: no sample trains, since all that the split list and max_samples "
            "leave are tested; raise max_samples"
        )
    faces = torch.empty(0) if untrained else images()
    device = loop.choose_device(computing.device)
    plan = resolve(computing.acceleration, device, faces.nbytes, computing.share)
    computed = {"device": str(device), **asdict(plan), "threads": torch.get_num_threads()}
    record = Record(decided_by, libraries)
    history = (
        loop.no_epochs(recipe.loss)
        if untrained
        else loop.train(
            faces,
            ages,
            triplets,
            network,
            recipe,
            work_folder=folder,
            checkpoint_every=computing.checkpoint_every,
            fingerprint=record.fingerprint,
            on_epoch=watcher.on_epoch,
            progress=watcher.progress,
            label=watcher.name,
            device=device,
            plan=plan,
            watched=watched(),
        )
    )
    state = OrderedDict(
        (name, tensor.cpu().contiguous()) for name, tensor in network.state_dict().items()
    )
    history.attrs |= {
        "record": record.document,
        "computed": computed,
        "model": state_digest(state),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return state, history


def started(recipe: Recipe, start: Start) -> AgeNetwork:
    """Make a network with the weights that it starts from.

    Raises:
        DataError: The weights cannot be used, or lack something that no epoch trains.
    """
    network = AgeNetwork.undrawn(recipe.classes, recipe.architecture)
    initial = initial_weights(start.weights, start.digest)
    loaded = load_initial_weights(network, recipe.classes, initial, recipe.seed)
    if recipe.training.epochs == 0:
        # It counts batches, and files made by others may lack it.
        missing = [name for name in loaded.missing if not name.endswith("num_batches_tracked")]
        if recipe.training.head_epochs:
            _require_backbone(loaded.source, missing)
        else:
            _require_whole(loaded, missing, recipe.classes)
    return network


def _require_backbone(source: str, missing: list[str]) -> None:
    """Refuse to train a head on a backbone of which something would stay drawn at random.

    Raises:
        DataError: The weights lack tensors of it.
    """
    lacking = [name for name in missing if not name.startswith(f"{HEAD}.")]
    if lacking:
        raise DataError(
            f"{source} lacks tensors of the backbone ({_some(lacking)}), which would stay as they "
            "are drawn, as training.epochs=0 trains a head alone: give model.weights that have all "
            "of it, or training.epochs"
        )


def _require_whole(loaded: InitialWeights, missing: list[str], classes: AgeClasses) -> None:
    """Refuse to test as they are weights of which something would be drawn at random.

    Raises:
        DataError: They lack tensors, or an age.
    """
    if missing or (loaded.resized and loaded.ages < classes.number):
        lacking = _some(missing) or f"{classes.number - loaded.ages} of its ages"
        raise DataError(
            f"{loaded.source} lacks what a network of the ages {classes.age_min} to "
            f"{classes.age_max} needs ({lacking}), and training.epochs=0 tests weights as they "
            "are: give model.weights such as `kedro run --pipeline=pretrain` makes, or train"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Name the tensors of a state dict on the CPU, in 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return digest.hexdigest()[:16]


def _finished(
    folder: Path, decided_by: Mapping[str, Any], libraries: Mapping[str, str], name: str
) -> tuple[State, pd.DataFrame] | None:
    """The model and history in the folder, if the same things made them."""
    try:
        history = tables.read(folder / "history.parquet")
        record = Record.read(history.attrs.get("record"))
        differences = record.differences(decided_by)
        if differences:
            logger.warning("%s is trained anew: %s", name, "; ".join(differences))
            return None
        state: State = read_saved(folder / "model.pth", "weights")
        if history.attrs["model"] != state_digest(state):
            logger.warning("%s holds the model of another training", folder)
            return None
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file can fail in any way: then the fold is trained again
        logger.warning("%s holds a damaged result (%s); it is made again", folder, error)
        return None
    record.say_where(name, libraries)
    return state, history
