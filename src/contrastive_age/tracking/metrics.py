"""The numbers of `metrics.json` as metrics of a run.

Where a name has a slash, MLflow's pages lay out what stands before it as a section of its own:

- `cs/5`: the share of images within 5 years;
- `by_age/20-39`, `by_sex/female`, ...: the MAE of a part of the images;
- `by_fold/3`: that of a fold, where it has an interval;
- `mistaken/under_18`, `mistaken/over_18`: the share that is taken for the other side of an age;
- `softmax/crps`, ...: what the softmax is worth, and `softmax/crps_tempered`;
- `interval/80_coverage`, `interval/80_width`: what conformal intervals hold.

What has a 95% interval has its ends as `_low` and `_high`. The names without a slash are the
headline, and those that runs have always had.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_BINS = "age_bin"
_BY = {_BINS: "by_age", "decade": "by_age"}
"""The group of a grouping of images; of others it is its own name."""
_SOFTMAX = ("crps", "nll", "central_80")


def flattened(document: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of `metrics.json` by their names in MLflow; what has no value is left out."""
    sound = document.get("without_leaks") or {}
    numbers = {
        **document,
        **_with_ends("mae", document.get("mae"), document.get("mae_interval")),
        **_with_ends("cs5", document.get("cs5"), document.get("cs5_interval")),
        **_with_ends("mae_without_leaks", sound.get("mae"), sound.get("mae_interval")),
        **dict(_flat(document)),
        **dict(_grouped(document)),
    }
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names without a slash of what is grouped, too."""
    for years, share in document.get("cs", {}).items():
        yield f"cs_{years}", share
    for name, values in document.get("age_bins", {}).items():
        yield f"mae_age_{_named(name)}", values["mae"]
    for part in document.get("groups", {}).get("decade", []):
        yield f"mae_age_{_named(part['group'])}", part["mae"]
    yield from _of_softmax(document, "")


def _grouped(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    intervals = document.get("cs_intervals", {})
    for years, share in document.get("cs", {}).items():
        yield from _with_ends(f"cs/{years}", share, intervals.get(years)).items()
    for grouping, parts in document.get("groups", {}).items():
        for part in parts:
            name = f"{_BY.get(grouping, f'by_{grouping}')}/{_named(part['group'])}"
            ends = part.get("mae_low"), part.get("mae_high")
            yield from _with_ends(name, part["mae"], ends).items()
    folds = document.get("fold_mae", {})
    for fold, ends in folds.get("intervals", {}).items():
        if ends:
            yield from _with_ends(f"by_fold/{fold}", folds["values"][fold], ends).items()
    for part in document.get("thresholds", []):
        for side, other in (("under", "over"), ("over", "under")):
            share, ends = (
                part[f"{side}_predicted_{other}"],
                (part[f"{side}_low"], part[f"{side}_high"]),
            )
            yield from _with_ends(f"mistaken/{side}_{part['age']}", share, ends).items()
    for level, held in (document.get("conformal") or {}).items():
        for what in ("coverage", "width"):
            yield f"interval/{level}_{what}", held[what]
    yield from _of_softmax(document, "softmax/")


def _of_softmax(document: Mapping[str, Any], group: str) -> Iterator[tuple[str, Any]]:
    for when, ending in (("before", ""), ("after", "_tempered")):
        softmax = document.get("calibration", {}).get(when) or {}
        for name in _SOFTMAX:
            yield f"{group}{name}{ending}", softmax.get(name)


def _with_ends(name: str, value: Any, ends: Any) -> dict[str, Any]:
    """A number and the ends of its interval, where it has one."""
    low, high = ends or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _named(part: object) -> str:
    """Name a part of the images with the signs that MLflow takes, such as `60_and_over`."""
    return re.sub(r"[^\w.\- ]", "_", str(part).replace("+", "_and_over")).strip(".") or "_"
