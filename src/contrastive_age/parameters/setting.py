"""The project's parameters as validated models: what one protocol is really trained with.

`null` in the parameters means the protocol's own value, what is given wins (`effective`). The same
values give the same `key`, however they were written, so a changed parameter is another folder.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contrastive_age.errors import DataError
from contrastive_age.faces.detection import TINIEST
from contrastive_age.faces.store import Wanted
from contrastive_age.provenance import file_digest
from contrastive_age.sources.manifest import source_key

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
    manifest_digest: str | None = None
    outside: bool = False
    synthetic: Synthetic | None = None
    terms: str | None = None

    @property
    def key(self) -> str:
        """What names its folders: a manifest is a source of its own."""
        return source_key(self.name, self.manifest_digest)


def expanded(path: str | Path) -> Path:
    """Put the home folder in the place of `~`; a path of a user whom nobody knows stays."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def siblings(folder: Path, name: str) -> list[Path]:
    """The folders of all manifests of a source, beside one of them.

    Args:
        folder: Of one of them, as `source_key` names it.
        name: The source's.
    """
    wanted = re.compile(rf"{re.escape(name)}-[0-9a-f]{{8}}")
    return sorted(own for own in folder.parent.iterdir() if wanted.fullmatch(own.name))


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
    folds_file_digest: str | None = None
    group_copies: bool
    allow_leaks: bool = False


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
    """The initial weights: `imagenet`, `none` or the path of a state dict, and its SHA-256.

    A file that is not there has no digest: who needs it says so.
    """

    weights: str
    digest: str | None = None


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

    @property
    def given(self) -> dict[str, Any]:
        """What is not left to the device. It moves a result as much as a seed does."""
        left = Acceleration(
            precision="auto", channels_last="auto", fused="auto", compile=False, residence="auto"
        )
        return {name: own for name, own in self if own != getattr(left, name)}


class Explanation(Strict):
    """Which tested faces of each fold are explained by Grad-CAM: these, or some of every age."""

    at_most: int = Field(ge=0)
    samples: list[str] | None = None


class Overlap(Strict):
    """Up to how many differing bits of 256 two faces are one photo."""

    most_bits: int = Field(ge=0, le=256)


class Report(Strict):
    """What the report's figures show: settings laid side by side, and the number of faces."""

    settings: list[str] = Field(min_length=1)
    faces: int = Field(gt=0)


class Computing(Strict):
    """Where and how folds are computed; what of it is given explicitly is in a setting's key."""

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


def _is_none(value: Any) -> bool:
    return value is None


def _is_empty(value: Any) -> bool:
    return not value


class Setting(Strict):
    """All values that decide one protocol's result under one setting.

    `manifest` is the SHA-256 of a manifest's file; `detection` and `acceleration` are what is not
    left to the photo or the device; `drawn` says that nobody is on the photos.
    """

    protocol: str
    source: str
    split: Split
    folds: int = Field(gt=1)
    age_min: int = Field(ge=0)
    age_max: int = Field(le=120)
    setting: str
    seed: int = Field(ge=0)
    max_samples: int | None = Field(default=None, gt=1)
    # What is null is left out, so that results keep the keys that they had without it.
    validation: float | None = Field(default=None, gt=0, lt=1, exclude_if=_is_none)
    manifest: str | None = Field(default=None, exclude_if=_is_none)
    drawn: bool = Field(default=False, exclude_if=_is_empty)
    splitting: Splitting
    overlap: Overlap
    alignment: Alignment
    detection: dict[str, Any] = Field(default_factory=dict, exclude_if=_is_empty)
    training: Training
    triplets: Triplets
    model: Model
    augmentation: Augmentation
    loss: Loss
    acceleration: dict[str, Any] = Field(default_factory=dict, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _ages_in_order(self) -> "Setting":
        if self.age_max <= self.age_min:
            raise ValueError(f"ages {self.age_min} to {self.age_max} hold no two classes")
        return self

    @property
    def shared(self) -> str:
        """Name the values that settings must share to share aligned faces and folds."""
        return self.model_dump_json(
            include={
                *("manifest", "alignment", "detection"),
                *("splitting", "overlap", "max_samples", "folds"),
            }
        )

    @property
    def faces(self) -> Wanted:
        """Which faces of its source are trained on and tested."""
        return Wanted(self.alignment.coverage, self.detection.get("min_face"))

    @property
    def most_bits(self) -> int:
        """From how few differing bits two faces are one photo.

        Drawn faces are more alike than people are, and known to be different unless they are equal.
        """
        return 0 if self.drawn else self.overlap.most_bits

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

    @property
    def places(self) -> dict[str, str]:
        """Where the files lie that the columns name by what they hold."""
        return _places(weights=self.model.weights, folds_file=self.splitting.folds_file)

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return _learning_columns(self) | {
            "validation": self.validation,
            "folds": self.folds,
            "splitting_seed": self.splitting.seed,
            "folds_file": self.splitting.folds_file_digest or self.splitting.folds_file,
            "allow_leaks": self.splitting.allow_leaks,
            "group_copies": self.splitting.group_copies,
            "most_bits": self.most_bits,
            "manifest": self.manifest,
        }


class Pretraining(Strict):
    """All values that decide the weights which `kedro run --pipeline=pretrain` makes."""

    sources: tuple[str, ...] = Field(min_length=1)
    age_min: int = Field(ge=0)
    age_max: int = Field(le=120)
    setting: str
    seed: int = Field(ge=0)
    max_samples: int | None = Field(default=None, gt=1)
    manifest: str | None = Field(default=None, exclude_if=_is_none)
    alignment: Alignment
    detection: dict[str, Any] = Field(default_factory=dict, exclude_if=_is_empty)
    training: Training
    triplets: Triplets
    model: Model
    augmentation: Augmentation
    loss: Loss
    acceleration: dict[str, Any] = Field(default_factory=dict, exclude_if=_is_empty)

    @property
    def faces(self) -> Wanted:
        """Which faces of its sources are trained on."""
        return Wanted(self.alignment.coverage, self.detection.get("min_face"))

    @property
    def protocol(self) -> str:
        """What names its folders and its experiment."""
        return PRETRAIN

    @property
    def key(self) -> str:
        """The setting's name and eight hexadecimal digits of all values, as in paths."""
        return _key(self)

    @property
    def places(self) -> dict[str, str]:
        """Where the files lie that the columns name by what they hold."""
        return _places(weights=self.model.weights)

    def columns(self) -> Columns:
        """The values as flat columns for MLflow; each λ under its own name."""
        return _learning_columns(self) | {"sources": "+".join(self.sources)}


Learning = Setting | Pretraining
"""What decides a training: a protocol's values, or those of a pretraining."""


def _key(values: Learning) -> str:
    # What a file holds counts, and not where it lies.
    known: dict[str, Any] = {}
    if values.model.digest is not None:
        known["model"] = {"weights"}
    if isinstance(values, Setting):
        if values.splitting.folds_file_digest is not None:
            known["splitting"] = {"folds_file"}
        elif values.splitting.folds_file is None:
            # It is for a published list.
            known["splitting"] = {"allow_leaks"}
        if values.drawn:
            known["overlap"] = True
    text = values.model_dump_json(exclude=known)
    return f"{values.setting}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _places(**files: str | None) -> dict[str, str]:
    return {name: path for name, path in files.items() if path not in (None, *NAMED_WEIGHTS)}


def _learning_columns(values: Learning) -> Columns:
    return {
        "setting": values.setting,
        "seed": values.seed,
        "max_samples": values.max_samples,
        **values.loss.model_dump(),
        **values.training.model_dump(),
        # What a file holds: where it lies may differ from run to run.
        "weights": values.model.digest or values.model.weights,
        **{f"augmentation_{k}": v for k, v in values.augmentation.model_dump().items()},
        "triplets": values.triplets.mode,
        "coverage": values.alignment.coverage,
        **values.detection,
        **values.acceleration,
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


class SplittingGiven(Strict):
    """How samples are put into folds, as the parameters say it; null is the protocol's own."""

    seed: int
    folds_file: str | None
    group_copies: bool | None
    allow_leaks: bool


class ProtocolGiven(Strict):
    """A protocol as the parameters name it, with its own values."""

    source: str
    split: Split
    group_copies: bool = True
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
    splitting: SplittingGiven
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


def effective(params: Mapping[str, Any], protocol: str, root: Path = Path()) -> Setting:
    """Merge the protocol's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.
        protocol: A key of `params["protocols"]`.
        root: Where relative paths start: files are known by what they hold.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    own = dict(params["protocols"][protocol])
    drawn = params["sources"][own["source"]]["synthetic"] is not None
    grouped = own.pop("group_copies", True)
    splitting = {
        "group_copies": grouped,
        **_given(params["splitting"]),
        "folds_file_digest": _digest(root, params["splitting"]["folds_file"]),
    }
    common = {name: params[name] for name in ("validation", "overlap")}
    return _validated(
        Setting,
        own
        | _learning(params, own, [own["source"]], root)
        | {"protocol": protocol, "splitting": splitting, "drawn": drawn, **common},
    )


def papers_settings(params: Mapping[str, Any]) -> dict[str, dict[str, Setting]]:
    """Give each protocol's named settings as they are when nothing is given: the paper's values.

    Args:
        params: The parameters of the base environment alone.

    Returns:
        By protocol, then by the setting's name, such as `ternary`.

    Raises:
        DataError: An unknown key, or a value out of its range.
    """
    return {
        protocol: {
            setting: effective({**params, "setting": setting}, protocol)
            for setting in params["settings"][values["settings"]]
        }
        for protocol, values in params["protocols"].items()
    }


def pretraining(params: Mapping[str, Any], root: Path = Path()) -> Pretraining:
    """Merge the pretraining's own values with what is given.

    Args:
        params: The project's parameters as merged by Kedro.
        root: Where relative paths start: files are known by what they hold.

    Raises:
        DataError: An unknown setting or key, or a value out of its range.
    """
    own = dict(params["pretrain"])
    # Twice the same source would be twice the same faces.
    names = tuple(dict.fromkeys(PretrainingGiven.model_validate(own).names))
    return _validated(Pretraining, own | _learning(params, own, names, root) | {"sources": names})


def _learning(
    params: Mapping[str, Any], own: dict[str, Any], sources: Iterable[str], root: Path
) -> dict[str, Any]:
    """What decides a training: taken out of a block's own values, and what is given."""
    settings = params["settings"][own.pop("settings")]
    if params["setting"] not in settings:
        raise DataError(
            f"setting={params['setting']} is unknown; choose one of {', '.join(sorted(settings))}"
        )
    age_min, age_max = own.pop("ages")
    blocks: dict[str, Any] = {name: own.pop(name) | _given(params[name]) for name in BLOCKS}
    blocks["model"] = _with_digest(blocks["model"], root)
    listed = any(params["sources"][name]["layout"] == "manifest" for name in sources)
    return {
        **blocks,
        "age_min": age_min,
        "age_max": age_max,
        "loss": settings[params["setting"]] | _given(params["loss"]),
        **{name: params[name] for name in ("setting", "seed", "max_samples", "alignment")},
        "detection": _given({"min_face": params["detection"]["min_face"]}),
        "manifest": _digest(root, params["manifest"]) if listed else None,
        "acceleration": computing(params).acceleration.given,
    }


def _with_digest(model: dict[str, Any], root: Path) -> dict[str, Any]:
    weights = model.get("weights")
    file = weights if weights not in NAMED_WEIGHTS else None
    return model | {"digest": _digest(root, file)}


def _digest(root: Path, path: Any) -> str | None:
    """The SHA-256 of a file that a parameter names; None where there is none to be read.

    Nothing is said of a missing one: who needs it says so, and all else works without.
    """
    if not isinstance(path, str):
        return None
    try:
        return file_digest(root / expanded(path))
    except (OSError, ValueError):
        return None


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
    manifest = params["manifest"] if own["layout"] == "manifest" else None
    return _validated(
        Source,
        own
        | {
            "name": name,
            "folder": root / expanded(params["raw_root"]) / own["folder"],
            "manifest": root / expanded(manifest) if manifest else None,
            "manifest_digest": _digest(root, manifest),
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
    known = sorted({*_names(model), *_names(Setting)})
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
