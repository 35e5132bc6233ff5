"""The training loop alone on a GPU, with and without recorded steps, against bare ResNet-18s.

Needs neither Kedro nor MLflow, so that it runs where only torch is: `python -m
benchmarks.loop_on_gpu`. All that is compared takes the same number of images a step.
"""

import statistics
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import made_up
from benchmarks.bare import Bare
from benchmarks.measuring import Comparison, Result, seconds_of
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.losses import LossWeights
from contrastive_age.model.network import AgeNetwork
from contrastive_age.training import loop
from contrastive_age.training.acceleration import resolve
from contrastive_age.training.augmentation import frame_size
from contrastive_age.training.recipe import Acceleration, Augmentation, Recipe, TrainingSettings
from contrastive_age.triplets.index import TripletIndex, build_index
from contrastive_age.triplets.sampling import Mode

TARGET, TARGET_RECORDED = 0.93, 1.0
MODES: tuple[Mode, ...] = ("explicit", "shared")
CLASSES = AgeClasses(16, 77)
WEIGHTS = LossWeights(lambda_m=0.2, lambda_v=0.05, lambda_c=10, lambda_t=1, margin=0.2)
VIEWS = Augmentation(degrees=10, translate=0.03, scale=0.05, flip="horizontal")


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        rows: Images of the training part.
        epochs: The first half of them warms up; the last one is profiled.
        batch_size: Anchors a step.
        image_sizes: Sides in pixels.
        steps: Of a bare network, three times; as many warm it up, and as many are profiled.
    """

    rows: int = 3200
    epochs: int = 6
    batch_size: int = 64
    image_sizes: tuple[int, ...] = (224, 96)
    steps: int = 20

    def recipe(self, image_size: int, mode: Mode) -> Recipe:
        """How our loop trains on so much."""
        training = TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            image_size=image_size,
            lr=1e-3,
            schedule="constant",
            weight_decay=0.0,
            supervise="all",
        )
        return Recipe(CLASSES, training, mode, VIEWS, WEIGHTS, seed=0)


@dataclass(frozen=True)
class Speed:
    """How fast something trains.

    Attributes:
        name: What it is.
        images_per_second: By the clock.
        step: Milliseconds a step.
        kernels: How many run on the GPU in a step.
        busy: Milliseconds that they run.
    """

    name: str
    images_per_second: float
    step: float
    kernels: float
    busy: float

    @property
    def row(self) -> str:
        """A row of the table."""
        return (
            f"| {self.name} | {self.images_per_second:,.0f} | {self.step:.2f} | "
            f"{self.kernels:.0f} | {self.busy:.2f} | {self.busy / self.step:.0%} |"
        )


class Kernels:
    """What ran on the GPU while it was looked at."""

    def __init__(self) -> None:
        self._profile = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])

    def start(self) -> None:
        """Look at what runs from now on."""
        _wait()
        self._profile.start()

    def stop(self) -> None:
        """Look no longer."""
        _wait()
        self._profile.stop()

    def a_step(self, steps: int) -> tuple[float, float]:
        """Give the number of kernels a step, and the milliseconds that they ran."""
        seen = [
            event.time_range.elapsed_us()
            for event in self._profile.events() or ()
            if event.device_type == torch.autograd.DeviceType.CUDA
            and not event.name.startswith(("Mem", "Optimizer."))  # copies; names of spans
        ]
        return len(seen) / steps, sum(seen) / 1e3 / steps


def run(size: Size | None = None, device: str = "cuda") -> Result:
    """Measure each size and mode."""
    size, where = size or Size(), torch.device(device)
    comparisons: list[Comparison] = []
    rows: list[str] = []
    for image_size in size.image_sizes:
        for mode in MODES:
            what = f"{mode}, {image_size} px"
            recorded, launched = (
                ours(size, image_size, mode, where, capture=capture) for capture in (True, False)
            )
            images = size.batch_size * (1 if mode == "shared" else 3)
            tuned, plain = (
                reference(image_size, images, where, size.steps, tuned=tuned)
                for tuned in (True, False)
            )
            comparisons += [
                _comparison(f"loop against tuned ResNet-18, {what}", recorded, tuned, TARGET),
                _comparison(f"loop against plain ResNet-18, {what}", recorded, plain, TARGET),
                _comparison(f"recorded steps, {what}", recorded, launched, TARGET_RECORDED),
            ]
            speeds = (recorded, launched, tuned, plain)
            rows += [f"| {what} {speed.row}" for speed in speeds]
    return Result(
        comparisons,
        "Training loop alone on a GPU",
        [
            f"{size.rows} images, {size.batch_size} anchors a step. Tuned: bfloat16, channels",
            "last, fused Adam, captured in a graph; plain: float32, launched from Python.",
            "",
            "| images | what | images/s | ms a step | kernels a step | their ms | of the time |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ],
    )


def ours(size: Size, image_size: int, mode: Mode, device: torch.device, *, capture: bool) -> Speed:
    """Train without checkpoints; the median epoch after the warm-up counts."""
    side = frame_size(image_size)
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size.rows, 3, side, side), dtype=torch.uint8, generator=noise)
    ages, identities, _ = made_up.labels(size.rows)
    index = build_index(ages, identities)
    kernels = Kernels()

    def on_epoch(epoch: int, _: dict[str, float]) -> None:
        if epoch == size.epochs - 1:
            kernels.start()
        if epoch == size.epochs:
            kernels.stop()

    history = loop.train(
        images,
        ages,
        index,
        AgeNetwork(CLASSES),
        size.recipe(image_size, mode),
        on_epoch=on_epoch,
        device=device,
        plan=resolve(Acceleration(capture=capture), device, images.nbytes),
    )
    seconds = statistics.median(history["seconds"].iloc[size.epochs // 2 : -1])
    steps = -(-size.rows // size.batch_size)
    name = "ours, recorded" if capture else "ours, launched"
    return Speed(
        name,
        images_an_epoch(index, mode) / seconds,
        1e3 * seconds / steps,
        *kernels.a_step(steps),
    )


def images_an_epoch(index: TripletIndex, mode: Mode) -> int:
    """The images that go through the network in one epoch."""
    counts = index.counts
    if mode == "shared":
        return counts["anchors"]
    return 3 * counts["anchors"] - counts["without_positive"] - counts["without_negative"]


def reference(
    image_size: int, images: int, device: torch.device, steps: int, *, tuned: bool
) -> Speed:
    """Let a bare network train on so many images a step."""
    bare = Bare(image_size, images, CLASSES.number, device, tuned=tuned)

    def train() -> None:
        for _ in range(steps):
            bare.step(images)
        _wait()

    train()
    seconds = statistics.median(seconds_of(train) for _ in range(3)) / steps
    kernels = Kernels()
    kernels.start()
    train()
    kernels.stop()
    name = "tuned ResNet-18" if tuned else "plain ResNet-18"
    return Speed(name, images / seconds, 1e3 * seconds, *kernels.a_step(steps))


def _comparison(name: str, own: Speed, other: Speed, target: float) -> Comparison:
    ours, theirs = [own.images_per_second], [other.images_per_second]
    return Comparison(name, ours, theirs, "images/s", target, at_least=True, device="cuda")


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    from rich.console import Console

    from benchmarks import machine, report

    found = run()
    Console().print(report.table(found.comparisons))
    print("\n".join([*machine.describe(), *found.details]))
