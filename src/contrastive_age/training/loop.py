"""The training of one fold: epochs of triplet batches through one network.

Everything random in an epoch follows from the seed and the epoch's number alone, so that a run
resumed after a kill ends like one that was never interrupted.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Never

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from contrastive_age.errors import DataError, TrainingError
from contrastive_age.files import fingerprint as fingerprint_of
from contrastive_age.model.backbones import normalisation_of
from contrastive_age.model.losses import (
    TOTAL,
    LossWeights,
    TripletPositions,
    reported,
    total_loss,
    views,
)
from contrastive_age.model.network import Outputs
from contrastive_age.training import checkpoint
from contrastive_age.training.acceleration import Plan, gather, resolve, send
from contrastive_age.training.augmentation import Scaling, draw, geometry, sample, scaling
from contrastive_age.training.capture import Steps, adam, load_adam, set_rate
from contrastive_age.training.checkpoint import Checkpoint
from contrastive_age.training.kept import Kept
from contrastive_age.training.recipe import Acceleration, Recipe, Schedule, TrainingSettings
from contrastive_age.training.reweighting import lds_weights
from contrastive_age.training.stages import stages
from contrastive_age.training.watching import Watched
from contrastive_age.triplets.index import TripletIndex
from contrastive_age.triplets.sampling import Batch, batches

logger = logging.getLogger(__name__)

OnEpoch = Callable[[int, dict[str, float]], None]

# One-cycle: the rate climbs from peak / 25 over the first part of training, then falls to nearly
# nothing (the defaults of torch's OneCycleLR).
WARM_UP = 0.3
FIRST_RATE = 1 / 25
LAST_RATE = FIRST_RATE / 1e4
# Steps: the rate falls to a tenth after this part of training, once.
STEP_AT, STEP_TO = 0.8, 0.1

# Batches that are drawn and sent in one go: enough to hide the cost of it, little to hold.
BATCHES_AT_ONCE = 1024
# Looking at a loss on a GPU waits for all work queued before it: there it is done now and then.
STEPS_BETWEEN_CHECKS = 50


@dataclass(frozen=True)
class TrainingData:
    """The training part of a fold: the same n rows in all of it.

    Attributes:
        images: From `augmentation.prepare`, uint8 (n, 3, S, S), on the device or the host.
        age_index: Class numbers, int64 (n,), on the device.
        index: The triplet index.
        importance: What each image weighs in the terms over images, float32 (n,), on the device;
            None where all weigh the same.
    """

    images: Tensor
    age_index: Tensor
    index: TripletIndex
    importance: Tensor | None = None


def choose_device(name: str = "auto") -> torch.device:
    """Choose where to compute.

    Args:
        name: `auto` (the GPU where there is one, else the CPU) or a device as torch names it.

    Raises:
        DataError: The device is unknown or not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise DataError(f"device={name} cannot be used ({error}); use auto or cpu") from error


def train(
    images: Tensor,
    ages: npt.NDArray[np.int64],
    index: TripletIndex,
    network: nn.Module,
    recipe: Recipe,
    *,
    work_folder: Path | None = None,
    checkpoint_every: float = 0,
    fingerprint: str = "",
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
    label: str = "training",
    device: torch.device | None = None,
    plan: Plan | None = None,
    watched: Mapping[str, Watched] | None = None,
) -> pd.DataFrame:
    """Train a network on one fold, going on from the work folder's checkpoint where there is one.

    Args:
        images: The fold's training faces from `augmentation.prepare`, uint8 (n, 3, S, S).
        ages: Their ages in years, (n,).
        index: The triplet index over the same rows.
        network: An `AgeNetwork` (or another module that gives `Outputs`) with its initial weights;
            trained in place and left on `device`.
        recipe: How to train.
        work_folder: Where checkpoints are kept; None keeps none. The last one stays when training
            is done, until the caller has stored the network and calls `checkpoint.discard`.
        checkpoint_every: So many seconds, or one epoch, are lost to a kill at most, but for what is
            still being written; 0 keeps a checkpoint of every epoch.
        fingerprint: Names the data and initial weights; a checkpoint made by others is not used.
        on_epoch: Called after each epoch trained here with its number (from 1) and history entry.
        progress: Whether to show a progress bar on stderr.
        label: Name of the bar, such as the fold.
        device: Where to train; chosen automatically when None.
        plan: How to compute; chosen for the device when None. A checkpoint made with another
            arithmetic is not used.
        watched: Faces that are looked at after each epoch, by the column of the history that their
            error goes to.

    Returns:
        History, one row an epoch: `epoch` (from 1), `lr` (of its last step), `total` and each of
        `losses.reported` (means over the steps by their anchors, unweighted but for `total`),
        `anchors_without_positive`, `seconds` (of its steps) and the columns of `watched`.

    Raises:
        DataError: Ages outside the classes, fewer than two images, or lengths that differ.
        OSError: A checkpoint could not be written.
        TrainingError: A loss is not finite.
    """
    if not len(images) == len(ages) == len(index):
        raise ValueError(
            f"{len(images)} images, {len(ages)} ages and a triplet index of {len(index)} rows"
        )
    if len(images) < 2:
        raise DataError(
            f"{label}: {len(images)} training images, but batch normalisation needs at least 2; "
            "use more samples, or lower protocols.<protocol>.folds"
        )
    device = device or choose_device()
    plan = plan or resolve(Acceleration(), device, images.nbytes)
    numbers = recipe.classes.index(ages)
    importance = None
    if recipe.training.reweight == "lds":
        importance = torch.from_numpy(lds_weights(numbers, recipe.classes.number)).to(device)
    data = TrainingData(
        images.to(device) if plan.residence == "device" else images,
        torch.from_numpy(numbers).to(device),
        index,
        importance,
    )
    forward = plan.prepared(network.to(device).train())
    made_by = fingerprint_of(fingerprint, asdict(recipe), len(ages), plan.arithmetic)
    saved = checkpoint.load(work_folder, made_by) if work_folder else None
    history = saved.history if saved else []
    if history:
        logger.info("%s: goes on after epoch %d", label, len(history))
    of_training = stages(recipe)
    epochs = of_training[-1].last
    bar = tqdm(
        total=epochs * len(index),
        initial=len(history) * len(index),
        desc=label,
        unit="anchor",
        disable=not progress or None,
        leave=False,
    )
    keeping = checkpoint.Writer(work_folder, made_by, checkpoint_every)
    with bar, keeping, _deterministic(), _own_random_numbers(device):
        for stage in of_training:
            if len(history) > stage.last:
                continue
            settings = stage.recipe.training
            optimiser = adam(
                stage.begin(network),
                settings.lr,
                settings.weight_decay,
                fused=plan.fused,
                device=device,
            )
            kept = Kept(network, settings)
            if saved:
                _resume(saved, network, optimiser, kept)
                saved = None
            step = _step(
                forward, optimiser, data, stage.recipe, plan=plan, after_step=kept.after_step
            )
            for epoch in range(len(history) + 1, stage.last + 1):
                bar.set_description(f"{label}, epoch {epoch}/{epochs}")
                try:
                    entry = train_one_epoch(
                        step,
                        optimiser,
                        data,
                        stage.recipe,
                        plan=plan,
                        epoch=epoch,
                        before=stage.before,
                        bar=bar,
                    )
                except TrainingError as error:
                    raise TrainingError(f"{label}: {error}") from error
                for column, faces in (watched or {}).items():
                    entry[column] = faces.error(network, kept.weights, recipe, device)
                kept.after_epoch(entry)
                history.append(entry)
                if on_epoch:
                    on_epoch(epoch, entry)
                state = Checkpoint(
                    network.state_dict(), optimiser.state_dict(), history, kept.state_dict()
                )
                keeping.offer(state)
            kept.give()
    network.requires_grad_(True)
    return pd.DataFrame(history).astype({"epoch": "int64", "anchors_without_positive": "int64"})


def no_epochs(weights: LossWeights) -> pd.DataFrame:
    """Give the history of a network that was not trained: no rows, and the columns of `train`."""
    columns = ["epoch", "lr", TOTAL, *reported(weights), "anchors_without_positive", "seconds"]
    types = {"epoch": "int64", "anchors_without_positive": "int64"}
    return pd.DataFrame(columns=columns, dtype="float64").astype(types)


def train_one_epoch(
    step: Steps,
    optimiser: torch.optim.Optimizer,
    data: TrainingData,
    recipe: Recipe,
    *,
    plan: Plan,
    epoch: int,
    before: int = 0,
    bar: "tqdm[Never]",
) -> dict[str, float]:
    """Make each row an anchor once, and give the epoch's entry of the history.

    Args:
        step: Trains on a batch.
        optimiser: Whose rate is set before each step.
        data: The training part.
        recipe: How to train; its seed determines with `epoch` everything random.
        plan: How to compute.
        epoch: From 1.
        before: How many epochs were those of an earlier stage, of which the rate knows nothing.
        bar: Moved on by the anchors seen.

    Raises:
        TrainingError: A loss is not finite; names epoch, step and terms.
    """
    started = time.perf_counter()
    device = data.age_index.device
    losses = _EpochLosses(epoch, device, bar, reported(recipe.loss))
    seen = without_positive = 0
    lr = recipe.training.lr
    # Layers such as dropout draw from torch's own generators; recorded steps, too, look them up.
    torch.manual_seed(_number(_seeds(recipe.seed, epoch)[2]))
    for batch, numbers, maps in _drawn(data, recipe, epoch):
        lr = _set_rate(optimiser, recipe.training, epoch - 1 - before + seen / len(data.index))
        on_host = plan.residence == "host"
        faces = [gather(data.images, batch.rows, device)] if on_host else []
        losses.add(step(numbers, maps, *faces), len(batch.anchor))
        seen += len(batch.anchor)
        without_positive += int(np.count_nonzero(~batch.has_positive))
    return {
        "epoch": epoch,
        "lr": lr,
        **losses.averages(),
        "anchors_without_positive": without_positive,
        "seconds": time.perf_counter() - started,
    }


class _Drawn(NamedTuple):
    """A batch, and what a step needs of it on the device.

    Attributes:
        batch: m images or views of them, b anchors.
        numbers: Its arrays one after the other, int64 (m + 5 b,).
        maps: Of its views, from `geometry`, (m, 2, 3).
    """

    batch: Batch
    numbers: Tensor
    maps: Tensor


def _drawn(data: TrainingData, recipe: Recipe, epoch: int) -> Iterator[_Drawn]:
    """Draw the batches of an epoch with their views, and send many at a time."""
    order, variation = _generators(recipe.seed, epoch)
    device, frame = data.age_index.device, data.images.shape[-1]
    size = recipe.training.image_size
    drawn = batches(data.index, recipe.triplets, recipe.training.batch_size, order)
    batches_left = (_in_views(batch, views(recipe.loss)) for batch in drawn)
    while part := list(islice(batches_left, BATCHES_AT_ONCE)):
        arrays = [array for batch in part for array in vars(batch).values()]
        numbers = send(torch.from_numpy(np.concatenate(arrays, dtype=np.int64)), device)
        images = [len(batch.rows) for batch in part]
        draws = draw(sum(images), frame, size, recipe.augmentation, variation)
        maps = send(geometry(draws, frame, size), device)
        lengths = [len(batch.rows) + 5 * len(batch.anchor) for batch in part]
        yield from map(_Drawn, part, torch.split(numbers, lengths), torch.split(maps, images))


def _in_views(batch: Batch, number: int) -> Batch:
    """Repeat a batch's images: so many views are drawn of each. Anchors and partners are first."""
    return replace(batch, rows=np.tile(batch.rows, number))


def _step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: TrainingData,
    recipe: Recipe,
    *,
    plan: Plan,
    after_step: Callable[[], None],
) -> Steps:
    """Give what trains the network on a batch.

    It is called with the numbers and maps of a `_Drawn`, and with its faces where they lie on the
    host, and gives the total and the losses as one tensor, in the order of `losses.reported`.
    Each step ends with `after_step`, which is recorded with it.
    """
    scaled = scaling(data.age_index.device, normalisation_of(recipe.architecture.backbone))

    def step(numbers: Tensor, maps: Tensor, faces: Tensor | None = None) -> Tensor:
        terms = _forward(
            network, data, numbers, maps, faces, recipe=recipe, plan=plan, scaled=scaled
        )
        optimiser.zero_grad()
        terms[TOTAL].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        after_step()
        return torch.stack(list(terms.values())).detach()

    return Steps(step, capture=plan.capture)


def _forward(
    network: nn.Module,
    data: TrainingData,
    numbers: Tensor,
    maps: Tensor,
    faces: Tensor | None,
    *,
    recipe: Recipe,
    plan: Plan,
    scaled: Scaling,
) -> dict[str, Tensor]:
    """Give the losses of a batch; a GPU is never waited for."""
    rows, positions = _taken_apart(numbers, len(maps))
    if faces is None:
        faces = data.images[rows]
    inputs = sample(faces, recipe.training.image_size, maps, scaled)
    with plan.autocast(numbers.device):
        outputs: Outputs = network(plan.laid_out(inputs))
    scores = outputs.scores
    exact = Outputs(
        outputs.features.float(),
        outputs.logits.float(),
        None if scores is None else scores.float(),
    )
    ages, supervise = data.age_index[rows], recipe.training.supervise
    importance = None if data.importance is None else data.importance[rows]
    return total_loss(exact, ages, positions, recipe.loss, supervise, importance=importance)


def learning_rate(schedule: Schedule, progress: float, peak: float) -> float:
    """Give the rate at a point of training.

    A function of progress alone, so there is no scheduler whose state could be lost.

    Args:
        schedule: Its shape.
        progress: Part of all anchors seen, 0 to 1.
        peak: The highest rate.
    """
    if schedule == "constant":
        return peak
    if schedule == "cosine":
        return _half_cosine(peak, 0, progress)
    if schedule == "step":
        return peak if progress < STEP_AT else peak * STEP_TO
    if progress < WARM_UP:
        return _half_cosine(peak * FIRST_RATE, peak, progress / WARM_UP)
    return _half_cosine(peak, peak * LAST_RATE, (progress - WARM_UP) / (1 - WARM_UP))


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def _set_rate(
    optimiser: torch.optim.Optimizer, settings: TrainingSettings, epochs_done: float
) -> float:
    """Set and give the learning rate after a number of epochs, whole or not."""
    lr = learning_rate(settings.schedule, epochs_done / settings.epochs, settings.lr)
    set_rate(optimiser, lr)
    return lr


def _generators(seed: int, epoch: int) -> tuple[np.random.Generator, torch.Generator]:
    """Give the generators of an epoch: for the order and partners, and for the views."""
    order, views, _ = _seeds(seed, epoch)
    return np.random.default_rng(order), torch.Generator().manual_seed(_number(views))


def _seeds(seed: int, epoch: int) -> list[np.random.SeedSequence]:
    """Give the seeds of an epoch: of the order and partners, the views, and the network."""
    return np.random.SeedSequence([seed, epoch]).spawn(3)


def _number(seed: np.random.SeedSequence) -> int:
    return int(seed.generate_state(1, np.uint64)[0])


@contextmanager
def _own_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's random numbers, of which a network's layers draw, as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _taken_apart(numbers: Tensor, images: int) -> tuple[Tensor, TripletPositions]:
    """Give the rows and positions of a batch of so many images from its `numbers`."""
    rows, triplets = numbers[:images], numbers[images:].view(5, -1)
    return rows, TripletPositions(*triplets)


class _EpochLosses:
    """The loss terms of an epoch's steps: kept on the device, and looked at now and then."""

    def __init__(
        self, epoch: int, device: torch.device, bar: "tqdm[Never]", terms: Iterable[str]
    ) -> None:
        self._epoch = epoch
        self._between = 1 if device.type == "cpu" else STEPS_BETWEEN_CHECKS
        self._bar = bar
        self._names = (TOTAL, *terms)
        self._waiting: list[Tensor] = []
        self._terms: list[npt.NDArray[np.float64]] = []
        self._anchors: list[int] = []

    def add(self, terms: Tensor, anchors: int) -> None:
        """Keep a step's total and terms, averages over so many anchors."""
        self._waiting.append(terms)
        self._anchors.append(anchors)
        if len(self._waiting) == self._between:
            self._look()

    def averages(self) -> dict[str, float]:
        """Give the mean of each term over the epoch's anchors."""
        if self._waiting:
            self._look()
        means = np.average(self._terms, axis=0, weights=self._anchors)
        return dict(zip(self._names, means.tolist(), strict=True))

    def _look(self) -> None:
        """Fetch the terms that wait, stop if a total is not finite, and move the bar on."""
        for terms in torch.stack(self._waiting).double().cpu().numpy():
            self._terms.append(terms)
            if not np.isfinite(terms[0]):
                step = len(self._terms)
                values = zip(self._names, terms, strict=True)
                raise TrainingError(
                    f"the loss is not finite in epoch {self._epoch}, step {step}: "
                    + ", ".join(f"{name} {value:.4g}" for name, value in values)
                    + "; lower training.lr or the lambdas, and look at the faces"
                )
        self._bar.set_postfix(loss=f"{self._terms[-1][0]:.3f}", refresh=False)
        self._bar.update(sum(self._anchors[-len(self._waiting) :]))
        self._waiting.clear()


def _resume(
    state: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer, kept: Kept
) -> None:
    """Bring a stage of a training to where a checkpoint was written."""
    network.load_state_dict(state.network)
    load_adam(optimiser, state.optimiser)
    kept.load_state_dict(state.kept)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Let torch use only algorithms that give the same bits twice, for as long as the block lasts.

    Among others, the gradient of picking one row several times is else summed in any order.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    products = torch.get_float32_matmul_precision()
    torch.use_deterministic_algorithms(True, warn_only=True)
    # The losses pick partners by products, which TF32 would round.
    torch.set_float32_matmul_precision("highest")
    memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision(products)
