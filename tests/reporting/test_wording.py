"""Numbers and data in words."""

import math

import pytest
from markupsafe import Markup

from contrastive_age.reporting import wording


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (wording.number, 4.956, "4.96"),
        (wording.number, -0.004, "0.00"),
        (wording.number, -1.5, "−1.50"),
        (wording.number, None, "–"),
        (wording.number, math.nan, "–"),
        (wording.signed, 0.126, "+0.13"),
        (wording.signed, -0.126, "−0.13"),
        (wording.signed, -0.001, "+0.00"),
        (wording.percent, 68.24, "68.2%"),
        (wording.percent, 0.01, "<0.1%"),
        (wording.percent, 0.0, "0.0%"),
        (wording.probability, 0.0214, "0.021"),
        (wording.probability, 0.0002, "<0.001"),
        (wording.probability, 1.0, "1.000"),
        (wording.probability, math.nan, "–"),
        (wording.whole, 55134, "55,134"),
        (wording.significant, 0.00041, "0.000410"),
        (wording.significant, 36.03, "36.0"),
        (wording.significant, 12345.6, "12,346"),
    ],
)
def test_numbers(write: object, value: float | None, text: str) -> None:
    assert callable(write)
    assert write(value) == text


def test_an_interval_that_is_not_known_is_empty() -> None:
    assert wording.interval(4.5, 5.41) == "[4.50, 5.41]"
    assert wording.interval(-0.5, 0.41, sign=True) == "[−0.50, +0.41]"
    assert wording.interval(None, None) == ""
    assert wording.interval(math.nan, 1.0) == ""


def test_data_in_words() -> None:
    row = {
        "images": 1002,
        "subjects": 1,
        "folds": 5,
        "manifest_hash": "1a2b3c4d5e6f",
        "inputs": "",
        "drawn_faces": False,
    }
    assert wording.data(row) == "1,002 images, 1 subject, 5 folds, manifest 1a2b3c4d"
    told = wording.data(row | {"drawn_faces": True, "inputs": "99887766"})
    assert told.endswith("manifest 1a2b3c4d, inputs 99887766, drawn faces")


@pytest.mark.parametrize(
    ("start", "before", "drawn", "tags"),
    [
        ("ImageNet", "", False, ()),
        ("resnet18.pth (not ImageNet)", "", False, ("not ImageNet",)),
        ("random weights (not pre-trained)", "", True, ("drawn faces", "not pre-trained")),
        ("weights 5e6f7a8b", "UTKFace", False, ("pre-trained on faces (F)",)),
        ("EfficientNet-Lite0 of ImageNet", "", False, ()),
    ],
)
def test_what_must_not_be_overlooked(
    start: str, before: str, drawn: bool, tags: tuple[str, ...]
) -> None:
    row = {"start": start, "pretraining": before, "drawn_faces": drawn, "mark": ""}
    row |= {"budget": "48 px, 8 epochs, one-cycle, shared triplets, weights ImageNet"}
    assert tuple(wording.tags(row)) == tags
    other = row | {"budget": f"{row['budget']}, backbone timm/resnet34, head dropout"}
    assert tuple(wording.tags(other)) == (*tags, "backbone timm/resnet34", "head dropout")
    assert tuple(wording.tags(row | {"mark": "marked"})) == (*tags, "marked")


def test_the_papers_budget_is_named() -> None:
    papers = "224 px, 100 epochs, constant rate"
    assert wording.budget_in_short(papers, papers) == "the paper's budget"
    assert wording.budget_in_short("48 px, 8 epochs, one-cycle", papers) == "48 px, 8 epochs"


def test_budgets_beside_each_other_say_where_they_differ() -> None:
    plain = "48 px, 8 epochs, one-cycle, weights ImageNet"
    others = [f"{plain}, head dropout", f"{plain}, backbone timm/resnet10t, weights averaged 0.9"]
    assert wording.sizes_and_differences([plain, *others]) == [
        "48 px, 8 epochs",
        "48 px, 8 epochs, head dropout",
        "48 px, 8 epochs, backbone timm/resnet10t, weights averaged 0.9",
    ]
    assert wording.sizes_and_differences([others[0]]) == ["48 px, 8 epochs"]
    assert wording.sizes_and_differences([]) == []


def test_symbols_are_set_with_their_index_below() -> None:
    assert wording.symbols("λ_c 10 <b> V_tea") == "λ<sub>c</sub>&nbsp;10 &lt;b&gt; V_tea"
    assert wording.symbols("λ_dldl_v2 1, V_i") == "λ<sub>dldl_v2</sub>&nbsp;1, V<sub>i</sub>"


def test_no_symbol_is_set_inside_of_a_tag() -> None:
    link = Markup('<a href="#custom_se-V_a-12ab">{}</a>').format("V_a > 1")
    assert wording.symbols(link) == ('<a href="#custom_se-V_a-12ab">V<sub>a</sub> &gt; 1</a>')


@pytest.mark.parametrize(
    ("value", "said"), [(1, "1 photo"), (0, "0 photos"), (1002, "1,002 photos"), (1.0, "1 photo")]
)
def test_one_is_not_many(value: float, said: str) -> None:
    assert wording.counted(value, "photo") == said


def test_the_size_of_a_budget_is_its_pixels_and_epochs() -> None:
    assert wording.size("48 px, 1 epoch, one-cycle") == "48 px, 1 epoch"
    assert wording.begun("random weights (not pre-trained)") == "not pre-trained"
    assert wording.begun("ImageNet") == "from ImageNet"
