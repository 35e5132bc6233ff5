"""`kedro pack`: one folder with what a machine without photos and network needs to train.

The folder is a project whose faces, tables and folds are made: there the same `kedro run` keeps
them (see `packed`) and trains.
"""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines as registered
from kedro.framework.project import settings as kedro_settings
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline

from contrastive_age.commands.project_files import project_files
from contrastive_age.commands.wheels import Machine, download
from contrastive_age.errors import DataError
from contrastive_age.faces import store
from contrastive_age.faces.landmarks import table_decided_by
from contrastive_age.faces.store import Wanted
from contrastive_age.files import replacing_folder
from contrastive_age.io import packed
from contrastive_age.io.folders import FaceArray
from contrastive_age.parameters.given import Detection, Source
from contrastive_age.parameters.loader import project_path
from contrastive_age.parameters.setting import Alignment, Setting
from contrastive_age.parameters.written import SHARED, kedro_run
from contrastive_age.paths import is_address
from contrastive_age.pipelines.ingestion import nodes as ingestion
from contrastive_age.protocols.folds import Training
from contrastive_age.provenance import Record, file_digest
from contrastive_age.running.inputs import existing_file, input_files, learnings
from contrastive_age.running.locks import shared_locks
from contrastive_age.running.place import Place

logger = logging.getLogger(__name__)

README = "README.txt"


@dataclass(frozen=True)
class _Project:
    """The project that is packed, under the parameters that were given.

    Attributes:
        place: The project with its environment.
        given: Run-time parameters by dotted name, as `--params` takes them.
        parameters: All parameters.
        catalog: Its files.
        layout: Paths of the catalog's entries in the pack, from its root: those that the
            configuration gives without `conf/local`, which says what is true of one machine.
    """

    place: Place
    given: Mapping[str, str]
    parameters: dict[str, Any]
    catalog: CatalogProtocol[Any, Any]
    layout: dict[str, Any]

    def load(self, name: str, remedy: str) -> Any:
        try:
            return self.catalog.load(name)
        except DatasetError as error:
            raise DataError(f"{name} is missing or damaged; make it with: {remedy}") from error

    def place_in_pack(self, kind: str, owner: str) -> PurePosixPath:
        """Where an owner's folder, an entry such as `{source}.alignment_folder`, is in the pack."""
        path = str(self.layout[kind]["filepath"]).replace(kind.partition(".")[0], owner)
        if path.startswith("~") or is_address(path) or PurePosixPath(path).is_absolute():
            raise DataError(
                f"{path} is no place inside the project, where a pack has its files: give "
                "data_root in conf/local/globals.yml, which does not travel, or pack without --env"
            )
        return PurePosixPath(path)

    def command(self, pipeline: str, *options: str, given: Mapping[str, str]) -> str:
        """Write a `kedro run` of this project."""
        values = ",".join(f"{name}={value}" for name, value in given.items())
        return kedro_run(pipeline, *options, env=self.place.env, params=values)


def pack(
    place: Place,
    given: Mapping[str, Any],
    names: Sequence[str],
    output: Path,
    machine: Machine | None = None,
) -> list[str]:
    """Make the folder, whole or not at all.

    Args:
        place: The project.
        given: Run-time parameters, nested.
        names: The pipelines that are to be run there.
        output: The folder; it must be empty or not there.
        machine: Whose missing wheels are taken along; None for no wheels.

    Returns:
        What to type on the other machine.

    Raises:
        DataError: The folder is not empty, a pipeline is unknown, its shared stages have not been
            run with these parameters, or they are being run just now.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise DataError(f"{output} is there already: name a folder that is new or empty")
    context = place.context(given)
    shared = {name: _shared_stages(name) for name in names}
    parameters = context.config_loader["parameters"]
    project = _Project(place, _given(given), parameters, context.catalog, _layout(place))
    with replacing_folder(output.absolute()) as staged:
        with ExitStack() as held:  # so that nobody else writes what is packed
            for lock in shared_locks(sum(shared.values(), Pipeline([])), context.catalog):
                lock.take()
                held.callback(lock.release)
            _pack_data(project, shared, staged)
        _pack_code(place.project, staged)
        inputs = {name: _pack_inputs(project, name, staged) for name in names}
        if machine is not None:
            extras = frozenset(
                library
                for name in names
                for values in learnings(parameters, registered[name])
                for library in values.architecture.libraries
            )
            download(place.project, replace(machine, extras=extras), staged / "wheels")
        commands = _commands(project, inputs, staged)
        _write_readme(staged, shared, commands)
    return commands


def _shared_stages(name: str) -> Pipeline:
    if name not in registered:
        raise DataError(f"There is no pipeline {name}; choose one of {', '.join(registered)}")
    pipeline: Pipeline = registered[name].only_nodes_with_tags(*SHARED)
    if not pipeline.nodes:
        raise DataError(f"{name} works on no faces: there is nothing to pack")
    return pipeline


def _layout(place: Place) -> dict[str, Any]:
    arguments = kedro_settings.CONFIG_LOADER_ARGS | {"default_run_env": "base"}
    source = str(place.project / kedro_settings.CONF_SOURCE)
    return dict(OmegaConfigLoader(source, env=place.env, **arguments)["catalog"])


def _owners(pipeline: Pipeline, tag: str) -> list[str]:
    """The sources or protocols whose stage is in the pipeline."""
    return sorted({node.name.partition(".")[0] for node in pipeline.nodes if tag in node.tags})


def _pack_data(project: _Project, shared: Mapping[str, Pipeline], staged: Path) -> None:
    done: set[str] = set()
    for name, pipeline in shared.items():
        remedy = project.command(name, f"--tags={','.join(SHARED)}", given=project.given)
        for tag, pack_one in (("ingestion", _pack_source), ("splitting", _pack_folds)):
            for owner in set(_owners(pipeline, tag)) - done:
                pack_one(project, owner, remedy, staged)
                done.add(owner)


def _pack_source(project: _Project, name: str, remedy: str, staged: Path) -> None:
    samples, files, audit, landmarks = (
        project.load(f"{name}.{kind}", remedy)
        for kind in ("samples", "files", "audit", "landmarks")
    )
    source = Source.model_validate(project.parameters["effective"]["sources"][name])
    detection = Detection.model_validate(project.parameters["detection"])
    coverage = Alignment.model_validate(project.parameters["alignment"]).coverage
    ingested, aligned = (
        project.catalog.load(f"{name}.{kind}_folder") for kind in ("ingestion", "alignment")
    )
    read, _, _ = ingestion.ingest(source, ingested)
    decided = table_decided_by(samples, detection.min_face)
    photos = store.photos_of(samples, files).merge(landmarks, on="sample_id", validate="1:1")
    if not (
        _says(read) == _says(samples)
        and not Record.of(landmarks).differences(decided)
        and store.are_built(photos, aligned, Wanted(coverage, detection.min_face))
    ):
        raise DataError(
            f"The faces of {name} on disk are not those of these photos and parameters; make them "
            f"with: {remedy}"
        )
    counts = {"samples": audit["n"], "identities": audit["identities"]}
    entries = [f"{name}.{kind}" for kind in ("samples", "files", "audit")]
    target = staged / project.place_in_pack("{source}.ingestion_folder", source.key)
    _pack_files(project, entries, ingested, target, counts)
    statuses = {str(status): int(n) for status, n in landmarks["status"].value_counts().items()}
    entries = [f"{name}.{kind}" for kind in ("landmarks", "face_audit", "faces", "looks")]
    target = staged / project.place_in_pack("{source}.alignment_folder", source.key)
    _pack_files(project, entries, aligned, target, {"faces": len(samples), **statuses})


def _says(table: pd.DataFrame) -> dict[Hashable, Any]:
    """What a table says of its making, but where it was made and with which libraries."""
    return {**table.attrs, "record": Record.of(table).decided_by}


def _pack_folds(project: _Project, protocol: str, remedy: str, staged: Path) -> None:
    setting = Setting.model_validate(project.parameters["effective"]["protocols"][protocol])
    source = setting.source
    names = f"{source}.samples", f"{source}.looks", f"{protocol}.folds", f"{protocol}.leakage"
    samples, looks, folds, _ = (project.load(name, remedy) for name in names)
    other = setting.plan.trained_on
    training = other and Training(
        *(project.load(f"{other}.{name}", remedy) for name in ("samples", "looks"))
    )
    if Record.of(folds).differences(setting.plan.decided_by(samples, looks, training or None)):
        raise DataError(
            f"The folds of {protocol} on disk are not those of these samples and parameters; make "
            f"them with: {remedy}"
        )
    here = project.catalog.load(f"{protocol}.splitting_folder")
    target = staged / project.place_in_pack("{protocol}.splitting_folder", protocol)
    counts = {"samples": len(folds), "folds": setting.folds}
    _pack_files(project, names[2:], here, target, counts)


def _pack_files(
    project: _Project, entries: Sequence[str], here: Path, target: Path, counts: dict[str, int]
) -> None:
    """Copy the files of a folder, and list them.

    What came in a pack itself is checked, and keeps its list.
    """
    digests = {}
    for entry in entries:
        dataset: Any = project.catalog.get(entry)
        if isinstance(dataset, FaceArray):
            path = _link(dataset.path, target)
        else:
            with dataset.local_copy() as copy:
                path = _copy(copy, target / copy.name)
        digests[path.name] = packed.digest(path)
    contents = packed.Contents(date=f"{datetime.now():%Y-%m-%d}", counts=counts, digests=digests)
    before = packed.read(here)
    if before is not None:
        for name in digests:
            before.checked(name)
        contents = before.contents
    packed.write(target, contents)


def _copy(path: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(path, target))


def _link(path: Path, folder: Path) -> Path:
    """Share a file that is replaced and never changed; copy it to another disk."""
    target = folder / path.name
    try:
        os.link(path, target)
    except OSError:
        return _copy(path, target)
    return target


def _pack_code(root: Path, staged: Path) -> None:
    for path in project_files(root):
        _copy(root / path, staged / path)
    for folder in ("conf/local", "src"):  # Kedro asks for them
        (staged / folder).mkdir(parents=True, exist_ok=True)


def _pack_inputs(project: _Project, pipeline: str, staged: Path) -> dict[str, str]:
    """Take along the files that a pipeline's parameters name.

    Returns:
        Those parameters by dotted name, as they are to be given there.
    """
    learning = learnings(project.parameters, registered[pipeline])
    if any(values.model.weights == "imagenet" for values in learning):
        _pack_imagenet(staged)
    given = {}
    for name, file in input_files(project.parameters, registered[pipeline]):
        path = existing_file(name, file)
        given[name] = str(_place(path))
        _copy(path, staged / given[name])
        if name == "model.weights":
            from contrastive_age.model.weights import read_weights

            # The list of photos that a file of weights refers to, where it does.
            for listed in read_weights(path).files[1:]:
                _copy(listed, (staged / given[name]).with_name(listed.name))
    return given


def _place(path: Path) -> PurePosixPath:
    """Where a file lies in the pack: in its own place, where that is inside the project."""
    inside = PurePosixPath(os.path.relpath(path, project_path(".")))
    if ".." not in inside.parts:
        return inside
    return PurePosixPath("data", "inputs", file_digest(path)[:8], path.name)


def _pack_imagenet(staged: Path) -> None:
    from torch.hub import get_dir

    from contrastive_age.model.weights import IMAGENET_URL

    name = IMAGENET_URL.rpartition("/")[2]
    cached = Path(get_dir()) / "checkpoints" / name
    if cached.is_file():
        _copy(cached, staged / "torch" / "hub" / "checkpoints" / name)
    else:
        logger.warning(
            "ImageNet's weights, which these parameters start from, are not in torch's cache "
            "(%s): they do not travel. Put them there and pack again, or give model.weights",
            cached,
        )


def _commands(
    project: _Project, inputs: Mapping[str, Mapping[str, str]], staged: Path
) -> list[str]:
    """Write what is to be typed there, from the files that each pipeline is given."""
    commands = ['export PYTHONPATH="$PWD/site:$PWD/src"']
    if (staged / "wheels").is_dir():
        install = "python3 -m pip install --no-index --no-deps --no-compile --target site"
        commands.insert(0, f"{install} wheels/*.whl")
    if (staged / "torch").is_dir():
        commands.append('export TORCH_HOME="$PWD/torch"')
    given = {name: value for name, value in project.given.items() if name != "raw_root"}
    commands += [
        f"python3 -m {project.command(pipeline, given=given | dict(files))}"
        for pipeline, files in inputs.items()
    ]
    return commands


def _given(given: Mapping[str, Any]) -> dict[str, str]:
    """Write nested parameters as `--params` takes them."""
    flat = pd.json_normalize(dict(given)).to_dict("records")[0]
    return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in flat.items()}


def _write_readme(staged: Path, shared: Mapping[str, Pipeline], commands: Sequence[str]) -> None:
    sources = _owners(sum(shared.values(), Pipeline([])), "ingestion")
    text = f"""\
Contrastive Age: aligned faces of {", ".join(sources)}, to run {", ".join(shared)}.
Packed on {datetime.now():%Y-%m-%d}.

Aligned faces are pictures of people: the terms of their photos hold for this folder, too.

Linux, and Python with torch and torchvision, are needed; no network. In this folder, type:

{chr(10).join(f"    {command}" for command in commands)}

What came in the pack is kept, and the log says so. Parameters that ask for other faces, and
damaged files, end the run with a message. Results lie in data/08_reporting.
"""
    (staged / README).write_text(text, encoding="utf-8")


def megabytes(folder: Path) -> dict[str, float]:
    """Add the files of a pack up by kind, in MB."""
    sizes: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file():
            sizes[_kind(path.relative_to(folder))] += path.stat().st_size
    sizes["all"] = sizes.total()
    return {kind: size / 1e6 for kind, size in sizes.items()}


def _kind(path: Path) -> str:
    if path.name == "faces.npy":
        return "aligned faces"
    if path.parts[0] == "wheels":
        return "wheels"
    if path.parts[0] == "torch" or path.suffix in {".pth", ".pt"}:
        return "initial weights"
    return "tables" if path.parts[0] == "data" else "code and configuration"
