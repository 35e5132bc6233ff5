"""The example runs as it stands, in its smallest form."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "method.py"


def test_it_trains_and_says_how_far_off_it_is() -> None:
    small = ["--identities=10", "--images=40", "--image-size=32", "--epochs=2"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *small], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *epochs, tested, error = done.stdout.splitlines()
    losses = [float(line.rpartition(" ")[2]) for line in epochs]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert re.fullmatch(r"\d+ images of people who were not trained on", tested)
    assert re.fullmatch(r"mean absolute error \d+\.\d\d years, of a constant \d+\.\d\d", error)


def test_it_needs_the_ground_floor_alone() -> None:
    upper = "app|cli|commands|io|parameters|pipelines|pipeline_registry|running|serving|tracking"
    text = EXAMPLE.read_text(encoding="utf-8")
    assert not re.search(rf"import (kedro|mlflow)|contrastive_age\.({upper})\b", text)
    assert len(text.splitlines()) < 130
