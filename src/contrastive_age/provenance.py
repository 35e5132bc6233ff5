"""What a result was made from: data, initial weights, and the code and libraries that decide it."""

import ast
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.config import project_path
from contrastive_age.faces import store
from contrastive_age.params import NAMED_WEIGHTS, Effective, Learning, Source

if TYPE_CHECKING:
    import torch

    from contrastive_age.inference.pretrained import Pretrained

EXTERNAL = (
    "name",
    "sources",
    "n",
    "identities",
    "data_hash",
    "epochs",
    "image_size",
    "licence",
)
"""What a result repeats of the card of the weights that it starts from."""

DRAWN = "drawn faces, no terms"
_STARTS = {"imagenet": "ImageNet's weights", "none": "random weights"}

LIBRARIES = ("numpy", "torch", "torchvision")
"""Libraries whose version can change what a network learns or says."""

PACKAGES = ("model", "training", "triplets")
"""Packages of this project whose code can."""


@cache
def versions() -> dict[str, str]:
    """Name the versions of the libraries and of this project's code that decide a result.

    Returns:
        The version of each of `LIBRARIES` and, as `code`, the digest of `PACKAGES`.
    """
    root = Path(__file__).parent
    found = {name: version(name) for name in LIBRARIES}
    return found | {"code": code_digest([root / name for name in PACKAGES])}


def code_digest(folders: list[Path]) -> str:
    """Name what the Python files below some folders do, in 16 hexadecimal digits.

    Comments, docstrings and layout do not count: rewording the code makes no result stale.

    Args:
        folders: Folders of Python files.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder.parent).as_posix().encode())
            digest.update(_meaning(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def _meaning(source: str) -> str:
    """Write the syntax tree out, without bare strings, which only document."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _documents(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _documents(line: ast.stmt) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )


def made_from(
    folds: pd.DataFrame, faces: npt.NDArray[np.uint8], setting: Effective
) -> dict[str, Any]:
    """Name everything that a setting's result is made from besides its parameters.

    Args:
        folds: The protocol's folds.
        faces: The source's faces, as mapped from their file.
        setting: The protocol's effective values.

    Returns:
        `folds`, `faces` and `weights` (fingerprints) and `versions`.
    """
    return {
        "folds": folds.attrs.get("fingerprint"),
        "faces": faces_digest(faces),
        "weights": weights_digest(setting.model.weights),
        "versions": versions(),
    }


def faces_digest(faces: npt.NDArray[np.uint8]) -> str | None:
    """Name what a mapped array of faces holds; None for one that is only in memory."""
    return (
        store.faces_fingerprint(Path(str(faces.filename))) if isinstance(faces, np.memmap) else None
    )


def weights_digest(weights: str) -> str:
    """Name initial weights by what they hold: a changed file is not taken for the old."""
    path = project_path(weights)
    if weights in NAMED_WEIGHTS or not path.is_file():
        return weights
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pretraining_of(weights: str) -> "Pretrained | None":
    """Give what initial weights say of the faces that they were made from.

    Args:
        weights: `imagenet`, `none` or the path of a file.

    Returns:
        The card and the photos' fingerprints; None for weights that carry none.
    """
    path = project_path(weights)
    if weights in NAMED_WEIGHTS or not path.is_file():
        return None
    from contrastive_age.inference.pretrained import read_pretrained

    return read_pretrained(path)


def external_faces(weights: str) -> dict[str, Any] | None:
    """Say on which faces initial weights were pretrained, as `metrics.json` holds it.

    Args:
        weights: `imagenet`, `none` or the path of a file.

    Returns:
        The card in short, with the digest of the file; None for weights without a card.
    """
    found = pretraining_of(weights)
    if found is None:
        return None
    short = {name: found.card[name] for name in EXTERNAL if name in found.card}
    return short | {"weights": weights_digest(weights)}


def training_facts(setting: Learning, history: pd.DataFrame) -> dict[str, Any]:
    """Say how a network was trained, for its card.

    Args:
        setting: The values that decided the training.
        history: Of the training.
    """
    weights = setting.model.weights
    losses = {name: value for name, value in setting.loss.model_dump().items() if value}
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
        "seconds": float(history["seconds"].sum()),
        "device": history.attrs.get("computed", {}).get("device", "cpu"),
        "versions": versions(),
        "parameters": setting.model_dump(mode="json"),
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


def state_digest(state: "Mapping[str, torch.Tensor]") -> str:
    """Name the tensors of a state dict on the CPU, in 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return digest.hexdigest()[:16]


def table_digest(table: pd.DataFrame) -> str:
    """Name the values of a table, in 16 hexadecimal digits."""
    rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()[:16]
