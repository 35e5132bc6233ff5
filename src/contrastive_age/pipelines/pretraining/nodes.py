"""Training on all of one source or several, and the card of the weights."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.faces.store import rows_of
from contrastive_age.files import fingerprint
from contrastive_age.parameters.origins import (
    networks_decided_by,
    require_network,
    seen_by,
    stated_by,
    terms_of,
)
from contrastive_age.parameters.setting import Pretraining
from contrastive_age.pipelines.training.nodes import Trained, learn
from contrastive_age.protocols.splits import cap_samples
from contrastive_age.training.recipe import Computing

if TYPE_CHECKING:
    import torch

    from contrastive_age.model.seen import Seen

logger = logging.getLogger(__name__)

TABLES = ("samples", "looks", "audit", "faces")
"""What is needed of each source."""

Faces = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Gathered:
    """The faces of several sources, those that are trained on.

    Attributes:
        samples: `source, sample_id, identity, age`, by what its photo is known again (`digest,
            look, mirrored`) and `row` (in the faces of the source),
            one row an image, in the order of the sources; the names of samples and identities
            begin with their source's.
        faces: Of each source, uint8 (N, 256, 256, 3).
        audits: Of each source.
    """

    samples: pd.DataFrame
    faces: dict[str, Faces]
    audits: dict[str, dict[str, Any]]

    def prepared(self, image_size: int) -> "torch.Tensor":
        """Downscale the faces for the network, uint8 (n, 3, S, S), in the order of the samples."""
        import torch

        from contrastive_age.training.augmentation import prepare

        return torch.cat(
            [
                prepare(self.faces[str(source)], own["row"].to_numpy(), image_size)
                for source, own in self.samples.groupby("source", sort=False)
            ]
        )


def gather(setting: Pretraining, *tables: Any) -> Gathered:
    """Put the sources together.

    Args:
        setting: The values of the pretraining.
        tables: `TABLES` of each source, in the order of `setting.sources`.
    """
    parts, faces, audits = [], {}, {}
    for place, source in enumerate(setting.sources):
        samples, looks, audits[source], faces[source] = tables[4 * place : 4 * place + 4]
        own = samples[["sample_id", "identity", "age"]].merge(looks, on="sample_id", validate="1:1")
        rows = rows_of(samples, faces[source], own, setting.faces)
        names = {name: f"{source}/" + own[name] for name in ("sample_id", "identity")}
        parts.append(own.assign(source=source, row=rows, **names))
    together = pd.concat(parts, ignore_index=True)
    chosen = cap_samples(together, setting.max_samples, setting.seed, keep_identities=False)
    return Gathered(chosen, faces, audits)


def train(
    setting: Pretraining,
    sources: dict[str, Any],
    computing: Computing,
    training_folder: Path,
    gathered: Gathered,
) -> Trained:
    """Train on all faces, or give back the network that was trained by the very same things.

    Args:
        setting: The values of the pretraining.
        sources: All sources as the parameters give them.
        computing: Where and how to compute.
        training_folder: Where checkpoints, the model and the history lie.
        gathered: The faces.

    Returns:
        The network's state dict, which states what it has seen, and the history.

    Raises:
        DataError: An age has no class.
        TrainingError: A loss is not finite.
    """
    from contrastive_age.model.weights import with_seen
    from contrastive_age.triplets.index import build_index

    samples = gathered.samples
    ages = samples["age"].to_numpy()
    decided_by = networks_decided_by(setting, list(gathered.faces.values()), samples)
    triplets = build_index(
        ages, samples["identity"].to_numpy(), fingerprint=fingerprint(decided_by)
    )
    model, history = learn(
        lambda: gathered.prepared(setting.training.image_size),
        ages,
        triplets,
        setting,
        computing,
        training_folder,
        decided_by,
        f"on {' and '.join(setting.sources)}",
    )
    return with_seen(model, stated_by(history), _seen(setting, sources, history, gathered)), history


def write_weights(
    setting: Pretraining,
    sources: dict[str, Any],
    model: dict[str, Any],
    history: pd.DataFrame,
    training_folder: Path,
    gathered: Gathered,
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Write the card, and the weights that carry it.

    Args:
        setting: The values of the pretraining.
        sources: All sources as the parameters give them.
        model: State dict of the trained network.
        history: Of the training.
        training_folder: Where the checkpoint lies: the model is stored by now, so it goes.
        gathered: The faces.

    Returns:
        The state dict with its cards, the latest card, and the cards as Markdown.

    Raises:
        DataError: The network is another than would be trained now.
    """
    from contrastive_age.inference.cards import weights_card
    from contrastive_age.model.weights import with_seen
    from contrastive_age.training import checkpoint

    require_network(
        model,
        networks_decided_by(setting, list(gathered.faces.values()), gathered.samples),
        f"of {setting.protocol} {setting.key}",
    )
    checkpoint.discard(training_folder)
    seen = _seen(setting, sources, history, gathered)
    weights = with_seen(model, stated_by(history), seen)
    return weights, dict(seen.cards[0]), weights_card(seen)


def _seen(
    setting: Pretraining, sources: dict[str, Any], history: pd.DataFrame, gathered: Gathered
) -> "Seen":
    """What the network has seen, with the card of this training."""
    data = [
        {
            "source": source,
            "n": len(own),
            "identities": int(own["identity"].nunique()),
            "terms": terms_of(sources[str(source)]),
            "manifest_hash": gathered.audits[str(source)]["manifest_hash"],
        }
        for source, own in gathered.samples.groupby("source", sort=False)
    ]
    terms = [(own["source"], own["terms"]) for own in data]
    return seen_by(setting, terms, gathered.samples, history, data=data)
