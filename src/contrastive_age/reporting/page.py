"""One page with what was run, and the paper's tables beside it: self-contained HTML.

The page shows what the tables hold and computes nothing: each of them is a CSV as well.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from contrastive_age.reporting import wording
from contrastive_age.reporting.groups import Evidence
from contrastive_age.reporting.papers import Papers
from contrastive_age.reporting.pictures import Picture
from contrastive_age.reporting.sections import SECTIONS, YOURS
from contrastive_age.reporting.sections.section import Column, Contents, Line
from contrastive_age.reporting.summary import summarise

TITLE = "Age from faces by contrastive learning"


def tables(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Make all tables of the report; each is worth a CSV.

    Args:
        evidence: What they are made of.

    Returns:
        By name, in the order of the sections: `your_runs, curves, comparisons, methods, recipe`,
        `table_1` to `table_6`, and `pretrainings, picked_on_test, baselines, groups, thresholds,
        intervals, calibration, identity, attention, selections, measured`.
    """
    return {section.table: section.make(evidence) for section in SECTIONS if section.make}


def render(
    tables: Mapping[str, pd.DataFrame],
    papers: Papers,
    pictures: Mapping[str, Sequence[Picture]] | None = None,
    made_from: Mapping[str, str] | None = None,
    environment: str = "base",
) -> str:
    """Write the page.

    Args:
        tables: As `tables` gives them.
        papers: What the paper set.
        pictures: See `sections.section.Contents`; curves are drawn from the tables.
        made_from: Names and values for the foot of the page, such as date and revision.
        environment: Of the project's configuration, in which commands run what is missing.

    Returns:
        HTML that needs nothing beside it: styles, images and the few lines of script are inside.
    """
    contents = Contents(tables, papers, pictures or {})
    laid_out = [(section, section.blocks(contents)) for section in SECTIONS]
    shown = [(section, blocks) for section, blocks in laid_out if blocks or section.nothing]
    return (
        _environment(papers)
        .get_template("report.html.j2")
        .render(
            title=TITLE,
            summary=summarise(contents),
            sections=shown,
            yours=sum(section in YOURS for section, _ in shown),
            measured=len(tables["measured"]) > 0,
            photos=any(picture.photos for shown in contents.pictures.values() for picture in shown),
            made_from=dict(made_from or {}),
            environment=environment,
        )
    )


def _environment(papers: Papers) -> Environment:
    """Templates with the filters that cells are set by."""
    environment = Environment(
        loader=PackageLoader("contrastive_age.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = cache(environment.from_string)

    def filled(text: str, values: Line) -> Markup:
        # What a template gives is escaped.
        return Markup(template(text).render(values, line=values))  # noqa: S704

    def cell(column: Column, line: Line) -> str:
        values = line if column.of is None else line["across"].get(column.of)
        return wording.MISSING if values is None else wording.symbols(filled(column.cell, values))

    short = partial(wording.budget_in_short, papers=papers.budget)
    environment.filters |= {**wording.FILTERS, "short": short, "cell": cell, "filled": filled}
    environment.tests |= {
        "known": pd.notna,
        "block": lambda block, kind: type(block).__name__ == kind,
    }
    environment.globals |= vars(environment.get_template("cells.html.j2").module)
    return environment
