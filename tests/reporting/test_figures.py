"""What the figures show: their panels, artists and labels, and which faces are chosen."""

import io
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure

from contrastive_age.errors import DataError
from contrastive_age.evaluation.confidence import cs_intervals
from contrastive_age.evaluation.metrics import summarise
from contrastive_age.model.losses import LOSSES, titles
from contrastive_age.reporting import figures
from reporting.runs import made_up_calibration


def make_predictions(n: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    age = generator.integers(0, 70, n)
    return pd.DataFrame(
        {
            "sample_id": [f"s{row:05d}" for row in range(n)],
            "identity": [f"{subject:03d}" for subject in generator.integers(0, 40, n)],
            "fold": generator.integers(0, 5, n),
            "age": age,
            "predicted_age": np.abs(age + generator.normal(0, 4, n)),
            "predicted_std": 3.0,
        }
    )


ALL_ACT = {term.weight: 2.0 for term in LOSSES.values() if term.weight}


def make_history(folds: int, epochs: int = 4) -> pd.DataFrame:
    rows = [(fold, epoch) for fold in range(folds) for epoch in range(1, epochs + 1)]
    history = pd.DataFrame(rows, columns=["fold", "epoch"])
    for place, term in enumerate(titles()):
        history[term] = (place + 1.0) / history["epoch"] + history["fold"]
    return history


@pytest.fixture
def predictions() -> pd.DataFrame:
    return make_predictions(300)


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def scores(predictions: pd.DataFrame) -> dict[str, Any]:
    return summarise(predictions, 9.0) | {"cs_intervals": cs_intervals(predictions)}


def labels(axes: Axes) -> tuple[str, str]:
    return axes.get_xlabel(), axes.get_ylabel()


@pytest.mark.parametrize("n", [1, 2, 300])
@pytest.mark.parametrize(
    "draw",
    [
        figures.scatter,
        figures.error_by_age,
        lambda table: figures.cs_curve(scores(table)),
    ],
)
def test_figures_can_be_saved(draw: Callable[[pd.DataFrame], Figure], n: int) -> None:
    assert png(draw(make_predictions(n))).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "draw",
    [
        figures.scatter,
        figures.error_by_age,
    ],
)
def test_empty_tables_are_refused(draw: Callable[[pd.DataFrame], Figure]) -> None:
    with pytest.raises(DataError, match="to draw"):
        draw(pd.DataFrame({"age": [], "predicted_age": []}))


def test_of_no_epochs_the_curves_say_so() -> None:
    figure = figures.history_curves(pd.DataFrame({"epoch": [], "fold": []}), ALL_ACT)
    assert "Not trained" in figure.get_suptitle()
    assert not figure.axes


def test_scatter_of_few_images_draws_each(predictions: pd.DataFrame) -> None:
    (axes,) = figures.scatter(predictions).axes
    (dots,) = [artist for artist in axes.collections if isinstance(artist, PathCollection)]
    expected = predictions[["age", "predicted_age"]].to_numpy()
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), expected)
    assert labels(axes) == ("True age (years)", "Predicted age (years)")
    mae = (predictions["predicted_age"] - predictions["age"]).abs().mean()
    assert axes.get_title(loc="left") == f"MAE {mae:.2f} years over 300 images"
    assert axes.get_xlim() == axes.get_ylim()


def test_scatter_of_many_images_counts_them_in_cells() -> None:
    predictions = make_predictions(5000)
    axes, bar = figures.scatter(predictions).axes
    (cells,) = [artist for artist in axes.collections if isinstance(artist, QuadMesh)]
    counts: np.ndarray = np.ma.filled(np.ma.asarray(cells.get_array()), 0)
    assert counts.sum() == 5000
    # The middles of cells are whole years, rows are predicted and columns are true ages.
    column_sums = counts.reshape(counts.shape[-2:]).sum(axis=0)
    for age in (0, 1, 35, 69):
        assert column_sums[age] == (predictions["age"] == age).sum()
    assert bar.get_ylabel() == "Images in a cell of one by one year"


@pytest.mark.parametrize("n", [300, 5000])
def test_scatter_shows_everything_and_the_line_of_perfect_prediction(n: int) -> None:
    predictions = make_predictions(n)
    predictions.loc[0, "predicted_age"] = 140.0
    axes = figures.scatter(predictions).axes[0]
    low, high = axes.get_ylim()
    assert low < predictions["predicted_age"].min()
    assert high > 140
    assert axes.lines[0].get_label() == "perfect prediction"


def test_cs_curve_draws_the_shares(predictions: pd.DataFrame) -> None:
    metrics = scores(predictions)
    (axes,) = figures.cs_curve(metrics).axes
    (line,) = axes.lines
    assert np.asarray(line.get_xdata()).tolist() == list(range(1, 11))
    assert np.asarray(line.get_ydata()).tolist() == list(metrics["cs"].values())
    assert labels(axes) == ("Tolerance (years)", "Images within the tolerance")
    assert f"{metrics['cs5']:.1f}%" in axes.get_title(loc="left")
    (band,) = axes.collections
    corners = {(x, y) for x, y in np.asarray(band.get_paths()[0].vertices).tolist()}
    ends = metrics["cs_intervals"]
    assert corners == {(int(year), end) for year in ends for end in ends[year]}
    assert "interval over subjects" in axes.get_legend().get_texts()[0].get_text()


def test_a_cs_curve_of_too_few_subjects_has_no_band() -> None:
    (axes,) = figures.cs_curve(scores(make_predictions(3))).axes
    assert len(axes.lines) == 1
    assert not axes.collections
    assert axes.get_legend() is None


def test_error_by_age_agrees_with_a_loop(predictions: pd.DataFrame) -> None:
    upper, middle, bottom = figures.error_by_age(predictions).axes
    errors: dict[int, list[float]] = {}
    for age, predicted in zip(predictions["age"], predictions["predicted_age"], strict=True):
        errors.setdefault(age - age % 5, []).append(predicted - age)
    starts = sorted(errors)
    for axes, value in (
        (upper, lambda part: sum(map(abs, part)) / len(part)),
        (middle, lambda part: sum(part) / len(part)),
        (bottom, len),
    ):
        assert heights(axes) == pytest.approx([value(errors[start]) for start in starts])
    assert [text.get_text() for text in bottom.texts] == [str(len(errors[s])) for s in starts]
    assert (upper.get_ylabel(), middle.get_ylabel()) == ("MAE (years)", "Bias (years)")
    assert labels(bottom) == ("True age (years)", "Images")


def heights(axes: Axes) -> list[float]:
    return [bar.get_height() for bar in bars(axes)]


def bars(axes: Axes) -> list[Any]:
    return list(axes.containers[0])


def test_bars_over_few_images_are_pale() -> None:
    predictions = pd.DataFrame({"age": [3] * 10 + [62] * 9, "predicted_age": [4.0] * 19})
    figure = figures.error_by_age(predictions)
    for axes in figure.axes:
        full, pale = (bar.get_facecolor() for bar in bars(axes))
        assert sum(pale) > sum(full)
    assert "pale: fewer than 10" in figure.axes[2].get_title(loc="left")


@pytest.mark.parametrize("folds", [1, 5, 82])
def test_history_has_a_panel_a_term_and_a_line_a_fold(folds: int) -> None:
    figure = figures.history_curves(make_history(folds), ALL_ACT)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [panel_title(axes) for axes in panels] == list(titles().values())
    mean = 1 if folds > 1 else 0
    for axes in panels:
        assert len(axes.lines) == folds + mean
        assert axes.get_xlabel() == "Epoch"
    last = panels[1].lines[-1]
    middle = (folds - 1) / 2
    assert np.asarray(last.get_ydata()).tolist() == pytest.approx(
        [2 / epoch + middle for epoch in (1, 2, 3, 4)]
    )
    assert png(figure).startswith(b"\x89PNG")


def test_history_leaves_out_terms_that_were_not_computed() -> None:
    history = make_history(2).drop(columns="kl").assign(triplet=math.nan)
    figure = figures.history_curves(history, ALL_ACT)
    titles = {panel_title(axes) for axes in figure.axes}
    assert "KL divergence" not in titles
    assert "Triplet margin" not in titles
    assert "Softmax" in titles


def test_history_leaves_out_terms_of_weight_0_and_says_the_other_weights() -> None:
    figure = figures.history_curves(make_history(2), {"lambda_m": 0.2, "lambda_c": 0.0})
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles == ["Total, weighted", "Softmax", "Mean\n$\\lambda_{m}$ = 0.2"]


def panel_title(axes: Axes) -> str:
    return axes.get_title(loc="left").partition("\n")[0]


def test_history_of_folds_that_stopped_early_is_drawn() -> None:
    history = make_history(3)
    short = history[~((history["fold"] == 2) & (history["epoch"] > 2))]
    assert png(figures.history_curves(short, ALL_ACT)).startswith(b"\x89PNG")


def test_face_sheet_shows_every_face_with_its_numbers() -> None:
    faces = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    ages = [3, 20, 40, 60, 10, 30, 50]
    figure = figures.face_sheet(faces, ages, np.add(ages, 1.26), n_worst=3, columns=4)
    assert len(figure.axes) == 7
    for face, (axes, age) in enumerate(zip(figure.axes, ages, strict=True)):
        assert np.asarray(axes.images[0].get_array() == face).all()
        (number,) = [text for text in figure.texts if text.get_text() == f"{age + 1.3:.1f} / {age}"]
        place = axes.get_position()
        assert place.x0 < number.get_position()[0] < place.x1
        assert place.y0 - 0.1 < number.get_position()[1] < place.y0
    headings = [text.get_text() for text in figure.texts if ":" in text.get_text()]
    assert headings == [
        "Smallest errors: predicted / true age in years",
        "Largest errors: predicted / true age in years",
    ]
    tops = [round(axes.get_position().y1, 6) for axes in figure.axes]
    assert len(set(tops[:4])) == len(set(tops[4:])) == 1
    assert tops[0] > tops[4]
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(("n_worst", "heading"), [(0, "Smallest errors"), (8, "Largest errors")])
def test_face_sheet_of_one_kind_has_one_heading(n_worst: int, heading: str) -> None:
    figure = figures.face_sheet(np.zeros((2, 8, 8, 3), np.uint8), [1, 2], [1, 2], n_worst=n_worst)
    texts = [text.get_text() for text in figure.texts]
    assert texts == [f"{heading}: predicted / true age in years", "1.0 / 1", "2.0 / 2"]


def test_face_sheet_stays_within_its_borders() -> None:
    faces = np.zeros((19, 8, 8, 3), np.uint8)
    figure = figures.face_sheet(faces, np.arange(19), np.arange(19), n_worst=5, columns=6)
    for axes in figure.axes:
        place = axes.get_position()
        assert 0 <= place.x0 < place.x1 <= 1
        assert 0 <= place.y0 < place.y1 <= 1
        size = figure.get_size_inches()
        assert place.width * size[0] == pytest.approx(place.height * size[1])


@pytest.mark.parametrize(("n", "ages"), [(0, []), (2, [1])])
def test_face_sheet_refuses_faces_without_ages(n: int, ages: list[int]) -> None:
    with pytest.raises(ValueError, match="one age and one prediction a face"):
        figures.face_sheet(np.zeros((n, 8, 8, 3), np.uint8), ages, ages)


def test_worst_are_the_largest_errors(predictions: pd.DataFrame) -> None:
    _, worst = figures.choose_best_and_worst(predictions, n_best=4, n_worst=5)
    errors = (predictions["predicted_age"] - predictions["age"]).abs()
    expected = predictions.loc[errors.sort_values(ascending=False).index[:5], "sample_id"]
    assert worst["sample_id"].tolist() == expected.tolist()


def test_best_are_spread_over_ages_and_subjects(predictions: pd.DataFrame) -> None:
    best, _ = figures.choose_best_and_worst(predictions, n_best=7, n_worst=5)
    assert best["age"].is_monotonic_increasing
    assert best["age"].max() - best["age"].min() > 50
    assert best["age"].diff().max() < 25
    assert best["identity"].is_unique
    errors = (predictions["predicted_age"] - predictions["age"]).abs()
    chosen = (best["predicted_age"] - best["age"]).abs()
    assert chosen.max() <= errors.quantile(0.25)


def test_choice_does_not_depend_on_the_order_of_rows(predictions: pd.DataFrame) -> None:
    predictions["predicted_age"] = predictions["predicted_age"].round()  # many equal errors
    first = figures.choose_best_and_worst(predictions, 8, 8)
    mixed = predictions.sample(frac=1, random_state=np.random.default_rng(3))
    second = figures.choose_best_and_worst(mixed, 8, 8)
    for one, other in zip(first, second, strict=True):
        assert one["sample_id"].tolist() == other["sample_id"].tolist()


@pytest.mark.parametrize("n", [0, 1, 3, 10, 11, 20, 60])
@pytest.mark.parametrize("n_best", [0, 1, 10])
def test_choice_gives_what_there_is_and_no_row_twice(n: int, n_best: int) -> None:
    predictions = make_predictions(60).head(n)
    best, worst = figures.choose_best_and_worst(predictions, n_best, 4)
    assert len(best) == min(n, n_best)
    assert len(worst) == min(n - len(best), 4)
    assert not set(best["sample_id"]) & set(worst["sample_id"])
    assert list(best.columns) == list(predictions.columns)


def test_one_subject_of_one_age_still_fills_the_sheet() -> None:
    predictions = make_predictions(20).assign(identity="001", age=30)
    best, worst = figures.choose_best_and_worst(predictions, 6, 3)
    assert (len(best), len(worst)) == (6, 3)


def test_figures_do_not_load_pyplot() -> None:
    code = (
        "import sys, contrastive_age.reporting.figures; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.parametrize("tempered", [True, False])
def test_calibration_is_drawn_before_and_after(tempered: bool) -> None:
    told = made_up_calibration(tempered=tempered)
    figure = figures.calibration(told)
    upper, lower = figure.axes
    *curves, diagonal = upper.get_lines()
    drawn = [told[name] for name in ("before", "after") if told[name]]
    assert len(drawn) == 1 + tempered
    for line, own in zip(curves, drawn, strict=True):
        assert list(line.get_xdata()) == list(range(5, 100, 5))
        assert list(line.get_ydata()) == list(own["curve"].values())
    for bars, own in zip(lower.patches, drawn, strict=True):
        assert bars.get_data()[0].tolist() == own["pit"]
    assert diagonal.get_slope() == 1
    legend = upper.get_legend()
    assert legend is not None
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["as it is", *["with the temperature 2.25"] * tempered, "as it should be"]
    assert png(figure).startswith(b"\x89PNG")


def test_an_age_distribution_has_a_bar_an_age_and_its_intervals_above() -> None:
    ages = np.arange(16, 78)
    probabilities = np.exp(-((ages - 40) ** 2) / 50)
    probabilities /= probabilities.sum()
    intervals = {"80": (33.5, 46.5), "95": (27.0, math.inf)}
    figure = figures.age_distribution(ages, probabilities, 40.2, intervals)
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx(probabilities)
    centres = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert centres == pytest.approx(ages)
    mean, *marks = axes.get_lines()
    assert list(mean.get_xdata()) == [40.2, 40.2]
    spans = [list(mark.get_xdata()) for mark in marks if len(mark.get_xdata()) == 2]
    assert spans == [[33.5, 46.5], [27.0, axes.get_xlim()[1]]]
    heights = [mark.get_ydata()[0] for mark in marks if len(mark.get_xdata()) == 2]
    assert probabilities.max() < heights[0] < heights[1] < axes.get_ylim()[1]
    assert [text.get_text().strip() for text in axes.texts] == ["80%", "95%"]
    assert marks[-1].get_marker() == ">"
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("intervals", [{}, {"80": (0.0, 6.0)}, {"95": (0.0, 99.0)}])
def test_all_of_an_age_distribution_lies_inside_its_figure(intervals: dict[str, Any]) -> None:
    figure = figures.age_distribution(np.arange(70), np.full(70, 1 / 70), 2.5, intervals)
    figure.canvas.draw()
    (axes,) = figure.axes
    for text in axes.texts:
        assert text.get_window_extent().x0 >= axes.get_window_extent().x0
    assert axes.get_xlim()[1] >= max([69.0, *(high for _, high in intervals.values())])
