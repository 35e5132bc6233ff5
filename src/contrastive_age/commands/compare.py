"""`kedro compare`: predictions that were made elsewhere, measured and compared on our test photos.

They are measured as a setting is, as far as ages alone tell, and held against every setting that
was tested on the same photos. Their files lie beside the settings', where the report finds them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.io import DatasetError

from contrastive_age import tables
from contrastive_age.errors import DataError
from contrastive_age.files import fingerprint, replacing
from contrastive_age.io.files import path_of
from contrastive_age.parameters.loader import settings_of
from contrastive_age.parameters.setting import Setting
from contrastive_age.parameters.written import SHARED, as_text, kedro_run
from contrastive_age.protocols.folds import check_leakage
from contrastive_age.protocols.leakage import constant_ages
from contrastive_age.protocols.parts import ever_tested
from contrastive_age.provenance import file_digest, table_digest
from contrastive_age.reporting.results import Theirs
from contrastive_age.running.place import Place
from contrastive_age.running.printing import print_line, print_table, terminal
from contrastive_age.tracking import views
from contrastive_age.tracking.results import is_drawn, log_theirs
from contrastive_age.tracking.tracker import while_reachable

DOCUMENT, LEFT_OUT = "theirs.json", "left_out.csv"
LONGEST = 60
"""Characters of a name."""


def compare(
    place: Place, given: Mapping[str, Any], protocol: str, predictions: Path, name: str
) -> Theirs:
    """Measure predictions, keep and log what came of it, and print it beside our settings.

    Args:
        place: The project.
        given: Run-time parameters.
        protocol: On whose test photos they are.
        predictions: A table of `sample_id, predicted_age`.
        name: What they are called. The same file can be compared again under it, another not.

    Raises:
        DataError: The protocol is unknown, its folds are not made, the file cannot be used, or the
            name is taken.
    """
    from contrastive_age.evaluation import theirs as matching
    from contrastive_age.evaluation.summary import measure

    key = key_of(name)
    context = place.context(given)
    setting = _setting(context, protocol)
    samples, folds, leakage, audit = _made(place, context, given, setting)
    brought = matching.match(matching.read(predictions), folds, samples)
    reports, outputs = (
        path_of(context.catalog, f"{protocol}.{entry}").parent.parent / key
        for entry in ("metrics", "predictions")
    )
    digest = file_digest(predictions)
    _refuse_another(reports / DOCUMENT, name, digest)
    metrics, _ = measure(brought.predictions, samples, constant_ages(folds), leakage)
    metrics |= {
        "theirs": name,
        "protocol": protocol,
        "key": key,
        "file": predictions.name,
        "file_digest": digest,
        "test_photos": len(ever_tested(folds)),
        "left_out": brought.problems,
        "renamed": brought.renamed,
        "manifest_hash": audit["manifest_hash"],
        "folds_fingerprint": folds.attrs.get("fingerprint"),
        "parameters": {
            "source": setting.source,
            "manifest": setting.manifest,
            "drawn": is_drawn(context.config_loader["parameters"], setting),
        },
        "predictions": table_digest(brought.predictions),
    }
    with replacing(outputs / "predictions.parquet") as beside:
        tables.write(brought.predictions, beside)
    with replacing(reports / LEFT_OUT) as beside:
        brought.left_out.to_csv(beside, index=False, lineterminator="\n")
    with replacing(reports / DOCUMENT) as beside:
        beside.write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    drawn = bool(metrics["parameters"]["drawn"])
    theirs = Theirs(protocol, name, key, metrics, brought.predictions, drawn)
    while_reachable(log_theirs)(context, theirs)
    _print(place, context, theirs, leakage, reports)
    return theirs


def key_of(name: str) -> str:
    """Give the folder of a name.

    Raises:
        DataError: The name is empty, too long, or more than a line.
    """
    if not name.strip() or len(name) > LONGEST or not name.isprintable():
        raise DataError(
            f"--name={name[:LONGEST]!r}: give one line of 1 to {LONGEST} characters that tells "
            "whose predictions they are"
        )
    readable = re.sub(r"[^\w.]+", "-", name, flags=re.ASCII).strip("-.")
    return "-".join(filter(None, ["theirs", readable, fingerprint(name)[:8]]))


def _setting(context: KedroContext, protocol: str) -> Setting:
    known = {
        name: setting
        for name, setting in settings_of(context.config_loader["parameters"]).items()
        if isinstance(setting, Setting)
    }
    if protocol not in known:
        raise DataError(f"{protocol} is no protocol; choose one of {', '.join(known)}")
    return known[protocol]


def _made(place: Place, context: KedroContext, given: Mapping[str, Any], setting: Setting) -> Any:
    """The samples, folds, leakage report and audit, as these parameters have them."""
    protocol = setting.protocol
    names = [f"{setting.source}.samples", f"{protocol}.folds", f"{protocol}.leakage"]
    try:
        made = [context.catalog.load(name) for name in [*names, f"{setting.source}.audit"]]
    except DatasetError as error:
        command = kedro_run(
            protocol, f"--tags={','.join(SHARED)}", env=place.env, params=as_text(given) or ""
        )
        raise DataError(
            f"the test photos of {protocol} are not known yet; make its folds with: {command}"
        ) from error
    samples, folds, leakage, _ = made
    setting.plan.require(folds, samples)
    check_leakage(folds, leakage)
    return made


def _refuse_another(document: Path, name: str, digest: str) -> None:
    """Let a name stand for one file: what was compared under it is not overwritten."""
    try:
        before = json.loads(document.read_text(encoding="utf-8")).get("file_digest")
    except (OSError, ValueError, AttributeError):
        return
    if before != digest:
        raise DataError(
            f"theirs: {name} was made from another file; give this one a --name of its own, or "
            f"remove {document.parent}"
        )


def _print(
    place: Place,
    context: KedroContext,
    theirs: Theirs,
    leakage: Mapping[str, Any],
    reports: Path,
) -> None:
    """Print the error of theirs, what does not count, and how our settings differ from it."""
    from contrastive_age.reporting.tables import demo_table

    title = f"Age error of {theirs.protocol}, {theirs.title}"
    # What the audit tells is of all photos.
    known = None if theirs.photos else leakage
    terminal().print("", demo_table(theirs.metrics, known, title))
    if theirs.photos:
        print_line(f"Measured and compared {theirs.photos} alone: the others have no usable age")
    if reports.is_relative_to(place.project):
        reports = reports.relative_to(place.project)
    if renamed := theirs.metrics["renamed"]:
        print_line(f"Under other names       {renamed['n']:,} of them, such as {renamed['first']}")
    if left_out := theirs.metrics["left_out"]:
        print_line("Left out:")
        for problem, told in left_out.items():
            print_line(f"  {told['n']:,} {problem}: {told['first']}")
        print_line(f"All of them             {reports / LEFT_OUT}")
    print_line("What made theirs, and which photos it was trained on, is not known here")
    _print_differences(context, theirs)
    print_line(f"Metrics of theirs       {reports}")
    print_line(f"Compare runs            {views.place(place.project)}")
    print_line(f"All runs on one page    {kedro_run('paper_report', env=place.env)}")


def _print_differences(context: KedroContext, theirs: Theirs) -> None:
    """Print our settings against theirs, as the report has them."""
    from contrastive_age.reporting.groups import group_seeds
    from contrastive_age.reporting.papers import Papers
    from contrastive_age.reporting.results import read_results
    from contrastive_age.reporting.sections.comparisons import with_theirs
    from contrastive_age.reporting.wording import (
        interval,
        number,
        probability,
        signed,
        sizes_and_differences,
    )

    parameters = context.config_loader["parameters"]["effective"]
    drawn = {theirs.metrics["parameters"]["source"]} if theirs.demo else set()
    folder = context.catalog.load("report.data_folder")
    measured = [run for run in read_results(folder, drawn) if run.protocol == theirs.protocol]
    groups = group_seeds(measured, Papers(parameters["papers"]))
    rows = with_theirs(groups, theirs)
    if not rows:
        run = f"kedro run --pipeline={theirs.protocol}"
        print_line(f"No setting was tested on these photos, so none is compared; one is by: {run}")
        return
    cells = []
    for row, budget in zip(rows, sizes_and_differences([r["budget"] for r in rows]), strict=True):
        spread = interval(row["low"], row["high"], sign=True)
        p = "" if row["p_holm"] is None else f", p {probability(row['p_holm'])}"
        seen = "" if row["detectable"] is None else f"{number(row['detectable'])}"
        difference = f"{signed(row['difference'])} {spread}".strip()
        ours = f"{row['losses']}, {budget}"
        cells.append([row["setting"], ours, row["seeds"], difference, seen, f"{row['verdict']}{p}"])
    columns = ["setting", "losses and budget", "seeds", "years", "could have seen", "verdict"]
    print_table(f"Ours minus {theirs.title}: below zero ours is better", columns, cells)
    print_line("In brackets 95%, over people and our networks; p after Holm; theirs as it is")
    if left := len(groups) - len(rows):
        print_line(f"Tested on other photos, so not compared: {left} of {len(groups)} settings")
