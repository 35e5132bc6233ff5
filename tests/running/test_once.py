"""What every fold would say is said by the first of them."""

import logging
from pathlib import Path

import pytest

from contrastive_age.running.once import TRAINING, Once, said_once

ANEW = "%s is trained anew: %s"
OTHER_SAMPLES = "samples trained on was {0}1234 and is now {0}5678; code of training was c and is d"


def test_a_run_says_once_why_its_networks_are_trained_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger(TRAINING)
    for _ in range(2):
        with said_once():
            for fold, digest in enumerate(("aaaa", "bbbb", "cccc")):
                logger.warning(ANEW, f"fold {fold}", OTHER_SAMPLES.format(digest))
            logger.warning(ANEW, "fold 3", "weights was none and is now imagenet")
            logger.warning("%s holds the model of another training", "fold_4")
            logger.warning("%s holds the model of another training", "fold_4")
    assert [message.split(" (")[0][:6] for message in caplog.messages] == 2 * [
        *("fold 0", "fold 3", "fold_4", "fold_4")
    ]
    assert caplog.messages[0].endswith("is d (said once a run)")
    assert not logger.filters


def test_processes_that_share_a_folder_say_it_once(tmp_path: Path) -> None:
    record = logging.makeLogRecord({"msg": ANEW, "args": ("fold 0", "weights")})
    other = logging.makeLogRecord({"msg": ANEW, "args": ("fold 1", "weights")})
    assert [Once(tmp_path).filter(record), Once(tmp_path).filter(other)] == [True, False]
