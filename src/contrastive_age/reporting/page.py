"""One page with the paper's tables and what was measured here: self-contained HTML.

The page shows what the tables hold and computes nothing: each of them is a CSV as well.
"""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from contrastive_age.reporting import analyses, curves, paper, published, wording
from contrastive_age.reporting import analyses_layout as further
from contrastive_age.reporting import paper_layout as papers
from contrastive_age.reporting.elements import (
    Cell,
    Column,
    Command,
    Grid,
    Part,
    Picture,
    Section,
)
from contrastive_age.reporting.results import Group, name_losses, papers_losses, rows_of

TITLE = "Age from faces by contrastive learning"

PRETRAIN = "kedro run --pipeline=pretrain"
"""What makes weights from faces, for networks of the paper's columns (F)."""

_INDEX = re.compile(r"([λμV])_([a-z])\b( (?=[\d=]))?")

Tables = Mapping[str, pd.DataFrame]
Pictures = Mapping[str, Sequence[Picture]]


@dataclass(frozen=True)
class Summary:
    """What stands on top of the page: counts with their labels, sentences and the headline."""

    counts: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    headline: Grid | None


def tables(
    groups: Sequence[Group],
    audits: Mapping[str, Mapping[str, Any]],
    selections: Sequence[Mapping[str, Any]] = (),
    drawn: Collection[str] = (),
    environment: str = "base",
) -> dict[str, pd.DataFrame]:
    """Make all tables of the report; each is worth a CSV.

    Args:
        groups: As `results.group_seeds` gives them.
        audits: By source its `audit.json`.
        selections: What was chosen on validation parts, see `analyses.selections`.
        drawn: Sources whose faces are drawn.
        environment: Of the project's configuration, in which the commands of what was not run
            would run it.

    Returns:
        By name: `table_1` to `table_6`, and `measured, pretrainings, comparisons, baselines,
        groups, thresholds, intervals, identity, attention, lambda_curves, selections`.
    """
    return {
        "table_1": paper.table_1(audits, drawn, environment),
        "table_2": paper.table_2(groups, environment),
        "table_3": paper.table_3(groups, environment),
        "table_4": paper.table_4(groups, environment),
        "table_5": paper.table_5(groups, environment),
        "table_6": paper.table_6(groups, environment),
        "measured": paper.all_measured(groups),
        "pretrainings": paper.pretrainings(groups),
        "comparisons": analyses.comparisons(groups, environment),
        "baselines": analyses.baselines(groups),
        "groups": analyses.statistics_by_group(groups),
        "thresholds": analyses.thresholds(groups),
        "intervals": analyses.predictive_intervals(groups),
        "identity": analyses.identity_measures(groups),
        "attention": analyses.attention(groups),
        "lambda_curves": analyses.lambda_curves(groups, environment),
        "selections": analyses.selections(selections, groups),
    }


def render(
    tables: Tables,
    pictures: Pictures | None = None,
    made_from: Mapping[str, str] | None = None,
) -> str:
    """Write the page.

    Args:
        tables: As `tables` gives them.
        pictures: By section: "figure_2" (example predictions, Grad-CAM of two settings side by
            side), "attention" (mean maps), and "on_faces" (all of them, of networks that were
            pre-trained on faces); Figure 3 is drawn from the tables.
        made_from: Names and values for the foot of the page, such as date and revision.

    Returns:
        HTML that needs nothing beside it: styles and images are inside.
    """
    given = pictures or {}
    sections = [
        *_papers_sections(tables, given),
        *_analyses_sections(tables, given),
    ]
    environment = Environment(
        loader=PackageLoader("contrastive_age.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.tests["grid"] = lambda block: isinstance(block, Grid)
    environment.tests["picture"] = lambda block: isinstance(block, Picture)
    environment.tests["part"] = lambda block: isinstance(block, Part)
    environment.filters["symbols"] = _symbols
    return environment.get_template("report.html.j2").render(
        title=TITLE,
        summary=summarise(tables),
        sections=sections,
        photos=any(picture.photos for listed in given.values() for picture in listed),
        made_from=dict(made_from or {}),
    )


def summarise(tables: Tables) -> Summary:
    """Say what was run and what came of it.

    Args:
        tables: As `tables` gives them.
    """
    measured = tables["measured"]
    answered, asked = _answered(tables["table_6"])
    runs = sum(len(seeds.split(", ")) for seeds in measured["seeds"])
    counts = (
        (f"{runs}", "runs measured"),
        (f"{len(measured)}", "settings"),
        (f"{measured['protocol'].nunique()}", "protocols"),
        (f"{answered} of {asked}", "cells of Table 6 measured from ImageNet weights"),
    )
    if measured.empty:
        nothing = (
            "Nothing has been run yet: the published numbers stand alone. Each “not run” opens to "
            "show the command that would measure it."
        )
        return Summary(counts, (nothing,), None)
    return Summary(
        counts,
        (*_verdicts(tables["comparisons"]), *_cautions(measured)),
        _headline(
            _parted(tables)[0],
            "The paper's claim, where it was put to the test: 95% intervals over subjects.",
        ),
    )


def _parted(tables: Tables) -> tuple[Tables, Tables]:
    """The tables with a `pretraining`, in two: all other starts, and pre-trained on faces."""
    known = {name: table for name, table in tables.items() if "pretraining" in table}
    on_faces = {name: table["pretraining"] != "" for name, table in known.items()}
    others = {name: table[~on_faces[name]] for name, table in known.items()}
    return others, {name: table[on_faces[name]] for name, table in known.items()}


def _answered(losses: pd.DataFrame) -> tuple[int, int]:
    """How many of Table 6's cells of ours, in the paper's columns, were measured as it did."""
    printed = paper.TABLE_6_COLUMNS.items()
    own = [name for name, protocol in printed if protocol != "fgnet_se"]
    cells = losses[losses["column"].isin(own) & (losses["status"] != "")]
    as_paper = cells[(cells["status"] == "measured") & (cells["start"] == "ImageNet")]
    as_paper = as_paper[~as_paper["drawn_faces"].astype(bool)]
    keys = ["loss", "column"]
    return len(as_paper.drop_duplicates(keys)), len(cells.drop_duplicates(keys))


def _verdicts(comparisons: pd.DataFrame) -> list[str]:
    against = comparisons[
        (comparisons["status"] == "measured") & (comparisons["reference"] == "MV")
    ]
    on_faces = against["pretraining"] != ""
    missing = "No setting can be compared with MV yet: both must be run with the same budget."
    sentences = [_verdict(against[~on_faces]) or missing]
    if on_faces.any():
        sentences.append(f"Pre-trained on faces (F), counted apart. {_verdict(against[on_faces])}")
    return sentences


def _verdict(against: pd.DataFrame) -> str:
    """How many of these comparisons with MV came out how; empty where there is none."""
    drawn = against["drawn_faces"].astype(bool)
    if not drawn.all():
        against = against[~drawn]
    if against.empty:
        return ""
    found = against["verdict"].value_counts()
    parts = [f"{found.get(word, 0)} {word}" for word in (analyses.BETTER, analyses.WORSE)]
    parts.append(f"{found.get(analyses.NO_DIFFERENCE, 0)} with {analyses.NO_DIFFERENCE}")
    many = len(against)
    return (
        f"Compared with MV, image by image: {', '.join(parts)}. "
        f"{many} comparison{'s were' if many > 1 else ' was'} made; "
        "one interval in twenty leaves out zero by chance."
    )


def _cautions(measured: pd.DataFrame) -> list[str]:
    many = len(measured)
    found = []
    drawn = measured["drawn_faces"].astype(bool).sum()
    if drawn:
        found.append(
            f"Drawn faces: {drawn} of {many} settings. They say nothing about people, and none of "
            "their numbers can be compared with a published one."
        )
    on_faces = measured["pretraining"] != ""
    if on_faces.any():
        found.append(
            f"Pre-trained on faces (F): {on_faces.sum()} of {many} settings. They stand in the "
            "paper's columns (F) and in blocks marked so, never among the others."
        )
    elsewhere = measured[(measured["start"] != "ImageNet") & ~on_faces]
    if len(elsewhere):
        starts = ", ".join(elsewhere["start"].unique())
        found.append(
            f"Another start than ImageNet's weights: {len(elsewhere)} of {many} settings, from "
            f"{starts}. They stand apart from the paper's columns (I) and (F)."
        )
    reduced = (measured["budget"] != wording.PAPERS_BUDGET).sum()
    if reduced:
        found.append(
            f"Another budget than the paper's ({wording.PAPERS_BUDGET}): {reduced} of {many} "
            "settings."
        )
    return found


def _headline(tables: Tables, caption: str) -> Grid | None:
    """A line a family, with what the contrast changed; None where nothing was run."""
    if tables["measured"].empty:
        return None
    columns = (
        Column("Protocol and budget", number=False),
        Column("MV", "MAE, years"),
        Column("Binary contrast", "against MV, years"),
        Column("Ternary contrast", "against MV, years"),
    )
    lines = []
    for key, rows in tables["measured"].groupby(list(analyses.FAMILY), sort=False, dropna=False):
        family: dict[str, Any] = dict(zip(analyses.FAMILY, key, strict=True))
        compared = tables["comparisons"]
        same = _of_family(compared, family) & (compared["reference"] == "MV")
        against = compared[same].set_index("losses")
        mv = rows[rows["losses"] == "MV"]
        first = mv.iloc[0] if len(mv) else None
        lines.append(
            (
                Cell(
                    wording.protocol_name(family["protocol"]),
                    further.short_budget(family),
                ),
                Cell("not run")
                if first is None
                else Cell(
                    wording.number(first["mae"]),
                    wording.interval(first["mae_low"], first["mae_high"]),
                ),
                *(
                    _difference(against, name_losses(papers_losses(name, family["protocol"])))
                    for name in ("MV + Cosine", "MV + Cosine + Triplet")
                ),
            )
        )
    return Grid(caption, columns, tuple(lines), "cards")


def _of_family(table: pd.DataFrame, family: Mapping[str, Any]) -> "pd.Series[bool]":
    """Which rows belong to a family."""
    return (table[list(family)] == pd.Series(family)).all(axis="columns")


def _difference(against: pd.DataFrame, losses: str) -> Cell:
    if losses not in against.index:
        return Cell(wording.MISSING)
    (row,) = rows_of(against.loc[[losses]])
    ends = wording.interval(row["low"], row["high"], sign=True)
    return Cell(
        wording.signed(row["difference"]),
        f"{ends}\n{row['verdict']}".strip(),
        mark=further.verdict(row["verdict"]).mark,
    )


def _papers_sections(tables: Tables, pictures: Pictures) -> list[Section]:
    others, _ = _parted(tables)
    starts = (
        "(I) is pre-training on ImageNet, (F) on faces. What was measured here stands in (F) when "
        "its network started from weights that the pipeline “pretrain” made, and says on which "
        "faces, how many images and epochs and at how many pixels; the published networks "
        "saw other collections of faces."
    )
    lookup = (
        "Under the random split most test images have their subject in training too: see the "
        "identity lookup below."
    )
    return [
        Section("table-1", "Table 1: ages", (), (papers.ages(tables["table_1"]),)),
        Section(
            "table-2",
            "Table 2: MORPH II, random split",
            (lookup, starts),
            (papers.results(2, tables["table_2"], "MORPH II, random split"),),
        ),
        Section(
            "table-3",
            "Table 3: MORPH II, subject-exclusive",
            ("No subject is in both training and test.", starts),
            (papers.results(3, tables["table_3"], "MORPH II, subject-exclusive"),),
        ),
        Section(
            "table-4",
            "Table 4: FG-NET",
            ("Each of 82 subjects is left out once.", starts),
            (papers.results(4, tables["table_4"], "FG-NET, one subject left out"),),
        ),
        Section(
            "figure-2",
            "Fig. 2: examples",
            _paragraphs(
                pictures.get("figure_2"),
                "Example predictions, and Grad-CAM of two settings side by side.",
                "No examples were drawn: they need a setting that was run.",
            ),
            tuple(pictures.get("figure_2", ())),
        ),
        Section(
            "table-5",
            "Table 5: variance within an identity",
            (
                "The paper reads a larger variance as less dependence on identity. But variance "
                "grows with the scale of the outputs; measures without scale stand under "
                "“Identity” below.",
            ),
            (papers.identity(tables["table_5"]),),
        ),
        Section(
            "table-6",
            "Table 6: losses",
            (
                "The paper's MV row is the number that MV [31] published, of another network. MV "
                "and CE were therefore rerun with our own network. Networks that were pre-trained "
                "on faces (F) are not in this table.",
            ),
            (papers.losses(tables["table_6"]),),
        ),
        _figure_3(others["lambda_curves"]),
        _on_faces(tables, pictures),
    ]


def _on_faces(tables: Tables, pictures: Pictures) -> Section:
    """Everything from networks that were pre-trained on faces, apart from all others."""
    _, own = _parted(tables)
    title = "Pre-trained on faces (F)"
    if own["measured"].empty:
        nothing = "No setting started from weights that were pre-trained on faces."
        made_by = Command("Such weights, for model.weights, are made by", PRETRAIN)
        return Section("on-faces", title, (nothing,), (made_by,))
    text = (
        "These networks were trained on other faces before, so that they are compared with one "
        "another only, and where they started from the same weights. Beside published numbers "
        "they belong in (F) alone, and those networks saw other collections of faces. A file of "
        "weights of which nothing is told is not among them."
    )
    claim = "The paper's claim, from networks that were pre-trained on faces (F)."
    headline = _headline(own, claim)
    blocks: list[Grid | Picture | Command | Part] = [
        further.pretrainings(tables["pretrainings"]),
        further.on_faces(own["measured"]),
        *([headline] if headline else []),
        *_curves(own["lambda_curves"]),
        *pictures.get("on_faces", ()),
    ]
    return Section("on-faces", title, (text,), tuple(blocks))


def _figure_3(points: pd.DataFrame) -> Section:
    minimum = published.table(3).set_index("row").loc["Ours (ternary loss)", "value"]
    paragraphs = (
        "Sensitivity on test folds: a curve selects nothing. The paper gives its curves as a "
        "picture only, with their minimum in words: λ_c = 10 and λ_t = 1, "
        f"{wording.number(minimum)} years on MORPH II, subject-exclusive.",
    )
    blocks: list[Part | Command] = [*_curves(points)]
    names = {"c": "Fig. 3a, λ_c with λ_t = 0", "t": "Fig. 3b, λ_t with λ_c 8 and 10"}
    blocks += [
        Command(f"{names[row['curve']]}, on MORPH II: not run", row["command"])
        for row in rows_of(points[points["status"] == "not run"])
    ]
    return Section("figure-3", "Fig. 3: weights of the losses", paragraphs, tuple(blocks))


def _curves(points: pd.DataFrame) -> list[Part]:
    """The curves of each family in a part of its own."""
    parts: dict[tuple[str, str], list[Picture]] = {}
    for family, kind, figure in curves.by_family(points):
        own = points[(points["curve"] == kind) & _of_family(points, family)]
        found = parts.setdefault(further.heading(family), [])
        found.append(_curve_picture(kind, figure, own))
    return [Part(*title, blocks=tuple(drawn)) for title, drawn in parts.items()]


def _curve_picture(kind: str, figure: Any, points: pd.DataFrame) -> Picture:
    what = {
        "c": "MAE over the weight of the cosine loss λ_c, without triplets (as Fig. 3a).",
        "t": "MAE over the weight of the triplet loss λ_t (as Fig. 3b).",
    }[kind]
    values = "; ".join(
        f"λ_c {row['lambda_c']:g}, λ_t {row['lambda_t']:g}: {wording.number(row['mae'])} years "
        f"{wording.interval(row['mae_low'], row['mae_high'])}".strip()
        for row in rows_of(points)
    )
    return Picture.of(figure, f"{what} Bars are 95% intervals over subjects.", f"{what} {values}.")


def _analyses_sections(tables: Tables, pictures: Pictures) -> list[Section]:
    measured = len(tables["measured"]) > 0
    nothing = "Nothing has been measured yet."

    def section(anchor: str, title: str, text: str, blocks: Sequence[Any], empty: str) -> Section:
        return Section(anchor, title, (text if blocks else empty,), tuple(blocks))

    alone = "One setting alone cannot be compared." if measured else nothing
    return [
        section(
            "comparisons",
            "Settings compared",
            "Two settings are compared on the same test images. Subjects, not images, are drawn in "
            "the bootstrap; seeds are averaged image by image. A difference is shown when its "
            "interval leaves out zero.",
            further.comparisons(tables["comparisons"]),
            alone,
        ),
        section(
            "baselines",
            "What needs no network",
            "A model is worth what it adds to a constant and, where subjects are in both training "
            "and test, to a lookup of the subject's age in another picture.",
            further.baselines(tables["baselines"]),
            nothing,
        ),
        section(
            "groups",
            "For whom",
            "Errors differ by age, and may by sex and race. Few images make wide intervals. With "
            "several seeds an interval reaches from the lowest end to the highest.",
            further.statistics_by_group(tables["groups"]),
            nothing,
        ),
        section(
            "thresholds",
            "At 18, 21 and 25",
            "How often the predicted age is on the wrong side of an age that laws name. No such "
            "prediction may decide anything about a person.",
            further.thresholds(tables["thresholds"]),
            nothing,
        ),
        section(
            "intervals",
            "Predictive intervals",
            "Cross-conformal: a fold is calibrated on the errors of the other folds' subjects; "
            "nothing is retrained. The nominal share is meant for subjects, each weighing one.",
            further.predictive_intervals(tables["intervals"]),
            nothing,
        ),
        section(
            "identity",
            "Identity",
            "Features that carry age and not identity would leave an identity hard to find, and "
            "age easy to read once each identity's mean is taken away.",
            further.identity(tables["identity"]),
            "No setting's identity measures have been taken yet." if measured else nothing,
        ),
        section(
            "attention",
            "Where the networks look",
            "The paper says: at the forehead in the 30s and 40s, at nose and mouth in the young. "
            "The area of a region is the mass of a map that is equal everywhere; coarse maps "
            "cannot tell neighbouring regions apart.",
            (*pictures.get("attention", ()), *further.attention(tables["attention"])),
            "No Grad-CAM maps have been made yet." if measured else nothing,
        ),
        section(
            "selection",
            "What was chosen, and where",
            "Chosen on validation parts, whose subjects are neither in training nor in test.",
            further.selections(tables["selections"]),
            "Nothing was chosen: every setting has a fixed budget and its last epoch, and no "
            "number here was used to select another.",
        ),
        section(
            "measured",
            "Everything that was run",
            "All settings, with the paper's cells among them. Each number is a mean over seeds. "
            "Networks that were pre-trained on faces have parts of their own, marked (F).",
            further.everything(tables["measured"]),
            nothing,
        ),
    ]


def _paragraphs(given: Sequence[Any] | None, text: str, empty: str) -> tuple[str, ...]:
    return (text if given else empty,)


def _symbols(text: str) -> Markup:
    """Set the indices of symbols such as λ_c below the line."""

    def lowered(found: re.Match[str]) -> str:
        symbol, index, space = found.groups()
        return f"{symbol}<sub>{index}</sub>{'&nbsp;' if space else ''}"

    return Markup(_INDEX.sub(lowered, str(escape(text))))  # noqa: S704


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
