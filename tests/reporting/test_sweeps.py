"""Which settings are points of a curve."""

from dataclasses import replace
from typing import Any

import pytest

from contrastive_age.reporting import sweeps
from contrastive_age.reporting.groups import group_seeds
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections import sweeps as sections
from reporting.runs import PAPERS, SMALL, MakeRun, evidence


def found(runs: list[Measured]) -> list[tuple[str, list[float], dict[str, float]]]:
    """The curves of runs: parameter, values, and the losses beside those of MV."""
    return [
        (
            curve.parameter,
            list(curve.points),
            {
                name.removeprefix("loss."): value
                for name, value in curve.losses.items()
                if name not in {"loss.lambda_m", "loss.lambda_v"}
            },
        )
        for some in sweeps.find(group_seeds(runs, PAPERS))
        for curve in some
    ]


def test_a_curve_has_at_least_three_values_of_one_budget(make_run: MakeRun) -> None:
    def cosine(weight: float, **more: Any) -> Measured:
        return make_run("morph_se", "binary", loss={"lambda_c": weight}, **more)

    runs = [cosine(10.0), cosine(4.0), cosine(8.0, budget=SMALL)]
    assert found(runs) == []
    # without the cosine loss its weight is 0
    runs += [make_run("morph_se", "mv"), make_run("morph_se", "ternary")]
    assert found(runs) == [("loss.lambda_c", [0.0, 4.0, 10.0], {})]


def test_the_cosine_weight_has_a_curve_for_each_weight_of_the_triplets(make_run: MakeRun) -> None:
    runs = [
        make_run("morph_se", loss={"lambda_c": c, "lambda_t": t})
        for c in (1.0, 4.0, 8.0)
        for t in (0.0, 1.0, 2.0)
    ]
    ((first, *_), (second, *_)) = sweeps.find(group_seeds(runs, PAPERS))
    assert (first.parameter, second.parameter) == ("loss.lambda_c", "loss.lambda_t")
    margin = {"margin": 0.2}
    assert found(runs) == [
        ("loss.lambda_c", [1.0, 4.0, 8.0], {}),
        ("loss.lambda_c", [1.0, 4.0, 8.0], {"lambda_t": 1.0} | margin),
        ("loss.lambda_c", [1.0, 4.0, 8.0], {"lambda_t": 2.0} | margin),
        ("loss.lambda_t", [0.0, 1.0, 2.0], {"lambda_c": 1.0} | margin),
        ("loss.lambda_t", [0.0, 1.0, 2.0], {"lambda_c": 4.0} | margin),
        ("loss.lambda_t", [0.0, 1.0, 2.0], {"lambda_c": 8.0} | margin),
    ]


def test_a_triplet_curve_holds_the_cosine_weight_and_the_margin(make_run: MakeRun) -> None:
    weights = [(8, 0, 0.2), (8, 1, 0.2), (8, 2, 0.2), (8, 1, 0.5), (10, 1, 0.2), (10, 2, 0.2)]
    runs = [
        make_run("morph_se", loss={"lambda_c": float(c), "lambda_t": float(t), "margin": margin})
        for c, t, margin in weights
    ]
    assert found(runs) == [("loss.lambda_t", [0.0, 1.0, 2.0], {"lambda_c": 8.0, "margin": 0.2})]


@pytest.mark.parametrize(
    ("block", "name", "values"),
    [
        ("training", "lr", [0.0003, 0.001, 0.003]),
        ("training", "image_size", [32, 64, 128]),
        ("training", "batch_size", [16, 32, 64]),
        ("augmentation", "degrees", [0.0, 5.0, 10.0]),
    ],
)
def test_any_number_in_which_settings_differ_alone_has_a_curve(
    make_run: MakeRun, block: str, name: str, values: list[float]
) -> None:
    runs = [make_run(setting="mv", budget={block: {name: value}}) for value in values[::-1]]
    # neither is this of the curve, which has another schedule too
    runs.append(make_run(setting="mv", budget={block: {name: 7}, "triplets": {"mode": "shared"}}))
    assert found(runs) == [(f"{block}.{name}", values, {})]


def test_the_margin_has_a_curve_where_triplets_act(make_run: MakeRun) -> None:
    margins = (0.1, 0.2, 0.5)
    runs = [make_run(loss={"margin": margin}) for margin in margins]
    assert found(runs) == [("loss.margin", [0.1, 0.2, 0.5], {"lambda_t": 1.0, "lambda_c": 1.0})]
    assert found([make_run(setting="mv", loss={"margin": margin}) for margin in margins]) == []


@pytest.mark.parametrize("differing", ["folds", "weights"])
def test_other_faces_are_points_and_other_folds_or_weights_are_not(
    make_run: MakeRun, differing: str
) -> None:
    def covering(coverage: float, other: bool = False) -> Measured:
        weights = "other" if other and differing == "weights" else "w"
        # what names folds holds which faces are copies, too
        known = {"folds": f"{coverage} {other}", "faces": f"at {coverage}", "weights": weights}
        budget = {"alignment": {"coverage": coverage}}
        run = make_run(setting="mv", budget=budget, made_from=known)
        if not other or differing == "weights":
            return run
        return replace(run, predictions=run.predictions.assign(fold=run.predictions.index % 5))

    runs = [covering(1.0, other=True), *map(covering, (1.35, 1.6))]
    assert found(runs) == []
    runs += [covering(1.35, other=True), covering(1.0)]
    (of_coverage,) = found(runs)
    assert of_coverage == ("alignment.coverage", [1.0, 1.35, 1.6], {})
    # neither does the part name the faces of one of its points
    (part,) = sections.draw(sections.make(evidence(runs)))
    assert "inputs" not in part.small


def test_seeds_and_other_data_are_no_points(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed) for seed in range(3)]
    runs += [make_run(loss={"lambda_c": c}, manifest_hash=str(c)) for c in (2.0, 4.0, 8.0)]
    runs += [make_run(budget={"splitting": {"seed": seed}}) for seed in range(3)]
    assert found(runs) == []
