"""What the tables say, in words and numbers."""

from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from contrastive_age.reporting.tables import demo_table, preview_table, summary_markdown

NO_LEAK = {"leaked_share": 0.0, "mae_lookup": 9.71, "mae_constant": 9.71}
LEAK = {"leaked_share": 0.9617, "mae_lookup": 1.042, "mae_constant": 9.712}


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "mae": 4.6149,
        "mae_by_subject": 4.6951,
        "mae_constant": 9.712,
        "bias": -0.0004,
        "cs5": 66.6667,
        "cs": {str(years): 7.0 * years for years in range(1, 11)},
        "n": 55134,
        "folds": 2,
        "subjects": 13618,
        "age_bins": {
            "0-19": {"n": 1200, "mae": 3.125, "bias": 1.004},
            "20-39": {"n": 30, "mae": 5.0, "bias": -2.5},
            "40-59": {"n": 4, "mae": 8.0, "bias": -8.0},
            "60+": {"n": 0, "mae": None, "bias": None},
        },
        "fold_mae": {"mean": 4.62, "std": 0.217, "values": {"0": 4.466, "1": 4.773}},
    }


@pytest.fixture
def audit() -> dict[str, Any]:
    return {
        "n": 1002,
        "identities": 82,
        "images_found": 1003,
        "ages": {"min": 0, "max": 69, "median": 13.0},
        "age_bins": {"0-19": 710, "20-39": 223, "40-59": 61, "60+": 8},
        "manifest_hash": "ab12",
        "rejected": [{"path": "images/broken.jpg", "reason": "unreadable: the file is empty"}],
        "anomalies": {
            "unreadable_files": {"count": 1, "explanation": "Files | damaged.", "items": []},
            "duplicate_bytes": {"count": 0, "explanation": "The same bytes.", "items": []},
        },
    }


def printed(table: Table) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_demo_table_sets_the_error_against_the_constant(metrics: dict[str, Any]) -> None:
    text = printed(demo_table(metrics, NO_LEAK))
    lines = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in rows_of(text)}
    assert lines == {
        "MAE": "4.61 years",
        "MAE of the constant predictor": "9.71 years",
        "MAE, mean over subjects": "4.70 years",
        "Bias (predicted minus true)": "+0.00 years",
        "CS@5 (within 5 years)": "66.7%",
        "Images": "55,134",
        "Folds": "2",
        "Subjects": "13,618",
    }
    assert "Cross-validated age error" in text


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("│")]


def test_demo_table_takes_a_title_and_no_leakage(metrics: dict[str, Any]) -> None:
    text = printed(demo_table(metrics, title="synthetic_se, ternary"))
    assert "synthetic_se, ternary" in text
    assert "lookup" not in text


def test_a_leak_brings_the_lookup_baseline(metrics: dict[str, Any]) -> None:
    text = printed(demo_table(metrics, LEAK))
    lookup, share = rows_of(text)[2:4]
    assert "identity lookup" in lookup
    assert "1.04 years" in lookup
    assert "subject in training" in share
    assert "96.2%" in share


def test_a_small_leak_does_not_read_as_none(metrics: dict[str, Any]) -> None:
    assert "<0.1%" in printed(demo_table(metrics, LEAK | {"leaked_share": 1e-4}))


def test_preview_holds_one_text_a_quantity(metrics: dict[str, Any]) -> None:
    preview = preview_table(metrics, LEAK)
    assert list(preview.columns) == ["quantity", "value"]
    assert preview["quantity"].is_unique
    assert preview.map(lambda cell: isinstance(cell, str)).to_numpy().all()
    values = dict(zip(preview["quantity"], preview["value"], strict=True))
    assert values["MAE"] == "4.61 years"
    assert values["CS@10"] == "70.0%"
    assert values["MAE, standard deviation over folds"] == "0.22 years"
    assert values["MAE at 0-19 years, 1,200 images"] == "3.12 years"
    assert values["MAE at 60+ years, 0 images"] == "-"
    assert values["MAE of the identity lookup (no pixels)"] == "1.04 years"


def test_summary_has_all_sections_in_order(metrics: dict[str, Any], audit: dict[str, Any]) -> None:
    text = summary_markdown(metrics, NO_LEAK, audit)
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Result",
        "Error by age",
        "Error by fold",
        "Subjects in both training and test",
        "Data",
    ]
    assert text.endswith("|\n")
    for line in (
        "| MAE | 4.61 years |",
        "| True age (years) | Images | MAE | Bias |",
        "| --- | ---: | ---: | ---: |",
        "| 20-39 | 30 | 5.00 years | -2.50 years |",
        "| 60+ | 0 | - | - |",
        "Mean over folds 4.62 years, standard deviation 0.22 years.",
        "| 1 | 4.77 years |",
        "None: no test image has its subject in training.",
        "| Files or entries rejected | 1 |",
        "| Ages | 0 to 69 years, median 13 |",
        "| Manifest hash | `ab12` |",
        r"| Unreadable files | 1 | Files \| damaged. |",
    ):
        assert line in text.splitlines()
    assert "Duplicate bytes" not in text


def test_summary_of_leaking_folds_names_both_baselines(
    metrics: dict[str, Any], audit: dict[str, Any]
) -> None:
    text = summary_markdown(metrics, LEAK, audit)
    leak = text[text.index("## Subjects in both") : text.index("## Data")]
    for part in ("96.2%", "MAE of 1.04 years", "constant predictor has 9.71 years"):
        assert part in leak


def test_summary_without_findings_leaves_their_table_out(
    metrics: dict[str, Any], audit: dict[str, Any]
) -> None:
    audit["anomalies"]["unreadable_files"]["count"] = 0
    assert "Finding" not in summary_markdown(metrics, NO_LEAK, audit)


def test_summary_of_one_fold_has_no_spread(metrics: dict[str, Any], audit: dict[str, Any]) -> None:
    metrics["fold_mae"] = {"mean": 4.5, "std": None, "values": {"3": 4.5}}
    text = summary_markdown(metrics, NO_LEAK, audit)
    assert "Mean over folds 4.50 years." in text
    assert "standard deviation" not in text


def test_summary_of_many_folds_lists_the_extremes(
    metrics: dict[str, Any], audit: dict[str, Any]
) -> None:
    values = {str(fold): float((fold * 37) % 82) for fold in range(82)}
    metrics["fold_mae"] = {"mean": 40.5, "std": 23.8, "values": values}
    text = summary_markdown(metrics, NO_LEAK, audit)
    section = text[text.index("## Error by fold") : text.index("## Subjects in both")]
    maes = [line.split("| ")[2] for line in section.splitlines() if line.endswith("years |")]
    assert maes == [f"{mae:.2f} years |" for mae in (0, 1, 2, 79, 80, 81)]
