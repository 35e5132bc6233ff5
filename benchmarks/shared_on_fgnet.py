"""The error of shared against explicit triplets on FG-NET, run by the pipeline, saved fold by fold.

    python -m benchmarks.shared_on_fgnet --raw-root PHOTOS --weights WEIGHTS

runs `fgnet_se` at 48 px for 8 epochs, once a seed and mode, and prints a table in Markdown. All
images carry the supervised terms in both modes. An interrupted call goes on where it stopped.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT, environment

PROTOCOL = "fgnet_se"
BUDGET = {
    "training": {
        "image_size": 48,
        "epochs": 8,
        "schedule": "onecycle",
        "supervise": "all",
    }
}
RUNS = (("shared", 0), ("shared", 1), ("shared", 2), ("explicit", 0))


@dataclass(frozen=True)
class Outcome:
    """The result of a run: mode, seed, and the pooled and the folds' MAE in years."""

    mode: str
    seed: int
    mae: float
    fold_mae: Sequence[float]


def parameters(mode: str, seed: int, raw_root: Path, weights: Path) -> dict[str, Any]:
    """Give the parameters of one run as Kedro takes them."""
    return {
        "raw_root": str(raw_root.resolve()),
        "seed": seed,
        "triplets": {"mode": mode},
        "model": {"weights": str(weights.resolve())},
        **BUDGET,
    }


def command(given: dict[str, Any]) -> list[str]:
    """Give the command line that runs the protocol with these parameters."""
    params = ",".join(f"{name}={value}" for name, value in _flat(given).items())
    return [sys.executable, "-m", "kedro", "run", f"--pipeline={PROTOCOL}", f"--params={params}"]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def run(mode: str, seed: int, raw_root: Path, weights: Path) -> Outcome:
    """Run one setting, or take it up where it stopped, and read its metrics."""
    given = parameters(mode, seed, raw_root, weights)
    subprocess.run(command(given), cwd=ROOT, env=environment(), check=True, stdout=sys.stderr)
    metrics = json.loads(metrics_file(given).read_text())
    folds = [float(value) for value in metrics["fold_mae"]["values"].values()]
    return Outcome(mode, seed, metrics["mae"], folds)


def metrics_file(given: dict[str, Any]) -> Path:
    """Where the run with these parameters leaves its metrics."""
    from contrastive_age.config import ProjectConfigLoader
    from contrastive_age.params import Effective
    from contrastive_age.settings import CONFIG_LOADER_ARGS

    loader = ProjectConfigLoader(str(ROOT / "conf"), runtime_params=given, **CONFIG_LOADER_ARGS)
    setting = Effective.model_validate(loader["parameters"]["effective"]["protocols"][PROTOCOL])
    data = ROOT / str(loader["globals"]["data_root"])
    return data / "08_reporting" / PROTOCOL / setting.key / "metrics.json"


def report(outcomes: Sequence[Outcome]) -> str:
    """Lay the outcomes out as a table, and say how far the modes lie apart."""
    rows = [
        f"| {own.mode} | {own.seed} | {own.mae:.3f} | "
        + ", ".join(f"{mae:.2f}" for mae in own.fold_mae)
        + " |"
        for own in outcomes
    ]
    lines = ["| triplets | seed | pooled MAE (years) | by fold |", "|---|---|---|---|", *rows, ""]
    by_mode: dict[str, list[float]] = {}
    for own in outcomes:
        by_mode.setdefault(own.mode, []).append(own.mae)
    lines += [
        f"- {mode}: mean {statistics.mean(values):.3f}, "
        f"spread {max(values) - min(values):.3f} over {len(values)} seeds"
        for mode, values in by_mode.items()
    ]
    if len(by_mode) == 2:
        behind = statistics.mean(by_mode["shared"]) - statistics.mean(by_mode["explicit"])
        lines.append(f"- shared minus explicit: {behind:+.3f} years")
    return "\n".join(lines)


def main() -> None:
    """Run all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw-root", type=Path, required=True, help="the folder that holds fgnet/")
    parser.add_argument("--weights", type=Path, required=True, help="a state dict to start from")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    outcomes = [run(mode, seed, chosen.raw_root, chosen.weights) for mode, seed in RUNS]
    sys.stdout.write(report(outcomes) + "\n")


if __name__ == "__main__":
    main()
