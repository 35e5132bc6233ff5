"""The paper's Tables 1 to 6, all its numbers, with what was measured here beside them.

A published number stands once, as printed. What was measured here stands in columns of its own
(`MEASURED`), with budget, data, seeds and runs, or as 'not run' with the command that would. The
columns (I) of Tables 2 to 4 are networks pre-trained on ImageNet, and (F) on faces: only ours that
were, too, answer them, and each of (F) says on which faces. Another start is a row of its own and
says so. Tables 5 and 6 have no (F), so that nothing pre-trained on faces stands in them.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from contrastive_age.reporting import published
from contrastive_age.reporting.results import (
    SETTINGS,
    Group,
    Measured,
    command,
    command_to_read,
    find,
    inputs_of,
    papers_losses,
    rows_of,
)
from contrastive_age.reporting.starts import SOURCES, Pretraining
from contrastive_age.sources.ages import AGE_BINS

MEASURED = (
    "status",
    "losses",
    "mae",
    "mae_low",
    "mae_high",
    "seeds",
    "seed_sd",
    "start",
    "pretraining",
    "budget",
    "images",
    "subjects",
    "folds",
    "drawn_faces",
    "manifest_hash",
    "inputs",
    "runs",
    "command",
)
"""What is said of each of our cells: years of MAE with its 95% interval, and where it comes from.

`pretraining` says which other faces the network was trained on before (their source, images, epochs
and pixels), and is empty for any other start. `inputs` names folds, aligned faces and initial
weights (equal names, equal inputs). `status` is "measured", "not run" (then `command` would run it)
or empty where there is nothing to run, as for other people's methods. `runs` are setting keys with
MLflow's run ids.
"""

TABLE_6_COLUMNS: Mapping[str, str] = {
    "FG-NET (LOPO)": "fgnet_lopo",
    "MORPH II (RS)": "morph_rs",
    "MORPH II (SE)": "morph_se",
    "FG-NET (SE)": "fgnet_se",
}
"""Table 6's columns and their protocols; the last is not in the paper."""

RERUN = "{name}, our network"
"""How a combination of losses is called that the paper took from elsewhere, or has not."""

_PAPERS_ROWS = {
    "Ours (binary loss)": "MV + Cosine",
    "Ours (ternary loss)": "MV + Cosine + Triplet",
}
_TABLE_5 = {"FG-NET": ("fgnet_lopo", "fgnet_se"), "MORPH II": ("morph_se", "morph_rs")}
_OF_MAE = ("mae", "mae_low", "mae_high", "seed_sd")
_NOTHING = {"status": "", "losses": "", "pretraining": "", "command": ""}
_PIPELINES = {"morph2": "morph_se", "fgnet": "fgnet_se"}
_LAST_BIN = {">60": "60+"}  # as printed, and as it is meant


def table_1(
    audits: Mapping[str, Mapping[str, Any]],
    drawn: Collection[str] = (),
    environment: str = "base",
) -> pd.DataFrame:
    """Table 1: how many images there are of which age.

    Args:
        audits: By source (`morph2`, `fgnet`, ...) its `audit.json`.
        drawn: Sources whose faces are drawn.
        environment: Of the commands.

    Returns:
        A row a source and origin: `data_set`, `origin` ("published" or "here"), a column for each
        of `AGE_BINS` and `total` (images), `identities`, `difference` ("none", or how many images
        more or fewer than published in each bin), `drawn_faces`, `manifest_hash`, `status` and
        `command`.
    """
    numbers = published.table(1).replace({"column": _LAST_BIN})
    rows: list[dict[str, Any]] = []
    for source, name in SOURCES.items():
        printed = numbers[numbers["row"] == name].set_index("column")["value"].astype(int)
        if len(printed):
            rows.append(
                {"data_set": name, "origin": "published", "status": "", "command": ""}
                | {str(border): count for border, count in printed.items()}
                | {"total": int(printed.sum())}
            )
        if source in audits:
            rows.append(_counted(name, audits[source], printed, source in drawn))
        elif len(printed):
            call = command_to_read(_PIPELINES[source], environment)
            rows.append({"data_set": name, "origin": "here", "status": "not run", "command": call})
    columns = ["data_set", "origin", *AGE_BINS, "total", "identities", "difference"]
    columns += ["drawn_faces", "manifest_hash", "status", "command"]
    return _whole(pd.DataFrame(rows, columns=columns), [*AGE_BINS, "total", "identities"])


def table_2(groups: Sequence[Group], environment: str = "base") -> pd.DataFrame:
    """Table 2: MORPH II, random split.

    Args:
        groups: As `results.group_seeds` gives them.
        environment: Of the commands of what was not run.

    Returns:
        The published rows in their order, and two combinations of losses with our own network.
        Columns `method`, the two printed ones, `year`, `note`, `is_paper`, `answers` and
        `MEASURED`. `answers` is the printed column that ours belongs to by its start, such as
        "RS(F)", and empty for a start that the paper does not have. A method measured with several
        budgets or starts has as many rows; published numbers stand in the first.
    """
    return _results(2, "morph_rs", groups, environment)


def table_3(groups: Sequence[Group], environment: str = "base") -> pd.DataFrame:
    """Table 3: MORPH II, subject-exclusive. As `table_2`."""
    return _results(3, "morph_se", groups, environment)


def table_4(groups: Sequence[Group], environment: str = "base") -> pd.DataFrame:
    """Table 4: FG-NET, one subject left out. As `table_2`."""
    return _results(4, "fgnet_lopo", groups, environment)


def table_5(groups: Sequence[Group], environment: str = "base") -> pd.DataFrame:
    """Table 5: mean variance within an identity, of features and of the softmax.

    The paper does not say by which protocol, nor whether its own column is the binary or the
    ternary contrast: all our protocols of a data set are given, with the ternary. What it calls a
    variance of the softmax is beyond what probabilities can have; ours is of the probabilities.

    Args:
        groups: As `results.group_seeds` gives them.
        environment: Of the commands of what was not run.

    Returns:
        A row a printed number and measurement: `row` (as printed), `column` ("MV" or "Ours"),
        `published`, `note`, `is_paper`, `protocol` (ours), `here` (mean over seeds) and the columns
        of `MEASURED` that say where it comes from.
    """
    origin = [name for name in MEASURED if name not in _OF_MAE]
    groups = without_faces(groups)
    rows: list[dict[str, Any]] = []
    for number in rows_of(published.table(5)):
        name = "MV" if number["column"] == "MV" else "MV + Cosine + Triplet"
        output = "features" if number["row"].endswith("μ(V_f)") else "probabilities"
        line = {key: number[key] for key in ("row", "column", "note", "is_paper")}
        line["published"] = number["value"]
        cells = []
        for place, protocol in enumerate(_TABLE_5[number["row"].partition(" μ")[0]]):
            found = find(groups, protocol, papers_losses(name, protocol))
            measured = [
                {"protocol": protocol, "here": variance, **measurement(group)}
                for group in found
                if (variance := _variance(group, output)) is not None
            ]
            call = command(protocol, SETTINGS[name], environment)
            missing = {"protocol": protocol, "status": "not run", "losses": name, "command": call}
            cells += measured or ([missing] if place == 0 else [])
        rows += _beside(line, cells, once=["published"])
    columns = ["row", "column", "published", "note", "is_paper", "protocol", "here", *origin]
    return _typed(pd.DataFrame(rows, columns=columns))


def table_6(groups: Sequence[Group], environment: str = "base") -> pd.DataFrame:
    """Table 6: combinations of losses.

    Args:
        groups: As `results.group_seeds` gives them.
        environment: Of the commands of what was not run.

    Returns:
        A row a printed number and measurement: `loss`, `column` (of `TABLE_6_COLUMNS`),
        `published` (years of MAE), `note`, `is_paper` and `MEASURED`. MV as published (another
        network's number) and MV with our network are different rows, as is CE.
    """
    numbers = published.table(6)
    groups = without_faces(groups)
    losses = {name: name for name in numbers["row"].unique() if name != "MV"}
    reruns = {RERUN.format(name=name): name for name in ("CE", "MV")}
    rows: list[dict[str, Any]] = []
    for loss, name in {"MV": "", **reruns, **losses}.items():
        printed = numbers[numbers["row"] == loss].set_index("column")
        for column, protocol in TABLE_6_COLUMNS.items():
            line: dict[str, Any] = {"loss": loss, "column": column, "note": "", "is_paper": False}
            if column in printed.index:
                known = printed.loc[column]
                line |= {"published": known["value"], "note": known["note"]}
                line["is_paper"] = bool(known["is_paper"])
            measured = _cells(name, protocol, groups, environment) if name else [{}]
            rows += _beside(line, measured, once=["published"])
    return _typed(
        pd.DataFrame(rows, columns=["loss", "column", "published", "note", "is_paper", *MEASURED])
    )


def all_measured(groups: Iterable[Group]) -> pd.DataFrame:
    """Everything that was run, whether the paper has a cell for it or not.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a group: `protocol`, `setting` (the names it was run under) and `MEASURED` but for
        `command`, and in years `mae_by_subject` (mean over subjects of theirs), `bias`,
        `mae_constant`, in percent `cs5`; each a mean over seeds.
    """
    extra = ("mae_by_subject", "bias", "cs5", "mae_constant")
    rows = [
        {
            "protocol": group.protocol,
            "setting": ", ".join(dict.fromkeys(run.setting for run in group.runs + group.repeats)),
        }
        | measurement(group)
        | {name: mean_of(group, name) for name in extra}
        for group in groups
    ]
    kept = [name for name in MEASURED if name != "command"]
    return _typed(pd.DataFrame(rows, columns=["protocol", "setting", *kept, *extra]))


def pretrainings(groups: Iterable[Group]) -> pd.DataFrame:
    """The trainings on other faces from which settings started.

    Args:
        groups: As `results.group_seeds` gives them.

    Returns:
        A row a file of weights, by its digest: `name, sources, images, identities, epochs,
        image_size` (pixels), `data_hash`, `weights` (SHA-256) and `licence`, and in `runs` the
        protocols and keys of what started from it.
    """
    found: dict[str, list[Measured]] = {}
    for group in groups:
        if group.pretraining is not None:
            found.setdefault(group.pretraining.weights, []).extend(group.runs)
    rows = [
        {
            **dataclasses.asdict(told),
            "sources": told.faces,
            "runs": "; ".join(f"{run.protocol} {run.key}" for run in runs),
        }
        for runs in found.values()
        if (told := runs[0].pretraining) is not None
    ]
    names = [field.name for field in dataclasses.fields(Pretraining)]
    return _whole(pd.DataFrame(rows, columns=[*names, "runs"]), ["images", "identities"])


def without_faces(groups: Iterable[Group]) -> list[Group]:
    """Leave out what was pre-trained on faces."""
    return [group for group in groups if not group.on_faces]


def measurement(group: Group) -> dict[str, Any]:
    """One of our cells as the columns of `MEASURED`."""
    metrics = group.first.metrics
    return {
        "status": "measured",
        "losses": group.name,
        "mae": group.mae,
        "mae_low": group.interval.low if group.interval else None,
        "mae_high": group.interval.high if group.interval else None,
        "seeds": ", ".join(str(run.seed) for run in group.runs),
        "seed_sd": group.seed_sd,
        "start": group.start,
        "pretraining": group.pretraining.words if group.pretraining else "",
        "budget": group.budget,
        "images": metrics["n"],
        "subjects": metrics["subjects"],
        "folds": metrics["folds"],
        "drawn_faces": group.first.demo,
        "manifest_hash": metrics["manifest_hash"],
        "inputs": inputs_of(group.first),
        "runs": "; ".join(
            f"{run.key} (MLflow {run.run_id})" if run.run_id else run.key for run in group.runs
        ),
        "command": "",
    }


def mean_of(group: Group, name: str) -> float | None:
    """Mean over seeds of a number in `metrics.json`; None where a seed lacks it."""
    values = [run.metrics.get(name) for run in group.runs]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _variance(group: Group, output: str) -> float | None:
    """Table 5's variance of an output, the mean over the seeds that have it."""
    documents = [run.identity["variance"] for run in group.runs if run.identity]
    known = [document[output] for document in documents if document.get(output) is not None]
    return sum(known) / len(known) if known else None


def _results(number: int, protocol: str, groups: Sequence[Group], environment: str) -> pd.DataFrame:
    numbers = published.table(number)
    printed = list(numbers["column"].unique())
    # As printed, the column of ImageNet is on the left.
    printed.sort(key=lambda column: column.endswith("(F)"))
    rows: list[dict[str, Any]] = []
    others, on_faces = without_faces(groups), [group for group in groups if group.on_faces]

    def cells(name: str) -> list[dict[str, Any]]:
        losses = papers_losses(name, protocol)
        known = _cells(name, protocol, others, environment)
        known += [measurement(group) for group in find(on_faces, protocol, losses)]
        return [cell | {"answers": _answers(cell, printed)} for cell in known]

    for method, part in numbers.groupby("row", sort=False):
        line = {
            "method": method,
            "year": part["year"].iloc[0],
            "note": "; ".join(dict.fromkeys(note for note in part["note"] if note)),
            "is_paper": bool(part["is_paper"].iloc[0]),
        } | dict(zip(part["column"], part["value"], strict=True))
        name = _PAPERS_ROWS.get(str(method))
        measured = cells(name) if name else [{"answers": ""}]
        rows += _beside(line, measured, once=[*printed, "year"])
    for name in ("MV", "CE"):
        line = {"method": RERUN.format(name=name), "note": "", "is_paper": False}
        rows += _beside(line, cells(name), once=[])
    columns = ["method", *printed, "year", "note", "is_paper", "answers", *MEASURED]
    return _typed(pd.DataFrame(rows, columns=columns))


def _answers(cell: Mapping[str, Any], printed: Sequence[str]) -> str:
    """The printed column that a cell of ours belongs to, by its start."""
    imagenet, faces = printed
    if cell["status"] == "not run" or cell["start"] == "ImageNet":
        return imagenet
    return faces if cell["pretraining"] else ""


def _cells(
    name: str, protocol: str, groups: Sequence[Group], environment: str
) -> list[dict[str, Any]]:
    """What was measured for a cell of (I); first ImageNet's start, or that it was not run."""
    found = find(groups, protocol, papers_losses(name, protocol))
    imagenet = [measurement(group) for group in found if group.from_imagenet]
    others = [measurement(group) for group in found if not group.from_imagenet]
    # Drawn faces have budgets of their own, without pre-training: those are what is asked for.
    if imagenet or (others and environment != "base"):
        return imagenet + others
    # Nor does the paper have subject-exclusive folds of FG-NET: what was run there is enough.
    if others and protocol == "fgnet_se":
        return others
    call = command(protocol, SETTINGS[name], environment)
    return [{"status": "not run", "losses": name, "command": call}, *others]


def _beside(
    line: Mapping[str, Any], measured: Sequence[Mapping[str, Any]], once: Sequence[str]
) -> list[dict[str, Any]]:
    """One row a measurement; the columns `once` stand in the first alone."""
    further = {name: value for name, value in line.items() if name not in once}
    lines = [line] + [further] * (len(measured) - 1)
    return [{**_NOTHING, **left, **right} for left, right in zip(lines, measured, strict=True)]


def _counted(
    name: str, audit: Mapping[str, Any], printed: pd.Series, drawn: bool
) -> dict[str, Any]:
    gaps = {border: audit["age_bins"][border] - n for border, n in printed.items()}
    differing = [f"{border}: {gap:+,}" for border, gap in gaps.items() if gap]
    return (
        {"data_set": name, "origin": "here"}
        | dict(audit["age_bins"])
        | {
            "total": audit["n"],
            "identities": audit["identities"],
            "difference": (", ".join(differing) or "none") if len(printed) else "",
            "drawn_faces": drawn,
            "manifest_hash": audit["manifest_hash"],
            "status": "measured",
            "command": "",
        }
    )


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers stay whole where rows lack them."""
    return _whole(table, ["year", "images", "subjects", "folds"])


def _whole(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    kept = [name for name in columns if name in table]
    return table.astype(dict.fromkeys(kept, "Int64"))
