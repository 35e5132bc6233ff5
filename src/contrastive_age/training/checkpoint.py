"""The state of an unfinished training, kept after each epoch so that a killed run goes on.

A checkpoint stays when training is done: whoever stores the trained network calls `discard`
afterwards, so that a kill in between costs nothing.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastive_age.files import replacing
from contrastive_age.model.weights import read_saved, write_saved

logger = logging.getLogger(__name__)

NAME = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """Everything from which training goes on after an epoch.

    Attributes:
        network: State dict of the network.
        optimiser: State dict of the optimiser.
        history: One entry for each finished epoch, by column of the history table.
    """

    network: dict[str, Any]
    optimiser: dict[str, Any]
    history: list[dict[str, float]]


def save(folder: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write a checkpoint beside the last one and put it in its place.

    Args:
        folder: The fold's work folder; made when missing.
        checkpoint: The state to keep.
        fingerprint: Names everything that made it.
    """
    with replacing(folder / NAME) as path:
        write_saved({"fingerprint": fingerprint, **vars(checkpoint)}, path)


def load(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Read the folder's checkpoint, if there is one made by the same things.

    Args:
        folder: The fold's work folder.
        fingerprint: Names everything that would make it now.

    Returns:
        The checkpoint, or None when it is absent, damaged or foreign; the latter two are logged.
    """
    path = folder / NAME
    try:
        saved = read_saved(path, "a checkpoint")
        made_by = saved.pop("fingerprint")
        checkpoint = Checkpoint(**saved)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file can fail in any way, and none may stop a run
        logger.warning(
            "%s is damaged or no checkpoint (%s: %s); training starts again",
            path,
            type(error).__name__,
            error,
        )
        return None
    if made_by != fingerprint:
        logger.warning("%s was made with other data or parameters; training starts again", path)
        return None
    return checkpoint


def discard(folder: Path) -> None:
    """Remove the folder's checkpoint, if any, once the trained network is stored."""
    (folder / NAME).unlink(missing_ok=True)
