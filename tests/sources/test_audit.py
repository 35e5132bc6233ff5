"""The audit, held against loops over all pairs of rows."""

import itertools
import json
from collections import defaultdict

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive_age.sources import reading
from contrastive_age.sources.audit import audit, manifest_hash, many_rejected

NOTHING = reading.rejections([], [])

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "identity": st.sampled_from(["p", "q", "r", "s"]),
            "age": st.integers(15, 25),
            "capture": st.integers(0, 3),
            "sex": st.sampled_from(["F", "M", None]),
            "digest": st.sampled_from(["0", "1", "2", "3", "4", "5", ""]),
        }
    ),
    min_size=1,
    max_size=12,
)


def tables(rows: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples and files of the rows; the samples are named by their number."""
    table = pd.DataFrame(rows).assign(sample_id=[f"{n:03d}" for n in range(len(rows))])
    table["path"] = table["sample_id"] + ".png"
    if "digest" not in table:
        table["digest"] = table["sample_id"]
    if "sex" in table:
        table["sex"] = table["sex"].astype("str")
    files = table[["path", "digest"]].assign(size=1, mtime_ns=1, problem="", note="")
    columns = ["sample_id", "path", "identity", "age", "sex", "race", "capture"]
    return table[[column for column in columns if column in table]], files


def anomalies(rows: list[dict], **options) -> dict:
    samples, files = tables(rows)
    report = audit(reading.Reading(samples, NOTHING), files, **options)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    return report["anomalies"]


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_every_check_finds_what_a_loop_finds(rows: list[dict]) -> None:
    found = anomalies(rows, max_span=6)
    named = {f"{n:03d}": row for n, row in enumerate(rows)}
    pairs = list(itertools.permutations(named, 2))
    of = defaultdict(list)
    for name, row in named.items():
        of[row["identity"]].append(name)

    def keys(check: str, key: str) -> set:
        items = [item[key] for item in found[check]["items"]]
        assert len(items) == len(set(items)) == found[check]["count"]
        return set(items)

    def same(column: str, a: str, b: str) -> bool:
        return named[a][column] == named[b][column] and named[a][column] not in ("", None)

    copies = [(a, b) for a, b in pairs if same("digest", a, b)]
    assert keys("duplicate_bytes", "digest") == {named[a]["digest"] for a, _ in copies}
    for check, column in (("identities", "identity"), ("ages", "age")):
        assert keys(f"duplicate_bytes_across_{check}", "digest") == {
            named[a]["digest"] for a, b in copies if named[a][column] != named[b][column]
        }
    for item in found["duplicate_bytes"]["items"]:
        group = [name for name in named if named[name]["digest"] == item["digest"]]
        assert item["sample_ids"] == group
        assert item["identities"] == sorted({named[name]["identity"] for name in group})
        assert item["ages"] == sorted({named[name]["age"] for name in group})

    assert keys("identities_with_both_sexes", "identity") == {
        identity for identity in of if {"F", "M"} <= {named[name]["sex"] for name in of[identity]}
    }
    for item in found["identities_with_both_sexes"]["items"]:
        for sex in "FM":
            assert item[sex] == [n for n in of[item["identity"]] if named[n]["sex"] == sex]

    assert keys("ages_falling_along_capture", "identity") == {
        named[a]["identity"]
        for a, b in pairs
        if same("identity", a, b)
        and named[a]["capture"] < named[b]["capture"]
        and named[a]["age"] > named[b]["age"]
    }
    assert keys("spans_over_limit", "identity") == {
        named[a]["identity"]
        for a, b in pairs
        if same("identity", a, b) and named[a]["age"] - named[b]["age"] > 6
    }
    assert keys("single_image_identities", "identity") == {i for i in of if len(of[i]) == 1}
    assert keys("ages_held_by_one_identity", "age") == {
        row["age"]
        for row in rows
        if all(r["identity"] == row["identity"] for r in rows if r["age"] == row["age"])
    }
    assert keys("missing_race_or_sex", "sample_id") == {
        name for name in named if named[name]["sex"] is None
    }


def test_the_head_of_the_report_counts_the_samples() -> None:
    samples, files = tables(
        [{"identity": str(n % 3), "age": age} for n, age in enumerate([0, 19, 20, 39, 40, 60, 120])]
    )
    absent = pd.DataFrame(
        {
            "path": ["x"],
            "digest": [""],
            "size": [-1],
            "mtime_ns": [-1],
            "problem": ["gone"],
            "note": [""],
        }
    )
    report = audit(reading.Reading(samples, NOTHING), pd.concat([files, absent]))
    assert (report["n"], report["identities"], report["images_found"]) == (7, 3, 7)
    assert report["ages"] == {"min": 0, "max": 120, "median": 39.0}
    assert report["age_bins"] == {"0-19": 2, "20-39": 2, "40-59": 1, "60+": 2}


def test_rejections_are_listed_and_told_apart() -> None:
    samples, files = tables([{"identity": "p", "age": 3}])
    rejected = reading.rejections(
        ["a", "b", "c"], ["unreadable: empty", "name does not parse: expected x", "age 300"]
    )
    report = audit(reading.Reading(samples, rejected), files)
    assert report["rejected"] == rejected.to_dict("records")
    for check, path in (
        ("unreadable_files", "a"),
        ("unparsed_names", "b"),
        ("other_rejections", "c"),
    ):
        found = report["anomalies"][check]
        assert (found["count"], [item["path"] for item in found["items"]]) == (1, [path])


def test_many_rejections_are_said_with_the_commonest_reasons() -> None:
    samples, files = tables([{"identity": "p", "age": 3}] * 9)

    def said(*reasons: str) -> str:
        paths = [f"{number}.jpg" for number in range(len(reasons))]
        rejected = reading.rejections(paths, reasons)
        return many_rejected(audit(reading.Reading(samples, rejected), files))

    assert said() == ""
    assert said("gone") == ""  # a tenth
    assert said("gone", "lost") == (
        "2 of 11 entries (18%) were rejected: 1 such as '0.jpg': gone; 1 such as '1.jpg': lost"
    )
    ages = [f"age '11.{number}' is not a whole number (row {number})" for number in range(27)]
    assert said("broken", *ages, "unreadable: 'x'", "unreadable: 'y'", "gone", "lost") == (
        "32 of 41 entries (78%) were rejected: "
        "27 such as '1.jpg': age '11.0' is not a whole number (row 0); "
        "2 such as '28.jpg': unreadable: 'x'; 1 such as '0.jpg': broken"
    )


def test_what_is_no_photo_among_the_photos_is_no_entry() -> None:
    samples, files = tables([{"identity": "p", "age": 3}] * 9)
    unknown = "unreadable: the content is no known image format"
    for path, reason, counts in (
        ("notes.txt", unknown, False),
        ("README", unknown, False),
        ("a.JPG", unknown, True),
        ("b.heic", unknown, True),
        ("notes.txt", f"{unknown} (row 3)", True),
        ("face", "name does not parse: expected x", True),
    ):
        rejected = reading.rejections([path] * 9, reason)
        said = many_rejected(audit(reading.Reading(samples, rejected), files))
        assert said.startswith("9 of 18 entries (50%)") == counts
        assert bool(said) == counts


def test_photos_that_are_used_without_their_end_are_listed() -> None:
    samples, files = tables([{"identity": "p", "age": 20}, {"identity": "q", "age": 30}])
    refused = files.head(1).assign(path="refused.png", note="its end is missing")
    files.loc[1, "note"] = "its end is missing: the last 5 of 90 lines"
    found = audit(reading.Reading(samples, NOTHING), pd.concat([files, refused]))
    assert found["anomalies"]["cut_off_images"]["items"] == [
        {"path": "001.png", "note": "its end is missing: the last 5 of 90 lines"}
    ]


def test_ages_that_were_rounded_are_listed() -> None:
    samples, files = tables([{"identity": "p", "age": 11}])
    rounded = pd.DataFrame({"path": ["000.png"], "written": ["11.27"], "age": [11]})
    report = audit(reading.Reading(samples, NOTHING, ages_rounded=rounded), files)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["anomalies"]["ages_rounded"]["items"] == rounded.to_dict("records")


def test_people_of_several_races_are_listed() -> None:
    rows = [
        {"identity": identity, "age": 3, "race": race}
        for identity, race in ("pW", "pw", "pB", "qW", "qw", "rB", "sW")
    ]
    rows.append({"identity": "s", "age": 3, "race": None})
    assert anomalies(rows)["identities_with_several_races"]["items"] == [
        {"identity": "p", "sample_ids": {"B": ["002"], "W": ["000"], "w": ["001"]}}
    ]


def test_a_table_is_held_against_what_it_and_the_samples_both_have() -> None:
    rows = [{"identity": "1", "age": 3, "sex": None}, {"identity": "1", "age": 4, "sex": "F"}]
    table = pd.DataFrame({"sample_id": ["001", "000"], "sex": ["M", "F"], "capture": ["7", "7"]})
    found = anomalies(rows, table=table)
    assert found["table_contradicts_name"]["items"] == [
        {"sample_id": "000", "label": "sex", "name": "", "table": "F"},
        {"sample_id": "001", "label": "sex", "name": "F", "table": "M"},
    ]
    assert not found.keys() & {"identities_with_several_birth_dates", "date_mismatch"}
    assert "table_contradicts_name" not in anomalies(rows, table=table[["sample_id"]])


def test_checks_that_the_columns_do_not_allow_are_left_out() -> None:
    found = anomalies([{"identity": "p", "age": 3}])
    assert not found.keys() & {
        "identities_with_both_sexes",
        "ages_falling_along_capture",
        "spans_over_limit",
        "missing_race_or_sex",
        "date_mismatch",
    }


def test_every_anomaly_has_a_count_an_explanation_and_items() -> None:
    for found in anomalies([{"identity": "p", "age": 3, "sex": "F", "capture": 1}]).values():
        assert set(found) == {"count", "explanation", "items"}
        assert found["explanation"].endswith(".")


def test_a_source_without_identities_does_not_list_every_image() -> None:
    found = anomalies([{"identity": f"{n:03d}", "age": 3} for n in range(5)])
    single = found["single_image_identities"]
    assert (single["count"], single["items"]) == (5, [])
    assert "no identities" in single["explanation"]


def test_the_labels_that_are_missing_are_named() -> None:
    rows = [
        {"identity": "p", "age": 3, "sex": None, "race": "x"},
        {"identity": "p", "age": 3, "sex": "F", "race": "x"},
        {"identity": "p", "age": 3, "sex": None, "race": None},
    ]
    assert anomalies(rows)["missing_race_or_sex"]["items"] == [
        {"sample_id": "000", "missing": ["sex"]},
        {"sample_id": "002", "missing": ["race", "sex"]},
    ]


def test_ages_are_held_against_the_completed_years_between_the_dates() -> None:
    ages = [54, 54, 54, 54, 54]
    born = ["1950-02-23", "1950-02-24", "1949-02-24", None, "1948-02-29"]
    taken = ["2004-02-23", "2004-02-23", "2004-02-23", "2004-02-23", "2003-02-28"]
    dates = pd.DataFrame(
        {
            "sample_id": [f"{n:03d}" for n in range(5)],
            "dob": pd.to_datetime(pd.Series(born)),
            "doa": pd.to_datetime(pd.Series(taken)),
        }
    )
    found = anomalies([{"identity": "p", "age": age} for age in ages], table=dates)
    assert found["date_mismatch"]["items"] == [
        {
            "sample_id": "001",
            "age": 54,
            "dob": "1950-02-24",
            "doa": "2004-02-23",
            "age_from_dates": 53,
        }
    ]
    assert found["unreadable_dates"]["items"] == [
        {"sample_id": "003", "dob": "", "doa": "2004-02-23"}
    ]


def test_the_hash_depends_on_labels_and_bytes_but_not_on_the_order() -> None:
    table = pd.DataFrame(
        {
            "sample_id": ["a", "b"],
            "digest": ["0", "1"],
            "identity": ["p", "q"],
            "age": [3, 4],
        }
    )
    whole = manifest_hash(table)
    assert manifest_hash(table.iloc[::-1]) == whole
    changes = {"sample_id": ["a", "c"], "digest": ["0", "2"], "identity": ["p", "p"], "age": [3, 5]}
    others = {manifest_hash(table.assign(**{name: new})) for name, new in changes.items()}
    assert len(others | {whole}) == 5


def test_joined_people_zeros_and_paths_found_otherwise_are_listed() -> None:
    samples, files = tables([{"identity": name, "age": 3} for name in ("7", "007", "Ann")])
    joined = pd.DataFrame({"identity": ["Ann"], "spellings": [{"Ann": 1, "ann": 2}]})
    otherwise = pd.DataFrame({"written": ["A.png"], "found": ["a.png"]})
    report = audit(reading.Reading(samples, NOTHING, joined, otherwise), files)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    found = {name: check["items"] for name, check in report["anomalies"].items()}
    assert found["identities_joined"] == joined.to_dict("records")
    assert found["identities_differing_by_zeros"] == [{"identities": ["007", "7"]}]
    assert found["paths_found_otherwise"] == [{"written": "A.png", "found": "a.png"}]
    assert report["anomalies"]["identities_joined"]["count"] == 1


def test_nothing_joined_is_listed_as_nothing() -> None:
    found = anomalies([{"identity": "p", "age": 3}])
    for name in ("identities_joined", "identities_differing_by_zeros", "paths_found_otherwise"):
        assert (found[name]["count"], found[name]["items"]) == (0, [])
