"""The paper's numbers: all of them, once, as printed."""

import tomllib
from pathlib import Path

import pytest

from contrastive_age.reporting import published


@pytest.mark.parametrize(
    ("number", "printed", "papers_own"), [(1, 8, 0), (2, 24, 2), (3, 7, 2), (4, 15, 2), (5, 8, 4)]
)
def test_every_number_of_a_table_is_there(number: int, printed: int, papers_own: int) -> None:
    table = published.table(number)
    assert len(table) == printed
    assert table["is_paper"].sum() == papers_own
    assert table["value"].notna().all()
    assert not table.duplicated(["row", "column"]).any()


def test_table_6_has_all_losses_and_protocols() -> None:
    table = published.table(6)
    assert len(table) == 18
    assert table.groupby("column").size().tolist() == [6, 6, 6]
    # the row MV is another network's
    assert (~table["is_paper"]).sum() == 3
    assert set(table.loc[~table["is_paper"], "row"]) == {"MV"}


@pytest.mark.parametrize(
    ("number", "row", "column", "value"),
    [
        (1, "MORPH II", "20-39", 31682),
        (1, "FG-NET", ">60", 8),
        (2, "CRCNN [1]", "RS(I)", 3.74),
        (2, "NRLD [11]", "RS(F)", 1.81),
        (2, "Ours (binary loss)", "RS(I)", 2.14),
        (3, "DIF [16]", "SE(I)", 3.00),
        (3, "Ours (ternary loss)", "SE(I)", 2.37),
        (4, "ADVL [41]", "LOPO(F)", 2.32),
        (4, "Ours (ternary loss)", "LOPO(I)", 2.31),
        (5, "MORPH II μ(V_s)", "Ours", 44.44),
        (5, "FG-NET μ(V_f)", "MV", 0.18),
        (6, "MV + KLD + Triplet", "MORPH II (RS)", 3.13),
        (6, "MV + Cosine + Triplet", "FG-NET (LOPO)", 2.31),
    ],
)
def test_numbers_are_as_printed(number: int, row: str, column: str, value: float) -> None:
    table = published.table(number).set_index(["row", "column"])
    assert table.loc[(row, column), "value"] == value


def test_age_counts_sum_to_the_data_sets() -> None:
    sums = published.table(1).groupby("row")["value"].sum()
    assert sums.to_dict() == {"MORPH II": 55134, "FG-NET": 1002}


def test_what_others_published_of_a_transfer_is_no_table_of_the_paper() -> None:
    numbers = published.of_protocol("utkface_to_fgnet").set_index("column")
    assert numbers["value"].to_dict() == {
        "from random weights": 7.71,
        "from ImageNet": 6.63,
        "from IMDB": 4.94,
    }
    assert not numbers["is_paper"].any()
    assert numbers["note"].str.contains("one public rerun").all()
    assert published.of_protocol("fgnet_se").empty


def test_where_tables_disagree_both_stand() -> None:
    second = published.table(2).set_index("row")["value"]
    sixth = published.table(6).set_index(["row", "column"])["value"]
    assert second["Ours (binary loss)"] == 2.14
    assert sixth["MV + Cosine", "MORPH II (RS)"] == 2.19


def test_other_pre_training_is_noted() -> None:
    notes = published.table(2).set_index(["row", "column"])["note"]
    assert notes["SVRT [18]", "RS(F)"].startswith("†")
    assert notes["M-LSDML [22]", "RS(F)"].startswith("‡")
    assert notes["DEX [36]", "RS(F)"] == ""


def test_other_methods_have_a_year_and_the_papers_own_have_none() -> None:
    for number in (2, 3, 4):
        table = published.table(number)
        assert table["year"].isna().equals(table["is_paper"])
        assert table["year"].dropna().between(2016, 2022).all()


def test_a_changed_table_does_not_change_the_next() -> None:
    changed = published.table(2)
    changed["value"] = 0.0
    assert published.table(2)["value"].min() > 1


def test_there_is_no_seventh_table() -> None:
    with pytest.raises(ValueError, match="Tables 1 to 6"):
        published.table(7)


def test_data_files_are_installed_with_the_package() -> None:
    root = Path(__file__).resolve().parents[2]
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = declared["tool"]["setuptools"]["package-data"]["contrastive_age"]
    package = root / "src" / "contrastive_age"
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    others = {
        path
        for path in (package / "reporting").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert others
    assert others <= installed
