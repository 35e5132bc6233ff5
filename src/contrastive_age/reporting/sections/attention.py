"""Where the networks look: the mass of Grad-CAM maps on the parts of the face."""

from functools import partial
from statistics import fmean

import pandas as pd

from contrastive_age.reporting.groups import Evidence, of_known
from contrastive_age.reporting.heatmaps import FEWEST_CELLS, is_coarse
from contrastive_age.reporting.sections.section import (
    Block,
    Column,
    Contents,
    Layout,
    Section,
    by_family,
)

LAYOUT = Layout(
    "{{ setting }}, {{ losses }}: mass of Grad-CAM maps of {{ grid }} cells on parts of the face.",
    (
        Column(
            "Age (years)",
            "{{ 'All' if group == 'all' else group | replace('-', '–') }}"
            "{{ small(n | counted('face')) }}",
            number=False,
        ),
        Column(
            "{{ region | capitalize }}",
            "{{ mass | percent }}",
            "area {{ area | percent }}",
            across="region",
        ),
    ),
    down="group",
    each="losses",
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out the mass of the maps.

    Returns:
        A row a setting, age group ("all" first) and region: `FAMILY`, `losses`, `seeds` (with
        maps), `grid` (cells of a map), `group`, `n` faces, `region`, `mass` and `area` (percent;
        the area is the mass of a map that is equal everywhere).
    """
    return evidence.table(
        ["grid", "group", "n", "region", "mass", "area"],
        lambda run: (
            []
            if run.gradcam is None
            else [
                {
                    "grid": "×".join(map(str, run.gradcam["grid"])),
                    "group": name,
                    "n": part["n"],
                    "region": region,
                    "mass": 100.0 * part["mass"][region] if part["mass"] else None,
                    "area": 100.0 * area,
                }
                for name, part in {"all": run.gradcam, **run.gradcam["age_groups"]}.items()
                for region, area in run.gradcam["area"].items()
            ]
        ),
        mass=partial(of_known, fmean),
    )


def _show(contents: Contents) -> list[Block]:
    """The pictures, and the tables of maps that can tell parts of the face apart."""
    table = contents.tables["attention"]
    coarse = [is_coarse([int(cells) for cells in grid.split("×")]) for grid in table["grid"]]
    parts = by_family(table.drop(index=table.index[coarse]), LAYOUT.grids)
    return [*contents.pictures.get("attention", ()), *parts]


_COARSE = (
    f"Maps of fewer than {FEWEST_CELLS} × {FEWEST_CELLS} cells, as of networks that see fewer than "
    "128 pixels, cannot tell parts of the face apart and are left out; the CSV holds them."
)

SECTION = Section(
    "attention",
    "Where the networks look",
    (
        "The paper says: at the forehead in the 30s and 40s, at nose and mouth in the young. The "
        "area of a region is the mass of a map that is equal everywhere.",
        _COARSE,
    ),
    "attention",
    make,
    show=_show,
    too_little=f"There are no Grad-CAM maps to show. {_COARSE}",
)
