"""What was measured, brought together: seeds of one setting, settings of one budget, paper's cells.

A setting is what it computes and not what it is called: `binary` with a cosine weight of 0 is `mv`.
"""

import json
import math
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from contrastive_age.evaluation.bootstrap import Interval, mae_interval, seed_summary
from contrastive_age.files import fingerprint
from contrastive_age.provenance import Record
from contrastive_age.reporting.starts import Pretraining, describe_start

PAPER: Mapping[str, Any] = {
    "training": {
        "epochs": 100,
        "batch_size": 64,
        "image_size": 224,
        "lr": 0.001,
        "schedule": "constant",
        "weight_decay": 0.0,
        "supervise": "anchor",
    },
    "triplets": {"mode": "explicit"},
    "model": {"weights": "imagenet"},
    "augmentation": {"degrees": 10.0, "translate": 0.03, "scale": 0.05, "flip": "horizontal"},
    "alignment": {"coverage": 1.35},
    "splitting": {"seed": 0, "folds_file": None, "allow_leaks": False},
    "overlap": {"most_bits": 40},
    "max_samples": None,
}
"""The paper's budget, and this project's values for what the paper leaves open."""

SETTINGS: Mapping[str, str] = {
    "CE": "ce",
    "MV": "mv",
    "MV + KLD": "kld",
    "MV + Cosine": "binary",
    "MV + Triplet": "triplet",
    "MV + KLD + Triplet": "kld_ternary",
    "MV + Cosine + Triplet": "ternary",
}
"""The combinations of losses as Table 6 names them (and CE alone), and our names of them."""

PROTOCOLS: Mapping[str, str] = {
    "fgnet_lopo": "FG-NET, one subject left out",
    "fgnet_se": "FG-NET, subject-exclusive folds (not in the paper)",
    "morph_rs": "MORPH II, random split",
    "morph_se": "MORPH II, subject-exclusive",
    "utkface_rs": "UTKFace, random split (not in the paper)",
    "synthetic_se": "Drawn faces, subject-exclusive (not in the paper)",
    "custom_rs": "Own photos, random split (not in the paper)",
    "custom_se": "Own photos, subject-exclusive (not in the paper)",
}
"""The protocols in the order of the report, and what they are."""

PAPERS_PROTOCOLS = ("fgnet_lopo", "morph_rs", "morph_se")
"""Those of the paper, which have its budget unless another is given."""

PAPER_MEAN_VARIANCE: Mapping[str, float] = {"lambda_m": 0.2, "lambda_v": 0.05}
"""The weights of the mean-variance loss in all the paper's settings."""

_MARGIN = 0.2
_NO_BUDGET = ("setting", "seed", "loss", "protocol")
_PROTOCOLS_OWN = ("source", "split", "folds", "age_min", "age_max", "drawn", "manifest")
_BY_CONTENT = {
    "model.digest": "model.weights",
    "splitting.folds_file_digest": "splitting.folds_file",
}
"""Values that say what the files hold that others name."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One finished run: one setting of one protocol with one seed.

    Attributes:
        protocol: Such as `morph_se`.
        setting: The name it was run under, such as `ternary`.
        key: Name and hash of all values, as in the paths of its files.
        seed: Of training.
        parameters: All values in effect, as `metrics.json` holds them.
        metrics: `metrics.json`.
        identity: `identity.json`, where it was made.
        gradcam: `gradcam.json`, where it was made.
        predictions: `sample_id, identity, fold, age, predicted_age, predicted_std`, a row an image.
        run_id: Of the MLflow run, where there is one.
        demo: Whether the faces are drawn.
    """

    protocol: str
    setting: str
    key: str
    seed: int
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    identity: Mapping[str, Any] | None
    gradcam: Mapping[str, Any] | None
    predictions: pd.DataFrame
    run_id: str | None
    demo: bool

    @property
    def pretraining(self) -> Pretraining | None:
        """The training on other faces that it started from; None for any other start."""
        return Pretraining.of(self.metrics)


@dataclass(frozen=True, eq=False)
class Group:
    """The seeds of one setting, on the same data with the same budget.

    Attributes:
        runs: At least one, one a seed, in their order.
        repeats: Runs of the same seed under another name. They computed the same, so they do not
            count.
        mae: Mean of the seeds' MAEs in years.
        seed_sd: Their standard deviation in years, None for one seed.
        interval: 95% interval of `mae`, by bootstrap over subjects; None for a single subject.
    """

    runs: tuple[Measured, ...]
    repeats: tuple[Measured, ...]
    mae: float
    seed_sd: float | None
    interval: Interval | None

    @property
    def first(self) -> Measured:
        """The run with the smallest seed, for all that seeds share."""
        return self.runs[0]

    @property
    def protocol(self) -> str:
        """Such as `morph_se`."""
        return self.first.protocol

    @property
    def losses(self) -> dict[str, float]:
        """The weights of the losses that act, see `acting_losses`."""
        return acting_losses(self.first.parameters["loss"])

    @property
    def name(self) -> str:
        """The losses as Table 6 names them, with the weights that the name leaves open."""
        return name_losses(self.first.parameters["loss"])

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Each seed's predictions."""
        return [run.predictions for run in self.runs]

    @property
    def budget(self) -> str:
        """See `describe_budget`."""
        return describe_budget(self.first.parameters, self.pretraining)

    @property
    def start(self) -> str:
        """See `starts.describe_start`."""
        return describe_start(self.first.parameters["model"]["weights"], self.pretraining)

    @property
    def from_imagenet(self) -> bool:
        """Whether it may stand in the paper's (I) columns."""
        return self.start == "ImageNet"

    @property
    def pretraining(self) -> Pretraining | None:
        """The training on other faces that all its runs started from; None for any other start."""
        return self.first.pretraining

    @property
    def on_faces(self) -> bool:
        """Whether it stands in the paper's (F) columns, and nowhere else in its tables."""
        return self.pretraining is not None


def group_seeds(measured: Iterable[Measured]) -> list[Group]:
    """Bring the seeds of each setting together.

    Runs belong together when everything that decides their result is equal but the seed: data
    (manifest, folds, aligned faces, initial weights), protocol, budget and the weights of the
    losses that act. Names do not count, nor does the margin where nothing is weighed by it. Of
    weights that were pre-trained on faces their digest counts, and not where their file lies.

    Args:
        measured: Finished runs, in any order.

    Returns:
        Groups by protocol (in the order of `PROTOCOLS`, others behind), photos before drawn faces,
        those pre-trained on faces last, the paper's budget first, and then by the weights of the
        losses.

    Raises:
        DataError: Seeds of one setting hold other samples.
    """
    found: dict[str, list[Measured]] = {}
    for run in sorted(measured, key=lambda run: (run.seed, run.setting, run.key)):
        identity = [_family_key(run), acting_losses(run.parameters["loss"])]
        found.setdefault(json.dumps(identity, sort_keys=True), []).append(run)
    return sorted((_group(runs) for runs in found.values()), key=_order)


def families(groups: Iterable[Group]) -> list[list[Group]]:
    """Bring the settings together that differ in their losses alone, so that they can be compared.

    Args:
        groups: As `group_seeds` gives them.

    Returns:
        Lists of groups with the same protocol, data and budget, in the order of their first.
    """
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(_family_key(group.first), []).append(group)
    return list(found.values())


def find(groups: Iterable[Group], protocol: str, losses: Mapping[str, float]) -> list[Group]:
    """Find what was measured for a cell of the paper's tables, with whatever budget.

    Args:
        groups: As `group_seeds` gives them.
        protocol: Such as `morph_se`.
        losses: As `papers_losses` gives them.

    Returns:
        Groups in their order.
    """
    wanted = acting_losses(losses)
    return [group for group in groups if group.protocol == protocol and group.losses == wanted]


def papers_losses(name: str, protocol: str) -> dict[str, float]:
    """Give the weights of a combination of losses as the paper set them for a protocol.

    The weight of the KL divergence and the margin of the triplets, which it never gives, are ours:
    1 and 0.2.

    Args:
        name: A key of `SETTINGS`.
        protocol: Such as `morph_se`; the cosine weight is 10 on MORPH II and 1 elsewhere.
    """
    parts = name.split(" + ")
    nothing = dict.fromkeys(PAPER_MEAN_VARIANCE, 0.0)
    cosine = 10.0 if protocol.startswith("morph_") else 1.0
    return {
        **(PAPER_MEAN_VARIANCE if "MV" in parts else nothing),
        "lambda_c": cosine if "Cosine" in parts else 0.0,
        "lambda_t": 1.0 if "Triplet" in parts else 0.0,
        "lambda_k": 1.0 if "KLD" in parts else 0.0,
        "margin": _MARGIN,
    }


def acting_losses(loss: Mapping[str, float]) -> dict[str, float]:
    """Keep the weights that change the loss: a margin does not where the triplet term weighs 0."""
    weights = {term: float(weight) for term, weight in loss.items() if term != "margin"}
    if weights["lambda_t"]:
        weights["margin"] = float(loss["margin"])
    return weights


def name_losses(loss: Mapping[str, float]) -> str:
    """Name losses as Table 6 does, with each weight that the name leaves open.

    Args:
        loss: `lambda_m, lambda_v, lambda_c, lambda_t, lambda_k` and `margin`.

    Returns:
        Such as "MV", or "MV + Cosine + Triplet (λ_c 10, λ_t 1)".
    """
    mean_variance = {term: loss[term] for term in PAPER_MEAN_VARIANCE}
    parts = ["MV" if any(mean_variance.values()) else "CE"]
    weights = {}
    if any(mean_variance.values()) and mean_variance != PAPER_MEAN_VARIANCE:
        weights = {"λ_m": loss["lambda_m"], "λ_v": loss["lambda_v"]}
    for part, term, symbol in (
        ("KLD", "lambda_k", "λ_k"),
        ("Cosine", "lambda_c", "λ_c"),
        ("Triplet", "lambda_t", "λ_t"),
    ):
        if loss[term]:
            parts.append(part)
            weights[symbol] = loss[term]
    if loss["lambda_t"] and loss["margin"] != _MARGIN:
        weights["margin"] = loss["margin"]
    values = ", ".join(f"{symbol} {weight:g}" for symbol, weight in weights.items())
    return " + ".join(parts) + (f" ({values})" if values else "")


def describe_budget(parameters: Mapping[str, Any], pretraining: Pretraining | None = None) -> str:
    """Say in words how a setting was trained: size, epochs, schedule, triplets, weights, oddities.

    Args:
        parameters: All values in effect.
        pretraining: On other faces, where it started from one.

    Returns:
        Such as "48 px, 8 epochs, one-cycle, shared triplets, weights ImageNet"; other values that
        are not the paper's (or, where it is silent, this project's own) follow.
    """
    training = parameters["training"]
    schedules = {"constant": "constant rate", "cosine": "cosine rate", "onecycle": "one-cycle"}
    start = describe_start(parameters["model"]["weights"], pretraining)
    unnamed = pretraining is not None or parameters["model"]["weights"] == "none"
    words = [
        f"{training['image_size']} px",
        f"{training['epochs']} epochs" if training["epochs"] != 1 else "1 epoch",
        schedules.get(training["schedule"], training["schedule"]),
        f"{parameters['triplets']['mode']} triplets",
        *(["all images supervised"] if training["supervise"] == "all" else []),
        start if unnamed else f"weights {start}",
    ]
    said = {"image_size", "epochs", "schedule", "supervise", "mode", "weights"}
    names = {
        "folds_file": "published folds",
        "seed": "splitting seed",
        "max_samples": "images ≤",
        "group_copies": "copies grouped",
        "allow_leaks": "leaks allowed",
        "most_bits": "copies within bits",
        "min_face": "faces ≥ pixels",
    }
    for path, value in _unlike_the_papers(parameters).items():
        name = path.rpartition(".")[2]
        if name not in said:
            shown = PurePath(value).name if name == "folds_file" else value
            words.append(f"{names.get(name, name.replace('_', ' '))} {shown}")
    return ", ".join(words)


def has_papers_budget(parameters: Mapping[str, Any]) -> bool:
    """Whether everything but loss and seed is the paper's, or ours where it is silent."""
    return not _unlike_the_papers(parameters)


def command(
    protocol: str,
    setting: str,
    environment: str = "base",
    parameters: Mapping[str, Any] | None = None,
) -> str:
    """Write the command that would measure a setting.

    Args:
        protocol: Such as `morph_se`.
        setting: Such as `binary`.
        environment: Of the project's configuration; its own budget is meant where no parameters
            are given.
        parameters: All values of another run whose budget is wanted.
    """
    given: dict[str, Any] = {"setting": setting}
    if parameters is not None:
        # Only the paper's protocols in the base environment have the paper's budget of their own.
        papers = environment == "base" and protocol in PAPERS_PROTOCOLS
        own = _unlike_the_papers(parameters) if papers else _budget(parameters)
        given |= {path: value for path, value in own.items() if value is not None}
    values = shlex.quote(",".join(f"{name}={value}" for name, value in given.items()))
    return f"kedro run{_chosen(environment)} --pipeline={protocol} --params={values}"


def command_to_read(protocol: str, environment: str = "base") -> str:
    """Write the command that would read a protocol's photos and count them."""
    return f"kedro run{_chosen(environment)} --pipeline={protocol} --tags=ingestion"


def inputs_of(run: Measured) -> str:
    """Name the folds, faces and initial weights of a run in eight digits; empty where unknown."""
    made_from = run.metrics.get("made_from") or {}
    # Documents of earlier versions name these alone.
    decided_by = Record.read(made_from).decided_by or made_from
    known = {name: decided_by.get(name) for name in ("folds", "faces", "weights")}
    return fingerprint(known)[:8] if any(known.values()) else ""


def command_of_sweep(preset: str, environment: str = "base") -> str:
    """Write the command that would run a named grid of settings."""
    return f"kedro sweep{_chosen(environment)} --preset={preset}"


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _group(runs: Sequence[Measured]) -> Group:
    chosen: dict[int, Measured] = {}
    for run in runs:
        chosen.setdefault(run.seed, run)
    kept = tuple(chosen.values())
    mae, spread = seed_summary([run.metrics["mae"] for run in kept])
    return Group(
        runs=kept,
        repeats=tuple(run for run in runs if run is not chosen[run.seed]),
        mae=mae,
        seed_sd=spread,
        interval=_interval(kept),
    )


def _interval(runs: Sequence[Measured]) -> Interval | None:
    """The measured interval of a single seed, else that of the mean over seeds."""
    if len(runs) == 1 and runs[0].metrics.get("mae_interval"):
        low, high = runs[0].metrics["mae_interval"]
        return Interval(low, high)
    return mae_interval([run.predictions for run in runs])


def _family_key(run: Measured) -> str:
    """Everything that decides a result but losses and seed."""
    budget = _flat(run.parameters, skipped=_NO_BUDGET)
    # Not the path: seeds may have started from copies of one file.
    budget |= {path: None for digest, path in _BY_CONTENT.items() if budget.get(digest)}
    data = [run.protocol, run.demo, run.metrics["manifest_hash"], inputs_of(run)]
    if run.pretraining is not None:
        data.append(run.pretraining.weights)
        budget["model.weights"] = None
    return json.dumps([data, budget], sort_keys=True, default=str)


def _order(group: Group) -> tuple[Any, ...]:
    run = group.first
    known = list(PROTOCOLS)
    place = known.index(run.protocol) if run.protocol in known else len(known)
    papers = has_papers_budget(run.parameters)
    losses = group.losses
    terms = [losses.get(term, math.inf) for term in ("lambda_m", "lambda_v")]
    pairs = [losses.get(term, 0.0) for term in ("lambda_t", "lambda_k", "lambda_c", "margin")]
    start = group.on_faces, not papers
    return place, run.protocol, run.demo, *start, _family_key(run), *terms, *pairs


def _unlike_the_papers(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the budget, by dotted name, that are not those of `PAPER`."""
    # Copies are kept apart by all protocols but the paper's random split.
    papers = _flat(PAPER) | {"splitting.group_copies": parameters.get("protocol") != "morph_rs"}
    return {path: value for path, value in _budget(parameters).items() if value != papers.get(path)}


def _budget(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values by dotted name that a user could give."""
    flat = _flat(parameters, skipped=(*_NO_BUDGET, *_PROTOCOLS_OWN))
    return {path: value for path, value in flat.items() if path not in _BY_CONTENT}


def _flat(parameters: Mapping[str, Any], skipped: Collection[str] = ()) -> dict[str, Any]:
    """Values by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in skipped:
            continue
        if isinstance(value, Mapping):
            flat |= {f"{name}.{part}": own for part, own in value.items()}
        else:
            flat[name] = value
    return flat


def _chosen(environment: str) -> str:
    return "" if environment == "base" else f" --env={environment}"
