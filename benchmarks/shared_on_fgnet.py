"""The error of shared against explicit triplets on FG-NET, run by the pipeline, saved fold by fold.

    python -m benchmarks.shared_on_fgnet --raw-root PHOTOS --weights WEIGHTS

runs `fgnet_se` at 48 px, and prints a table in Markdown. An interrupted call goes on where it
stopped.

Shared batches, in which every image is an anchor once, are run with three seeds. Explicit triplets
are run with the supervised terms on the anchors alone, as in the paper, so that as many supervised
images are seen as in shared batches, and with them on all three images. Shared batches of three
times the epochs forward as many images as explicit triplets.
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
BUDGET = {"image_size": 48, "schedule": "onecycle"}
FOLDS = ROOT / "docs" / "fgnet_se_folds_before.csv"
"""The protocol's folds when docs/results.md was measured."""


@dataclass(frozen=True)
class Run:
    """What is varied: the mode, which images carry the supervised terms, epochs and seed."""

    mode: str
    supervise: str
    epochs: int
    seed: int

    @property
    def name(self) -> str:
        """All but the seed."""
        return f"{self.mode}, {self.supervise} supervised, {self.epochs} epochs"


RUNS = (
    Run("shared", "all", 8, 0),
    Run("shared", "all", 8, 1),
    Run("shared", "all", 8, 2),
    Run("explicit", "anchor", 8, 0),
    Run("explicit", "all", 8, 0),
    Run("shared", "all", 24, 0),
)


@dataclass(frozen=True)
class Outcome:
    """The result of a run: the pooled and the folds' MAE in years."""

    run: Run
    mae: float
    fold_mae: Sequence[float]


def parameters(run: Run, raw_root: Path, weights: Path) -> dict[str, Any]:
    """Give the parameters of one run as Kedro takes them."""
    own = {"supervise": run.supervise, "epochs": run.epochs}
    return {
        "raw_root": str(raw_root.resolve()),
        "seed": run.seed,
        "splitting": {"folds_file": str(FOLDS)},
        "triplets": {"mode": run.mode},
        "model": {"weights": str(weights.resolve())},
        "training": BUDGET | own,
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


def measure(run: Run, raw_root: Path, weights: Path) -> Outcome:
    """Run one setting, or take it up where it stopped, and read its metrics."""
    given = parameters(run, raw_root, weights)
    subprocess.run(command(given), cwd=ROOT, env=environment(), check=True, stdout=sys.stderr)
    metrics = json.loads(metrics_file(given).read_text())
    folds = [float(value) for value in metrics["fold_mae"]["values"].values()]
    return Outcome(run, metrics["mae"], folds)


def metrics_file(given: dict[str, Any]) -> Path:
    """Where the run with these parameters leaves its metrics."""
    from contrastive_age.parameters.loader import ProjectConfigLoader
    from contrastive_age.parameters.setting import Setting
    from contrastive_age.settings import CONFIG_LOADER_ARGS

    loader = ProjectConfigLoader(str(ROOT / "conf"), runtime_params=given, **CONFIG_LOADER_ARGS)
    setting = Setting.model_validate(loader["parameters"]["effective"]["protocols"][PROTOCOL])
    data = ROOT / str(loader["globals"]["data_root"])
    return data / "08_reporting" / PROTOCOL / setting.key / "metrics.json"


def report(outcomes: Sequence[Outcome]) -> str:
    """Lay the outcomes out as a table, and say how far the modes lie apart."""
    rows = [
        f"| {own.run.name} | {own.run.seed} | {own.mae:.3f} | "
        + ", ".join(f"{mae:.2f}" for mae in own.fold_mae)
        + " |"
        for own in outcomes
    ]
    lines = ["| triplets | seed | pooled MAE (years) | by fold |", "|---|---|---|---|", *rows, ""]
    by_name: dict[str, list[float]] = {}
    for own in outcomes:
        by_name.setdefault(own.run.name, []).append(own.mae)
    first, *others = by_name
    spread = max(by_name[first]) - min(by_name[first])
    mean = statistics.mean(by_name[first])
    lines.append(
        f"- {first}: mean {mean:.3f}, spread {spread:.3f} over {len(by_name[first])} seeds"
    )
    lines += [
        f"- {name}: {statistics.mean(by_name[name]) - mean:+.3f} years against it"
        for name in others
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw-root", type=Path, required=True, help="the folder that holds fgnet/")
    parser.add_argument("--weights", type=Path, required=True, help="a state dict to start from")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    outcomes = [measure(run, chosen.raw_root, chosen.weights) for run in RUNS]
    sys.stdout.write(report(outcomes) + "\n")


if __name__ == "__main__":
    main()
