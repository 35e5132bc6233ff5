"""What networks started from: ImageNet's weights, faces, another file, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

NOT_PRETRAINED = "random weights (not pre-trained)"

SOURCES: Mapping[str, str] = {
    "morph2": "MORPH II",
    "fgnet": "FG-NET",
    "utkface": "UTKFace",
    "synthetic": "Drawn faces",
    "custom": "Own photos",
}
"""Names of the sources in words."""

_HASH_DIGITS = 8


@dataclass(frozen=True)
class Pretraining:
    """A training on other faces, from whose weights a network started: the paper's (F).

    Attributes:
        name: What was trained, such as "pretrain ternary-1234abcd".
        sources: Of its faces, such as `utkface`.
        images: How many it was trained on.
        identities: How many people they show; as many as images where nobody is known.
        epochs: Of that training.
        image_size: What its network saw, in pixels.
        data_hash: Names its images and ages.
        weights: SHA-256 of its file of weights. Equal digests are the same pre-training.
        licence: Terms of its data.
    """

    name: str
    sources: tuple[str, ...]
    images: int
    identities: int
    epochs: int
    image_size: int
    data_hash: str
    weights: str
    licence: str

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Pretraining | None":
        """Read it from `metrics.json`.

        Args:
            metrics: Its `external` tells of the pre-training. It is missing from old documents, and
                null for any other start.

        Returns:
            None where nothing is told: a file of weights is then one of unknown origin.
        """
        told = metrics.get("external")
        if not told:
            return None
        return cls(
            name=told["name"],
            sources=tuple(told["sources"]),
            images=told["n"],
            identities=told["identities"],
            epochs=told["epochs"],
            image_size=told["image_size"],
            data_hash=told["data_hash"],
            weights=told["weights"],
            licence=told["licence"],
        )

    @property
    def start(self) -> str:
        """Such as "weights 5e6f7a8b pre-trained on faces (F)"."""
        return f"weights {self.weights[:_HASH_DIGITS]} pre-trained on faces (F)"

    @property
    def faces(self) -> str:
        """The sources in words, such as "UTKFace and Own photos"."""
        return " and ".join(SOURCES.get(source, source) for source in self.sources)

    @property
    def words(self) -> str:
        """Such as "UTKFace, 11,672 images, 18 epochs, 64 px"."""
        epochs = f"{self.epochs} epoch{'s' if self.epochs != 1 else ''}"
        return f"{self.faces}, {self.images:,} images, {epochs}, {self.image_size} px"


def describe_start(weights: str, pretraining: Pretraining | None = None) -> str:
    """Say what a network started from.

    A file of weights of which nothing is told is a stand-in: what it was trained on is not known,
    so that its results are never called ImageNet-pretrained, nor pre-trained on faces.

    Args:
        weights: `imagenet`, `none` or the path of a file.
        pretraining: What is told of the file.

    Returns:
        "ImageNet", "random weights (not pre-trained)", "<file name> (not ImageNet)" or
        `Pretraining.start`.
    """
    if pretraining is not None:
        return pretraining.start
    if weights == "imagenet":
        return "ImageNet"
    return NOT_PRETRAINED if weights == "none" else f"{PurePath(weights).name} (not ImageNet)"
