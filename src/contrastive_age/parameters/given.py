"""What there is to set: all parameters as Kedro has merged them, before any takes effect.

What cannot be right is said in one line (`validated`), with what was perhaps meant.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ArgsKwargs, ErrorDetails

from contrastive_age.errors import DataError
from contrastive_age.faces.detection import SmallestFace
from contrastive_age.parameters.setting import Alignment, Overlap, Setting
from contrastive_age.protocols.folds import Split
from contrastive_age.sources.layouts import LAYOUTS
from contrastive_age.sources.manifest import source_key
from contrastive_age.strict import Strict
from contrastive_age.training.recipe import Acceleration


def _known(layout: str) -> str:
    if layout not in LAYOUTS:
        raise ValueError(f"it must be one of {', '.join(LAYOUTS)}")
    return layout


Text = Annotated[str, Field(strict=True)]
"""No bytes, which YAML knows, too: they would be taken here, and nowhere else."""

Layout = Annotated[Text, AfterValidator(_known)]
"""A name in the registry of layouts."""

Values = TypeVar("Values")
Block = dict[str, Any]
"""Values that are validated where they take effect: `null` is the protocol's own."""


class Synthetic(Strict):
    """How many faces are drawn into a source's folder before it is read."""

    identities: Annotated[int, Field(gt=1)]
    images: Annotated[int, Field(gt=1)]
    seed: int = 0


class SourceGiven(Strict):
    """A source as the parameters name it: its folder is below `raw_root`."""

    layout: Layout
    folder: Path
    synthetic: Synthetic | None = None
    terms: Text | None = None


class Source(SourceGiven):
    """A source of photos with its folder resolved."""

    name: Text
    manifest: Path | None = None
    manifest_digest: Text | None = None
    outside: bool = False
    most_megapixels: float
    round_ages: bool

    @property
    def key(self) -> str:
        """What names its folders: a manifest is a source of its own."""
        return source_key(self.name, self.manifest_digest)

    @property
    def place(self) -> tuple[str, Path, Path | None, bool]:
        """Where its photos are and how they are laid out, as `sources.layouts` asks for it."""
        return self.layout, self.folder, self.manifest, self.outside


class Detection(Strict):
    """From how many pixels faces are looked for, and on how many threads."""

    min_face: SmallestFace | None = None
    workers: PositiveInt | None = None


class Explanation(Strict):
    """Which tested faces of each fold are explained by Grad-CAM: these, or some of every age."""

    at_most: NonNegativeInt
    samples: list[Text] | None = None


class Report(Strict):
    """What the report's figures show: settings laid side by side, and the number of faces."""

    settings: list[Text] = Field(min_length=1)
    faces: PositiveInt


class RayShare(Strict):
    """A fold's share of a Ray cluster, how often it is tried again, and where the cluster is."""

    address: Text | None = None
    cpus_per_fold: PositiveFloat
    gpus_per_fold: NonNegativeFloat
    retries: NonNegativeInt

    @field_validator("cpus_per_fold", "gpus_per_fold")
    @classmethod
    def _whole_above_one(cls, share: float) -> float:
        if share > 1 and not share.is_integer():
            raise ValueError("a share above 1 has to be a whole number")
        return share


class Preset(Strict):
    """A grid with a name: the protocols it is for, and the values of each parameter."""

    pipelines: list[Text]
    set: dict[Text, list[Any]]


class OwnValues(Strict):
    """What a protocol, or the pretraining, has of its own."""

    ages: tuple[int, int]
    settings: Text
    training: Block
    triplets: Block
    model: Block
    augmentation: Block


class ProtocolGiven(OwnValues):
    """A protocol as the parameters name it."""

    source: Text
    trained_on: Text | None = None
    split: Split
    group_copies: bool = True
    folds: int


class PretrainingGiven(OwnValues):
    """What the weights of `kedro run --pipeline=pretrain` are made of."""

    sources: Text | list[Text]

    @property
    def names(self) -> list[str]:
        """The sources; on a command line, which parts lists at commas, `+` joins them."""
        return self.sources.split("+") if isinstance(self.sources, str) else self.sources


class FinalModelGiven(Strict):
    """The protocol whose source the final model is trained on, and whether it is tempered."""

    protocol: Text
    temperature: bool


class SplittingGiven(Strict):
    """What there is to set of `Splitting`; null is the protocol's own value."""

    seed: int
    folds_file: Text | None
    group_copies: bool | None
    allow_leaks: bool


class Given(Strict):
    """All parameters."""

    raw_root: Text
    manifest: Text | None
    allow_outside_raw_root: bool
    most_megapixels: PositiveFloat
    age: Literal["whole", "round"]
    sources: dict[Text, SourceGiven]
    detection: Detection
    alignment: Alignment
    splitting: SplittingGiven
    protocols: dict[Text, ProtocolGiven]
    pretrain: PretrainingGiven
    final_model: FinalModelGiven
    settings: dict[Text, dict[Text, Block]]
    setting: Text
    seed: Any
    max_samples: Any
    validation: Any
    training: Block
    triplets: Block
    model: Block
    loss: Block
    augmentation: Block
    device: Text
    folds_at_once: Any
    checkpoint_every: Any
    acceleration: Acceleration
    ray: RayShare
    gradcam: Explanation
    testing: Block
    overlap: Overlap
    report: Report
    log_faces: bool | None
    sweeps: dict[Text, Preset]

    @model_validator(mode="after")
    def _names_are_known(self) -> "Given":
        chosen: list[tuple[str, str, Collection[str]]] = [
            *(("pretrain.sources", name, self.sources) for name in self.pretrain.names),
            ("pretrain.settings", self.pretrain.settings, self.settings),
            ("final_model.protocol", self.final_model.protocol, self.protocols),
        ]
        for name, protocol in self.protocols.items():
            chosen += [
                (f"protocols.{name}.source", protocol.source, self.sources),
                (f"protocols.{name}.settings", protocol.settings, self.settings),
            ]
            if protocol.trained_on is not None:
                chosen.append((f"protocols.{name}.trained_on", protocol.trained_on, self.sources))
        for what, value, known in chosen:
            if value not in known:
                raise ValueError(f"{what}={value} is none of {', '.join(known)}")
        if self.protocols[self.final_model.protocol].split == "transfer":
            raise ValueError(
                f"final_model.protocol={self.final_model.protocol} is a transfer, whose network is "
                "of another source than it is tested on: make weights of that source with "
                "--pipeline=pretrain, or choose a protocol with folds"
            )
        return self


def validated(model: type[Values], values: Mapping[str, Any]) -> Values:
    """Make a model, or a dataclass that checks itself, of values.

    Raises:
        DataError: Some do not fit; the message names all, and for an unknown name a known one.
    """
    try:
        return TypeAdapter(model).validate_python(values)
    except ValidationError as error:
        mistakes = "; ".join(_mistake(model, details) for details in error.errors())
        # A name may hold line breaks, or what no terminal can show.
        line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in mistakes)
        raise DataError(f"These parameters do not fit: {line}") from error


_KINDS = {
    "dict_type": "it must be a block of names, each with a value",
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "int_parsing": "it must be a whole number",
    "int_type": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
}
"""What is said of a value of another kind, in place of how Pydantic tried to read it."""


def _mistake(model: type[Any], error: ErrorDetails) -> str:
    name = ".".join(map(str, error["loc"]))
    said = error["msg"].removeprefix("Value error, ")
    # What a block says of its values together names them.
    together = error["type"] == "value_error" and isinstance(error["input"], Mapping)
    if together or not error["loc"]:
        return said
    if error["type"] == "missing":
        return f"{name} has no value; give one, or correct the name"
    if isinstance(error["input"], ArgsKwargs | Mapping) and error["type"] == "value_error":
        return said  # of several values together, which it names
    # So Pydantic calls a name that a model, or a dataclass, does not have.
    if error["type"] not in {"extra_forbidden", "unexpected_keyword_argument"}:
        value = error["input"]
        said = _KINDS.get(error["type"], said)
        if error["type"] in {"string_type", "path_type"}:
            if value is None:
                return f"{name} has no value; give one (a folder called null is ./null)"
            if isinstance(value, bool | int | float):
                said += "; in a file, put quotes around a name that can be read as something else"
        return f"{name}={value!r}: {said}"
    near = meant(name, model)
    hint = f"; did you mean {near}?" if near else ""
    return f"{name}={error['input']!r}: there is no such parameter{hint}"


def meant(name: str, model: type[Any] = Given) -> str | None:
    """Guess which parameter was meant by a name that is none."""
    own = {
        f"protocols.<protocol>.{each}"
        for each in ("ages", "folds", "source", "split", "trained_on")
    }
    known = sorted(({*_names(model), *_names(Setting)} | own) - {name})
    # A typing error in a name is mostly one in its last part, or its block is left out.
    by_leaf = {path.rpartition(".")[2]: path for path in reversed(known)}
    leaves = difflib.get_close_matches(name.rpartition(".")[2], by_leaf, 1, 0.7)
    near = difflib.get_close_matches(name, known, 1, 0.8) or [by_leaf[leaf] for leaf in leaves]
    return next(iter(near), None)


def _names(model: type[Any], before: str = "") -> Iterator[str]:
    """The dotted names of a model's values."""
    for name, field in model.__pydantic_fields__.items():
        kind = field.annotation
        if hasattr(kind, "__pydantic_fields__"):
            yield from _names(kind, f"{before}{name}.")
        else:
            yield before + name
