"""The state of an unfinished training, kept now and then so that a killed run goes on.

A checkpoint stays when training is done: whoever stores the trained network calls `discard`
afterwards, so that a kill in between costs no more than one during the training.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

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
        kept: What `Kept` goes on from.
    """

    network: dict[str, Any]
    optimiser: dict[str, Any]
    history: list[dict[str, float]]
    kept: dict[str, Any] = field(default_factory=dict)


def save(folder: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write a checkpoint beside the last one and put it in its place.

    Args:
        folder: The fold's work folder; made when missing.
        checkpoint: The state to keep.
        fingerprint: Names everything that made it.
    """
    with replacing(folder / NAME) as path:
        write_saved({"fingerprint": fingerprint, **vars(checkpoint)}, path)


class Writer(AbstractContextManager["Writer"]):
    """Keeps checkpoints of a training that goes on while a thread writes them.

    A context manager: at the end of its block what is being written is waited for.
    """

    def __init__(self, folder: Path | None, fingerprint: str, every: float) -> None:
        """Start the clock.

        Args:
            folder: The fold's work folder; None keeps nothing.
            fingerprint: Names everything that makes the states.
            every: In seconds; 0 keeps the state after every epoch.
        """
        self._folder = folder
        self._fingerprint = fingerprint
        self._every = every
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] = Future()
        self._writing.set_result(None)
        self._kept = self._offered = time.monotonic()

    def offer(self, state: Checkpoint) -> None:
        """Begin to write the state after an epoch, if that after the next one would be late.

        While the last one is still being written, none is begun, and the next epoch's is looked at;
        where every state is kept, the last one is waited for.

        Args:
            state: The training may change its tensors, on any device, as soon as this returns.

        Raises:
            OSError: The last one could not be written.
        """
        now = time.monotonic()
        epoch, self._offered = now - self._offered, now
        if self._folder is None or (self._every and not self._writing.done()):
            return
        self._writing.result()
        if now + epoch - self._kept >= self._every:
            self._kept = now
            copy = Checkpoint(**_copied(vars(state)))
            self._writing = self._thread.submit(save, self._folder, copy, self._fingerprint)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Wait for what is being written.

        Raises:
            OSError: It could not be written; where the block has failed, this is logged.
        """
        self._thread.shutdown()
        failed = self._writing.exception()
        if failed is None or failed is error:
            return
        if error is None:
            raise failed
        logger.warning("The last checkpoint could not be written (%s)", failed)


def _copied(state: Any) -> Any:
    """Copy the tensors of a state, and the dictionaries and lists that hold them, to the CPU."""
    if isinstance(state, Tensor):
        return state.to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: _copied(part) for name, part in state.items()}
    return [_copied(part) for part in state] if isinstance(state, list) else state


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
