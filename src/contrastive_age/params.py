"""The project's parameters as validated models: what one protocol is really trained with.

`null` in the parameters means the protocol's own value, what is given wins (`effective`). The same
values give the same `key`, however they were written, so a changed parameter is another folder.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contrastive_age.errors import DataError

Layout = Literal["fgnet", "morph2", "utkface", "manifest"]
Split = Literal["rs", "se", "lopo"]


class Strict(BaseModel):
    """Unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


StrictModel = TypeVar("StrictModel", bound=Strict)


class Synthetic(Strict):
    """How many faces are drawn into a source's folder before it is read."""

    identities: int = Field(gt=1)
    images: int = Field(gt=1)
    seed: int = 0


class Source(Strict):
    """A source of photos with its folder resolved."""

    name: str
    layout: Layout
    folder: Path
    manifest: Path | None = None
    synthetic: Synthetic | None = None


class Detection(Strict):
    """How faces are detected; the number of workers does not change the result."""

    workers: int | None = Field(default=None, gt=0)


class Alignment(Strict):
    """How detected faces are cut out."""

    coverage: float = Field(ge=0.8, le=2.5)


class Splitting(Strict):
    """How samples are put into folds."""

    seed: int = Field(ge=0)
    folds_file: str | None = None


class Training(Strict):
    """The budget and the optimiser's values."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=1)
    image_size: int = Field(ge=32, le=224)
    lr: float = Field(gt=0)
    schedule: Literal["constant", "cosine", "onecycle"]
    weight_decay: float = Field(ge=0)
    supervise: Literal["anchor", "all"]


class Triplets(Strict):
    """How positives and negatives are found: drawn for each anchor, or inside the batch."""

    mode: Literal["explicit", "shared"]


NAMED_WEIGHTS = ("imagenet", "none")
"""Initial weights that are not a file."""


class Model(Strict):
    """The initial weights: `imagenet`, `none` or the path of a state dict."""

    weights: str


class Augmentation(Strict):
    """Rotation in degrees, shift and scale as shares, and the mirror's direction."""

    degrees: float = Field(ge=0, le=180)
    translate: float = Field(ge=0, lt=1)
    scale: float = Field(ge=0, lt=1)
    flip: Literal["horizontal", "vertical", "none"]


class Loss(Strict):
    """The weights of Eq. 7, the weight of the KL divergence and the triplet's margin."""

    lambda_m: float = Field(ge=0)
    lambda_v: float = Field(ge=0)
    lambda_c: float = Field(ge=0)
    lambda_t: float = Field(ge=0)
    lambda_k: float = Field(ge=0)
    margin: float = Field(ge=0)


class Acceleration(Strict):
    """Precision, memory layout and place of the faces; `auto` chooses for the device."""

    precision: Literal["auto", "float32", "bfloat16"]
    channels_last: Literal["auto"] | bool
    fused: Literal["auto"] | bool
    compile: bool
    residence: Literal["auto", "device", "host"]


class Explanation(Strict):
    """Which tested faces of each fold are explained by Grad-CAM: these, or some of every age."""

    at_most: int = Field(ge=0)
    samples: list[str] | None = None


class Report(Strict):
    """What the report's figures show: settings laid side by side, and the number of faces."""

    settings: list[str] = Field(min_length=1)
    faces: int = Field(gt=0)


class Computing(Strict):
    """Where and how folds are computed: it changes results by rounding alone, so no key."""

    device: str
    folds_at_once: int = Field(gt=0)
    acceleration: Acceleration


class RayShare(Strict):
    """A fold's share of a Ray cluster, how often it is tried again, and where the cluster is."""

    address: str | None = None
    cpus_per_fold: float = Field(gt=0)
    gpus_per_fold: float = Field(ge=0)
    retries: int = Field(ge=0)

    @field_validator("cpus_per_fold", "gpus_per_fold")
    @classmethod
    def _whole_above_one(cls, share: float) -> float:
        if share > 1 and not share.is_integer():
            raise ValueError("a share above 1 has to be a whole number")
        return share


class Effective(Strict):
    """All values that decide one protocol's result under one setting."""

    protocol: str
    source: str
    split: Split
    folds: int = Field(gt=1)
    age_min: int = Field(ge=0)
    age_max: int = Field(le=120)
    setting: str
    seed: int = Field(ge=0)
    max_samples: int | None = Field(default=None, gt=1)
    # Left out where it is null, so that results on test parts keep their keys.
    validation: float | None = Field(default=None, gt=0, lt=1, exclude_if=lambda v: v is None)
    splitting: Splitting
    alignment: Alignment
    training: Training
    triplets: Triplets
    model: Model
    augmentation: Augmentation
    loss: Loss

    @model_validator(mode="after")
    def _ages_in_order(self) -> "Effective":
        if self.age_max <= self.age_min:
            raise ValueError(f"ages {self.age_min} to {self.age_max} hold no two classes")
        return self

    @property
    def shared(self) -> str:
        """Name the values that settings must share to share aligned faces and folds."""
        return self.model_dump_json(include={"alignment", "splitting", "max_samples", "folds"})

    @property
    def part(self) -> Literal["test", "validation"]:
        """What the networks are measured on."""
        return "test" if self.validation is None else "validation"

    @property
    def key(self) -> str:
        """The setting's name and eight hexadecimal digits of all values, as in paths."""
        return f"{self.setting}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]}"

    def columns(self) -> dict[str, str | int | float | None]:
        """The values as flat columns for MLflow; each λ under its own name."""
        return {
            "setting": self.setting,
            "seed": self.seed,
            "max_samples": self.max_samples,
            "validation": self.validation,
            "folds": self.folds,
            **self.loss.model_dump(),
            **self.training.model_dump(),
            **self.model.model_dump(),
            **{f"augmentation_{k}": v for k, v in self.augmentation.model_dump().items()},
            "triplets": self.triplets.mode,
            "coverage": self.alignment.coverage,
            "splitting_seed": self.splitting.seed,
            "folds_file": self.splitting.folds_file,
        }


class Preset(Strict):
    """A grid with a name: the protocols it is for, and the values of each parameter."""

    pipelines: list[str]
    set: dict[str, list[Any]]


BLOCKS = ("training", "triplets", "model", "augmentation")


def effective(params: Mapping[str, Any], protocol: str) -> Effective:
    """Merge the protocol's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.
        protocol: A key of `params["protocols"]`.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    own = dict(params["protocols"][protocol])
    settings = params["settings"][own.pop("settings")]
    if params["setting"] not in settings:
        raise DataError(
            f"setting={params['setting']} is unknown; choose one of {', '.join(sorted(settings))}"
        )
    age_min, age_max = own.pop("ages")
    blocks = {name: own.pop(name) | _given(params[name]) for name in BLOCKS}
    return _validated(
        Effective,
        own
        | blocks
        | {
            "protocol": protocol,
            "age_min": age_min,
            "age_max": age_max,
            "loss": settings[params["setting"]] | _given(params["loss"]),
            **{
                name: params[name]
                for name in (
                    "setting",
                    "seed",
                    "max_samples",
                    "validation",
                    "splitting",
                    "alignment",
                )
            },
        },
    )


def computing(params: Mapping[str, Any]) -> Computing:
    """Validate where and how folds are computed.

    Args:
        params: The project's parameters as merged by Kedro.

    Raises:
        DataError: An unknown key, or a value out of its range.
    """
    return _validated(Computing, {name: params[name] for name in Computing.model_fields})


def ray_share(params: Mapping[str, Any]) -> RayShare:
    """Validate what a fold needs of a Ray cluster.

    Args:
        params: The project's parameters as merged by Kedro.

    Raises:
        DataError: An unknown key, or a value out of its range.
    """
    return _validated(RayShare, params["ray"])


def preset_of(params: Mapping[str, Any], name: str) -> Preset:
    """Give the grid of a name.

    Raises:
        DataError: There is no such name, or it is not laid out as a grid.
    """
    known = params["sweeps"]
    if name not in known:
        raise DataError(f"preset={name} is unknown; choose one of {', '.join(known)}")
    return _validated(Preset, known[name])


def explanation(params: Mapping[str, Any]) -> Explanation:
    """Validate which faces are explained.

    Raises:
        DataError: An unknown key, or a value out of its range.
    """
    return _validated(Explanation, params["gradcam"])


def source(params: Mapping[str, Any], name: str, root: Path) -> Source:
    """Resolve a source's folder and manifest against the project's root.

    Args:
        params: The project's parameters as merged by Kedro.
        name: A key of `params["sources"]`.
        root: The project's root, where relative paths start.
    """
    own = params["sources"][name]
    manifest = params["manifest"]
    return _validated(
        Source,
        own
        | {
            "name": name,
            "folder": root / params["raw_root"] / own["folder"],
            "manifest": root / manifest if manifest and own["layout"] == "manifest" else None,
        },
    )


def _given(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


def _validated(model: type[StrictModel], values: Mapping[str, Any]) -> StrictModel:
    """Validate, and say in one line per mistake which parameter is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or model.__name__}={e['input']!r}: {e['msg']}"
            for e in error.errors()
        )
        raise DataError(f"These parameters do not fit: {mistakes}") from error
