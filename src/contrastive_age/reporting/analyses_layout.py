"""The further analyses laid out for the page, family by family.

Every function takes a table of `analyses` and gives headings and tables; an empty table gives none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from contrastive_age.reporting import wording
from contrastive_age.reporting.analyses import BETTER, FAMILY, WORSE
from contrastive_age.reporting.elements import Cell, Column, Command, Grid, Part
from contrastive_age.reporting.results import rows_of

Block = Grid | Command

_HASH_DIGITS = 8
_KINDS = {"age_bin": "true age (years)", "sex": "sex", "race": "race"}


def by_family(
    table: pd.DataFrame,
    lay_out: Callable[[pd.DataFrame], Iterable[Block]],
    all_unfolded: bool = False,
) -> tuple[Part, ...]:
    """Lay out each family's rows in a part of its own.

    Args:
        table: With the columns `FAMILY`.
        lay_out: Makes tables of one family's rows.
        all_unfolded: Whether all parts are shown at first, or the first alone.
    """
    families = table.groupby(list(FAMILY), sort=False, dropna=False)
    return tuple(
        Part(
            *heading(rows_of(rows)[0]),
            blocks=tuple(lay_out(rows)),
            unfolded=all_unfolded or place == 0,
        )
        for place, (_, rows) in enumerate(families)
    )


def heading(row: Mapping[str, Any]) -> tuple[str, str]:
    """A family's title and what its settings have in common, from any of its rows."""
    title, about = wording.protocol_name(row["protocol"]), [row["budget"], wording.data(row)]
    if row["pretraining"]:
        title, about = f"{title}, {wording.ON_FACES}", [about[0], row["pretraining"], about[1]]
    return title, "; ".join(about)


def comparisons(table: pd.DataFrame) -> tuple[Part, ...]:
    """Settings against MV, and the ternary against the binary contrast."""
    return by_family(table, _compared, all_unfolded=True)


def everything(table: pd.DataFrame) -> tuple[Part, ...]:
    """Each group of seeds in one line."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        columns = (
            Column("Losses", number=False),
            Column("MAE", "95%, subjects"),
            Column("MAE by subject"),
            Column("Bias"),
            Column("CS@5"),
            Column("Constant", "MAE"),
            Column("Seeds", "SD of MAE"),
            Column("Runs", number=False),
        )
        lines = [
            (
                Cell(row["losses"], small=row["setting"]),
                Cell(wording.number(row["mae"]), wording.interval(row["mae_low"], row["mae_high"])),
                Cell(wording.number(row["mae_by_subject"])),
                Cell(wording.signed(row["bias"])),
                Cell(wording.percent(row["cs5"])),
                Cell(wording.number(row["mae_constant"])),
                Cell(row["seeds"], small=_spread(row["seed_sd"])),
                Cell(small=row["runs"].replace("; ", "\n")),
            )
            for row in rows_of(rows)
        ]
        return [Grid("All settings: years, and CS@5 in percent of images.", columns, tuple(lines))]

    return by_family(table, lay_out)


def pretrainings(table: pd.DataFrame) -> Grid:
    """The trainings on other faces from which settings started."""
    columns = (
        Column("Weights", number=False),
        Column("Faces", number=False),
        Column("Images", "identities"),
        Column("Epochs", "pixels"),
        Column("Terms of the data", number=False),
        Column("Runs from it", number=False),
    )
    lines = [
        (
            Cell(row["weights"][:_HASH_DIGITS], small=row["name"]),
            Cell(row["sources"], small=f"data {row['data_hash'][:_HASH_DIGITS]}"),
            Cell(wording.whole(row["images"]), small=wording.whole(row["identities"])),
            Cell(str(row["epochs"]), small=f"{row['image_size']} px"),
            Cell(row["licence"]),
            Cell(_runs_by_protocol(row["runs"])),
        )
        for row in rows_of(table)
    ]
    return Grid("What the networks were trained on before.", columns, tuple(lines), "cards")


def on_faces(table: pd.DataFrame) -> Grid:
    """Every setting that started from faces, in one table.

    Args:
        table: Rows of `paper.all_measured` of such settings.
    """
    columns = (
        Column("Protocol and budget", number=False),
        Column("Losses", number=False),
        Column("MAE (F)", "years; 95%, subjects"),
        Column("Seeds", "SD of MAE"),
        Column("Pre-trained on", number=False),
    )
    lines = [
        (
            Cell(
                wording.protocol_name(row["protocol"]),
                small=short_budget(row).removesuffix(f", {wording.ON_FACES}"),
            ),
            Cell(row["losses"]),
            Cell(wording.number(row["mae"]), wording.interval(row["mae_low"], row["mae_high"])),
            Cell(row["seeds"], small=_spread(row["seed_sd"])),
            Cell(row["pretraining"], small=row["start"].removesuffix(f" {wording.ON_FACES}")),
        )
        for row in rows_of(table)
    ]
    return Grid("Networks pre-trained on faces (F): MAE in years.", columns, tuple(lines), "cards")


def baselines(table: pd.DataFrame) -> tuple[Part, ...]:
    """Results beside the constant and the identity lookup."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        columns = (Column("Predictor", number=False), Column("MAE", "years; 95%, subjects"))
        first = rows.iloc[0]
        known = [("Constant: the training median", first["mae_constant"])]
        if first["leaked_share"] > 0:
            known.append(("Identity lookup: another picture of the subject", first["mae_lookup"]))
        lines = [
            (Cell(name, small="looks at no pixel"), Cell(wording.number(mae)))
            for name, mae in known
        ] + [
            (
                Cell(row["losses"]),
                Cell(wording.number(row["mae"]), wording.interval(row["mae_low"], row["mae_high"])),
            )
            for row in rows_of(rows)
        ]
        share = wording.percent(first["leaked_share"]) if first["leaked_share"] else "None"
        leak = f"{share} of the test images have their subject in training."
        return [Grid(f"Beside what needs no network. {leak}", columns, tuple(lines))]

    return by_family(table, lay_out)


def statistics_by_group(table: pd.DataFrame) -> tuple[Part, ...]:
    """Error by age, sex and race."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        for kind, part in rows.groupby("kind", sort=False):
            heads = part.drop_duplicates("group")
            columns = (
                Column("Losses", number=False),
                *(
                    Column(_group(kind, row["group"]), f"{row['n']:,} images")
                    for row in rows_of(heads)
                ),
            )
            yield Grid(
                f"By {_KINDS.get(str(kind), kind)}: MAE in years with its 95% interval, and bias.",
                columns,
                _matrix(part, "group", list(heads["group"]), _error_cell),
            )

    return by_family(table, lay_out)


def thresholds(table: pd.DataFrame) -> tuple[Part, ...]:
    """Who is taken for old enough, and the reverse."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        ages = rows_of(rows.drop_duplicates("age"))
        columns = [Column("Losses", number=False)]
        for row in ages:
            age = row["age"]
            columns += [
                Column(f"Under {age}, predicted {age} or over", f"of {row['under_n']:,}"),
                Column(f"{age} or over, predicted under {age}", f"of {row['over_n']:,}"),
            ]
        lines = []
        for losses, part in rows.groupby("losses", sort=False):
            shares = part.set_index("age")
            cells = [
                Cell(wording.percent(shares.loc[row["age"], name]))
                for row in ages
                for name in ("under_predicted_over", "over_predicted_under")
            ]
            lines.append((Cell(str(losses)), *cells))
        caption = "Share of the images on one side of an age that are predicted on the other."
        return [Grid(caption, tuple(columns), tuple(lines))]

    return by_family(table, lay_out)


def predictive_intervals(table: pd.DataFrame) -> tuple[Part, ...]:
    """Coverage and width of the intervals around predictions."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        for level, part in rows.groupby("level", sort=False):
            heads = rows_of(part.drop_duplicates("group"))
            columns = (
                Column("Losses", number=False),
                Column("Coverage by subject"),
                *(
                    Column(
                        "All ages" if row["group"] == "all" else _group("age_bin", row["group"]),
                        f"{row['n']:,} images",
                    )
                    for row in heads
                ),
            )
            lines = _matrix(part, "group", [row["group"] for row in heads], _coverage_cell)
            by_subject = part[part["group"] == "all"]["coverage_by_subject"]
            lines = tuple(
                (line[0], Cell(wording.percent(share)), *line[1:])
                for line, share in zip(lines, by_subject, strict=True)
            )
            yield Grid(
                f"Intervals meant to hold {level:g}% of the true ages: how many they hold, and "
                "their mean width in years.",
                columns,
                lines,
            )

    return by_family(table, lay_out)


def identity(table: pd.DataFrame) -> tuple[Part, ...]:
    """Variance within an identity, and measures that scale cannot fool."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        outputs = {
            "variance_features": "Features",
            "variance_logits": "Logits",
            "variance_probabilities": "Probabilities",
            "variance_predicted_age": "Predicted age (years²)",
            "variance_true_age": "True age (years²)",
        }
        records = rows_of(rows)
        variances = Grid(
            "Mean variance within an identity (as Table 5). It grows with the outputs' scale.",
            (Column("Losses", number=False), *map(Column, outputs.values())),
            tuple(
                (Cell(row["losses"]), *(Cell(wording.significant(row[name])) for name in outputs))
                for row in records
            ),
        )
        measures = Grid(
            "Measures that do not depend on scale.",
            (
                Column("Losses", number=False),
                Column("Variance within / total", "low: identity is encoded"),
                Column("Same identity found", "among similar ages; high: encoded"),
                Column("Linear identity probe", "high: encoded"),
                Column("Age read without identity", "R²; high: age stands alone"),
            ),
            tuple(
                (
                    Cell(row["losses"]),
                    Cell(
                        wording.number(row["within_over_total"]),
                        _reference("true age", wording.number(row["within_over_total_age"])),
                    ),
                    Cell(
                        wording.percent(row["retrieval"]),
                        _reference("chance", wording.percent(row["retrieval_chance"])),
                    ),
                    Cell(
                        wording.percent(row["probe"]),
                        _reference("from age alone", wording.percent(row["probe_from_age"])),
                    ),
                    Cell(wording.number(row["age_r2"])),
                )
                for row in records
            ),
        )
        return [measures, variances]

    return by_family(table, lay_out)


def attention(table: pd.DataFrame) -> tuple[Part, ...]:
    """Mass of Grad-CAM maps on the parts of the face."""

    def lay_out(rows: pd.DataFrame) -> Iterable[Block]:
        for losses, part in rows.groupby("losses", sort=False):
            first = part.drop_duplicates("region")
            columns = (
                Column("Age (years)", number=False),
                *(
                    Column(row["region"].capitalize(), f"area {wording.percent(row['area'])}")
                    for row in rows_of(first)
                ),
            )
            lines = [
                (
                    Cell(
                        "All" if name == "all" else _span(str(name)), f"{own.iloc[0]['n']:,} faces"
                    ),
                    *(Cell(wording.percent(mass)) for mass in own["mass"]),
                )
                for name, own in part.groupby("group", sort=False)
            ]
            grid = part.iloc[0]["grid"]
            yield Grid(
                f"{losses}: mass of Grad-CAM maps of {grid} cells on parts of the face.",
                columns,
                tuple(lines),
            )

    return by_family(table, lay_out)


def selections(table: pd.DataFrame) -> tuple[Part, ...]:
    """What was chosen on validation parts."""
    parts = []
    keys = ["protocol", "pretraining", "candidates", "mae", "mae_low", "mae_high"]
    columns = (
        Column("Fold", number=False),
        Column("Chosen", number=False),
        Column("Validation MAE", "years"),
    )
    for _, rows in table.groupby(keys, sort=False, dropna=False):
        first = rows.iloc[0]
        ends = wording.interval(first["mae_low"], first["mae_high"])
        mae = f"{wording.number(first['mae'])} years {ends}".strip()
        grid = Grid(
            f"Chosen in each fold. MAE over all test parts with what was chosen: {mae}.",
            columns,
            tuple(
                (
                    Cell(str(row["fold"])),
                    Cell(row["chosen"]),
                    Cell(wording.number(row["validation_mae"])),
                )
                for row in rows_of(rows)
            ),
        )
        title, about = (
            wording.protocol_name(first["protocol"]),
            [f"Candidates: {first['candidates']}"],
        )
        if first["pretraining"]:
            title = f"{title}, {wording.ON_FACES}"
            about.append(f"{wording.ON_FACES}: {first['pretraining']}")
        parts.append(Part(title, "; ".join(about), (grid,)))
    return tuple(parts)


def _compared(rows: pd.DataFrame) -> Iterable[Block]:
    missing = rows[rows["status"] == "not run"]
    blocks: list[Block] = [
        Command("MV was not run with this budget, so nothing can be compared with it", call)
        for call in missing["command"]
    ]
    measured = rows[rows["status"] == "measured"]
    if measured.empty:
        return blocks
    columns = (
        Column("Losses", number=False),
        Column("Against", number=False),
        Column("Difference", "years; 95%, subjects"),
        Column("Verdict", number=False),
        Column("Subjects better"),
        Column("Subjects worse"),
        Column("Seeds"),
    )
    lines = tuple(
        (
            Cell(row["losses"]),
            Cell(row["reference"]),
            Cell(
                wording.signed(row["difference"]),
                wording.interval(row["low"], row["high"], sign=True) or "one subject: no interval",
            ),
            verdict(row["verdict"]),
            Cell(wording.whole(row["subjects_improved"])),
            Cell(wording.whole(row["subjects_worsened"])),
            Cell(row["seeds"], f"against {row['reference_seeds']}"),
        )
        for row in rows_of(measured)
    )
    caption = "Difference of MAE on the same test images; below zero is better."
    return [*blocks, Grid(caption, columns, lines)]


def verdict(word: str) -> Cell:
    """What a comparison says, with a colour beside the word."""
    return Cell(word, mark=word if word in {BETTER, WORSE} else "")


def _matrix(
    rows: pd.DataFrame,
    across: str,
    names: Sequence[Any],
    cell: Callable[[Mapping[str, Any]], Cell],
) -> tuple[tuple[Cell, ...], ...]:
    """A line a setting, a cell a value of the column `across`."""
    lines = []
    for losses, part in rows.groupby("losses", sort=False):
        found = {row[across]: row for row in rows_of(part)}
        cells = [cell(found[name]) if name in found else Cell(wording.MISSING) for name in names]
        lines.append((Cell(str(losses)), *cells))
    return tuple(lines)


def _error_cell(row: Mapping[str, Any]) -> Cell:
    if pd.isna(row["mae"]):
        return Cell(wording.MISSING)
    ends = wording.interval(row["mae_low"], row["mae_high"])
    bias = f"bias {wording.signed(row['bias'])}"
    return Cell(wording.number(row["mae"]), f"{ends}\n{bias}".strip())


def _coverage_cell(row: Mapping[str, Any]) -> Cell:
    if pd.isna(row["coverage"]):
        return Cell(wording.MISSING)
    wide = "width not bounded" if pd.isna(row["width"]) else f"{row['width']:.1f} years wide"
    return Cell(wording.percent(row["coverage"]), wide)


def short_budget(row: Mapping[str, Any]) -> str:
    """The budget in short, and what must not be overlooked."""
    return ", ".join((wording.budget_in_short(row["budget"]), *wording.tags(row)))


def _runs_by_protocol(runs: str) -> str:
    """How many runs of each protocol, such as "fgnet_se 8, morph_se 3"."""
    counts = Counter(run.partition(" ")[0] for run in runs.split("; "))
    return ", ".join(f"{protocol} {count}" for protocol, count in counts.items())


def _reference(name: str, value: str) -> str:
    return "" if value == wording.MISSING else f"{name} {value}"


def _spread(deviation: Any) -> str:
    return "" if pd.isna(deviation) else f"SD {wording.number(deviation)}"


def _group(kind: Any, name: str) -> str:
    return _span(name) if kind == "age_bin" else str(name)


def _span(name: str) -> str:
    return str(name).replace("-", "–")
