"""What a source holds, and everything about its labels and files that a reader should know."""

import hashlib
from typing import Any

import pandas as pd

from contrastive_age.sources import identities, reading
from contrastive_age.sources.ages import age_bin

MANY = 0.1
"""Of more than this share of its entries that are rejected, a source is warned of."""


def audit(
    source: reading.Reading,
    files: pd.DataFrame,
    *,
    max_span: int | None = None,
    table: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Count and list everything remarkable about a source. Nothing is changed or left out.

    Args:
        source: What was read: at least one sample, what was rejected, and how it was written.
        files: As `reading.inspect_files` gives it.
        max_span: Years between an identity's youngest and oldest picture above which it is listed;
            None leaves that check out.
        table: `sample_id` and what a table beside the photos says of some of them: any of
            `identity`, `capture`, `sex` and `age` (str), `dob` and `doa` (datetime64).

    Returns:
        A dictionary that JSON can hold: `n`, `identities`, `images_found`, `ages` (min, max,
        median, in years), `age_bins`, `manifest_hash` (SHA-256 over sample_id, digest, identity and
        age of all samples), `rejected` (path and reason) and `anomalies`: for each check that the
        source's columns allow its `count`, an `explanation` and the `items` found.
    """
    samples = source.samples.merge(files[["path", "digest"]], on="path", how="left")
    ages = samples["age"]
    return {
        "n": len(samples),
        "identities": int(samples["identity"].nunique()),
        "images_found": int((files["digest"] != "").sum()),
        "ages": {
            "min": int(ages.min()),
            "max": int(ages.max()),
            "median": float(ages.median()),
        },
        "age_bins": {name: int(number) for name, number in age_bin(ages).value_counts().items()},
        "manifest_hash": manifest_hash(samples),
        "rejected": source.rejected.to_dict("records"),
        "anomalies": _rejections(source.rejected)
        | _cut_off(files[files["path"].isin(samples["path"])])
        | _spellings(source)
        | _duplicates(samples)
        | _identities(samples)
        | _ages_held_by_one_identity(samples)
        | (_both_sexes(samples) if "sex" in samples else {})
        | (_several_races(samples) if "race" in samples else {})
        | (_falling_ages(samples) if "capture" in samples else {})
        | (_long_spans(samples, max_span) if max_span is not None else {})
        | _missing_labels(samples)
        | (_against_table(samples, table) if table is not None else {}),
    }


def many_rejected(report: dict[str, Any]) -> str:
    """Say that much of a source was rejected, and why; "" where little was.

    Args:
        report: As `audit` gives it.

    Returns:
        How many entries of how many, and the commonest reasons, where more than `MANY` of them
        were rejected. What lies among the images, cannot be read and is not called as a photo,
        such as notes, is no entry; a row of a table is one whatever it names.
    """
    rejected = pd.DataFrame(report["rejected"], columns=["path", "reason"], dtype="str")
    paths, reasons = rejected["path"], rejected["reason"]
    photos = reading.called_as_photos(paths) | reasons.str.contains(r" \(row \d+\)\Z")
    rejected = rejected[photos | ~reasons.str.startswith(reading.UNREADABLE)]
    entries = report["n"] + len(rejected)
    share = len(rejected) / entries
    if share <= MANY:
        return ""
    return (
        f"{len(rejected)} of {entries} entries ({share:.0%}) were rejected: "
        f"{reading.commonest(rejected)}"
    )


def manifest_hash(samples: pd.DataFrame) -> str:
    """Name the data set: the same samples with the same bytes and labels give the same hash.

    Args:
        samples: `sample_id`, `digest`, `identity` and `age`, in any order.

    Returns:
        SHA-256, hexadecimal, over the rows sorted by sample_id; values end in a zero byte.
    """
    ordered = samples.sort_values("sample_id")
    rows = (
        ordered["sample_id"] + "\0" + ordered["digest"].fillna("") + "\0"
        + ordered["identity"] + "\0" + ordered["age"].astype("str") + "\0"
    )  # fmt: skip
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _anomaly(explanation: str, items: pd.DataFrame, count: int | None = None) -> dict[str, Any]:
    """Describe one anomaly; the items are the rows, counted unless a count is given."""
    return {
        "count": len(items) if count is None else count,
        "explanation": explanation,
        "items": items.to_dict("records"),
    }


def _rejections(rejected: pd.DataFrame) -> dict[str, Any]:
    unreadable = rejected["reason"].str.startswith(reading.UNREADABLE)
    unparsed = rejected["reason"].str.startswith(reading.UNPARSED)
    return {
        "unreadable_files": _anomaly(
            "Files that are missing, empty, damaged or no photos; they are left out.",
            rejected[unreadable],
        ),
        "unparsed_names": _anomaly(
            "Files whose names do not hold the labels in the expected form; they are left out.",
            rejected[unparsed],
        ),
        "other_rejections": _anomaly(
            "Files and entries that are left out for another reason.",
            rejected[~unreadable & ~unparsed],
        ),
    }


def _cut_off(files: pd.DataFrame) -> dict[str, Any]:
    items = files.loc[files["note"] != "", ["path", "note"]]
    return {
        "cut_off_images": _anomaly("Images whose end is missing; what is there is used.", items)
    }


def _spellings(source: reading.Reading) -> dict[str, Any]:
    return {
        "identities_joined": _anomaly(
            "People whose identity is written in several ways that differ in case, blanks, Unicode "
            "form, or as 1 and 1.0; each is one person, under the identity named.",
            source.joined,
        ),
        "identities_differing_by_zeros": _anomaly(
            "Identities that differ by leading zeros alone. Each is a person; where they are one, "
            "write them alike.",
            identities.differing_by_zeros(source.samples["identity"]),
        ),
        "paths_found_otherwise": _anomaly(
            "Paths that lead to a file in another case or Unicode form alone; that file is used.",
            source.found_otherwise,
        ),
        "ages_rounded": _anomaly(
            "Ages that are written as no whole numbers; they are rounded, halves up.",
            source.ages_rounded,
        ),
    }


def _duplicates(samples: pd.DataFrame) -> dict[str, Any]:
    known = samples[samples["digest"].fillna("") != ""]
    copies = known[known["digest"].duplicated(keep=False)]
    groups = (
        copies.groupby("digest")
        .agg(
            sample_ids=("sample_id", list),
            identities=("identity", _distinct),
            ages=("age", _distinct),
        )
        .reset_index()
    )
    return {
        "duplicate_bytes": _anomaly("Groups of images with the same bytes; all are kept.", groups),
        "duplicate_bytes_across_identities": _anomaly(
            "Groups of images with the same bytes under several identities: at most one is right.",
            groups[groups["identities"].map(len) > 1],
        ),
        "duplicate_bytes_across_ages": _anomaly(
            "Groups of images with the same bytes under several ages: at most one is right.",
            groups[groups["ages"].map(len) > 1],
        ),
    }


def _distinct(values: pd.Series) -> list[Any]:
    return sorted(set(values))


def _identities(samples: pd.DataFrame) -> dict[str, Any]:
    single = samples.loc[~samples["identity"].duplicated(keep=False), ["identity", "sample_id"]]
    listed, explanation = single, "Identities with one image only."
    if (samples["identity"] == samples["sample_id"]).all():
        listed = single.head(0)
        explanation = (
            "The source knows no identities, so every image is its own; they are not listed."
        )
    return {"single_image_identities": _anomaly(explanation, listed, len(single))}


def _ages_held_by_one_identity(samples: pd.DataFrame) -> dict[str, Any]:
    holders = samples[["age", "identity"]].drop_duplicates()["age"].value_counts()
    alone = samples[samples["age"].isin(holders.index[holders == 1])]
    items = (
        alone.groupby("age")
        .agg(identity=("identity", "first"), sample_ids=("sample_id", list))
        .reset_index()
    )
    return {
        "ages_held_by_one_identity": _anomaly(
            f"Ages that one identity alone has, on {len(alone)} images: as anchors these find no "
            "positive.",
            items,
        )
    }


def _both_sexes(samples: pd.DataFrame) -> dict[str, Any]:
    lists = samples.groupby(["identity", "sex"])["sample_id"].agg(list)
    images = lists.unstack()  # noqa: PD010 - of a series, which has no pivot_table
    return {
        "identities_with_both_sexes": _anomaly(
            "Identities with images of both sexes, by sex: some label is wrong.",
            images.reindex(columns=["F", "M"]).dropna().reset_index(),
        )
    }


def _several_races(samples: pd.DataFrame) -> dict[str, Any]:
    # Two spellings that differ in case are one race.
    races = samples["race"].str.casefold().groupby(samples["identity"]).transform("nunique")
    return {
        "identities_with_several_races": _anomaly(
            "Identities with images of several races, by race: some label is wrong.",
            _images_by(samples[races > 1], "race"),
        )
    }


def _images_by(samples: pd.DataFrame, column: str) -> pd.DataFrame:
    """List the images of each identity, as a dictionary from a column's values."""
    lists = samples.groupby(["identity", column])["sample_id"].agg(list)
    items = [
        (identity, group.droplevel("identity").to_dict())
        for identity, group in lists.groupby(level="identity")
    ]
    return pd.DataFrame(items, columns=["identity", "sample_ids"])


def _falling_ages(samples: pd.DataFrame) -> dict[str, Any]:
    pictures = samples.groupby(["identity", "capture"])["age"].agg(["min", "max"]).reset_index()
    oldest = pictures.groupby("identity")["max"].cummax()
    before = oldest.groupby(pictures["identity"]).shift()
    falling = pictures.loc[pictures["min"] < before, "identity"]
    items = (
        samples[samples["identity"].isin(falling)]
        .sort_values(["identity", "capture", "sample_id"])
        .groupby("identity")
        .agg(sample_ids=("sample_id", list), captures=("capture", list), ages=("age", list))
        .reset_index()
    )
    return {
        "ages_falling_along_capture": _anomaly(
            "Identities that are younger in a later picture than in an earlier one.", items
        )
    }


def _long_spans(samples: pd.DataFrame, max_span: int) -> dict[str, Any]:
    spans = samples.groupby("identity")["age"].agg(age_min="min", age_max="max").reset_index()
    spans["span"] = spans["age_max"] - spans["age_min"]
    return {
        "spans_over_limit": _anomaly(
            f"Identities whose ages span more than {max_span} years.",
            spans[spans["span"] > max_span],
        )
    }


def _missing_labels(samples: pd.DataFrame) -> dict[str, Any]:
    labels = [column for column in ("race", "sex") if column in samples]
    if not labels:
        return {}
    missing = samples[labels].isna()
    missing = missing[missing.any(axis=1)]
    items = pd.DataFrame(
        {
            "sample_id": samples.loc[missing.index, "sample_id"],
            "missing": [
                [label for label, absent in zip(labels, row, strict=True) if absent]
                for row in missing.itertuples(index=False)
            ],
        }
    )
    return {
        "missing_race_or_sex": _anomaly(
            "Images whose race or sex the source does not give; they are kept.", items
        )
    }


def _against_table(samples: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    said = table.set_index("sample_id").add_prefix("table_")
    both = samples.join(said, on="sample_id", how="inner")
    born, taken = "table_dob" in both, "table_doa" in both
    return (
        _contradictions(both)
        | (_several_birth_dates(both) if born else {})
        | (_dates(both) if born and taken else {})
    )


def _contradictions(both: pd.DataFrame) -> dict[str, Any]:
    pairs = [
        pd.DataFrame(
            {
                "sample_id": both["sample_id"],
                "label": label,
                "name": both[label].astype("str").fillna(""),
                "table": both[f"table_{label}"],
            }
        )
        for label in ("identity", "capture", "sex", "age")
        if {label, f"table_{label}"} <= set(both)
    ]
    if not pairs:
        return {}
    rows = pd.concat(pairs).sort_values("sample_id", kind="stable")
    return {
        "table_contradicts_name": _anomaly(
            "Labels that the table gives otherwise than the file's name, which counts.",
            rows[(rows["table"] != "") & (rows["table"] != rows["name"])],
        )
    }


def _several_birth_dates(both: pd.DataFrame) -> dict[str, Any]:
    births = both["table_dob"].groupby(both["identity"]).transform("nunique")
    several = both[births > 1]
    return {
        "identities_with_several_birth_dates": _anomaly(
            "Identities that the table gives several dates of birth, by date: some is wrong, or "
            "they are several people.",
            _images_by(several.assign(dob=several["table_dob"].dt.strftime("%Y-%m-%d")), "dob"),
        )
    }


def _dates(both: pd.DataFrame) -> dict[str, Any]:
    born, taken = both["table_dob"].dt, both["table_doa"].dt
    before_birthday = taken.month * 100 + taken.day < born.month * 100 + born.day
    years = taken.year - born.year - before_birthday
    written = both[["sample_id", "age"]].assign(
        dob=born.strftime("%Y-%m-%d").fillna(""),
        doa=taken.strftime("%Y-%m-%d").fillna(""),
        age_from_dates=years,
    )
    complete = years.notna()
    differing = written[complete & (both["age"] != years)]
    return {
        "date_mismatch": _anomaly(
            "Images whose age is not the completed years from the date of birth (dob) to the date "
            "of the picture (doa).",
            differing.astype({"age_from_dates": "int64"}),
        ),
        "unreadable_dates": _anomaly(
            "Images with a date of birth or of the picture that is missing or cannot be read.",
            written.loc[~complete, ["sample_id", "dob", "doa"]],
        ),
    }
