"""Split lists that others have published, in small made-up files of exactly their layouts."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.protocols import published, splits
from contrastive_age.protocols.folds import Plan
from contrastive_age.protocols.parts import TRAINS

# identity, picture and age of MORPH II: the file is called by all three.
PHOTOS = [("009055", 0, 40), ("009055", 1, 41), ("010001", 0, 16), ("020002", 0, 77)]
FOLDS = [0, 1, 1, 2]


@pytest.fixture
def morph() -> pd.DataFrame:
    names = [f"Album2/{who}_{picture:02d}M{age}" for who, picture, age in PHOTOS]
    return pd.DataFrame(
        {
            "sample_id": names,
            "path": [f"{name}.JPG" for name in names],
            "identity": [who for who, _, _ in PHOTOS],
            "age": [age for _, _, age in PHOTOS],
        }
    )


def _rows(folds: Iterable[object]) -> list[dict[str, str]]:
    return [
        {
            "database": "MORPH2",
            "filename": f"{who}_{picture:02d}M{age}.JPG",
            "fold": str(fold),
            "age": str(age),
        }
        for (who, picture, age), fold in zip(PHOTOS, folds, strict=True)
    ]


def write(path: Path, columns: list[str], folds: Iterable[object] = FOLDS) -> Path:
    lines = ["\t".join(columns)]
    lines += ["\t".join(row[name] for name in columns) for row in _rows(folds)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_coral(folder: Path, kinds: dict[str, list[int]], name: str = "morph2_{}.csv") -> Path:
    """Write CORAL's lists, whose index is the photo's name and whose ages begin at 0."""
    header = ",id_num,picture_num,race,Male,facial_hair,age,glasses,quality"
    for kind, rows in kinds.items():
        lines = [
            f"{who}_{picture:02d}M{age}.jpg,{int(who)},{picture},B,1,,{age - 16},,GOOD"
            for who, picture, age in (PHOTOS[row] for row in rows)
        ]
        (folder / name.format(kind)).write_text("\n".join([header, *lines]) + "\n")
    return folder / name.format("test")


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        (["database", "filename", "fold", "age"], "the subject-exclusive list of MORPH II"),
        (["filename", "fold", "age", "database"], "the random list of MORPH II"),
    ],
)
def test_the_lists_of_morph_are_known_by_their_columns(
    columns: list[str],
    name: str,
    morph: pd.DataFrame,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    folds = splits.from_file(morph, write(tmp_path / "list.tsv", columns))
    assert folds["fold"].tolist() == FOLDS
    assert f"list.tsv is {name}" in caplog.text
    assert "4 photos are tested in 3 folds" in caplog.text
    assert "ages are others" not in caplog.text


def test_of_corals_lists_the_tested_photos_are_one_fold_and_the_others_train(
    morph: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = write_coral(tmp_path, {"train": [3, 0], "valid": [2], "test": [1]})
    folds = splits.from_file(morph, path)
    assert folds["fold"].tolist() == [TRAINS, 0, TRAINS, TRAINS]
    assert "CORAL's list of MORPH II" in caplog.text
    assert "1 photos are tested, 3 others train" in caplog.text
    # Their ages are classes.
    assert "ages are others" not in caplog.text


def test_corals_newer_lists_name_photos_in_a_column(morph: pd.DataFrame, tmp_path: Path) -> None:
    for kind, rows in {"train": [0, 1], "test": [2, 3]}.items():
        lines = [
            f"{row},{Path(morph['path'][row]).stem}.jpg,{morph['age'][row] - 16}" for row in rows
        ]
        (tmp_path / f"morph2_{kind}.csv").write_text("\n".join([",file,age", *lines]))
    folds = splits.from_file(morph, tmp_path / "morph2_test.csv")
    assert folds["fold"].tolist() == [TRAINS, TRAINS, 0, 0]


def test_of_corals_lists_that_of_the_tested_is_named_and_that_which_trains_is_there(
    morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_coral(tmp_path, {"valid": [0], "test": [1]})
    with pytest.raises(DataError, match=r"morph2_train\.csv: no such file"):
        splits.from_file(morph, path)
    with pytest.raises(DataError, match="name the list of those that are tested"):
        splits.from_file(morph, tmp_path / "morph2_valid.csv")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        # The last `test` says it.
        ("latest_{}.csv", ("test", "train", "valid")),
        ("Morph_{}.csv", ("Test", "Train", "Valid")),
        ("MORPH_{}.CSV", ("TEST", "train", "Val")),
    ],
)
def test_corals_lists_may_be_called_otherwise(
    name: str, kinds: tuple[str, str, str], morph: pd.DataFrame, tmp_path: Path
) -> None:
    write_coral(tmp_path, dict(zip(kinds, ([1], [0, 3], [2]), strict=True)), name)
    folds = splits.from_file(morph, tmp_path / name.format(kinds[0]))
    assert folds["fold"].tolist() == [TRAINS, 0, TRAINS, TRAINS]


def test_of_corals_lists_the_exact_name_comes_first_and_of_several_none_is_chosen(
    morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_coral(tmp_path, {"test": [1], "Train": [0], "TRAIN": [0, 2, 3]})
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system ignores the case of names")
    with pytest.raises(
        DataError,
        match=r"no morph2_train\.csv, but morph2_TRAIN\.csv and morph2_Train\.csv: rename",
    ):
        splits.from_file(morph, path)
    write_coral(tmp_path, {"train": [0, 3]})
    assert sorted(splits.from_file(morph, path)["fold"]) == [TRAINS, TRAINS, 0]


def test_of_two_lists_for_validation_one_is_to_be_removed(
    morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_coral(tmp_path, {"train": [0], "valid": [2], "val": [2], "test": [1]})
    with pytest.raises(
        DataError, match=r"morph2_valid\.csv and morph2_val\.csv both list .*: remove one of them"
    ):
        splits.from_file(morph, path)


def test_agedbs_list_is_read_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = ["1_AnnaLee_30_f", "2_AnnaLee_44_f", "3_Ben_8_m", "4_WillSmith _36_m"]
    samples = pd.DataFrame(
        {
            "sample_id": names,
            "path": [f"{name}.jpg" for name in names],
            "identity": ["AnnaLee", "AnnaLee", "Ben", "WillSmith"],
            "age": [30, 44, 8, 36],
        }
    )
    path = tmp_path / "agedb.csv"
    rows = zip(["train", "val", "test"], samples["age"], names, strict=False)
    path.write_text(
        "age,path,split\n" + "".join(f"{age},AgeDB/{name}.jpg,{kind}\n" for kind, age, name in rows)
    )
    folds = splits.from_file(samples, path)
    # Who is not listed takes part in nothing.
    assert dict(zip(folds["sample_id"], folds["fold"], strict=True)) == {
        names[0]: TRAINS,
        names[1]: TRAINS,
        names[2]: 0,
    }
    assert "agedb.csv lacks 1 of 4 samples" in caplog.text
    path.write_text("age,path,split\n30,AgeDB/1_AnnaLee_30_f.jpg,holdout\n")
    with pytest.raises(
        DataError, match=r"a split that is none of train, valid, val, test.*holdout"
    ):
        splits.from_file(samples, path)
    path.write_text("age,path,split\n30,1_AnnaLee_30_f.jpg,train\n44,2_AnnaLee_44_f.jpg,val\n")
    with pytest.raises(DataError, match=r"none of its 2 rows is tested; give a list"):
        splits.from_file(samples, path)


def test_other_ages_in_the_list_are_counted(
    morph: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "list.tsv", ["database", "filename", "fold", "age"])
    splits.from_file(morph.assign(age=[40, 39, 16, 70]), path)
    assert "2 of 4 ages differ from those of the samples, which are used" in caplog.text
    assert "41 in the list and 39 here" in caplog.text


@pytest.mark.parametrize(
    ("row", "fold", "age", "words"),
    [
        (1, "a", "41", r"1 folds that are no whole number \(a\): number the folds"),
        (0, "1.5", "40", r"1 folds that are no whole number \(1\.5\)"),
        (2, "1", "x", "1 rows have no whole number as age, the first has 'x'"),
    ],
)
def test_what_is_no_number_is_said(
    row: int, fold: str, age: str, words: str, morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write(tmp_path / "list.tsv", ["filename", "fold", "age", "database"])
    lines = path.read_text().splitlines()
    name, _, _, database = lines[row + 1].split("\t")
    lines[row + 1] = "\t".join([name, fold, age, database])
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=words):
        splits.from_file(morph, path)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [("0202", "numbered 0, 2; number"), ("2323", "numbered 2, 3;"), ("1111", "at least two")],
)
def test_folds_of_morphs_lists_are_numbered_as_those_of_any_list(
    numbers: str, words: str, morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write(tmp_path / "list.tsv", ["filename", "fold", "age", "database"], list(numbers))
    with pytest.raises(DataError, match=words):
        splits.from_file(morph, path)


def test_folds_of_morphs_lists_may_begin_at_1(morph: pd.DataFrame, tmp_path: Path) -> None:
    path = write(tmp_path / "list.tsv", ["filename", "fold", "age", "database"], list("1221"))
    assert splits.from_file(morph, path)["fold"].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("header", "row", "damaged"),
    [
        ("database\tfilename\tfold\tage", "MORPH2\t{name}\t0\t40\tmore", "list_test.csv"),
        (",age", "{name},24,more", "list_test.csv"),
        (",age", "{name},24,more", "list_train.csv"),
        (",file,age", "7,{name},24,more", "list_test.csv"),
        ("age,path,split", "40,{name},test,more", "list_test.csv"),
    ],
)
def test_a_row_with_more_values_than_columns_is_refused(
    header: str, row: str, damaged: str, morph: pd.DataFrame, tmp_path: Path
) -> None:
    for kind, photo in {"test": "009055_00M40.JPG", "train": "009055_01M41.JPG"}.items():
        file = tmp_path / f"list_{kind}.csv"
        values = row.format(name=photo)
        whole = values if file.name == damaged else values.removesuffix("more")
        file.write_text(f"{header}\n{whole}\n")
    with pytest.raises(
        DataError, match=rf"{damaged}: 1 rows with more values than columns \(009055_0\dM4\d\.JPG\)"
    ):
        splits.from_file(morph, tmp_path / "list_test.csv")


@pytest.mark.parametrize(
    "header", ["sample_id,fold", "path;split;age", "age,path,split,note", "filename\tfold\tage"]
)
def test_any_other_header_is_no_published_list(header: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"{header}\n")
    assert published.read(path) is None
    path.write_bytes(b"\xff\xfe\x00")
    assert published.read(path) is None
    assert published.read(tmp_path / "gone.csv") is None


def _plan(**values: object) -> Plan:
    given = {
        "protocol": "morph_se",
        "split": "se",
        "folds": 3,
        "max_samples": None,
        "seed": 0,
        "folds_file_digest": "0" * 64,
        "group_copies": True,
        "allow_leaks": False,
        "most_bits": 40,
        "ages": (16, 77),
    }
    return Plan(**(given | values))


def _looks(samples: pd.DataFrame) -> pd.DataFrame:
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in samples["sample_id"]]
    return pd.DataFrame(
        {"sample_id": samples["sample_id"], "digest": digests, "look": "", "mirrored": ""}
    )


def test_a_person_in_two_folds_is_refused_or_counted(morph: pd.DataFrame, tmp_path: Path) -> None:
    path = write(tmp_path / "list.tsv", ["database", "filename", "fold", "age"])
    with pytest.raises(DataError, match=r"share subjects.*splitting\.allow_leaks=true"):
        _plan().make(morph, _looks(morph), path)
    _, report = _plan(allow_leaks=True).make(morph, _looks(morph), path)
    assert report["leaking_samples"] == ["Album2/009055_00M40", "Album2/009055_01M41"]
    assert (report["people_in_several_folds"], report["people"]) == (1, 3)


def test_a_person_who_trains_and_is_tested_is_no_less_a_leak(
    morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_coral(tmp_path, {"train": [3, 0], "valid": [2], "test": [1]})
    with pytest.raises(DataError, match="share subjects"):
        _plan(folds=1).make(morph, _looks(morph), path)
    folds, report = _plan(folds=1, allow_leaks=True).make(morph, _looks(morph), path)
    # It is the tested photo that leaks.
    assert report["leaking_samples"] == ["Album2/009055_01M41"]
    assert (report["n"], report["folds"][0]["n_train"]) == (1, 3)
    training, tested = _plan(folds=1, allow_leaks=True).parts(folds, morph, 0)
    assert len(training) == 3
    assert tested["sample_id"].tolist() == ["Album2/009055_01M41"]
    with pytest.raises(DataError, match=r"give 1 folds, but morph_se has 3"):
        _plan(allow_leaks=True).make(morph, _looks(morph), path)


def test_samples_that_a_list_lacks_take_part_in_nothing(
    morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_coral(tmp_path, {"train": [0, 1], "test": [3]})
    folds, report = _plan(folds=1).make(morph, _looks(morph), path)
    assert folds["sample_id"].tolist() == [morph["sample_id"][row] for row in (0, 1, 3)]
    assert (report["n"], report["folds"][0]["n_train"]) == (1, 2)


@pytest.mark.parametrize("trained", [[0, 1, 2], [2]])
def test_of_a_list_none_of_whose_tested_photos_is_taken_it_is_said(
    trained: list[int], morph: pd.DataFrame, tmp_path: Path
) -> None:
    path = write_coral(tmp_path, {"train": trained, "test": [3]})
    untested = next(
        seed
        for seed in range(99)
        if "020002"
        not in set(splits.cap_samples(morph, 2, seed, keep_identities=False)["identity"])
    )
    plan = _plan(folds=1, max_samples=2, seed=untested)
    with pytest.raises(DataError, match=r"tests none of the samples .*raise max_samples"):
        plan.make(morph, _looks(morph), path)
