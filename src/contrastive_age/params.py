"""The project's parameters as validated models: what one protocol is really trained with.

`null` in the parameters means the protocol's own value, what is given wins (`effective`). The same
values give the same `key`, however they were written, so a changed parameter is another folder.
"""

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contrastive_age.errors import DataError
from contrastive_age.faces.detection import TINIEST

Layout = Literal["fgnet", "morph2", "utkface", "manifest"]
Split = Literal["rs", "se", "lopo"]


class Strict(BaseModel):
    """Unknown keys are errors, numbers are finite, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    outside: bool = False
    synthetic: Synthetic | None = None
    terms: str | None = None


class Detection(Strict):
    """From how many pixels faces are looked for, and on how many threads."""

    min_face: float | None = Field(default=None, ge=TINIEST)
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


PRETRAIN = "pretrain"
"""The pipeline that makes weights, which has its folders and its experiment like a protocol."""

Columns = dict[str, str | int | float | None]

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


class Overlap(Strict):
    """Up to how many differing bits of 256 a tested face is one that was pretrained on."""

    most_bits: int = Field(ge=0, le=256)


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
        return _key(self)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its faces come from."""
        return (self.source,)

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return _learning_columns(self) | {
            "validation": self.validation,
            "folds": self.folds,
            "splitting_seed": self.splitting.seed,
            "folds_file": self.splitting.folds_file,
        }


class Pretraining(Strict):
    """All values that decide the weights which `kedro run --pipeline=pretrain` makes."""

    sources: tuple[str, ...] = Field(min_length=1)
    age_min: int = Field(ge=0)
    age_max: int = Field(le=120)
    setting: str
    seed: int = Field(ge=0)
    max_samples: int | None = Field(default=None, gt=1)
    alignment: Alignment
    training: Training
    triplets: Triplets
    model: Model
    augmentation: Augmentation
    loss: Loss

    @property
    def protocol(self) -> str:
        """What names its folders and its experiment."""
        return PRETRAIN

    @property
    def key(self) -> str:
        """The setting's name and eight hexadecimal digits of all values, as in paths."""
        return _key(self)

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return _learning_columns(self) | {"sources": "+".join(self.sources)}


Learning = Effective | Pretraining
"""What decides a training: a protocol's values, or those of a pretraining."""


def _key(values: Learning) -> str:
    return f"{values.setting}-{hashlib.sha256(values.model_dump_json().encode()).hexdigest()[:8]}"


def _learning_columns(values: Learning) -> Columns:
    return {
        "setting": values.setting,
        "seed": values.seed,
        "max_samples": values.max_samples,
        **values.loss.model_dump(),
        **values.training.model_dump(),
        **values.model.model_dump(),
        **{f"augmentation_{k}": v for k, v in values.augmentation.model_dump().items()},
        "triplets": values.triplets.mode,
        "coverage": values.alignment.coverage,
    }


class Preset(Strict):
    """A grid with a name: the protocols it is for, and the values of each parameter."""

    pipelines: list[str]
    set: dict[str, list[Any]]


BLOCKS = ("training", "triplets", "model", "augmentation")

Block = dict[str, Any]
"""Values that are validated where they take effect."""


class SourceGiven(Strict):
    """A source as the parameters name it: its folder is below `raw_root`."""

    layout: Layout
    folder: str
    synthetic: Synthetic | None
    terms: str | None = None


class ProtocolGiven(Strict):
    """A protocol as the parameters name it, with its own values."""

    source: str
    split: Split
    folds: int
    ages: tuple[int, int]
    settings: str
    training: Block
    triplets: Block
    model: Block
    augmentation: Block


class PretrainingGiven(Strict):
    """What the weights of `kedro run --pipeline=pretrain` are made of, with their own values."""

    sources: str | list[str]
    ages: tuple[int, int]
    settings: str
    training: Block
    triplets: Block
    model: Block
    augmentation: Block

    @property
    def names(self) -> list[str]:
        """The sources; on a command line, which parts lists at commas, `+` joins them."""
        return self.sources.split("+") if isinstance(self.sources, str) else self.sources


class FinalModelGiven(Strict):
    """The protocol whose source the final model is trained on."""

    protocol: str


class Given(Strict):
    """All parameters as Kedro has merged them, before any takes effect: what there is to set."""

    raw_root: str
    manifest: str | None
    allow_outside_raw_root: bool
    sources: dict[str, SourceGiven]
    detection: Detection
    alignment: Alignment
    splitting: Splitting
    protocols: dict[str, ProtocolGiven]
    pretrain: PretrainingGiven
    final_model: FinalModelGiven
    settings: dict[str, dict[str, Block]]
    setting: str
    seed: Any
    max_samples: Any
    validation: Any
    training: Block
    triplets: Block
    model: Block
    loss: Block
    augmentation: Block
    device: str
    folds_at_once: Any
    ray: Block
    acceleration: Block
    gradcam: Block
    overlap: Overlap
    report: Report
    log_faces: bool | None
    sweeps: dict[str, Block]

    @model_validator(mode="after")
    def _names_are_known(self) -> "Given":
        for name, own in self.protocols.items():
            for kind, known in (("source", list(self.sources)), ("settings", list(self.settings))):
                if getattr(own, kind) not in known:
                    raise ValueError(
                        f"protocols.{name}.{kind}={getattr(own, kind)} is none of "
                        f"{', '.join(known)}"
                    )
        chosen = [
            *(("pretrain.sources", source, list(self.sources)) for source in self.pretrain.names),
            ("pretrain.settings", self.pretrain.settings, list(self.settings)),
            ("final_model.protocol", self.final_model.protocol, list(self.protocols)),
        ]
        for what, value, choice in chosen:
            if value not in choice:
                raise ValueError(f"{what}={value} is none of {', '.join(choice)}")
        return self


def check(params: Mapping[str, Any]) -> None:
    """Refuse parameters that do not exist, and values whose kind cannot be right.

    Names that begin with an underscore are anchors of the YAML files.

    Args:
        params: The project's parameters as merged by Kedro.

    Raises:
        DataError: There is such a parameter; the message names all, and what was perhaps meant.
    """
    _validated(Given, {name: own for name, own in params.items() if not name.startswith("_")})


def effective(params: Mapping[str, Any], protocol: str) -> Effective:
    """Merge the protocol's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.
        protocol: A key of `params["protocols"]`.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    own = dict(params["protocols"][protocol])
    common = ("validation", "splitting")
    return _validated(
        Effective,
        own
        | _learning(params, own)
        | {"protocol": protocol, **{name: params[name] for name in common}},
    )


def pretraining(params: Mapping[str, Any]) -> Pretraining:
    """Merge the pretraining's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    own = dict(params["pretrain"])
    names = PretrainingGiven.model_validate(own).names
    learning = _learning(params, own)
    # Twice the same source would be twice the same faces.
    return _validated(Pretraining, own | learning | {"sources": tuple(dict.fromkeys(names))})


def _learning(params: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What decides a training: taken out of a block's own values, and what is given."""
    settings = params["settings"][own.pop("settings")]
    if params["setting"] not in settings:
        raise DataError(
            f"setting={params['setting']} is unknown; choose one of {', '.join(sorted(settings))}"
        )
    age_min, age_max = own.pop("ages")
    return {
        **{name: own.pop(name) | _given(params[name]) for name in BLOCKS},
        "age_min": age_min,
        "age_max": age_max,
        "loss": settings[params["setting"]] | _given(params["loss"]),
        **{name: params[name] for name in ("setting", "seed", "max_samples", "alignment")},
    }


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
            "outside": params["allow_outside_raw_root"],
        },
    )


def _given(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


def _validated(model: type[StrictModel], values: Mapping[str, Any]) -> StrictModel:
    """Validate, and say in one line which parameters are wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes = "; ".join(_mistake(model, e["loc"], e) for e in error.errors())
        raise DataError(f"These parameters do not fit: {mistakes}") from error


def _mistake(model: type[Strict], loc: tuple[str | int, ...], error: Mapping[str, Any]) -> str:
    name = ".".join(map(str, loc))
    said: str = error["msg"].removeprefix("Value error, ")
    if not loc:
        return said
    if error["type"] == "missing":
        return f"{name} has no value; give one, or correct the name"
    if error["type"] != "extra_forbidden":
        return f"{name}={error['input']!r}: {said}"
    known = sorted({*_names(model), *_names(Effective)})
    leaf = name.rpartition(".")[2]
    # A typing error in a name is mostly one in its last part, or its block is left out.
    by_leaf = {own.rpartition(".")[2]: own for own in reversed(known)}
    near = difflib.get_close_matches(name, known, 1, 0.8)
    near = near or [by_leaf[own] for own in difflib.get_close_matches(leaf, by_leaf, 1, 0.7)]
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name}={error['input']!r}: there is no such parameter{hint}"


def _names(model: type[Strict], before: str = "") -> Iterator[str]:
    """The dotted names of a model's values, without those that the user does not set."""
    for name, field in model.model_fields.items():
        own = field.annotation
        if isinstance(own, type) and issubclass(own, Strict):
            yield from _names(own, f"{before}{name}.")
        else:
            yield before + name
