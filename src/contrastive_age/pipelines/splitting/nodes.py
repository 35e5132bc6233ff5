"""Samples to folds."""

import logging
from pathlib import Path

import pandas as pd

from contrastive_age.io import packed
from contrastive_age.parameters.loader import unchanged
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.folds import LIBRARIES, Folds, Training
from contrastive_age.provenance import Record, made_with

logger = logging.getLogger(__name__)


def split(
    samples: pd.DataFrame,
    looks: pd.DataFrame,
    setting: Setting,
    splitting_folder: Path,
    *training: pd.DataFrame,
) -> Folds:
    """Make the protocol's folds, or keep those that came in a pack if they are asked for.

    Folds need no photos, so that others than the packed ones can be made anywhere.

    Args:
        samples: The source's table of samples.
        looks: By what each photo is known again.
        setting: The protocol's effective values.
        splitting_folder: Where packed folds lie.
        training: In a transfer, samples and looks of the source that trains.

    Returns:
        The folds and the leakage report.

    Raises:
        DataError: The packed files are missing or damaged, or as for `Plan.make`.
    """
    plan, given = setting.plan, setting.splitting
    others = Training(*training) if training else None
    kept = packed.read(splitting_folder)
    if kept is not None:
        folds, report = kept.read("folds.parquet", "leakage.json")
        record = Record.of(folds)
        if not record.differences(plan.decided_by(samples, looks, others)):
            record.say_where(f"the folds of {plan.protocol}", made_with(*LIBRARIES))
            logger.info("%s: the folds came in a pack", plan.protocol)
            return folds, report
        logger.warning("%s: other folds than the packed ones are made", plan.protocol)
    listed = given.folds_file and unchanged(given.folds_file, given.folds_file_digest)
    made = plan.make(samples, looks, listed or None, others)
    if kept is not None:
        kept.forget()
    return made
