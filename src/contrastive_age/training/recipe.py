"""What is asked of a training: how to train (`Recipe`) and how to compute (`Acceleration`).

These are the parameters, with their bounds; they need no torch, so that commands start quickly.
What the paper's values are is said in `conf/base/parameters` alone.
"""

import operator
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import DEFAULT, Architecture
from contrastive_age.model.losses import LossWeights, Supervise, head
from contrastive_age.strict import STRICT
from contrastive_age.triplets.sampling import Mode

Schedule = Literal["constant", "cosine", "onecycle", "step"]
Reweight = Literal["none", "lds"]
Keep = Literal["last", "best"]
ValidatedOn = Literal["people", "images"]
Flip = Literal["horizontal", "vertical", "none"]
Precision = Literal["float32", "bfloat16"]
Residence = Literal["device", "host"]

TEST, VALIDATION = "test_mae", "validation_mae"
"""Columns of a history: the error in years, after each epoch, on faces that are only looked at."""

SMALLEST_IMAGE, CROP_SIZE = 32, 224
"""Pixels of what the network sees. An aligned face of 256 gives no more than 224."""


@dataclass(frozen=True, config=STRICT)
class TrainingSettings:
    """The budget, the optimiser's values, and changes of the recipe, each off by default.

    What is off is left out of a setting's key.

    Attributes:
        epochs: Passes over all anchors; 0 leaves the initial weights as they are, but for a fresh
            head of `head_epochs`.
        batch_size: Anchors a step.
        image_size: Side in pixels of what the network sees.
        lr: Adam's learning rate; with a schedule, its peak.
        schedule: `constant`, `cosine` (down to 0), `onecycle` (up, then down) or `step` (a tenth of
            the rate in the last fifth).
        weight_decay: Of Adam.
        supervise: Whether the anchors or all forwarded images carry the supervised terms.
        average: Decay, a step, of the exponential average of weights that is tested in place of the
            last ones, see `averaging.Average`; 0 for these.
        reweight: Whether images of rare ages weigh more in the terms over images, see
            `reweighting.lds_weights`.
        head_epochs: So many epochs of a fresh head on the frozen backbone follow, see `stages`.
        keep: The network of the `last` epoch, or of that which validates `best`.
        validated_on: Whom a tenth of the training part is held out for: whole `people`, or
            `images`, so that people are on both sides; None to train on all of it.
        watch_test: Whether the error on the test part is recorded after each epoch. It selects
            nothing.
    """

    epochs: NonNegativeInt
    batch_size: Annotated[int, Field(gt=1)]
    image_size: Annotated[int, Field(ge=SMALLEST_IMAGE, le=CROP_SIZE)]
    lr: PositiveFloat
    schedule: Schedule
    weight_decay: NonNegativeFloat
    supervise: Supervise
    average: float = Field(default=0.0, ge=0, lt=1, exclude_if=operator.not_)
    reweight: Reweight = Field(default="none", exclude_if="none".__eq__)
    head_epochs: NonNegativeInt = Field(default=0, exclude_if=operator.not_)
    keep: Keep = Field(default="last", exclude_if="last".__eq__)
    validated_on: ValidatedOn | None = Field(default=None, exclude_if=operator.not_)
    watch_test: bool = Field(default=False, exclude_if=operator.not_)

    @model_validator(mode="after")
    def _best_is_validated(self) -> Self:
        if self.keep == "best" and self.validated_on is None:
            raise ValueError(
                "training.keep=best is the epoch that validates best: give "
                "training.validated_on=people, or images"
            )
        return self

    @property
    def trains(self) -> bool:
        """Whether anything is trained, be it a fresh head alone."""
        return self.epochs + self.head_epochs > 0

    @property
    def changes(self) -> dict[str, Any]:
        """The changes of the recipe that are on, by name."""
        return {
            field.name: value
            for field in fields(self)
            if isinstance(field.default, FieldInfo)
            and (value := getattr(self, field.name)) != field.default.default
        }


@dataclass(frozen=True, config=STRICT)
class Testing:
    """How the faces of a test part are predicted; by default from one view, unrounded.

    Attributes:
        mirrored: Whether the softmax is the mean of those of the view and of its mirror image.
        rounded: Whether predicted ages are rounded to whole years.
    """

    mirrored: bool = False
    rounded: bool = False


@dataclass(frozen=True, config=STRICT)
class Augmentation:
    """How far the views of a face may vary; every value is drawn uniformly.

    Attributes:
        degrees: Rotation in +-degrees.
        translate: Shift along each axis, +- this part of the frame's side.
        scale: Size in 1 +- this.
        flip: The mirroring applied to half of the views; `horizontal` swaps left and right.
    """

    degrees: Annotated[float, Field(ge=0, le=180)]
    translate: Annotated[float, Field(ge=0, lt=1)]
    scale: Annotated[float, Field(ge=0, lt=1)]
    flip: Flip


@dataclass(frozen=True, config=STRICT)
class Start:
    """What a network starts from.

    Attributes:
        weights: A key of `NAMED_WEIGHTS`, or the path of a state dict.
        digest: SHA-256 of that file; None for the others, and where it is not there: who needs it
            says so.
    """

    weights: str
    digest: str | None = None


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """All values that decide a training, but for its start.

    Attributes:
        classes: The ages that the network tells apart.
        training: The budget and the optimiser's values.
        triplets: `explicit` (each anchor brings its own images) or `shared` (formed within the
            batch).
        augmentation: The ranges of the random views.
        loss: The weights of the loss terms.
        seed: Of everything random.
        architecture: What is trained.
    """

    classes: AgeClasses
    training: TrainingSettings
    triplets: Mode
    augmentation: Augmentation
    loss: LossWeights
    seed: NonNegativeInt
    architecture: Architecture = DEFAULT

    def __post_init__(self) -> None:
        """Refuse losses that need another head."""
        needed = head(self.loss, self.architecture.head)
        if needed != self.architecture.head:
            raise ValueError(f"these losses need Architecture(head={needed!r})")


@dataclass(frozen=True, config=STRICT)
class Acceleration:
    """How to compute; `auto` is left to `acceleration.resolve`.

    Attributes:
        precision: Of the network's forward and backward pass; losses and weights stay float32.
        channels_last: Whether images lie pixel by pixel in memory, which GPUs like.
        fused: Whether Adam changes all weights in one kernel.
        compile: Whether the network is compiled first; pays when an epoch takes minutes.
        capture: Whether steps are recorded and replayed, see `capture.Steps`; only on a GPU.
        residence: Whether all faces lie on the device, or on the host and are sent step by step.
    """

    precision: Literal["auto", Precision] = "auto"
    channels_last: Literal["auto"] | bool = "auto"
    fused: Literal["auto"] | bool = "auto"
    compile: bool = False
    capture: Literal["auto"] | bool = "auto"
    residence: Literal["auto", Residence] = "auto"

    @property
    def given(self) -> dict[str, Any]:
        """What is not left to the device. It moves a result as much as a seed does."""
        left = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != left[name]}


def _auto_or_number(value: object) -> object:
    if value != "auto" and (type(value) is not int or value < 1):
        raise ValueError("it must be auto, or a whole number from 1 up")
    return value


AtOnce = Annotated[Literal["auto"] | int, BeforeValidator(_auto_or_number)]


@dataclass(frozen=True, config=STRICT)
class Computing:
    """Where and how folds are computed.

    Attributes:
        device: As torch names it, or `auto`.
        folds_at_once: So many share the device and its memory; `auto` is left to
            `acceleration.trainings_at_once`, and one for who does not ask it.
        checkpoint_every: Seconds of a training that a kill costs at most, or one epoch where that
            takes longer; 0 keeps a checkpoint of every epoch.
        acceleration: What is asked for; the rest is chosen for the device.
    """

    device: str = "auto"
    folds_at_once: AtOnce = "auto"
    checkpoint_every: NonNegativeFloat = 30
    acceleration: Acceleration = Acceleration()

    @property
    def share(self) -> float:
        """The part of the device's memory that a fold may count on."""
        return 1.0 if self.folds_at_once == "auto" else 1 / self.folds_at_once
