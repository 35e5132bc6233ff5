"""What was run, best first: the first thing that the page shows."""

from dataclasses import replace
from typing import Any

import pandas as pd

from contrastive_age.reporting.groups import MEASURED, Evidence, mean, rows_of
from contrastive_age.reporting.papers import THEIRS, weights_in_words
from contrastive_age.reporting.results import Theirs
from contrastive_age.reporting.sections.section import (
    SEEDS,
    Column,
    Contents,
    Grid,
    Missing,
    Section,
    meanings,
)
from contrastive_age.reporting.wording import ON_FACES, SIZE

DATA = ["protocol", "drawn_faces", "manifest_hash", "images"]
"""What names the source. Errors can be ranked where `tested`, those of its images that were, is
the same, too."""

COLUMNS = (
    Column(
        "Setting",
        '<a href="#{{ details }}">{{ strong(setting, best) }}<span class="unseen">, details</span>'
        "</a>{{ small(weights, mark) }}",
        "λ; opens details",
        number=False,
    ),
    Column(
        "MAE",
        "{{ strong(mae | number, best) }}{{ small(mae_low | interval(mae_high)) }}",
        "years; 95%, subjects",
    ),
    Column(
        "Constant",
        "{{ mae_constant | number }}"
        "{% if mae >= mae_constant %}{{ small(coloured('not beaten', 'worse')) }}{% endif %}",
        "years",
    ),
    Column(
        "Protocol and data",
        "{{ protocol }}{{ small((protocol | protocol).removesuffix(' (not in the paper)'),"
        " (images | counted('drawn face' if drawn_faces else 'photo')) ~ ' of '"
        " ~ (subjects | counted('subject'))) }}",
        number=False,
    ),
    Column(
        "Budget",
        '<span class="size">{{ budget | size }}</span>'
        "{{ small((folds | counted('fold')) ~ ', ' ~ (start | begun), differing) }}",
        number=False,
    ),
    replace(SEEDS, cell="{% if seeds %}" + SEEDS.cell + "{% else %}–{% endif %}"),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """List all settings, those on the same images together and the best of them first.

    Images of people stand before drawn ones, and the images with the smallest error first;
    networks that were pre-trained on faces come last. What was brought is named "theirs: ..." and
    marked so; it is the best only where a setting of ours was tested on the same images.

    Returns:
        A row a setting, or what was brought: `protocol`, `weights` (the λ of its losses that act,
        in words), `mae_constant` (years of MAE), `best` (whether it is the first on its images),
        `differing` (in words whether its folds are not that one's, and what of its budget others on
        as many images of its source have otherwise), `details` (its place on the page), and
        `MEASURED` but for `command`.
    """
    rows = [
        group.columns
        | {
            "weights": weights_in_words(group.first.parameters["loss"]),
            "mae_constant": mean([run.metrics["mae_constant"] for run in group.runs]),
            "details": group.anchor,
            "tested": group.first.tested,
            "dealt": group.first.folds,
        }
        for group in evidence.groups
    ]
    columns = ["weights", "mae_constant", "best", "differing", "details"]
    measured = [name for name in MEASURED if name != "command"]
    table = pd.DataFrame(rows, columns=["protocol", *measured, *columns, "tested", "dealt"])
    table["on_faces"] = table["pretraining"] != ""
    table["differing"] = table.groupby(["on_faces", *DATA])["budget"].transform(_differing)
    brought = pd.DataFrame([_brought(theirs) for theirs in evidence.theirs], columns=table.columns)
    table = pd.concat([table, brought], ignore_index=True) if len(brought) else table
    images = table.groupby(["on_faces", *DATA, "tested"], sort=False)
    table["least"] = images["mae"].transform("min")
    table["place"] = images.ngroup()
    ordered = table.sort_values(["on_faces", "drawn_faces", "least", "place", "mae"], kind="stable")
    ours = (ordered["mark"] != THEIRS).groupby(ordered["place"]).transform("any")
    ordered["best"] = ours & ~ordered.duplicated("place")
    others = ordered["dealt"] != ordered.groupby("place")["dealt"].transform("first")
    ordered["differing"] = [
        ", ".join(filter(None, ["other folds" if other else "", words]))
        for other, words in zip(others, ordered["differing"], strict=True)
    ]
    hidden = ["on_faces", "tested", "dealt", "least", "place"]
    return ordered.drop(columns=hidden).reset_index(drop=True)


def _brought(theirs: Theirs) -> dict[str, Any]:
    """The row of predictions that were made elsewhere; it says nothing of how."""
    low, high = theirs.metrics["mae_interval"] or (None, None)
    told = {name: theirs.metrics[name] for name in ("mae", "mae_constant", "manifest_hash")}
    counts = {"images": theirs.metrics["n"]} | {
        name: theirs.metrics[name] for name in ("subjects", "folds")
    }
    empty = ("losses", "seeds", "pretraining", "budget", "inputs", "weights")
    return dict.fromkeys(empty, "") | {
        "protocol": theirs.protocol,
        "status": "measured",
        "setting": theirs.title,
        "mark": THEIRS,
        "mae_low": low,
        "mae_high": high,
        "seed_sd": None,
        "start": "a file",
        "drawn_faces": theirs.demo,
        "runs": theirs.key,
        "differing": theirs.photos,
        "details": "comparisons",
        "tested": theirs.tested,
        "dealt": theirs.folds,
        "on_faces": False,
        **told,
        **counts,
    }


def _differing(budgets: pd.Series) -> list[str]:
    """What each budget has, beyond its size, that not all have, in words."""
    words = [str(budget).split(", ")[SIZE:] for budget in budgets]
    shared = set.intersection(*map(set, words))
    return [", ".join(word for word in some if word not in shared) for some in words]


def _show(contents: Contents) -> list[Grid]:
    """A table of all, and one of those pre-trained on faces, which stand apart."""
    captions = {
        False: "Best first on the same images. The mean of a setting's seeds is one row.",
        True: f"The same of networks {ON_FACES}.",
    }
    return [
        Grid(caption, COLUMNS, rows_of(rows), "cards uneven", meanings(rows))
        for on_faces, caption in captions.items()
        if len(rows := contents.rows("your_runs", on_faces=on_faces))
    ]


SECTION = Section(
    "your-runs",
    "Your runs",
    (
        "Every setting that was run, best first, beside a constant (the training median). Errors "
        "rank settings on the same images alone, and ranking is no test: what can be told apart "
        "stands under “Settings compared”.",
    ),
    "your_runs",
    make,
    show=_show,
    nothing="Nothing has been run yet: the published numbers stand alone.",
    missing=Missing(
        "A first run, on drawn faces, in minutes", "kedro run --env=demo --pipeline=synthetic_se"
    ),
)
