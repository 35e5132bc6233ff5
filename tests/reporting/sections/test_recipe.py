"""Changes of the recipe: a setting is held against the one that lacks one of them alone."""

from typing import Any

import pytest

from contrastive_age.evaluation.comparison import holm
from contrastive_age.reporting import page, sections
from contrastive_age.reporting.results import Measured
from reporting.runs import FACES, PAPERS, SMALL, MakeRun, evidence

TIMM = {"backbone": "timm/resnet10t", "weights": "none"}


def runs_of(make_run: MakeRun, off: float = 3.0, **blocks: Any) -> list[Measured]:
    """Two seeds of MV with changes of its budget."""
    more = {name: blocks.pop(name) for name in ("loss", "external", "setting") if name in blocks}
    budget = {name: {**SMALL.get(name, {}), **blocks.get(name, {})} for name in {*SMALL, *blocks}}
    setting = more.pop("setting", "mv")
    return [
        make_run("fgnet_se", setting, seed, budget=budget, off=off + seed, **more)
        for seed in (0, 1)
    ]


def changes(*runs: list[Measured]) -> list[tuple[str, str, str]]:
    table = sections.recipe.make(evidence([run for some in runs for run in some]))
    told = table[["change", "without", "reference_budget"]].to_numpy().tolist()
    return [(change, without, budget) for change, without, budget in told]


def test_a_change_is_held_against_the_same_without_it(make_run: MakeRun) -> None:
    plain = runs_of(make_run)
    averaged = runs_of(make_run, 2.0, training={"average": 0.9})
    both = runs_of(make_run, 2.5, training={"average": 0.9}, model={"head": "dropout"})
    table = sections.recipe.make(evidence([*plain, *averaged, *both]))
    assert table[["change", "without", "difference"]].to_numpy().tolist() == [
        ["weights averaged 0.9", "", pytest.approx(-1.0)],
        ["head dropout", "head linear", pytest.approx(0.5)],
    ]
    assert "weights averaged 0.9" in table["reference_budget"][1]
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]))


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ({"training": {"schedule": "step"}}, ("stepped rate", "one-cycle")),
        ({"training": {"head_epochs": 1}}, ("1 epoch of the head", "")),
        ({"testing": {"rounded": True, "mirrored": False}}, ("ages rounded", "")),
        (
            {"training": {"validated_on": "people", "keep": "best"}},
            ("validated on people, best epoch kept", ""),
        ),
        ({"loss": {"smoothing": 0.1}}, ("smoothing 0.1", "")),
    ],
)
def test_each_change_is_said(
    make_run: MakeRun, blocks: dict[str, Any], told: tuple[str, str]
) -> None:
    found = changes(runs_of(make_run), runs_of(make_run, 2.0, **blocks))
    assert [each[:2] for each in found] == [told]


def test_another_network_is_held_against_ours_from_the_same_weights_where_it_was_run(
    make_run: MakeRun,
) -> None:
    plain, other = runs_of(make_run), runs_of(make_run, 2.0, model=TIMM)
    ((change, without, _),) = changes(plain, other)
    assert change == "backbone timm/resnet10t, weights random weights (not pre-trained)"
    assert without.startswith("backbone resnet18, weights resnet18_imagenet_partial.pth")
    drawn = runs_of(make_run, 4.0, model={"weights": "none"})
    ((change, without, _),) = changes(plain, drawn, other)
    assert (change, without) == ("backbone timm/resnet10t", "backbone resnet18")


def test_what_differs_in_more_is_not_compared(make_run: MakeRun) -> None:
    plain = runs_of(make_run)
    strangers = [
        runs_of(make_run, training={"average": 0.9, "schedule": "step"}),
        runs_of(make_run, training={"average": 0.9}, augmentation={"degrees": 5}),
        runs_of(make_run, training={"average": 0.9}, setting="ternary", loss={"lambda_c": 3.0}),
        runs_of(make_run, training={"average": 0.9}, external=FACES),
        runs_of(make_run, model={"weights": "none"}),
    ]
    for other in strangers:
        assert changes(plain, other) == []
    tables = page.tables(evidence(plain))
    assert 'id="recipe"' not in page.render(tables, PAPERS)


def test_values_of_one_change_are_held_against_the_one_without_it(make_run: MakeRun) -> None:
    less, more = (runs_of(make_run, 2.0, training={"average": value}) for value in (0.9, 0.99))
    told = {each[:2] for each in changes(runs_of(make_run), less, more)}
    assert told == {("weights averaged 0.9", ""), ("weights averaged 0.99", "")}
    assert [each[:2] for each in changes(less, more)] == [
        ("weights averaged 0.99", "weights averaged 0.9")
    ]


def test_the_page_says_in_what_the_settings_themselves_differ(make_run: MakeRun) -> None:
    runs = [
        *runs_of(make_run),
        *runs_of(make_run, 2.0, training={"average": 0.9}),
        *runs_of(make_run, 2.5, training={"average": 0.9}, model={"head": "dropout"}),
    ]
    html = page.render(page.tables(evidence(runs)), PAPERS)
    section = html.partition('<section id="recipe">')[2].partition("</section>")[0]
    assert "48 px, 8 epochs, weights averaged 0.9" in section
    assert "−1.00" in section
