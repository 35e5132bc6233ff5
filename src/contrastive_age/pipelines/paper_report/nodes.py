"""Finding what has been run, and laying it beside what the paper published."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.parameters.given import Report
from contrastive_age.parameters.loader import environment, plain_settings

logger = logging.getLogger(__name__)


def make_report(
    data_folder: Path,
    sources: dict[str, Any],
    papers: dict[str, Any],
    shown: Report,
) -> tuple[str, dict[str, pd.DataFrame]]:
    """Make the report from everything that has been run.

    Args:
        data_folder: The folder of all data.
        sources: The sources, which say whose faces are drawn.
        papers: By protocol and named setting all values when nothing is given.
        shown: What the example figures show.

    Returns:
        The page as HTML, and its tables by name.
    """
    from contrastive_age.evaluation.summary import tables_made_with
    from contrastive_age.reporting import groups, page, pictures, results
    from contrastive_age.reporting.papers import Papers

    drawn = {name for name, source in sources.items() if source["synthetic"] is not None}
    measured = results.read_results(data_folder, drawn)
    values = Papers(papers)
    evidence = groups.Evidence(
        groups=groups.group_seeds(measured, values),
        papers=values,
        audits=results.read_audits(data_folder),
        selections=results.read_selections(data_folder),
        drawn=drawn,
        theirs=results.read_theirs(data_folder, drawn),
        environment=environment(),
        usual=plain_settings(),
    )
    tables = page.tables(evidence)
    settings = len(evidence.groups)
    logger.info("%d runs of %d settings found in %s", len(measured), settings, data_folder)
    made_from = {"written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"} | tables_made_with()
    examples = pictures.draw(data_folder, evidence, shown.settings, shown.faces)
    html = page.render(tables, values, examples, made_from, evidence.environment)
    return html, tables
