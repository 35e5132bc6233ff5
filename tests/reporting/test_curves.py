"""What curves over a parameter show: points, intervals and labels."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from contrastive_age.errors import DataError
from contrastive_age.reporting import curves
from contrastive_age.reporting.papers import PROTOCOLS
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections import sweeps
from reporting.runs import MakeRun, evidence

NAME = "Weight of the cosine loss λ_c"


def points(values: list[float], curve: str = "") -> pd.DataFrame:
    mae = [5.0 - 0.1 * place for place in range(len(values))]
    return pd.DataFrame(
        {"value": values, "curve": curve, "mae": mae}
        | {"mae_low": [value - 0.3 for value in mae], "mae_high": [value + 0.4 for value in mae]}
    )


def line_and_bars(axes: Axes, place: int = 0) -> tuple[np.ndarray, np.ndarray]:
    line, _, (bars,) = axes.containers[place].get_children()[0], None, axes.containers[place][2]
    return np.asarray(line.get_xydata()), np.asarray(bars.get_segments())


def test_a_curve_draws_each_point_with_its_interval() -> None:
    table = points([10.0, 0.0, 4.0])
    (axes,) = curves.draw(table, NAME).axes
    line, bars = line_and_bars(axes)
    ordered = table.sort_values("value")
    np.testing.assert_allclose(line, ordered[["value", "mae"]])
    np.testing.assert_allclose(bars[:, :, 1], ordered[["mae_low", "mae_high"]])
    assert axes.get_xlabel() == r"Weight of the cosine loss $\lambda_{c}$"
    assert axes.get_ylabel() == "MAE (years)"
    assert axes.get_title(loc="left") == "Sensitivity on test folds"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "4", "10"]
    assert axes.get_xscale() == "linear"
    assert axes.get_legend() is None


def test_curves_are_told_apart_by_a_legend() -> None:
    table = pd.concat([points([0.0, 1.0, 5.0], f"λ_t = {weight}") for weight in (0, 1)])
    (axes,) = curves.draw(table, NAME).axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        r"$\lambda_{t}$ = 0",
        r"$\lambda_{t}$ = 1",
    ]
    first, second = (line_and_bars(axes, place)[0] for place in (0, 1))
    np.testing.assert_allclose(first[:, 1], second[:, 1])
    # side by side, so that both sets of bars are seen
    assert (second[:, 0] > first[:, 0]).all()


def test_values_that_lie_far_apart_are_on_a_logarithmic_scale() -> None:
    table = pd.concat([points([0.0003, 0.001, 0.003], f"λ_t = {weight}") for weight in (0, 1)])
    (axes,) = curves.draw(table, "Learning rate").axes
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.0003", "0.001", "0.003"]
    np.testing.assert_allclose(line_and_bars(axes)[0][:, 0], [0.0003, 0.001, 0.003])


@pytest.mark.parametrize("step", [0.0005, 0.02, 0.1, 3.0])
def test_no_two_ticks_of_the_error_are_called_the_same(step: float) -> None:
    mae = [5.003 + place * step for place in range(3)]
    table = points([32.0, 64.0, 96.0]).assign(mae=mae, mae_low=mae, mae_high=mae)
    figure = curves.draw(table, "Pixels")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(set(labels)) == len(labels) > 2
    np.testing.assert_allclose([float(label) for label in labels], axes.get_yticks())
    assert axes.yaxis.get_offset_text().get_text() == ""


def test_points_without_an_interval_have_no_bar() -> None:
    table = points([0.0, 1.0, 2.0])
    table.loc[1, ["mae_low", "mae_high"]] = np.nan
    (axes,) = curves.draw(table, NAME).axes
    (container,) = axes.containers
    assert [len(bar) for bar in container[2][0].get_segments()] == [2, 0, 2]
    assert axes.get_title(loc="right")
    curves.draw(table.assign(mae_low=np.nan, mae_high=np.nan), NAME).draw_without_rendering()


@pytest.mark.parametrize(("missing", "bars"), [(1, "Bars are 95% intervals "), (3, "There is no ")])
def test_a_caption_says_where_there_are_no_bars(make_run: MakeRun, missing: int, bars: str) -> None:
    runs = [
        make_run(setting="binary", loss={"lambda_c": weight}, subjects=3 if few else 12)
        for weight, few in ((1.0, missing > 0), (4.0, missing > 1), (8.0, missing > 2))
    ]
    (part,) = sweeps.draw(sweeps.make(evidence(runs)))
    (picture,) = part.blocks
    _, _, words = picture.caption.partition("λ_v 0.05. ")
    assert words.startswith(bars)
    assert "There is no interval below four subjects." in words


def test_no_curve_is_known_by_its_colour_alone() -> None:
    table = pd.concat([points([0.0, 1.0], f"λ_t = {weight}") for weight in range(12)])
    (axes,) = curves.draw(table, NAME).axes
    lines = [container[0] for container in axes.containers]
    for one, other in itertools.combinations(lines, 2):
        if one.get_color() == other.get_color():
            assert one.get_marker() != other.get_marker()
            assert one.get_linestyle() != other.get_linestyle()


def test_no_points_are_refused() -> None:
    with pytest.raises(DataError, match="points of a curve"):
        curves.draw(points([]), NAME)


def test_each_budget_has_figures_of_its_own(several: list[Measured]) -> None:
    parts = sweeps.draw(sweeps.make(evidence(several)))
    assert [part.title for part in parts] == [PROTOCOLS["fgnet_se"], PROTOCOLS["morph_se"]]
    captions = [picture.caption for part in parts for picture in part.blocks]
    assert [caption.partition(".")[0] for caption in captions] == [
        "MAE over λ_c",
        "MAE over λ_t",
    ]
    assert "All with λ_m 0.2, λ_v 0.05, λ_c 8, margin 0.2." in captions[1]
    assert sweeps.draw(sweeps.make(evidence([]))) == []


def test_a_caption_says_what_the_curves_are_for_and_what_they_share(make_run: MakeRun) -> None:
    runs = [
        make_run(loss={"lambda_c": c, "lambda_t": t}) for c in (1.0, 4.0, 8.0) for t in (0.0, 1.0)
    ]
    (part,) = sweeps.draw(sweeps.make(evidence(runs)))
    (picture,) = part.blocks
    assert picture.caption.startswith(
        "MAE over λ_c, a curve for each λ_t. All with λ_m 0.2, λ_v 0.05. "
    )
    assert "λ_c 4, λ_t = 1: " in picture.alt


@pytest.mark.parametrize(
    ("seeds", "words"),
    [((1, 1, 1), "One seed a point"), ((2, 2, 2), "2 seeds a"), ((1, 3, 2), "1 to 3 seeds a")],
)
def test_curves_say_how_many_seeds_a_point_has(
    make_run: MakeRun, seeds: tuple[int, ...], words: str
) -> None:
    runs = [
        make_run("morph_se", "binary", seed, loss={"lambda_c": weight})
        for weight, number in zip((1.0, 4.0, 10.0), seeds, strict=True)
        for seed in range(number)
    ]
    (part,) = sweeps.draw(sweeps.make(evidence(runs)))
    (picture,) = part.blocks
    assert words in picture.caption
