"""What the tables say, in words and numbers."""

from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from contrastive_age.reporting.tables import demo_table, preview_table

LOSSES = {"lambda_m": 0.2, "lambda_v": 0.05, "lambda_c": 4.0, "lambda_t": 0.0, "margin": 0.2}
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
        "protocol": "morph_se",
        "key": "ternary-1234abcd",
        "parameters": {"seed": 3, "source": "morph2", "loss": LOSSES},
    }


@pytest.fixture
def everything(metrics: dict[str, Any]) -> dict[str, Any]:
    values = {"0": 4.466, "1": 4.773}
    threshold = {
        "age": 18,
        **{"under_n": 640, "under_predicted_over": 12.4, "under_low": 9.34, "under_high": 16.01},
        **{"over_n": 1362, "over_predicted_under": None, "over_low": None, "over_high": None},
    }
    return metrics | {
        "mae_interval": [4.2, 5.0349],
        "mae_by_age": 7.204,
        "cs5_interval": [60.04, 72.3],
        "cs_intervals": {str(years): [1.0, 80.0] for years in range(1, 10)} | {"10": None},
        "fold_mae": {
            "mean": 4.62,
            "std": 0.217,
            "values": values,
            "intervals": {"0": [3.9, 5.031], "1": None},
        },
        "groups": {
            "age_bin": [
                {"group": "0-19", "n": 1200, "mae": 3.125, "mae_low": 2.5, "mae_high": 3.75},
                {"group": "60+", "n": 0, "mae": None, "mae_low": None, "mae_high": None},
            ],
            "decade": [
                {"group": "0-9", "n": 371, "mae": 1.575, "mae_low": 1.376, "mae_high": 1.774},
                {"group": "10-19", "n": 1, "mae": 2.0, "mae_low": None, "mae_high": None},
            ],
        },
        "thresholds": [threshold],
        "predicted_range": {
            "lowest": 4.21,
            "highest": 36.25,
            "oldest": 69.0,
            "n": 1002,
            "older_n": 69,
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
        "Data": "morph2, photos",
        "Losses": "λ_m 0.2, λ_v 0.05, λ_c 4",
        "MAE": "4.61 years",
        "MAE of the constant predictor": "9.71 years",
        "MAE, mean over subjects": "4.70 years",
        "Bias (predicted minus true)": "+0.00 years",
        "CS@5 (within 5 years)": "66.7%",
        "Images": "55,134",
        "Folds": "2",
        "Subjects": "13,618",
        "Seed": "3 (one network a fold)",
    }
    assert "Age error of morph_se, ternary-1234abcd" in text
    assert "constant:" not in text


def test_drawn_faces_and_an_error_above_the_constants_are_said(metrics: dict[str, Any]) -> None:
    drawn = metrics | {"mae": 9.8, "parameters": metrics["parameters"] | {"drawn": True}}
    text = printed(demo_table(drawn, NO_LEAK))
    assert "DRAWN FACES" in text
    assert "worse than a constant: train longer" in text


def test_an_error_that_may_be_a_constants_is_said(metrics: dict[str, Any]) -> None:
    near = metrics | {"constant_interval": [-6.0, 0.25]}
    assert "cannot be told from a constant: train longer" in printed(demo_table(near))
    assert "constant:" not in printed(demo_table(metrics | {"constant_interval": [-6.0, -0.1]}))


def test_theirs_has_no_losses_and_no_seed(metrics: dict[str, Any]) -> None:
    brought = metrics | {"theirs": "a [b] c", "file": "ages.csv", "parameters": {"source": "fgnet"}}
    text = printed(demo_table(brought | {"mae": 20.0}, title="theirs: a [b] c"))
    assert text.count("theirs: a [b] c") == 2
    assert "worse than a constant" in text
    # Whether it was trained at all is not known.
    assert not any(word in text for word in ("Losses", "Seed", "train"))


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("│")]


def test_demo_table_takes_a_title_and_no_leakage(metrics: dict[str, Any]) -> None:
    text = printed(demo_table(metrics, title="synthetic_se, ternary"))
    assert "synthetic_se, ternary" in text
    assert "lookup" not in text


def test_what_picking_on_the_test_part_would_have_claimed_is_the_second_line(
    metrics: dict[str, Any],
) -> None:
    assert "picking" not in printed(demo_table(metrics))
    lines = rows_of(printed(demo_table(metrics | {"picked_on_test": 2.3149})))
    place = next(number for number, line in enumerate(lines) if "picking epochs" in line)
    assert "MAE claimed by picking epochs on the test part" in lines[place]
    assert "2.31 years" in lines[place]


def test_a_leak_brings_the_lookup_baseline(metrics: dict[str, Any]) -> None:
    text = printed(demo_table(metrics, LEAK))
    lookup, share = rows_of(text)[4:6]
    assert "identity lookup" in lookup
    assert "1.04 years" in lookup
    assert "subject in training" in share
    assert "96.2%" in share


def test_intervals_the_mean_over_ages_and_the_tail_stand_beside(
    everything: dict[str, Any],
) -> None:
    text = printed(demo_table(everything, NO_LEAK))
    assert "4.61 years [4.20, 5.03]" in text
    assert "66.7% [60.0, 72.3]" in text
    assert "7.20 years" in text
    tail = (
        "No one is predicted above 36.2 years, though the people on "
        "69 of 1,002 images are older, up to 69 years."
    )
    assert tail in " ".join(text.split())
    preview = preview_table(everything).set_index("quantity")["value"]
    assert preview.index.is_unique
    assert preview["MAE of fold 0"] == "4.47 years [3.90, 5.03]"
    assert "MAE of fold 1" not in preview
    assert preview["MAE at 0-19 years, 1,200 images"] == "3.12 years [2.50, 3.75]"
    assert preview["MAE at 60+ years, 0 images"] == "-"
    under = "Under 18, 640 images: predicted at or over 18"
    assert preview[under] == "12.4% [9.3, 16.0]"
    assert preview["At or over 18, 1,362 images: predicted under 18"] == "–"
    assert preview["CS@9"] == "63.0% [1.0, 80.0]"
    assert preview["CS@10"] == "70.0%"
    assert preview["MAE at 0-9 years, 371 images"] == "1.57 years [1.38, 1.77]"
    assert preview["MAE at 10-19 years, 1 image"] == "2.00 years"
    assert preview["Predicted ages"] == f"4.2 to 36.2 years. {tail}"
    near = everything | {"predicted_range": everything["predicted_range"] | {"older_n": 3}}
    assert preview_table(near).set_index("quantity")["value"]["Predicted ages"] == (
        "4.2 to 36.2 years"
    )
    assert "No one" not in printed(demo_table(near))


def test_a_small_leak_does_not_read_as_none(metrics: dict[str, Any]) -> None:
    assert "<0.1%" in printed(demo_table(metrics, LEAK | {"leaked_share": 1e-4}))


def test_preview_holds_one_text_a_quantity(everything: dict[str, Any]) -> None:
    preview = preview_table(everything, LEAK)
    assert list(preview.columns) == ["quantity", "value"]
    assert preview["quantity"].is_unique
    assert preview.map(lambda cell: isinstance(cell, str)).to_numpy().all()
    values = dict(zip(preview["quantity"], preview["value"], strict=True))
    assert values["MAE"] == "4.61 years [4.20, 5.03]"
    assert values["CS@10"] == "70.0%"
    assert values["MAE, standard deviation over folds"] == "0.22 years"
    assert values["MAE of the identity lookup (no pixels)"] == "1.04 years"
