"""A protocol's folds: making them of samples and copies, and knowing them again."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint
from contrastive_age.protocols import copies, leakage, splits
from contrastive_age.protocols.copies import Ints
from contrastive_age.protocols.parts import (
    COPIES,
    TRAINS,
    Parts,
    ever_tested,
    keep_apart,
    named_apart,
    parts,
    together,
)
from contrastive_age.provenance import Record, code_of, made_with, table_digest
from contrastive_age.strict import STRICT

logger = logging.getLogger(__name__)

Folds = tuple[pd.DataFrame, dict[str, Any]]
"""The folds table and what `leakage.json` holds."""

LIBRARIES = ("numpy", "pandas", "scikit-learn")
"""What folds are made with."""

Split = Literal["rs", "se", "lopo", "transfer"]
Several = Annotated[int, Field(gt=1)]
Bits = Annotated[int, Field(ge=0, le=256)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Training(NamedTuple):
    """The source that trains in a transfer: its samples, and by what their photos are known."""

    samples: pd.DataFrame
    looks: pd.DataFrame


@dataclass(frozen=True, config=STRICT)
class Plan:
    """How a protocol divides a source's samples.

    Attributes:
        protocol: Its name.
        split: `rs` (random), `se` (subject-exclusive), `lopo` (leave one person out) or `transfer`
            (all samples are tested in the one fold, and those of another source train).
        folds: Their number.
        max_samples: How many samples are taken at most; None for all.
        seed: Of the folds, of the samples taken, and of the validation parts.
        folds_file_digest: SHA-256 of the published list that is used in place of `split`.
        group_copies: Whether copies of a photo are tested in one fold.
        allow_leaks: Whether a published list is taken with all that leaks in it.
        most_bits: Up to how many differing bits of 256 two faces are one photo.
        ages: The youngest and the oldest class in years.
        validation: Share of the subjects of a training part that is predicted in place of the
            tested part; None to predict that.
        trained_on: The source that trains in a transfer; None where none does, as when initial
            weights are tested as they are.
    """

    protocol: str
    split: Split
    folds: PositiveInt
    max_samples: Several | None
    seed: NonNegativeInt
    folds_file_digest: str | None
    group_copies: bool
    allow_leaks: bool
    most_bits: Bits
    ages: tuple[int, int]
    validation: Share | None = None
    trained_on: str | None = None

    @property
    def exclusive(self) -> bool:
        """Whether it promises that nobody is in both parts of a fold.

        Between the two sources of a transfer nobody is known but by photos.
        """
        return self.split in {"se", "lopo"}

    @property
    def as_listed(self) -> bool:
        """Whether the folds are those of a published list, with all that leaks in it."""
        return self.folds_file_digest is not None and self.allow_leaks

    @property
    def apart(self) -> bool:
        """Whether copies of a photo may not be on both sides of a fold.

        Where folds are given (LOPO, a list) what promises to be subject-exclusive keeps that
        promise.
        """
        given = self.split == "lopo" or self.folds_file_digest is not None
        promised = given and self.exclusive
        # A transfer has no copies on both sides: they are refused.
        grouped = self.group_copies and self.split != "transfer"
        return not self.as_listed and (grouped or promised)

    def make(
        self,
        samples: pd.DataFrame,
        looks: pd.DataFrame,
        listed: Path | None = None,
        training: Training | None = None,
    ) -> Folds:
        """Make the folds and audit them.

        Args:
            samples: The source's table of samples; its `attrs` name it (`fingerprint`).
            looks: By what each photo is known again, see `copies.Photos.of_table`.
            listed: A published list (`splits.from_file`) in place of `split`.
            training: The source `trained_on`.

        Returns:
            The folds, with the samples that only train behind those that are tested. Their `attrs`
            hold their record, what names them and the leakage report (`fingerprint`, `leakage`) and
            the copies that are kept apart. And that report.

        Raises:
            DataError: Too few samples, subjects or ages, people to be kept apart who are not
                known, an age without a class, a split list that does not fit, more copies of one
                photo than can be, or a leak in a protocol that promises none. Or the two sources
                of a transfer share photos.
        """
        chosen = splits.cap_samples(
            samples, self.max_samples, self.seed, keep_identities=self.split == "lopo"
        )
        table = None
        if listed is not None:
            # The list names all samples; only then are those taken out that were not chosen.
            table = splits.from_file(samples, listed)
            chosen = _among(chosen, table)
            _check_tested(_among(table, chosen), self, listed)
        _check_ages(chosen, self)
        _check_persons(samples, self)
        record = Record(self.decided_by(samples, looks, training), made_with(*LIBRARIES))
        tested = len(chosen)
        if training is not None:
            chosen, looks = _with_training(chosen, looks, training, self)
        pairs = copies.find_copies(_photos(looks, chosen), self.most_bits)
        group = copies.group(pairs, len(chosen))
        if self.apart:
            splits.refuse_large_groups(chosen, group)
        if self.split == "transfer":
            folds = splits.transfer(chosen, tested)
            leakage.refuse_overlap(folds, group, self.protocol)
        elif table is not None:
            folds = _among(table, chosen)
        else:
            folds = _divide(chosen, self, group if self.apart else None)
        _check_number(folds, self, listed)
        if self.apart:
            folds = keep_apart(folds, group)
        report = leakage.audit_leakage(folds, chosen, pairs, group, apart=self.apart)
        if self.as_listed:
            report["leaking_samples"] = folds["sample_id"][leakage.leaking(folds, group)].tolist()
            people = folds.groupby("identity")["fold"].nunique()
            report["people"] = len(people)
            report["people_in_several_folds"] = int(people.gt(1).sum())
        elif self.exclusive:
            leakage.refuse_leaks(report, self.protocol)
        folds.attrs |= {
            "leakage": fingerprint(report),
            "fingerprint": fingerprint(
                samples.attrs.get("fingerprint"),
                folds[["sample_id", "fold"]].to_dict("list"),
                folds.attrs.get(COPIES),
                report,
                *([] if training is None else self._of_training(training)),
            ),
            "record": record.document,
        }
        _log(folds, report, self)
        return folds, report

    def decided_by(
        self, samples: pd.DataFrame, looks: pd.DataFrame, training: Training | None = None
    ) -> dict[str, Any]:
        """What decides the folds: samples, copies, parameters and code; by name."""
        known = self._parameters(samples) | {"looks": table_digest(looks)}
        if training is None:
            return known
        names = "samples that train", "looks of those that train"
        return known | dict(zip(names, self._of_training(training), strict=True))

    def _of_training(self, training: Training) -> list[Any]:
        return [training.samples.attrs.get("fingerprint"), table_digest(training.looks)]

    def _parameters(self, samples: pd.DataFrame) -> dict[str, Any]:
        values = asdict(self)
        # Classes refuse samples and move none; a validation part is taken out of a fold.
        del values["ages"], values["validation"]
        return values | {
            "samples": samples.attrs.get("fingerprint"),
            "code of splitting": code_of(Plan),
        }

    def require(self, folds: pd.DataFrame, samples: pd.DataFrame) -> None:
        """Refuse folds of other samples or parameters, as when only later stages are run.

        Args:
            folds: The protocol's folds on disk.
            samples: The source's samples.

        Raises:
            DataError: The folds are not those that would be made now.
        """
        wanted, record = self._parameters(samples), Record.of(folds)
        # The photos' looks are compared where folds are made.
        known = {name: record.decided_by.get(name) for name in wanted}
        Record(known).require(
            wanted,
            f"The folds of {self.protocol} on disk were made otherwise",
            f"run --tags=splitting with these parameters first, or all of {self.protocol}",
        )

    def trained(self, folds: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
        """Give the rows that train in any fold, with the names that their source has for them.

        Args:
            folds: The protocol's folds.
            samples: Of the source that trains.

        Raises:
            DataError: In a transfer, the folds were made beside other samples that train.
        """
        if self.split != "transfer":
            return folds
        if self.trained_on is None:
            return folds.iloc[:0]
        known = Record.of(folds).decided_by or {}
        if known.get("samples that train") != samples.attrs.get("fingerprint"):
            raise DataError(
                f"The folds of {self.protocol} on disk were made beside other samples of "
                f"{self.trained_on}; run --tags=splitting first, or all of {self.protocol}"
            )
        return named_apart(folds[folds["fold"] == TRAINS], self.trained_on)

    def parts(self, folds: pd.DataFrame, samples: pd.DataFrame, fold: int | None) -> Parts:
        """Give the rows that train and those that are predicted in a fold, see `parts.parts`.

        Args:
            folds: The protocol's folds.
            samples: The source's samples.
            fold: The fold; None where all train and none are tested.

        Raises:
            DataError: The folds are of other samples or parameters, or leave too few subjects to
                validate.
        """
        self.require(folds, samples)
        if fold is None:
            return Parts(folds, folds.iloc[:0])
        return parts(folds, fold, self.validation, self.seed)


def check_leakage(folds: pd.DataFrame, report: dict[str, Any]) -> None:
    """Refuse a leakage report that is of other folds.

    Raises:
        DataError: It is.
    """
    if folds.attrs.get("leakage") != fingerprint(report):
        raise DataError("leakage.json is of other folds than folds.parquet; run --tags=splitting")


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


def _with_training(
    tested: pd.DataFrame, looks: pd.DataFrame, training: Training, plan: Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the samples that train behind those that are tested, named by their source; and looks."""
    chosen = splits.cap_samples(
        training.samples, plan.max_samples, plan.seed, keep_identities=False
    )
    _check_ages(chosen, plan)
    columns, source = ["sample_id", "identity", "age"], str(plan.trained_on)
    added = together({source: chosen[columns]})
    both = pd.concat([tested[columns], added[columns]], ignore_index=True)
    twice = both["sample_id"][both["sample_id"].duplicated()]
    if len(twice):
        raise DataError(
            f"{plan.protocol}: {len(twice)} samples of its two sources have the same names, the "
            f"first is {twice.iloc[0]}; test on other photos than those of {source}"
        )
    known = training.looks.assign(sample_id=f"{source}/" + training.looks["sample_id"])
    return both, pd.concat([looks, known], ignore_index=True)


def _among(table: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Keep the samples that are in another table, too."""
    return table[table["sample_id"].isin(others["sample_id"])].reset_index(drop=True)


def _divide(chosen: pd.DataFrame, plan: Plan, group: Ints | None) -> pd.DataFrame:
    """Divide the chosen samples as the protocol says."""
    if plan.split == "lopo":
        return splits.leave_one_person_out(chosen)
    divide = splits.random_split if plan.split == "rs" else splits.subject_exclusive
    return divide(chosen, plan.folds, plan.seed, group)


def _check_ages(chosen: pd.DataFrame, plan: Plan) -> None:
    """Refuse ages that no network of the protocol can learn, before hours are spent on others."""
    ages, (youngest, oldest) = chosen["age"], plan.ages
    strangers = chosen[~ages.between(youngest, oldest)]
    if len(strangers):
        first = strangers.iloc[0]
        raise DataError(
            f"{len(strangers)} samples of {plan.protocol} have ages outside {youngest} to "
            f"{oldest}, its classes; the first is {first['sample_id']}, age {first['age']}. Take "
            f"them out, or give other classes as protocols.{plan.protocol}.ages in "
            "conf/local/parameters.yml"
        )
    if ages.nunique() < 2:
        raise DataError(
            f"All {len(ages)} samples of {plan.protocol} have age {ages.iloc[0]}: there is "
            "nothing to learn; add photos at other ages, or raise max_samples"
        )


def _check_persons(samples: pd.DataFrame, plan: Plan) -> None:
    """Refuse to keep people apart of whom nothing is known: the promise would be empty."""
    promised = plan.exclusive and not plan.as_listed
    if promised and samples["identity"].equals(samples["sample_id"]):
        raise DataError(
            f"{plan.protocol} keeps people apart, and in these {len(samples)} photos everyone is "
            "a person of their own. Name the people in a column identity; where that cannot be "
            "known, or is so, run the protocol with random folds, such as custom_rs"
        )


def _check_tested(folds: pd.DataFrame, plan: Plan, listed: Path) -> None:
    """Refuse a list of whose tested photos `max_samples` takes none."""
    if ever_tested(folds).empty:
        raise DataError(
            f"{listed} tests none of the samples that {plan.protocol} takes of "
            f"max_samples={plan.max_samples}; raise max_samples"
        )


def _check_number(folds: pd.DataFrame, plan: Plan, listed: Path | None) -> None:
    """Refuse a number of folds other than that of the registered pipeline."""
    number = ever_tested(folds)["fold"].nunique()
    if number != plan.folds:
        raise DataError(
            f"{listed or 'the samples'} give {number} folds, but {plan.protocol} has {plan.folds}; "
            f"set protocols.{plan.protocol}.folds={number} (--params or conf/local/parameters.yml)"
        )


def _log(folds: pd.DataFrame, report: dict[str, Any], plan: Plan) -> None:
    copied = report["copies"]
    said = [
        f"{report['n']:,} images in {plan.folds} folds"
        if plan.folds > 1
        else f"{report['n']:,} images are tested, {len(folds) - report['n']:,} others train",
        f"a constant errs by {report['mae_constant']:.2f} years",
    ]
    for leak, share in {"subject": "leaked_share", "copy": "leaked_copies_share"}.items():
        if report[share]:
            said.append(f"{report[share]:.1%} of test images have a {leak} in training")
    if copied["images"]:
        said.append(f"{copied['images']} images are copies, in {copied['groups']} groups")
    logger.info("%s: %s", plan.protocol, "; ".join(said))
    if copied["contradicting"]:
        first = copied["contradicting"][0]
        logger.warning(
            "%s: of the groups of copies %d are of several people and %d of several ages; at most "
            "one label of each is right. The first: %s. leakage.json names more",
            plan.protocol,
            copied["across_identities"],
            copied["across_ages"],
            ", ".join(f"{one['sample_id']} ({one['identity']}, {one['age']})" for one in first),
        )
    if report.get("leaking_samples"):
        logger.warning(
            "%s: %d of %d test images have their subject or a copy in training, and %d of %d "
            "people are in more than one fold: splitting.allow_leaks takes the list as it is; "
            "leakage.json names those images",
            plan.protocol,
            len(report["leaking_samples"]),
            report["n"],
            report["people_in_several_folds"],
            report["people"],
        )
    largest = max(entry["n_test"] for entry in report["folds"])
    if plan.split != "lopo" and largest > 2 * len(folds) / plan.folds:
        logger.warning(
            "%s: one fold holds %d of %d images, as one subject does, or several whom copies link "
            "(copies in leakage.json)",
            plan.protocol,
            largest,
            len(folds),
        )
