"""What a run says of its trainings, and how it is looked at afterwards."""

from datetime import UTC, datetime, timedelta

import pandas as pd

from contrastive_age.running.console import training_line

ENDED = datetime(2026, 11, 26, 12, 30, 5, tzinfo=UTC)


def history() -> pd.DataFrame:
    table = pd.DataFrame({"total": [7.5, 5.7], "seconds": [8.4, 5.2]})
    table.attrs["ended"] = ENDED.isoformat(timespec="seconds")
    return table


def test_a_training_is_one_line() -> None:
    predictions = pd.DataFrame({"age": [10, 20, 30], "predicted_age": [12.0, 16.0, 30.0]})
    line = training_line(history(), predictions, ENDED - timedelta(minutes=1))
    assert line == "2 epochs, loss 5.70, MAE 2.00 years, 14 s"
    assert training_line(history().head(1), None, ENDED) == "1 epoch, loss 7.50, 8 s"


def test_a_training_that_was_kept_says_when_it_was() -> None:
    line = training_line(history(), None, ENDED + timedelta(seconds=1))
    assert line == "2 epochs, loss 5.70, 14 s, kept from 2026-11-26"
