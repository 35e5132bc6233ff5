import pandas as pd
import pytest

from contrastive_age.sources.names import folded, without_suffix


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
