"""What a sweep says: its settings with their errors, what they would take, and what was chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_age.running.console import say, terminal

if TYPE_CHECKING:
    from contrastive_age.commands.sweep import Candidate, Outcome, Sweep


def print_sweep(sweep: "Sweep", outcomes: Sequence["Outcome"]) -> None:
    """Print what became of each setting, and why those that failed did."""
    lines = []
    for outcome in outcomes:
        metrics = outcome.metrics or {}
        mae, interval = metrics.get("mae"), metrics.get("mae_interval")
        error = "-" if mae is None else f"{mae:.2f}"
        spread = "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
        lines.append([*_values(sweep, outcome.candidate), error, spread, outcome.status])
    _print_table(
        f"Sweep of {sweep.protocol}",
        [*_names(sweep), "MAE (years)", "95% interval", "status"],
        lines,
    )
    for outcome in outcomes:
        if outcome.status == "failed":
            say(f"{outcome.candidate.setting.key} failed: {outcome.reason}")
    if any(outcome.status == "failed" for outcome in outcomes):
        say("Run the same command again: what is finished is kept, the rest is tried again")
    part = sweep.candidates[0].setting.part
    say(f"Measured on the {part} parts. Compare runs with: make mlflow")


def print_estimate(
    sweep: "Sweep", lines: Sequence[tuple["Candidate", bool, int | None, float | None]]
) -> None:
    """Print the settings of a sweep with the time that they would take.

    Args:
        sweep: The sweep.
        lines: For each setting whether its result stands, its anchors and its seconds; None where
            the folds are not known yet.
    """
    rows = [
        [
            *_values(sweep, candidate),
            candidate.setting.key,
            "-" if anchors is None else f"{anchors:,}",
            "stands" if stands else _duration(seconds),
        ]
        for candidate, stands, anchors, seconds in lines
    ]
    _print_table(
        f"Sweep of {sweep.protocol}: {len(lines)} settings",
        [*_names(sweep), "key", "anchors", "estimated time"],
        rows,
    )
    known = [seconds for *_, seconds in lines if seconds is not None]
    if len(known) < len(lines):
        say(
            f"How long it takes is known once the folds are made: kedro run "
            f"--pipeline={sweep.protocol} --tags=ingestion,alignment,splitting"
        )
    else:
        say(f"In all: {_duration(sum(known))} of training, by a step measured on this machine")


def print_selection(document: Mapping[str, Any], folder: Path) -> None:
    """Print which setting was chosen in each fold, and the error on the test parts."""
    _print_table(
        f"Chosen on validation parts of {document['protocol']}",
        ["fold", "setting", "validation MAE (years)"],
        [
            [str(fold["fold"]), fold["chosen"], f"{fold['validation_mae'][fold['chosen']]:.2f}"]
            for fold in document["by_fold"]
        ],
    )
    interval = document["mae_interval"]
    spread = "" if interval is None else f" (95% {interval[0]:.2f} to {interval[1]:.2f})"
    say(f"MAE on the test parts: {document['mae']:.2f} years{spread}")
    say(f"Kept in {folder}")


def _names(sweep: "Sweep") -> list[str]:
    """The axes' names as columns; `setting` first, since each setting has one."""
    return ["setting", *(name for name in sweep.axes if name != "setting")]


def _values(sweep: "Sweep", candidate: "Candidate") -> list[str]:
    point = {"setting": candidate.setting.setting} | candidate.point
    return [str(point[name]) for name in _names(sweep)]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:,.1f} h"


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    terminal().print(table)
