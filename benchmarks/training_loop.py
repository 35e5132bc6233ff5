"""The whole training loop against a bare ResNet-18 that trains on one tensor in memory.

Ours reads faces from a mapped array, draws triplets, augments, computes all losses, logs to MLflow
and keeps checkpoints. The bare network takes the very same number of images a step through
forward, cross entropy, backward and Adam. On a CPU a bare step follows each step of ours, so that
whatever else the machine does falls on both; on a GPU, whose work is queued, a bare epoch of the
tuned one follows. `loop_on_gpu` takes apart what the loop alone costs there.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks import made_up
from benchmarks.bare import Bare
from benchmarks.loop_on_gpu import CLASSES, MODES, TARGET, VIEWS, WEIGHTS, images_an_epoch
from benchmarks.measuring import Comparison, Result
from contrastive_age.model.network import AgeNetwork
from contrastive_age.tracking.tracker import log_epoch, tracker, wait_for_curves
from contrastive_age.training import loop
from contrastive_age.training.augmentation import prepare
from contrastive_age.training.recipe import Computing, Recipe, TrainingSettings
from contrastive_age.triplets.index import build_index
from contrastive_age.triplets.sampling import Mode


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        rows: Images of the training part.
        epochs: Of shared mode; explicit mode takes three times as long and gets a third of them.
        batch_size: Anchors a step.
        image_size: Side in pixels.
        rounds: How often all is repeated.
    """

    rows: int = 512
    epochs: int = 3
    batch_size: int = 64
    image_size: int = 64
    rounds: int = 2

    def recipe(self, mode: Mode, epochs: int) -> Recipe:
        """How a training of this size is done."""
        training = TrainingSettings(
            epochs=epochs,
            batch_size=self.batch_size,
            image_size=self.image_size,
            lr=0.001,
            schedule="constant",
            weight_decay=0,
            supervise="all",
        )
        return Recipe(CLASSES, training, mode, VIEWS, WEIGHTS, seed=0)


GPU_SIZE = Size(rows=4096, image_size=224)


def run(size: Size | None = None, device: str = "cpu") -> Result:
    """Measure both modes on a device."""
    size = size or (Size() if device == "cpu" else GPU_SIZE)
    where = torch.device(device)
    tuned = where.type != "cpu"
    most = 3 * (size.batch_size + 1)
    bare = Bare(size.image_size, most, CLASSES.number, where, tuned=tuned)
    with tempfile.TemporaryDirectory() as folder, _tracked(Path(folder)):
        faces = made_up.write_faces(Path(folder) / "faces.npy", size.rows)
        for images in (size.batch_size, 3 * size.batch_size):
            bare.step(images)
        found = {
            mode: [images_per_second(mode, faces, size, bare, where) for _ in range(size.rounds)]
            for mode in MODES
        }
    comparisons = [
        Comparison(
            f"whole training loop against {'tuned' if tuned else 'bare'} ResNet-18, {mode}",
            [ours for ours, _ in pairs],
            [reference for _, reference in pairs],
            unit="images/s",
            target=TARGET,
            at_least=True,
            device=device,
        )
        for mode, pairs in found.items()
    ]
    return Result(comparisons, f"Training loop on {device}", _details(size, comparisons, device))


def images_per_second(
    mode: Mode, faces: npt.NDArray[np.uint8], size: Size, bare: Bare, device: torch.device
) -> tuple[float, float]:
    """Train once, from mapped faces to the last checkpoint; give ours and the bare network's."""
    epochs = size.epochs if mode == "shared" else max(1, size.epochs // 3)
    ages, identities, _ = made_up.labels(size.rows)
    index = build_index(ages, identities)
    network = AgeNetwork(CLASSES)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            loop.train(
                prepare(faces, np.arange(size.rows), size.image_size),
                ages,
                index,
                network,
                size.recipe(mode, epochs),
                work_folder=Path(folder),
                checkpoint_every=Computing().checkpoint_every,
                on_epoch=log_epoch,
                device=device,
            )

    images = epochs * images_an_epoch(index, mode)
    seconds, bare_seconds = (
        step_by_step(ours, network, bare)
        if device.type == "cpu"
        else one_after_the_other(
            ours, bare, images, size.batch_size * (1 if mode == "shared" else 3)
        )
    )
    return images / seconds, images / bare_seconds


def step_by_step(train: Callable[[], None], network: nn.Module, bare: Bare) -> tuple[float, float]:
    """Train, and let a bare step on as many images follow each step of ours.

    A hook before our network's forward pass takes the bare step that is due, off our clock.

    Returns:
        Seconds of ours and of the bare network.
    """
    due: list[int] = []
    bare_seconds = 0.0

    def catch_up() -> None:
        nonlocal bare_seconds
        started = time.perf_counter()
        while due:
            bare.step(due.pop())
        bare_seconds += time.perf_counter() - started

    def before_forward(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        catch_up()
        due.append(len(inputs[0]))

    hook = network.register_forward_pre_hook(before_forward)
    started = time.perf_counter()
    train()
    catch_up()
    hook.remove()
    return time.perf_counter() - started - bare_seconds, bare_seconds


def one_after_the_other(
    train: Callable[[], None], bare: Bare, images: int, a_step: int
) -> tuple[float, float]:
    """Train, then let the bare network take as many images; for a GPU, whose work is queued.

    Returns:
        Seconds of ours and of the bare network.
    """
    torch.cuda.synchronize()
    started = time.perf_counter()
    train()
    torch.cuda.synchronize()
    between = time.perf_counter()
    steps = -(-images // a_step)
    for _ in range(steps):
        bare.step(a_step)
    torch.cuda.synchronize()
    bare_seconds = time.perf_counter() - between
    return between - started, bare_seconds * images / (steps * a_step)


@contextmanager
def _tracked(folder: Path) -> Iterator[None]:
    """Keep an MLflow run open that epochs are logged to, in a database of its own."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    try:
        experiment = mlflow.create_experiment("benchmark")
        tracker.setting_id = mlflow.MlflowClient().create_run(experiment).info.run_id
        yield
        wait_for_curves()
    finally:
        tracker.setting_id = None
        mlflow.set_tracking_uri(before)


def _details(size: Size, comparisons: Sequence[Comparison], device: str) -> list[str]:
    rates = {name: statistics.median(c.ours) for name, c in zip(MODES, comparisons, strict=True)}
    lines = [
        f"{size.rows} images of {size.image_size} px, {size.batch_size} anchors a step. Ours reads",
        "faces from a mapped array, draws triplets, augments, computes all losses, logs to MLflow",
        "and keeps a checkpoint every 30 seconds as runs do; the bare network takes as many images",
        "a step through forward, cross entropy, backward and a fused Adam"
        + ("." if device == "cpu" else ", tuned."),
    ]
    if device != "cpu":
        images = 82 * 100 * 3 * 990
        lines += [
            "",
            f"At {rates['explicit']:.0f} images/s, `fgnet_lopo` with the paper's budget (82 folds,",
            "100 epochs, 990 anchors, three images each) takes "
            f"{images / rates['explicit'] / 3600:.1f} hours.",
        ]
    return lines
