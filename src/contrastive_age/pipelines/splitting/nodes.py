"""Samples to folds."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint
from contrastive_age.io import packed
from contrastive_age.parameters.loader import unchanged
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols import copies, leakage, splits
from contrastive_age.protocols import parts as of_fold
from contrastive_age.protocols.parts import COPIES, Parts
from contrastive_age.provenance import Record, code_of, made_with, table_digest

logger = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Folds = tuple[pd.DataFrame, dict[str, Any]]

WRITTEN = ("folds.parquet", "leakage.json")
"""The files of the splitting folder."""

LIBRARIES = ("numpy", "pandas", "scikit-learn")
"""What folds are made with."""


def split_unless_packed(
    samples: pd.DataFrame, looks: pd.DataFrame, setting: Setting, splitting_folder: Path
) -> Folds:
    """Keep folds that came in a pack if they are asked for, else make the protocol's folds.

    Folds need no photos, so that others than the packed ones can be made anywhere.

    Args:
        samples: The source's table of samples.
        looks: By what each photo is known again.
        setting: The protocol's effective values.
        splitting_folder: Where packed folds lie.

    Returns:
        The folds and the leakage report.

    Raises:
        DataError: The packed files are missing or damaged, or as for `split`.
    """
    kept = packed_folds(samples, looks, setting, splitting_folder)
    if kept is not None:
        logger.info("%s: the folds came in a pack", setting.protocol)
        return kept
    made = split(samples, looks, setting)
    other = packed.read(splitting_folder)
    if other is not None:
        logger.warning("%s: other folds than the packed ones are made", setting.protocol)
        other.forget()
    return made


def packed_folds(
    samples: pd.DataFrame, looks: pd.DataFrame, setting: Setting, splitting_folder: Path
) -> Folds | None:
    """Read folds that came in a pack; None where none did, or others are asked for.

    Raises:
        DataError: The packed files are missing or damaged.
    """
    kept = packed.read(splitting_folder)
    if kept is None:
        return None
    table, report = map(kept.checked, WRITTEN)
    folds = pd.read_parquet(table)
    record = Record.read(folds.attrs.get("record"))
    if record.differences(decided_by(samples, looks, setting)):
        return None
    record.say_where(f"the folds of {setting.protocol}", made_with(*LIBRARIES))
    return folds, json.loads(report.read_text(encoding="utf-8"))


def decided_by(samples: pd.DataFrame, looks: pd.DataFrame, setting: Setting) -> dict[str, Any]:
    """What decides the folds: samples, copies, parameters and code; by name."""
    return _parameters(setting) | {
        "samples": samples.attrs.get("fingerprint"),
        "looks": table_digest(looks),
    }


def split(samples: pd.DataFrame, looks: pd.DataFrame, setting: Setting) -> Folds:
    """Make the protocol's folds and audit them.

    Args:
        samples: The source's table of samples.
        looks: By what each photo is known again.
        setting: The protocol's effective values.

    Returns:
        The folds and the leakage report.

    Raises:
        DataError: Too few samples, subjects or ages, an age without a class, a split list that does
            not fit, more copies of one photo than can be, or a leak in a protocol that promises
            none.
    """
    own = setting.splitting
    chosen = splits.cap_samples(
        samples, setting.max_samples, own.seed, keep_identities=setting.split == "lopo"
    )
    _check_ages(chosen, setting)
    pairs = copies.find_copies(_photos(looks, chosen), setting.most_bits)
    group = copies.group(pairs, len(chosen))
    apart = _keeps_apart(setting)
    if apart:
        splits.refuse_large_groups(chosen, group)
    folds = _make_folds(samples, chosen, setting, group if apart else None)
    _check_number(folds, setting)
    if apart:
        folds = of_fold.keep_apart(folds, group)
    report = leakage.audit_leakage(folds, chosen, pairs, group, apart=apart)
    if _as_listed(setting):
        report["leaking_samples"] = folds["sample_id"][leakage.leaking(folds, group)].tolist()
    elif setting.split != "rs":
        leakage.refuse_leaks(report, setting.protocol)
    folds.attrs |= {
        "leakage": fingerprint(report),
        "fingerprint": fingerprint(
            samples.attrs.get("fingerprint"),
            folds[["sample_id", "fold"]].to_dict("list"),
            folds.attrs.get(COPIES),
            report,
        ),
        "record": Record(decided_by(samples, looks, setting), made_with(*LIBRARIES)).document,
    }
    _log(folds, report, setting)
    return folds, report


def check_made_for(folds: pd.DataFrame, samples: pd.DataFrame, setting: Setting) -> None:
    """Refuse folds of other samples or parameters, as when only later stages are run.

    Args:
        folds: The protocol's folds on disk.
        samples: The source's samples.
        setting: The protocol's effective values.

    Raises:
        DataError: The folds are not those that would be made now.
    """
    wanted = _parameters(setting) | {"samples": samples.attrs.get("fingerprint")}
    found = Record.read(folds.attrs.get("record")).decided_by
    differences = Record({name: found.get(name) for name in wanted}).differences(wanted)
    if differences:
        raise DataError(
            f"The folds of {setting.protocol} on disk were made otherwise "
            f"({'; '.join(differences)}); run --tags=splitting with these parameters first, or all "
            f"of {setting.protocol}"
        )


def check_leakage(folds: pd.DataFrame, leakage: dict[str, Any]) -> None:
    """Refuse a leakage report that is of other folds.

    Raises:
        DataError: It is.
    """
    if folds.attrs.get("leakage") != fingerprint(leakage):
        raise DataError("leakage.json is of other folds than folds.parquet; run --tags=splitting")


def fold_parts(folds: pd.DataFrame, samples: pd.DataFrame, setting: Setting, fold: int) -> Parts:
    """Give the rows that train and those that are tested in a fold.

    Args:
        folds: The protocol's folds.
        samples: The source's samples.
        setting: The protocol's effective values.
        fold: The fold.

    Raises:
        DataError: The folds are of other samples or parameters, or leave too few subjects to
            validate.
    """
    check_made_for(folds, samples, setting)
    return of_fold.parts(folds, fold, setting.validation, setting.splitting.seed)


def training_part(
    folds: pd.DataFrame, samples: pd.DataFrame, setting: Setting, fold: int | None
) -> pd.DataFrame:
    """Give the rows that train in a fold; all of them where no fold is tested.

    Args:
        folds: The protocol's folds.
        samples: The source's samples.
        setting: The protocol's effective values.
        fold: The fold; None to train on all samples.

    Raises:
        DataError: The folds are of other samples or parameters, or leave too few subjects to
            validate.
    """
    check_made_for(folds, samples, setting)
    return of_fold.training_part(folds, fold, setting.validation, setting.splitting.seed)


def _parameters(setting: Setting) -> dict[str, Any]:
    """Name the parameters that decide the folds, and the code."""
    values = {"protocol", "split", "folds", "max_samples"}
    return {
        **setting.model_dump(mode="json", include=values),
        **setting.splitting.model_dump(mode="json", exclude={"folds_file"}),
        "most_bits": setting.most_bits,
        "code of splitting": splitting_code(),
    }


def splitting_code() -> str:
    """Name the code that makes folds of samples."""
    return code_of(
        splits.random_split, copies.find_copies, of_fold.keep_apart, leakage.audit_leakage
    )


def _as_listed(setting: Setting) -> bool:
    """Whether the folds are those of a published list, with all that leaks in it."""
    return setting.splitting.folds_file is not None and setting.splitting.allow_leaks


def _keeps_apart(setting: Setting) -> bool:
    """Whether copies of a photo may not be on both sides of a fold.

    Where folds are given (LOPO, a list) what promises to be subject-exclusive keeps that promise.
    """
    given = setting.split == "lopo" or setting.splitting.folds_file is not None
    promised = given and setting.split != "rs"
    return not _as_listed(setting) and (setting.splitting.group_copies or promised)


def _photos(looks: pd.DataFrame, chosen: pd.DataFrame) -> copies.Photos:
    """Take the chosen samples' photos, in their order."""
    rows = pd.Index(looks["sample_id"]).get_indexer(pd.Index(chosen["sample_id"]))
    missing = chosen["sample_id"][rows < 0]
    if len(missing):
        raise DataError(
            f"{len(missing)} samples have no aligned face, the first is {missing.iloc[0]}: run the "
            "alignment again"
        )
    return copies.Photos.of_table(looks.iloc[rows])


def _make_folds(
    samples: pd.DataFrame, chosen: pd.DataFrame, setting: Setting, group: Ints | None
) -> pd.DataFrame:
    """Split the chosen samples by a published list, or as the protocol says."""
    own = setting.splitting
    if own.folds_file is not None:
        # The list names all samples; only then are those taken out that were not chosen.
        listed = splits.from_file(samples, unchanged(own.folds_file, own.folds_file_digest))
        return listed[listed["sample_id"].isin(chosen["sample_id"])].reset_index(drop=True)
    if setting.split == "rs":
        return splits.random_split(chosen, setting.folds, own.seed, group)
    if setting.split == "se":
        return splits.subject_exclusive(chosen, setting.folds, own.seed, group)
    return splits.leave_one_person_out(chosen)


def _check_ages(chosen: pd.DataFrame, setting: Setting) -> None:
    """Refuse ages that no network of the protocol can learn, before hours are spent on others."""
    ages = chosen["age"]
    strangers = chosen[~ages.between(setting.age_min, setting.age_max)]
    if len(strangers):
        first = strangers.iloc[0]
        raise DataError(
            f"{len(strangers)} samples of {setting.source} have ages outside {setting.age_min} to "
            f"{setting.age_max}, the classes of {setting.protocol}; the first is "
            f"{first['sample_id']}, age {first['age']}. Take them out, or give other classes as "
            f"protocols.{setting.protocol}.ages in conf/local/parameters.yml"
        )
    if ages.nunique() < 2:
        raise DataError(
            f"All {len(ages)} samples of {setting.source} have age {ages.iloc[0]}: there is "
            "nothing to learn; add photos at other ages, or raise max_samples"
        )


def _check_number(folds: pd.DataFrame, setting: Setting) -> None:
    """Refuse a number of folds other than that of the registered pipeline."""
    found = folds["fold"].nunique()
    if found != setting.folds:
        where = setting.splitting.folds_file or f"{setting.source}'s samples"
        raise DataError(
            f"{where} give {found} folds, but {setting.protocol} has {setting.folds}; set "
            f"protocols.{setting.protocol}.folds={found} (--params or conf/local/parameters.yml)"
        )


def _log(folds: pd.DataFrame, report: dict[str, Any], setting: Setting) -> None:
    found = report["copies"]
    logger.info(
        "%s: %d images in %d folds; constant MAE %.2f years; %.1f%% of test images have their "
        "subject in training, %.1f%% a copy (%d images are copies in %d groups)",
        setting.protocol,
        len(folds),
        setting.folds,
        report["mae_constant"],
        100 * report["leaked_share"],
        100 * report["leaked_copies_share"],
        found["images"],
        found["groups"],
    )
    if found["contradicting"]:
        first = found["contradicting"][0]
        logger.warning(
            "%s: of the groups of copies %d are of several people and %d of several ages; at most "
            "one label of each is right. The first: %s. leakage.json names more",
            setting.protocol,
            found["across_identities"],
            found["across_ages"],
            ", ".join(f"{own['sample_id']} ({own['identity']}, {own['age']})" for own in first),
        )
    if report.get("leaking_samples"):
        logger.warning(
            "%s: %d of %d test images have their subject or a copy in training: "
            "splitting.allow_leaks takes the list as it is; leakage.json names them",
            setting.protocol,
            len(report["leaking_samples"]),
            len(folds),
        )
    largest = max(entry["n_test"] for entry in report["folds"])
    if setting.split != "lopo" and largest > 2 * len(folds) / setting.folds:
        logger.warning(
            "%s: one fold holds %d of %d images, as one subject does, or several whom copies link "
            "(copies in leakage.json)",
            setting.protocol,
            largest,
            len(folds),
        )
