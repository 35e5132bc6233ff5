"""Table 1: how many images there are of which age."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contrastive_age.reporting import published
from contrastive_age.reporting.groups import Evidence, rows_of, whole_numbers
from contrastive_age.reporting.papers import SOURCES
from contrastive_age.reporting.sections.section import Column, Contents, Grid, Section
from contrastive_age.sources.ages import AGE_BINS

_PIPELINES = {"morph2": "morph_se", "fgnet": "fgnet_se"}
_LAST_BIN = {">60": "60+"}  # as printed, and as it is meant
_COUNT = "{{ line['%s'] | whole if status != 'not run' }}"

COLUMNS = (
    Column("Data set", "{{ data_set }}", number=False),
    Column(
        "Origin",
        "{{ origin }}{% if status == 'not run' %}{{ entry(line) }}{% elif status == 'measured' %}"
        "{{ small('manifest ' ~ manifest_hash[:8] ~ (', drawn faces' if drawn_faces else '')) }}"
        "{% endif %}",
        number=False,
    ),
    *(Column(f"{name.replace('-', '–')} years", _COUNT % name) for name in AGE_BINS),
    Column("All", _COUNT % "total"),
    Column("Identities", "{{ identities | whole if status == 'measured' }}"),
    Column(
        "Against the paper",
        "{% if status == 'measured' and not drawn_faces %}"
        "{{ 'agrees in every bin' if difference == 'none' else difference }}{% endif %}",
        number=False,
    ),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Count the images of each age, as published and here.

    Args:
        evidence: Its `audits`, and which sources are `drawn`.

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
        here = {"data_set": name, "origin": "here"}
        if len(printed):
            rows.append(
                {"data_set": name, "origin": "published", "status": "", "command": ""}
                | {str(border): count for border, count in printed.items()}
                | {"total": int(printed.sum())}
            )
        if source in evidence.audits:
            counted = _counted(evidence.audits[source], printed)
            rows.append(here | counted | {"drawn_faces": source in evidence.drawn})
        elif len(printed):
            options = f"--pipeline={_PIPELINES[source]} --tags=ingestion"
            rows.append(here | {"status": "not run", "command": evidence.command("run", options)})
    columns = ["data_set", "origin", *AGE_BINS, "total", "identities", "difference"]
    columns += ["drawn_faces", "manifest_hash", "status", "command"]
    return whole_numbers(pd.DataFrame(rows, columns=columns), [*AGE_BINS, "total", "identities"])


def _counted(audit: Mapping[str, Any], printed: pd.Series) -> dict[str, Any]:
    gaps = {border: audit["age_bins"][border] - n for border, n in printed.items()}
    differing = [f"{border}: {gap:+,}" for border, gap in gaps.items() if gap]
    return dict(audit["age_bins"]) | {
        "total": audit["n"],
        "identities": audit["identities"],
        "difference": (", ".join(differing) or "none") if len(printed) else "",
        "manifest_hash": audit["manifest_hash"],
        "status": "measured",
        "command": "",
    }


def show(contents: Contents) -> list[Grid]:
    """The table as it is."""
    caption = "Table 1. Images by age: as published, and as counted here."
    note = "The paper prints “>60” for the last; with 60 included its counts are the data sets’."
    return [Grid(caption, COLUMNS, rows_of(contents.tables["table_1"]), notes=[note])]


SECTION = Section("table-1", "Table 1: ages", (), "table_1", make, show=show)
