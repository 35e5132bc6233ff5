"""What each fold of a run would say again, said once: by whichever process comes first."""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

TRAINING = "contrastive_age.training.fold"
"""The logger that says why networks are trained anew."""

_SAID = "is trained anew"
_DIGEST = re.compile(r"\b[0-9a-f]{8,}\b")
"""Folds differ in the samples that they are trained on."""


class Once(logging.Filter):
    """Lets the first fold say why it is trained anew, and others only where theirs is another why.

    Processes that have the same folder count as one.
    """

    def __init__(self, folder: Path) -> None:
        """Remember what was said in a folder, by the names of its files."""
        super().__init__()
        self.folder = folder

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether nothing of the kind was said yet."""
        _, said, reason = record.getMessage().partition(_SAID)
        if not said:
            return True
        name = hashlib.sha256(_DIGEST.sub("", reason).encode()).hexdigest()
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        record.msg = f"{record.msg} (said once a run)"
        return True


@contextmanager
def said_once() -> Iterator[Path]:
    """Let folds say such things once; gives the folder by which other processes know of it."""
    logger = logging.getLogger(TRAINING)
    with TemporaryDirectory() as folder:
        once = Once(Path(folder))
        logger.addFilter(once)
        try:
            yield once.folder
        finally:
            logger.removeFilter(once)
