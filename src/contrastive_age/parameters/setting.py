"""A setting: all values that decide the result of one protocol, or the weights of a pretraining.

The same values give the same `key`, however they were written, so a changed parameter is another
folder.
"""

import hashlib
import operator
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import to_json

from contrastive_age.faces.alignment import Coverage
from contrastive_age.faces.store import Wanted
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import LINEAR, NAMED_WEIGHTS, Architecture
from contrastive_age.model.losses import LossWeights, head, stated
from contrastive_age.protocols.folds import Bits, Plan, Several, Share, Split
from contrastive_age.strict import STRICT, Strict
from contrastive_age.training.recipe import (
    Augmentation,
    Recipe,
    Start,
    Testing,
    TrainingSettings,
)
from contrastive_age.triplets.sampling import Mode

Columns = dict[str, str | int | float | None]

PRETRAIN = "pretrain"
"""The pipeline that makes weights, which has its folders and its experiment like a protocol."""

HASHED = (
    *("protocol", "source", "trained_on", "split", "folds", "sources", "age_min", "age_max"),
    *("setting", "seed"),
    *("max_samples", "validation", "manifest", "drawn", "splitting", "overlap", "alignment"),
    *("detection", "training", "triplets", "model", "augmentation", "loss", "acceleration"),
    "testing",
)
"""The order in which values go into a key: results keep their keys when classes are rearranged."""


class Alignment(Strict):
    """How detected faces are cut out."""

    coverage: Coverage


class Splitting(Strict):
    """How samples are put into folds."""

    seed: NonNegativeInt
    folds_file: str | None = None
    folds_file_digest: str | None = None
    group_copies: bool
    allow_leaks: bool = False


class Triplets(Strict):
    """How positives and negatives are found: drawn for each anchor, or inside the batch."""

    mode: Mode


class Overlap(Strict):
    """Up to how many differing bits of 256 two faces are one photo."""

    most_bits: Bits


@dataclass(frozen=True, config=STRICT)
class Network(Architecture, Start):
    """What a network is made of, and what it starts from."""


class Common(Strict):
    """The values that decide a training, whether of a protocol or for pretraining.

    `manifest` is the SHA-256 of a manifest's file; `detection` and `acceleration` are what is not
    left to the photo or the device.
    """

    age_min: int
    age_max: int
    setting: str
    seed: NonNegativeInt
    max_samples: Several | None = None
    # What is null is left out, so that results keep the keys that they had without it.
    manifest: str | None = Field(default=None, exclude_if=operator.not_)
    alignment: Alignment
    detection: dict[str, Any] = Field(default_factory=dict, exclude_if=operator.not_)
    training: TrainingSettings
    triplets: Triplets
    loss: LossWeights
    model: Network
    augmentation: Augmentation
    acceleration: dict[str, Any] = Field(default_factory=dict, exclude_if=operator.not_)

    @field_validator("model")
    @classmethod
    def _the_head_of_the_losses_need_not_be_said(
        cls, model: Network, known: ValidationInfo
    ) -> Network:
        """Leave it out where it is given, so that one network has one key."""
        loss = known.data.get("loss")
        said = loss is not None and head(loss) == model.head
        return replace(model, head=LINEAR) if said else model

    @model_validator(mode="after")
    def _ages_are_classes(self) -> "Common":
        AgeClasses(self.age_min, self.age_max)
        return self

    @model_validator(mode="after")
    def _the_head_suits_the_losses(self) -> "Common":
        head(self.loss, self.model.head)
        return self

    @property
    def classes(self) -> AgeClasses:
        """The ages that its networks tell apart."""
        return AgeClasses(self.age_min, self.age_max)

    @property
    def faces(self) -> Wanted:
        """Which faces of its sources are trained on and tested."""
        return Wanted(self.alignment.coverage, self.detection.get("min_face"))

    @property
    def recipe(self) -> Recipe:
        """How its networks are trained."""
        return Recipe(
            self.classes,
            self.training,
            self.triplets.mode,
            self.augmentation,
            self.loss,
            self.seed,
            self.architecture,
        )

    @property
    def architecture(self) -> Architecture:
        """What its networks are made of: with the head that the losses need."""
        return Architecture(self.model.backbone, head(self.loss, self.model.head))

    @property
    def key(self) -> str:
        """The setting's name and eight hexadecimal digits of all values, as in paths."""
        return f"{self.setting}-{self._digits(HASHED)}"

    @property
    def group(self) -> str:
        """What it has in common with its other seeds: named by all values but the seed."""
        return f"{self.setting}-seeds-{self._digits([name for name in HASHED if name != 'seed'])}"

    def _digits(self, names: Iterable[str]) -> str:
        values = self.model_dump(mode="json", exclude=self._not_hashed)
        ordered = {name: values[name] for name in names if name in values}
        return hashlib.sha256(to_json(ordered)).hexdigest()[:8]

    @property
    def _not_hashed(self) -> dict[str, Any]:
        """What a file holds counts, and not where it lies."""
        return {} if self.model.digest is None else {"model": {"weights"}}

    @property
    def places(self) -> dict[str, str]:
        """Where the files lie that count by what they hold, by the parameters that name them."""
        weights = self.model.weights
        return {} if weights in NAMED_WEIGHTS else {"model.weights": weights}

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return {
            "setting": self.setting,
            "seed": self.seed,
            "max_samples": self.max_samples,
            **stated(self.loss),
            **asdict(self.training),
            # What a file holds: where it lies may differ from run to run.
            "weights": self.model.digest or self.model.weights,
            **self.architecture.given,
            **{f"augmentation_{name}": value for name, value in asdict(self.augmentation).items()},
            "triplets": self.triplets.mode,
            "coverage": self.alignment.coverage,
            **self.detection,
            **self.acceleration,
        }


class Setting(Common):
    """All values that decide one protocol's result under one setting.

    `drawn` says that nobody is on the photos. `trained_on` is, of a transfer, the source that
    trains; `source` is always the one that is tested.
    """

    protocol: str
    source: str
    trained_on: str | None = Field(default=None, exclude_if=operator.not_)
    split: Split
    folds: PositiveInt
    validation: Share | None = Field(default=None, exclude_if=operator.not_)
    drawn: bool = Field(default=False, exclude_if=operator.not_)
    splitting: Splitting
    overlap: Overlap
    testing: Testing = Field(default_factory=Testing, exclude_if=Testing().__eq__)

    @model_validator(mode="after")
    def _test_part_is_in_sight(self) -> "Setting":
        if self.training.watch_test and self.validation is not None:
            raise ValueError(
                "training.watch_test looks at the test part, which validation keeps out of sight: "
                "leave one of them"
            )
        return self

    @model_validator(mode="after")
    def _only_a_transfer_has_one_fold(self) -> "Setting":
        named = f"protocols.{self.protocol}"
        if self.split == "transfer":
            if self.folds != 1:
                raise ValueError(f"{named}.folds={self.folds}: a transfer has one fold, give 1")
            if self.trained_on in {None, self.source}:
                raise ValueError(
                    f"{named}.trained_on={self.trained_on}: a transfer needs the source that "
                    "trains, another one than it is tested on"
                )
        elif self.folds == 1 and self.splitting.folds_file is None:
            raise ValueError(
                f"{named}.folds=1: give at least 2; only a transfer, or a published list with one "
                "test part, has one"
            )
        elif self.trained_on is not None:
            raise ValueError(f"{named}.trained_on={self.trained_on}: it is for split: transfer")
        return self

    @property
    def learns_from(self) -> str:
        """The source whose samples train; where none do, the one that is tested."""
        return self.plan.trained_on or self.source

    @property
    def shared(self) -> str:
        """Name the values that settings must share to share aligned faces and folds."""
        values = self.model_dump_json(
            include={
                *("manifest", "alignment", "detection"),
                *("splitting", "overlap", "max_samples", "folds"),
            }
        )
        return f"{values}, learns from {self.learns_from}"

    @property
    def most_bits(self) -> int:
        """From how few differing bits two faces are one photo.

        Drawn faces are more alike than people are, and known to be different unless they are equal.
        """
        return 0 if self.drawn else self.overlap.most_bits

    @property
    def plan(self) -> Plan:
        """How the samples of its source are divided."""
        return Plan(
            protocol=self.protocol,
            split=self.split,
            folds=self.folds,
            max_samples=self.max_samples,
            seed=self.splitting.seed,
            folds_file_digest=self.splitting.folds_file_digest,
            group_copies=self.splitting.group_copies,
            allow_leaks=self.splitting.allow_leaks,
            most_bits=self.most_bits,
            ages=(self.age_min, self.age_max),
            validation=self.validation,
            trained_on=self.trained_on if self.training.trains else None,
        )

    @property
    def part(self) -> Literal["test", "validation"]:
        """What the networks are measured on."""
        return "test" if self.validation is None else "validation"

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its faces come from."""
        return tuple(dict.fromkeys((self.source, self.learns_from)))

    @property
    def _not_hashed(self) -> dict[str, Any]:
        left_out = super()._not_hashed
        if self.splitting.folds_file_digest is not None:
            left_out["splitting"] = {"folds_file"}
        elif self.splitting.folds_file is None:
            # It is for a published list.
            left_out["splitting"] = {"allow_leaks"}
        return left_out | ({"overlap": True} if self.drawn else {})

    @property
    def places(self) -> dict[str, str]:
        """Where the files lie that count by what they hold, by the parameters that name them."""
        file = self.splitting.folds_file
        return super().places | ({} if file is None else {"splitting.folds_file": file})

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return super().columns() | {
            "validation": self.validation,
            "folds": self.folds,
            "splitting_seed": self.splitting.seed,
            "folds_file": self.splitting.folds_file_digest or self.splitting.folds_file,
            "allow_leaks": self.splitting.allow_leaks,
            "group_copies": self.splitting.group_copies,
            "most_bits": self.most_bits,
            "manifest": self.manifest,
            **asdict(self.testing),
            **({} if self.trained_on is None else {"trained_on": self.trained_on}),
        }


class Pretraining(Common):
    """All values that decide the weights which `kedro run --pipeline=pretrain` makes."""

    sources: tuple[str, ...] = Field(min_length=1)

    protocol: ClassVar[str] = PRETRAIN
    """What names its folders and its experiment."""

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return super().columns() | {"sources": "+".join(self.sources)}


Learning = Setting | Pretraining
"""What decides a training: a protocol's values, or those of a pretraining."""
