"""What names of photos say: on the names of public data sets, of albums, and of nothing."""

import pandas as pd
import pytest

from contrastive_age.errors import DataError
from contrastive_age.sources import guessing

NAMES = {
    "FG-NET": (
        {"images/001A02.JPG": ("001", "2"), "images/001A43a.JPG": ("001", "43")}
        | {"images/082A00.JPG": ("082", "0"), "images/082A31.JPG": ("082", "31")}
    ),
    "MORPH II": (
        {"Album2/009055_0M54.JPG": ("009055", "54"), "Album2/009055_1M55.JPG": ("009055", "55")}
        | {"Album2/100000_00F23.JPG": ("100000", "23"), "Album2/100000_01F23.JPG": ("100000", "23")}
    ),
    "CACD": (
        {"14_Aaron_Johnson_0001.jpg": ("Aaron_Johnson", "14")}
        | {"15_Aaron_Johnson_0002.jpg": ("Aaron_Johnson", "15")}
        | {"62_Zoë_Bell_0001.jpg": ("Zoë_Bell", "62"), "62_Zoë_Bell_0002.jpg": ("Zoë_Bell", "62")}
    ),
    "AgeDB": (
        {"16001_MariaCallas_35_f.jpg": ("MariaCallas", "35")}
        | {"16002_MariaCallas_35_f.jpg": ("MariaCallas", "35")}
        | {"16020_GloriaJean_16_f.jpg": ("GloriaJean", "16")}
        | {"16021_GloriaJean_17_f.jpg": ("GloriaJean", "17")}
    ),
    "IMDB-WIKI": {
        f"{n % 2:02}/nm000{n}_rm{n}{taken}_1952-7-1_{taken}.jpg": (f"nm000{n}", f"{taken - 1953}")
        for n in (5, 6, 7) for taken in (1990, 2005)
    },
    "a folder a person": (
        {"anna/24.jpg": ("anna", "24"), "anna/25.jpg": ("anna", "25")}
        | {"train/ben/9.jpg": ("ben", "9"), "test/ben/40.png": ("ben", "40")}
    ),
    "a folder a person and age": (
        {"anna/24/a.jpg": ("anna", "24"), "anna/25/b.jpg": ("anna", "25")}
        | {"ben/31/c.jpg": ("ben", "31"), "ben/31/d.jpg": ("ben", "31")}
    ),
    "people by name in a folder an age": (
        {f"{age}/{who}.jpg": (who, str(age)) for age in (10, 33, 61)
         for who in ("anna", "nina", "otto", "Jürgen")}
    ),
    "letters that are composed": (
        {f"{age}/Ju\u0308rgen.jpg": ("Jürgen", str(age)) for age in (10, 33)}
        | {f"{age}/Jörg.jpg": ("Jörg", str(age)) for age in (10, 33)}
    ),
    "and counted ones": (
        {f"age_{age}/{who}_{n}.jpg": (who, str(age)) for age in (10, 33)
         for who in ("anna", "christine") for n in (1, 2)}
    ),
    "a folder an age, and in it one a person": (
        {f"{age}/{who}/{n}.jpg": (who, str(age)) for age in (10, 33)
         for who in ("anna", "ben") for n in (1, 2)}
    ),
    "a letter and a person's number before the age": (
        {f"M00{n}_{age}.jpg": (f"M00{n}", str(age)) for n in (1, 2, 3) for age in (27, 40)}
    ),
    "a letter counts before the age": (
        {"anna/A1_30.jpg": ("anna", "30"), "anna/A2_45.jpg": ("anna", "45")}
        | {"ben/A1_30.jpg": ("ben", "30"), "ben/A2_44.jpg": ("ben", "44")}
    ),
    "in words": (
        {"anna 24yo.jpg": ("anna", "24"), "anna 30 years old.jpg": ("anna", "30")}
        | {"ben-3y.jpg": ("ben", "3"), "ben-4Y.webp": ("ben", "4")}
    ),
    "marked": (
        {"anna_7_age24smile.jpg": ("anna", "24"), "anna_8_Age-30.jpg": ("anna", "30")}
        | {"ben_7_age_3.jpg": ("ben", "3"), "ben_8_age=3.jpg": ("ben", "3")}
    ),
    "a number a person": (
        {"subject_001_27.jpg": ("subject_001", "27"), "subject_001_9.jpg": ("subject_001", "9")}
        | {"subject_002_40.jpg": ("subject_002", "40"), "subject_002_2.jpg": ("subject_002", "2")}
    ),
    "a person's photos are counted, before the age": (
        {"p0_1_22.jpg": ("p0", "22"), "p0_2_60.jpg": ("p0", "60"), "p0_3_7.jpg": ("p0", "7")}
        | {"p1_1_23.jpg": ("p1", "23"), "p1_2_61.jpg": ("p1", "61"), "p1_3_8.jpg": ("p1", "8")}
    ),
    "and behind it": (
        {"ann_23_1.jpg": ("ann", "23"), "ann_26_2.jpg": ("ann", "26"), "ann_4_3.jpg": ("ann", "4")}
        | {"bo_24_1.jpg": ("bo", "24"), "bo_40_2.jpg": ("bo", "40"), "bo_9_3.jpg": ("bo", "9")}
    ),
    "occasions in the name": (
        {f"{who}_{what}_{age}.jpg": (who, str(age)) for who in ("anna", "ben")
         for what in ("smile", "neutral") for age in (4, 30)}
    ),
    "occasions as folders": (
        {f"{who}/session{n}/{age}.jpg": (who, str(age)) for who in ("anna", "ben")
         for n in (1, 2) for age in (4, 30)}
    ),
    "folders of months and of folds": (
        {f"2019-0{n}/p{who}_{age}.jpg": (f"p{who}", str(age)) for n in (1, 2)
         for who in (1, 2) for age in (4, 30)}
        | {f"fold_{n}/p{who}_{age}.jpg": (f"p{who}", str(age)) for n in (1, 2)
           for who in (3, 4) for age in (5, 30)}
    ),
    "folders of the sexes": (
        {f"{sex}/p{who}{sex[0]}_{age}.jpg": (f"p{who}{sex[0]}", str(age))
         for sex in ("male", "female") for who in (1, 2) for age in (4, 30)}
    ),
    "some without an age": (
        {"anna_24.jpg": ("anna", "24"), "anna_30.jpg": ("anna", "30"), "notes.jpg": ("notes", "")}
        | {"ben_3.jpg": ("ben", "3"), "ben_130.jpg": ("ben", "")}
    ),
}  # fmt: skip


@pytest.mark.parametrize("photos", NAMES.values(), ids=NAMES)
def test_names_say_the_person_and_the_age(photos: dict[str, tuple[str, str]]) -> None:
    guess = guessing.guess(list(photos))
    told = guess.table[["identity", "age"]].itertuples(index=False, name=None)
    assert dict(zip(guess.table["path"], told, strict=True)) == photos
    assert guess.age
    assert guess.identity


@pytest.mark.parametrize(
    "photos",
    [
        {
            "25_0_1_20170109150557335.jpg.chip.jpg": "25",
            "9_1_1_20170109150557336.jpg.chip.jpg": "9",
        },
        {"part1/25_0_1_2017.jpg": "25", "part2/9_1_1_2017.jpg": "9"},
        {"24/a.jpg": "24", "24/b.jpg": "24", "31/c.jpg": "31"},
        {f"{age}/IMG_000{n}.jpg": f"{age}" for age in (10, 33) for n in range(4)},
        {f"{age}/p{n}.jpg": f"{age}" for age in (10, 33) for n in (1, 2, 3, 5, 6)},
    ],
)
def test_where_nothing_names_people_there_is_no_column_for_them(photos: dict[str, str]) -> None:
    guess = guessing.guess(list(photos))
    assert dict(zip(guess.table["path"], guess.table["age"], strict=True)) == photos
    assert guess.table.columns.to_list() == ["path", "age"]
    assert guess.identity == "nothing that names people is seen"


@pytest.mark.parametrize(
    "photos",
    [
        [],
        ["IMG_20200101.jpg", "IMG_20200102.jpg"],
        ["IMG_0001.jpg", "IMG_0002.jpg", "IMG_0003.jpg"],
        ["a_20.jpg", "b_20.jpg"],
        ["one_24.jpg", *(f"{name}.jpg" for name in "abc")],
        [f"{sex}{n:03}.jpg" for sex in "MF" for n in range(1, 26)],
        ["age_10-19/a.jpg", "age_20-29/b.jpg", "10-19y_c.jpg", "20-29y_d.jpg"],
    ],
)
def test_numbers_that_are_no_ages_the_same_or_rare_are_none(photos: list[str]) -> None:
    guess = guessing.guess(photos)
    assert guess.age == "no name says one"
    assert set(guess.table["age"]) <= {""}


@pytest.mark.parametrize(
    "photos",
    [
        ["j/24.jpg", "j/25.jpg"],
        ["anna/1.jpg", "anna/2.jpg", "ben/1.jpg", "ben/2.jpg", "ben/3.jpg"],
        [f"{who}/{n}.jpg" for who in ("anna", "ben") for n in range(19)],
        [f"{who}/A{n}.jpg" for who in ("anna", "ben") for n in range(1, 9)],
        [f"M{n}.jpg" for n in range(1, 26)] + [f"F{n}.jpg" for n in range(26, 51)],
        [f"{sex}{n:02}_{look}.jpg" for sex in "MF" for n in range(1, 20) for look in "ab"],
        [f"p_{n}.jpg" for n in range(1, 30) if n % 7],
        [f"{n}/{photo}.jpg" for n in range(1, 30) for photo in "ab"],
        [f"{who}/{n}/{photo}.jpg" for who in "xy" for n in range(1, 12) for photo in "ab"],
    ],
)
def test_numbers_that_count_photos_or_folders_are_no_ages(photos: list[str]) -> None:
    guess = guessing.guess(photos)
    assert guess.age == "the numbers only count photos"
    assert set(guess.table["age"]) == {""}


@pytest.mark.parametrize("ages", ["0-9 10-19 20-29", "age_0-9 age_10-19", "20s 30s", "age 5"])
def test_ages_and_their_ranges_are_not_called_people(ages: str) -> None:
    folders = ages.split() if ages != "age 5" else ["age 5", "age 6"]
    photos = [f"{folder}/{name}.jpg" for folder in folders for name in "abc"]
    assert guessing.guess([*photos, "x/a.jpg"]).identity != "the folder"


def test_a_letter_and_a_number_that_could_both_be_the_age_are_said() -> None:
    photos = [f"M{code}_{age}.jpg" for code in (12, 25, 40) for age in (30, 61)]
    words = "either the number after 'M' or 'F' or the first number of the name"
    assert guessing.guess(photos).age == words


def test_of_two_numbers_that_could_be_the_age_none_is_taken() -> None:
    photos = [f"p_{who}_{who + age}.jpg" for who in (1, 12, 20) for age in (3, 30)]
    guess = guessing.guess(photos)
    assert guess.age == "either the first number of the name or the second number of the name"
    assert set(guess.table["age"]) == {""}


def test_a_folder_that_may_be_an_album_of_several_people_is_in_doubt() -> None:
    photos = [f"{folder}/{who}_{age}.jpg" for folder in ("x", "y") for who in ("anna", "ben")
              for age in (4, 30)]  # fmt: skip
    assert guessing.guess(photos).identity == "the folder, unless the rest of the name is"


def test_a_pattern_reads_names_in_place_of_a_guess() -> None:
    paths = ["x/anna-t024.jpg", "x/anna-t025.jpg", "x/notes.txt"]
    guess = guessing.read_by(r"(?P<identity>\w+)-t0*(?P<age>\d+)", paths)
    expected = {"path": paths, "identity": ["anna", "anna", ""], "age": ["24", "25", ""]}
    pd.testing.assert_frame_equal(guess.table, pd.DataFrame(expected, dtype="str"))


def test_a_pattern_that_fits_nothing_is_said_to() -> None:
    guess = guessing.read_by(r"(?P<identity>x)(?P<age>\d+)", ["anna-24.jpg"])
    assert guess.age == guess.identity == "the pattern fits no photo"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "no regular expression"),
        (r"\d+", "lacks a group for the age"),
        (r"(?P<age>\w)", "takes 'a' for the age of a.jpg"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_said(pattern: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        guessing.read_by(pattern, ["a.jpg"])
