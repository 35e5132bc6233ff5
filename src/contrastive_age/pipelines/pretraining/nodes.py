"""Training on all of one source or several, and the card of the weights."""

from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.faces.store import Faces, rows_of, sound
from contrastive_age.parameters.given import Source
from contrastive_age.parameters.setting import Pretraining
from contrastive_age.protocols.copies import MOST_BITS
from contrastive_age.protocols.namespaces import FINAL
from contrastive_age.protocols.parts import held_out, together
from contrastive_age.protocols.splits import cap_samples
from contrastive_age.tracking.tracker import log_epoch, tracker
from contrastive_age.training.recipe import VALIDATION, Computing
from contrastive_age.triplets.part import index_of

TABLES = ("samples", "looks", "audit", "faces")
"""What is needed of each source."""


def gather(
    setting: Pretraining, *tables: Any
) -> tuple[pd.DataFrame, dict[str, Faces], dict[str, Any]]:
    """Put the sources together.

    Args:
        setting: The values of the pretraining.
        tables: `TABLES` of each source, in the order of `setting.sources`.

    Returns:
        The samples that are trained on: `source, sample_id, identity, age`, by what its photo is
        known again (`digest, look, mirrored`) and `row` (in the faces of the source), one row an
        image, in the order of the sources; and of each source all faces, uint8 (N, 256, 256, 3),
        and the audit.
    """
    samples, looks, audits, faces = (
        dict(zip(setting.sources, tables[kind :: len(TABLES)], strict=True))
        for kind in range(len(TABLES))
    )
    parts = {
        name: table[["sample_id", "identity", "age"]]
        .assign(row=rows_of(table, faces[name], table, setting.faces))
        .merge(looks[name], on="sample_id", validate="1:1")
        for name, table in samples.items()
    }
    chosen = cap_samples(together(parts), setting.max_samples, setting.seed, keep_identities=False)
    return chosen, faces, audits


def train(
    setting: Pretraining,
    sources: dict[str, Any],
    computing: Computing,
    training_folder: Path,
    *tables: Any,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Train on all faces, or give back the network that was trained by the very same things.

    Args:
        setting: The values of the pretraining.
        sources: All sources as the parameters give them.
        computing: Where and how to compute.
        training_folder: In whose folder `final` checkpoints, the model and the history lie.
        tables: `TABLES` of each source.

    Returns:
        The network's state dict, which states what it has seen, and the history.

    Raises:
        DataError: An age has no class.
        TrainingError: A loss is not finite.
    """
    import torch

    from contrastive_age.model.weights import with_seen
    from contrastive_age.parameters.origins import located_start, networks_of, seen_by, terms_of
    from contrastive_age.training import augmentation, fold
    from contrastive_age.training.watching import Watched

    samples, faces, audits = gather(setting, *tables)
    of_source = {str(name): part for name, part in samples.groupby("source", sort=False)}

    def images(table: pd.DataFrame) -> torch.Tensor:
        size = setting.training.image_size
        return torch.cat(
            [
                augmentation.prepare(own, sound(own, rows), size)
                for name, own in faces.items()
                if len(rows := table.loc[table["source"] == name, "row"].to_numpy())
            ]
        )

    # Drawn faces are more alike than people are, see `Setting.most_bits`.
    drawn = all(Source.model_validate(sources[name]).synthetic for name in setting.sources)
    validates = held_out(
        samples, setting.training.validated_on, setting.seed, 0 if drawn else MOST_BITS
    )
    trains, validated = samples[~validates], samples[validates]
    model, history = fold.train_or_keep(
        lambda: images(trains),
        trains["age"].to_numpy(),
        index_of(trains),
        setting.recipe,
        located_start(setting),
        folder=training_folder / FINAL,
        decided_by=networks_of(setting, samples, *faces.values()),
        computing=computing,
        watcher=fold.Watcher(
            f"{setting.protocol} {setting.key}, on {' and '.join(setting.sources)}",
            on_epoch=log_epoch,
            progress=not tracker.is_worker,
        ),
        watched=lambda: (
            {VALIDATION: Watched(images(validated), validated["age"].to_numpy())}
            if len(validated)
            else {}
        ),
    )
    terms = {name: terms_of(sources[name]) for name in of_source}
    data = [
        {
            "source": name,
            "n": len(part),
            "identities": int(part["identity"].nunique()),
            "terms": terms[name],
            "manifest_hash": audits[name]["manifest_hash"],
        }
        for name, part in of_source.items()
    ]
    seen = seen_by(setting, terms, samples, history, data=data)
    return with_seen(model, fold.stated_by(history), seen), history


def write_weights(
    setting: Pretraining, model: dict[str, Any], training_folder: Path, *tables: Any
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Give the trained network out as weights, with the card that it carries.

    Args:
        setting: The values of the pretraining.
        model: State dict of the trained network, which states what it has seen.
        training_folder: In its folder `final` lies the checkpoint: the model is stored by now, so
            it goes.
        tables: `TABLES` of each source.

    Returns:
        The state dict with its cards, the latest card, and the cards as Markdown.

    Raises:
        DataError: The network is another than would be trained now.
    """
    from contrastive_age.inference.cards import weights_card
    from contrastive_age.model.weights import seen_of
    from contrastive_age.parameters.origins import networks_of
    from contrastive_age.training import checkpoint, fold

    samples, faces, _ = gather(setting, *tables)
    wanted = networks_of(setting, samples, *faces.values())
    fold.require_network(model, wanted, f"{setting.protocol} {setting.key}")
    checkpoint.discard(training_folder / FINAL)
    seen = seen_of(model)
    return model, dict(seen.cards[0]), weights_card(seen)
