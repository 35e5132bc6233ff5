"""Trainings that are watched: curves and tags in MLflow, a line in the log, a bar on a terminal."""

from contrastive_age.parameters.setting import Learning
from contrastive_age.tracking.tracker import log_epoch, tracker
from contrastive_age.training.fold import Watcher


def watcher(setting: Learning, name: str) -> Watcher:
    """Say who is told of a training.

    Args:
        setting: The values that decide it.
        name: What it is called besides, such as `fold 2`.
    """
    return Watcher(
        f"{setting.protocol} {setting.key}, {name}",
        on_epoch=log_epoch,
        # A terminal has room for the bar of one process.
        progress=not tracker.is_worker,
    )
