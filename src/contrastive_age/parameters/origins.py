"""What a setting's networks and tables come from: their records, and what cards say of it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.faces import store
from contrastive_age.files import fingerprint
from contrastive_age.parameters.given import Explanation, Source
from contrastive_age.parameters.loader import project_path
from contrastive_age.parameters.setting import NAMED_WEIGHTS, Learning, Setting
from contrastive_age.provenance import Record, code_of, made_with, table_digest

if TYPE_CHECKING:
    from torch import Tensor

    from contrastive_age.model.seen import Seen
    from contrastive_age.model.weights import Weights

Faces = npt.NDArray[np.uint8]

DRAWN = "drawn faces, no terms"
_STARTS = {"imagenet": "ImageNet's weights", "none": "random weights"}

LIBRARIES = ("captum", "fairlearn", "numpy", "pandas", "scikit-learn", "scipy", "torch")
"""What tables are made with."""


def networks_decided_by(
    setting: Learning, faces: Faces | list[Faces], trained_on: pd.DataFrame
) -> dict[str, Any]:
    """Name all that decides a network.

    Args:
        setting: The values of its training.
        faces: Of the source or sources, as mapped from their files.
        trained_on: The samples that train, in their order, with at least `sample_id, identity,
            age`.
    """
    each = faces if isinstance(faces, list) else [faces]
    return {
        "setting": setting.key,
        "weights": setting.model.digest or setting.model.weights,
        "faces": [faces_digest(own) for own in each],
        "samples trained on": table_digest(trained_on[["sample_id", "identity", "age"]]),
        "code of training": training_code(),
    }


def require_network(model: "Mapping[str, Tensor]", wanted: Mapping[str, Any], what: str) -> None:
    """Make sure that a network is the one that would be trained now.

    Args:
        model: Its state dict, which states what made it.
        wanted: As `networks_decided_by` gives it.
        what: The network, for the message, such as `of fgnet_se ternary-1234abcd, fold 2`.

    Raises:
        DataError: It is another; the message says in what.
    """
    from contrastive_age.model.weights import about

    differences = Record.read(about(model).get("record")).differences(wanted)
    if differences:
        raise DataError(
            f"The network {what}, is another than would be trained now: {'; '.join(differences)}; "
            "run its triplets and its training again"
        )


def stated_by(history: pd.DataFrame) -> dict[str, Any]:
    """What a network's file states of its training: its record, and how it was computed."""
    return {name: history.attrs[name] for name in ("record", "computed")}


def training_code() -> str:
    """Name the code that makes networks of faces."""
    from contrastive_age.protocols.parts import parts
    from contrastive_age.training.fold import train_or_keep
    from contrastive_age.triplets.index import build_index

    return code_of(parts, build_index, train_or_keep)


def triplets_fingerprint(trained_on: pd.DataFrame) -> str:
    """Name a triplet index by the samples that it sorts, and its code.

    Args:
        trained_on: The samples that train, in their order.
    """
    from contrastive_age.triplets.index import build_index

    known = table_digest(trained_on[["sample_id", "identity", "age"]])
    return fingerprint(known, code_of(build_index))


def tables_decided_by(
    setting: Setting,
    explanation: Explanation,
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
) -> dict[str, Any]:
    """Name all that decides the predictions and metrics of a setting.

    Args:
        setting: The protocol's effective values.
        explanation: Which faces are explained.
        samples: The source's samples, with what is known of sex and race.
        faces: The source's faces, as mapped from their file.
        folds: The protocol's folds.
    """
    tested = samples[samples["sample_id"].isin(folds["sample_id"])]
    labels = [name for name in ("sample_id", "sex", "race") if name in tested]
    networks = networks_decided_by(setting, faces, folds)
    # Of a fold each: here the folds stand for all.
    del networks["samples trained on"]
    return networks | {
        "folds": folds.attrs.get("fingerprint"),
        "sex and race": table_digest(tested[labels].astype(object).fillna("")),
        "explained": explanation.model_dump(),
        "code of evaluation": evaluation_code(),
    }


def evaluation_code() -> str:
    """Name the code that makes tables of networks."""
    from contrastive_age.evaluation.fold import evaluate_fold
    from contrastive_age.evaluation.gradcam import summarise
    from contrastive_age.evaluation.summary import measure, measure_identity

    return code_of(evaluate_fold, measure, measure_identity, summarise)


def tables_made_with() -> dict[str, str]:
    """Name the libraries and the machine that make tables here."""
    return made_with(*LIBRARIES)


def result_record(
    setting: Setting,
    explanation: Explanation,
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
) -> Record:
    """Give the record of tables that are made now."""
    decided_by = tables_decided_by(setting, explanation, samples, faces, folds)
    return Record(decided_by, tables_made_with())


def faces_digest(faces: Faces) -> str | None:
    """Name what a mapped array of faces holds; None for one that is only in memory."""
    return (
        store.faces_fingerprint(Path(str(faces.filename))) if isinstance(faces, np.memmap) else None
    )


def path_of_start(setting: Learning) -> str:
    """Where initial weights are, or their name."""
    weights = setting.model.weights
    return weights if weights in NAMED_WEIGHTS else str(project_path(weights))


def start_of(setting: Learning) -> "Weights | None":
    """Read what initial weights state, after making sure that they name the setting.

    Raises:
        DataError: They cannot be read, or were changed since the command began.
    """
    from contrastive_age.model.weights import require_digest, statement

    start: Weights | None = statement(path_of_start(setting))
    require_digest(start, setting.model.digest)
    return start


def seen_by(
    setting: Learning,
    terms: list[tuple[str, str | None]],
    samples: pd.DataFrame,
    history: pd.DataFrame | None = None,
    **facts: Any,
) -> "Seen":
    """Put together what a setting's networks have seen, they and those that they start from.

    Args:
        setting: The values of the training.
        terms: Sources and their terms.
        samples: Of all that is trained on: `identity, age`, and of their photos `digest, look,
            mirrored`.
        history: Of the training, where the card is to say how it went.
        facts: What else the card is to say.
    """
    from contrastive_age.model.weights import grown
    from contrastive_age.protocols.copies import Photos

    card = {
        "name": f"{setting.protocol} {setting.key}",
        "sources": [source for source, _ in terms],
        "n": len(samples),
        "identities": int(samples["identity"].nunique()),
        # Names the photos and their ages, whatever they are called.
        "data_hash": table_digest(samples[["digest", "age"]]),
        "licence": licence_of(terms),
        **training_facts(setting, history),
        **facts,
    }
    seen: Seen = grown(start_of(setting), card, Photos.of_table(samples))
    return seen


def training_facts(setting: Learning, history: pd.DataFrame | None) -> dict[str, Any]:
    """Say how a network was trained, for its card.

    Args:
        setting: The values that decided the training.
        history: Of the training; None for what all networks of the setting have in common.
    """
    weights = setting.model.weights
    losses = {name: value for name, value in asdict(setting.loss).items() if value}
    return {
        "setting": setting.setting,
        "losses": ", ".join(f"{name} {value:g}" for name, value in losses.items()),
        "age_min": setting.age_min,
        "age_max": setting.age_max,
        "epochs": setting.training.epochs,
        "image_size": setting.training.image_size,
        "coverage": setting.alignment.coverage,
        "triplets": setting.triplets.mode,
        "seed": setting.seed,
        "started_from": _STARTS.get(weights, Path(weights).name),
        "parameters": setting.model_dump(mode="json"),
        **({} if history is None else _course(history)),
    }


def _course(history: pd.DataFrame) -> dict[str, Any]:
    return {
        "seconds": float(history["seconds"].sum()),
        "device": history.attrs.get("computed", {}).get("device", "cpu"),
        "versions": dict(Record.read(history.attrs.get("record")).made_with),
    }


def terms_of(source: Any) -> str | None:
    """The terms under which a source's photos may be used; None where nobody has said.

    Args:
        source: As the parameters give it, validated or not.
    """
    own = Source.model_validate(source)
    return own.terms if own.synthetic is None else DRAWN


def licence_of(terms: list[tuple[str, str | None]]) -> str:
    """Put the terms of several sources together; what nobody has said is said, too.

    Args:
        terms: Names and terms of the sources, or of other things that a network was made from.
    """
    return "; ".join(f"{name}: {own or 'not stated'}" for name, own in terms)
