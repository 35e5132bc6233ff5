import pandas as pd
import pytest

from contrastive_age.sources.names import NONE, SEVERAL, find, folded, without_suffix


@pytest.mark.parametrize(
    ("path", "sample_id"),
    [
        ("images/001A02.JPG", "images/001A02"),
        ("1_0_0_2016.jpg.chip.jpg", "1_0_0_2016.jpg.chip"),
        ("v1.2/face", "v1.2/face"),
        ("v1.2/.face", "v1.2/.face"),
        ("a.", "a"),
    ],
)
def test_a_sample_is_named_by_its_path_without_the_last_suffix(path: str, sample_id: str) -> None:
    assert without_suffix(pd.Series([path], dtype="str")).to_list() == [sample_id]


@pytest.mark.parametrize("other", ["ZOÉ.JPG", "Zoe\u0301.jpg", "zoé.jpg"])
def test_a_name_in_another_case_or_unicode_form_is_folded_alike(other: str) -> None:
    assert folded(other) == folded("Zo\u00e9.jpg")
    assert folded(other) != folded("Zoe.jpg")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("x/v1", 0),
        ("v1.2", 1),
        ("x/v1.2", 0),
        ("photos/x/v1.jpg", 0),
        ("v1", 0),
        ("3", SEVERAL),
        ("y/3.jpg", NONE),
        ("x/3/3", 4),
        ("X\\V1.PNG", 0),
        ("v2", NONE),
        ("", NONE),
    ],
)
def test_a_name_means_one_sample_several_or_none(name: str, row: int) -> None:
    ids = pd.Series(["x/v1", "v1.2", "z/3", "x/3", "3/3"], dtype="str")
    rows, loosely = find(pd.Series([name], dtype="str"), ids)
    assert rows.tolist() == [row]
    assert loosely.tolist() == [name.startswith("X")]
