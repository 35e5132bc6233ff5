"""What the ground floor takes of a setting: how to train, and what decides a result."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.evaluation.summary import tables_decided_by
from contrastive_age.faces.store import Faces
from contrastive_age.model import efficientnet_lite0
from contrastive_age.model.architecture import NAMED_WEIGHTS
from contrastive_age.model.losses import defaults, stated
from contrastive_age.model.seen import Seen
from contrastive_age.model.weights import Weights, grown, statement
from contrastive_age.parameters.given import Explanation, Source
from contrastive_age.parameters.loader import project_path
from contrastive_age.parameters.setting import Learning, Setting
from contrastive_age.protocols.copies import Photos
from contrastive_age.protocols.parts import Parts
from contrastive_age.provenance import Record, table_digest
from contrastive_age.training.fold import networks_decided_by
from contrastive_age.training.recipe import Start

_STARTS = {
    "imagenet": "ImageNet's weights",
    "efficientnet_lite0": efficientnet_lite0.TERMS,
    "none": "random weights",
}


def networks_of(setting: Learning, trained_on: pd.DataFrame, *faces: Faces) -> dict[str, Any]:
    """Name all that decides a network of a setting, see `networks_decided_by`."""
    weights = setting.model.digest or setting.model.weights
    return networks_decided_by(setting.key, weights, faces, trained_on)


def network_of_fold(
    setting: Setting, parts: Parts, training_faces: Faces, faces: Faces
) -> dict[str, Any]:
    """Name all that decides a fold's network and its history, with whom it is watched on."""
    if not setting.training.watch_test or parts.tested.empty:
        return networks_of(setting, parts.training, training_faces)
    return networks_of(setting, pd.concat(parts), training_faces, faces)


def tables_of(
    setting: Setting,
    explanation: Explanation,
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
) -> dict[str, Any]:
    """Name all that decides the predictions and metrics of a setting, see `tables_decided_by`."""
    networks = networks_of(setting, folds, faces)
    return tables_decided_by(networks, samples, folds, explanation.model_dump())


def located_start(setting: Learning) -> Start:
    """What networks start from, a file by its whole path."""
    start = Start(setting.model.weights, setting.model.digest)
    if start.weights in NAMED_WEIGHTS:
        return start
    return replace(start, weights=str(project_path(start.weights)))


def start_of(setting: Learning) -> Weights | None:
    """Read what initial weights state, after making sure that they name the setting.

    Raises:
        DataError: They cannot be read, or were changed since the command began.
    """
    return statement(**asdict(located_start(setting)))


def seen_by(
    setting: Learning,
    terms: Mapping[str, str | None],
    samples: pd.DataFrame,
    history: pd.DataFrame | None = None,
    **facts: Any,
) -> Seen:
    """Put together what a setting's networks have seen, they and those that they start from.

    Where nothing is trained that is what those have seen.

    Args:
        setting: The values of the training.
        terms: The terms of each source, see `terms_of`.
        samples: Of all that is trained on: `identity, age`, and of their photos `digest, look,
            mirrored`.
        history: Of the training, where the card is to say how it went.
        facts: What else the card is to say.
    """
    start = start_of(setting)
    if not setting.training.trains:
        if start is not None and start.seen is not None:
            return start.seen
        terms, samples = {}, samples.iloc[:0]
    card = {
        "name": f"{setting.protocol} {setting.key}",
        "sources": list(terms),
        "n": len(samples),
        "identities": int(samples["identity"].nunique()),
        # Names the photos and their ages, whatever they are called.
        "data_hash": table_digest(samples[["digest", "age"]]),
        "licence": "; ".join(f"{name}: {said or 'not stated'}" for name, said in terms.items())
        or "nothing was trained",
        **training_facts(setting, history),
        **facts,
    }
    return grown(start, card, Photos.of_table(samples))


def training_facts(setting: Learning, history: pd.DataFrame | None) -> dict[str, Any]:
    """Say how a network was trained, for its card.

    Args:
        setting: The values that decided the training.
        history: Of the training; None for what all networks of the setting have in common.
    """
    weights = setting.model.weights
    usual = defaults()
    losses = {
        name: value for name, value in stated(setting.loss).items() if value != usual.get(name, 0.0)
    }
    facts = {
        "setting": setting.setting,
        "network": setting.architecture.title,
        "losses": ", ".join(f"{name} {value:g}" for name, value in losses.items()),
        "age_min": setting.age_min,
        "age_max": setting.age_max,
        # All that a history has, and those of them that trained a fresh head alone.
        "epochs": setting.training.epochs + setting.training.head_epochs,
        "head_epochs": setting.training.head_epochs,
        "image_size": setting.training.image_size,
        "coverage": setting.alignment.coverage,
        "triplets": setting.triplets.mode,
        "seed": setting.seed,
        "started_from": _STARTS.get(weights, Path(weights).name),
        "parameters": setting.model_dump(mode="json"),
    }
    if history is None:
        return facts
    return facts | {
        "seconds": float(history["seconds"].sum()),
        "device": history.attrs.get("computed", {}).get("device", "cpu"),
        "versions": dict(Record.of(history).made_with),
    }


def terms_of(source: Any) -> str | None:
    """The terms under which a source's photos may be used; None where nobody has said.

    Args:
        source: As the parameters give it, validated or not.
    """
    given = Source.model_validate(source)
    return given.terms if given.synthetic is None else "drawn faces, no terms"
