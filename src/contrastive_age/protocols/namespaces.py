"""How trainings are called: `<protocol>.fold_<n>`, and `<protocol>.final` where nobody is tested.

The name is a Kedro namespace, the last folder in the paths of what the training makes, and the name
of its run in MLflow.
"""

import re
from typing import TypeGuard

FINAL = "final"
"""The training on all samples; it is run, locked and tracked as a fold is."""

_FOLD = re.compile(rf"([^.]+)\.(fold_\d+|{FINAL})")


def fold_name(fold: int | None) -> str:
    """Name a fold, without its protocol; None is the training on all samples."""
    return FINAL if fold is None else f"fold_{fold}"


def namespace_of(protocol: str, fold: int | None) -> str:
    """Name a fold's namespace; None is the training on all samples."""
    return f"{protocol}.{fold_name(fold)}"


def is_fold(namespace: str | None) -> TypeGuard[str]:
    """Whether a namespace is that of a fold, or of the training on all samples."""
    return namespace is not None and _FOLD.fullmatch(namespace) is not None


def parted(name: str) -> tuple[str, str]:
    """Part a last name from what it belongs to: a fold from its protocol, data from its owner."""
    owner, _, last = name.rpartition(".")
    return owner, last


def in_words(fold: int | None) -> str:
    """Name what is trained on, for messages."""
    return "all samples" if fold is None else f"fold {fold}"
