"""What the λ curves show: points, intervals and labels."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from contrastive_age.errors import DataError
from contrastive_age.reporting import curves
from contrastive_age.reporting.papers import PROTOCOLS
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections import figure_3
from reporting.runs import evidence


def points(weights: list[float], term: str, other: float = 8.0) -> pd.DataFrame:
    mae = [5.0 - 0.1 * place for place in range(len(weights))]
    fixed = "lambda_t" if term == "lambda_c" else "lambda_c"
    return pd.DataFrame(
        {term: weights, fixed: other, "margin": 0.2, "mae": mae}
        | {"mae_low": [value - 0.3 for value in mae], "mae_high": [value + 0.4 for value in mae]}
    )


def line_and_bars(axes: Axes, place: int = 0) -> tuple[np.ndarray, np.ndarray]:
    line, _, (bars,) = axes.containers[place].get_children()[0], None, axes.containers[place][2]
    return np.asarray(line.get_xydata()), np.asarray(bars.get_segments())


def test_the_cosine_curve_draws_each_point_with_its_interval() -> None:
    table = points([10.0, 0.0, 4.0], "lambda_c")
    (axes,) = curves.draw(table, "c").axes
    line, bars = line_and_bars(axes)
    ordered = table.sort_values("lambda_c")
    np.testing.assert_allclose(line, ordered[["lambda_c", "mae"]])
    np.testing.assert_allclose(bars[:, :, 1], ordered[["mae_low", "mae_high"]])
    assert "lambda_c" in axes.get_xlabel()
    assert axes.get_ylabel() == "MAE (years)"
    assert axes.get_title(loc="left") == "Sensitivity on test folds"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "4", "10"]


def test_triplet_curves_draw_a_curve_a_cosine_weight() -> None:
    table = pd.concat([points([0.0, 1.0, 5.0], "lambda_t", other) for other in (8.0, 10.0)])
    (axes,) = curves.draw(table, "t").axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        r"$\lambda_c$ = 8",
        r"$\lambda_c$ = 10",
    ]
    first, second = (line_and_bars(axes, place)[0] for place in (0, 1))
    np.testing.assert_allclose(first[:, 1], second[:, 1])
    # side by side, so that both sets of bars are seen
    assert (second[:, 0] > first[:, 0]).all()


def test_curves_with_other_margins_are_told_apart() -> None:
    one = points([0.0, 1.0, 5.0], "lambda_t")
    (axes,) = curves.draw(pd.concat([one, one.assign(margin=0.5)]), "t").axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text().partition(", ")[2] for text in legend.get_texts()] == [
        "margin 0.2",
        "margin 0.5",
    ]


def test_points_without_an_interval_have_no_bar() -> None:
    table = points([0.0, 1.0, 2.0], "lambda_c").assign(mae_low=np.nan, mae_high=np.nan)
    (axes,) = curves.draw(table, "c").axes
    line, bars = line_and_bars(axes)
    np.testing.assert_allclose(bars[:, 0, 1], line[:, 1])
    np.testing.assert_allclose(bars[:, 1, 1], line[:, 1])


@pytest.mark.parametrize("kind", ["c", "t"])
def test_no_points_are_refused(kind: Literal["c", "t"]) -> None:
    with pytest.raises(DataError, match="points of a curve"):
        curves.draw(points([], "lambda_c"), kind)


def test_each_family_has_figures_of_its_own(several: list[Measured]) -> None:
    parts = figure_3.draw(figure_3.make(evidence(several)))
    assert [part.title for part in parts] == [PROTOCOLS["fgnet_se"], PROTOCOLS["morph_se"]]
    captions = [picture.caption for part in parts for picture in part.blocks]
    assert ["Fig. 3a" in caption for caption in captions] == [True, False]
    assert ["Fig. 3b" in caption for caption in captions] == [False, True]
    assert figure_3.draw(figure_3.make(evidence([]))) == []


@pytest.mark.parametrize(
    ("seeds", "words"),
    [((1, 1, 1), "One seed a point"), ((2, 2, 2), "2 seeds a"), ((1, 3, 2), "1 to 3 seeds a")],
)
def test_curves_say_how_many_seeds_a_point_has(
    make_run: Callable[..., Measured], seeds: tuple[int, ...], words: str
) -> None:
    runs = [
        make_run("morph_se", "binary", seed, loss={"lambda_c": weight})
        for weight, number in zip((1.0, 4.0, 10.0), seeds, strict=True)
        for seed in range(number)
    ]
    (part,) = figure_3.draw(figure_3.make(evidence(runs)))
    (picture,) = part.blocks
    assert words in picture.caption
