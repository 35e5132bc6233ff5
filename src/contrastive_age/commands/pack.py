"""`kedro pack`: one folder with what a machine without photos and network needs to train.

The folder is a project whose faces, tables and folds are made: there the same `kedro run` keeps
them (see `packed`) and trains.
"""

import json
import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines as registered
from kedro.framework.project import settings as kedro_settings
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from contrastive_age.commands.project_files import project_files
from contrastive_age.commands.sweep import Place
from contrastive_age.commands.wheels import Machine, download
from contrastive_age.errors import DataError
from contrastive_age.faces.store import Wanted
from contrastive_age.files import unfinished
from contrastive_age.io import packed
from contrastive_age.io.folders import FaceArray
from contrastive_age.parameters.loader import project_path
from contrastive_age.parameters.setting import (
    NAMED_WEIGHTS,
    Alignment,
    Detection,
    Setting,
    Source,
    expanded,
)
from contrastive_age.pipelines.alignment import nodes as alignment
from contrastive_age.pipelines.ingestion import nodes as ingestion
from contrastive_age.pipelines.splitting import nodes as splitting
from contrastive_age.provenance import Record, file_digest
from contrastive_age.running.locks import Lock, shared_guards

logger = logging.getLogger(__name__)

SHARED = ("ingestion", "detection", "alignment", "splitting")
"""What is run before packing."""

README = "README.txt"


@dataclass(frozen=True)
class Pack:
    """A folder that was packed.

    Attributes:
        folder: Where it is.
        megabytes: By kind of content.
        commands: What to type on the other machine.
    """

    folder: Path
    megabytes: dict[str, float]
    commands: list[str]


@dataclass(frozen=True)
class _Project:
    """The project that is packed, under the parameters that were given.

    Attributes:
        place: The project with its environment.
        given: Run-time parameters, nested.
        parameters: All parameters.
        catalog: Its files.
        layout: Paths of the catalog's entries in the pack, from its root: those that the
            configuration gives without `conf/local`, which says what is true of one machine.
    """

    place: Place
    given: Mapping[str, Any]
    parameters: dict[str, Any]
    catalog: CatalogProtocol[Any, Any]
    layout: dict[str, Any]

    def source(self, name: str) -> Source:
        return Source.model_validate(self.parameters["effective"]["sources"][name])

    def setting(self, protocol: str) -> Setting:
        return Setting.model_validate(self.parameters["effective"]["protocols"][protocol])

    @property
    def detection(self) -> Detection:
        return Detection.model_validate(self.parameters["detection"])

    @property
    def faces(self) -> Wanted:
        alignment = Alignment.model_validate(self.parameters["alignment"])
        return Wanted(alignment.coverage, self.detection.min_face)

    def load(self, name: str, remedy: str) -> Any:
        try:
            return self.catalog.load(name)
        except DatasetError as error:
            raise DataError(f"{name} is missing or damaged; make it with: {remedy}") from error

    def path_in_pack(self, kind: str, owner: str) -> PurePosixPath:
        """Where an entry such as `{source}.faces` lies in the pack."""
        path = str(self.layout[kind]["filepath"]).replace(kind.partition(".")[0], owner)
        if "://" in path or PurePosixPath(path).is_absolute():
            raise DataError(
                f"{path} is no place inside the project, where a pack has its files: give "
                "data_root in conf/local/globals.yml, which does not travel, or pack without --env"
            )
        return PurePosixPath(path)

    def command(self, pipeline: str, *options: str, given: Mapping[str, Any]) -> str:
        """Write a `kedro run` of this project."""
        words = ["kedro", "run", f"--pipeline={pipeline}", *options]
        words += [f"--env={self.place.env}"] if self.place.env else []
        values = ",".join(f"{name}={value}" for name, value in _flat(given))
        return shlex.join([*words, f"--params={values}"] if values else words)


def pack(
    place: Place,
    given: Mapping[str, Any],
    names: Sequence[str],
    output: Path,
    machine: Machine | None = None,
) -> Pack:
    """Make the folder, whole or not at all.

    Args:
        place: The project.
        given: Run-time parameters, nested.
        names: The pipelines that are to be run there.
        output: The folder; it must be empty or not there.
        machine: Whose missing wheels are taken along; None for no wheels.

    Raises:
        DataError: The folder is not empty, a pipeline is unknown, its shared stages have not been
            run with these parameters, or they are being run just now.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise DataError(f"{output} is there already: name a folder that is new or empty")
    with place.session(given) as session:
        context = session.load_context()
        shared = {name: _shared_stages(name) for name in names}
        project = _Project(
            place, given, context.config_loader["parameters"], context.catalog, _layout(place)
        )
        staged = unfinished(output.absolute())
        try:
            with _locked(shared.values(), context.catalog):
                _pack_data(project, shared, staged)
            _pack_code(place.project, staged)
            inputs = {name: _pack_inputs(project, name, staged) for name in names}
            if machine is not None:
                download(place.project, machine, staged / "wheels")
            commands = _commands(project, inputs, staged)
            _write_readme(staged, shared, commands)
            megabytes = _megabytes(staged)
            staged.replace(output)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return Pack(output, megabytes, commands)


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
    layout: dict[str, Any] = OmegaConfigLoader(source, env=place.env, **arguments)["catalog"]
    return layout


@contextmanager
def _locked(pipelines: Iterable[Pipeline], catalog: CatalogProtocol[Any, Any]) -> Iterator[None]:
    """Keep others from writing what is packed."""
    guards = shared_guards(sum(pipelines, Pipeline([])), catalog)
    held: list[Lock] = []
    try:
        for guard in guards:
            lock = Lock(guard)
            lock.take()
            held.append(lock)
        yield
    finally:
        for lock in held:
            lock.release()


def _owners(pipeline: Pipeline, tag: str) -> list[str]:
    """The sources or protocols whose stage is in the pipeline."""
    return sorted({own.name.partition(".")[0] for own in pipeline.nodes if tag in own.tags})


def _pack_data(project: _Project, shared: Mapping[str, Pipeline], staged: Path) -> None:
    done: set[str] = set()
    for name, pipeline in shared.items():
        remedy = project.command(name, f"--tags={','.join(SHARED)}", given=project.given)
        for source in _owners(pipeline, "ingestion"):
            if source not in done:
                _pack_source(project, source, remedy, staged)
        for protocol in _owners(pipeline, "splitting"):
            if protocol not in done:
                _pack_folds(project, protocol, remedy, staged)
        done.update(_owners(pipeline, "ingestion"), _owners(pipeline, "splitting"))


def _pack_source(project: _Project, name: str, remedy: str, staged: Path) -> None:
    samples, files, audit, landmarks = (
        project.load(f"{name}.{kind}", remedy)
        for kind in ("samples", "files", "audit", "landmarks")
    )
    source = project.source(name)
    ingested, aligned = (
        project.catalog.load(f"{name}.{kind}_folder") for kind in ("ingestion", "alignment")
    )
    read, _, _ = ingestion.ingest(source, ingested)
    decided = alignment.landmarks_decided_by(samples, project.detection)
    if not (
        _are_alike(read, samples)
        and not Record.read(landmarks.attrs.get("record")).differences(decided)
        and alignment.are_aligned(samples, files, landmarks, aligned, project.faces)
    ):
        raise DataError(
            f"The faces of {name} on disk are not those of these photos and parameters; make them "
            f"with: {remedy}"
        )
    _pack_files(
        project,
        [f"{name}.{kind}" for kind in ("samples", "files", "audit")],
        ingested,
        staged / project.path_in_pack("{source}.ingestion_folder", source.key),
        counts={"samples": audit["n"], "identities": audit["identities"]},
    )
    target = staged / project.path_in_pack("{source}.alignment_folder", source.key)
    statuses = {str(status): int(n) for status, n in landmarks["status"].value_counts().items()}
    _pack_files(
        project,
        [f"{name}.{kind}" for kind in ("landmarks", "face_audit", "faces", "looks")],
        aligned,
        target,
        counts={"faces": len(samples), **statuses},
    )


def _are_alike(table: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables say that they were decided by the same, wherever they were made."""
    records = [Record.read(own.attrs.get("record")) for own in (table, other)]
    said = [{k: v for k, v in own.attrs.items() if k != "record"} for own in (table, other)]
    return said[0] == said[1] and not records[0].differences(records[1].decided_by)


def _pack_folds(project: _Project, protocol: str, remedy: str, staged: Path) -> None:
    setting = project.setting(protocol)
    source = setting.source
    samples, looks, folds, _ = (
        project.load(name, remedy)
        for name in (
            *(f"{source}.samples", f"{source}.looks"),
            *(f"{protocol}.folds", f"{protocol}.leakage"),
        )
    )
    folder = project.catalog.load(f"{protocol}.splitting_folder")
    made = splitting.packed_folds(samples, looks, setting, folder) or splitting.split(
        samples, looks, setting
    )
    if not _are_alike(made[0], folds):
        raise DataError(
            f"The folds of {protocol} on disk are not those of these samples and parameters; make "
            f"them with: {remedy}"
        )
    _pack_files(
        project,
        [f"{protocol}.folds", f"{protocol}.leakage"],
        folder,
        staged / project.path_in_pack("{protocol}.splitting_folder", protocol),
        counts={"samples": len(folds), "folds": setting.folds},
    )


def _pack_files(
    project: _Project,
    entries: Sequence[str],
    here: Path,
    target: Path,
    *,
    counts: dict[str, int],
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
    before = packed.read(here)
    if before is not None:
        for name in digests:
            before.checked(name)
        packed.write(target, before.contents)
        return
    date = f"{datetime.now():%Y-%m-%d}"
    packed.write(target, packed.Contents(date=date, counts=counts, digests=digests))


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


def _pack_inputs(project: _Project, pipeline: str, staged: Path) -> dict[str, Any]:
    """Take along the files that a pipeline's parameters name.

    Returns:
        Those parameters, nested, as they are to be given there.
    """
    effective = project.parameters["effective"]
    protocols = _owners(registered[pipeline], "splitting")
    learning = effective["protocols"][protocols[0]] if protocols else effective["pretraining"]
    weights = learning["model"]["weights"]
    if weights == "imagenet":
        _pack_imagenet(staged)
    files = {
        ("model", "weights"): None if weights in NAMED_WEIGHTS else weights,
        ("splitting", "folds_file"): learning.get("splitting", {}).get("folds_file"),
        ("manifest",): project.parameters["manifest"] if learning.get("manifest") else None,
    }
    given: dict[str, Any] = {}
    for (*block, name), path in files.items():
        if path is not None:
            place = _pack_input(".".join([*block, name]), path, staged)
            if name == "weights":
                _pack_photos(project_path(path), staged / place)
            (given.setdefault(block[0], {}) if block else given)[name] = place
    return given


def _pack_input(parameter: str, given: str, staged: Path) -> str:
    """Take a file along; give its place in the pack, which is its own where that is inside."""
    path = project_path(given)
    if not path.is_file():
        raise DataError(f"{path}: no such file; correct {parameter}")
    place = PurePosixPath(expanded(given).as_posix())
    if place.is_absolute() or ".." in place.parts:
        place = PurePosixPath("data", "inputs", file_digest(path)[:8], path.name)
    _copy(path, staged / place)
    return str(place)


def _pack_photos(weights: Path, target: Path) -> None:
    """Take along the list of photos that a file of weights refers to, where it does."""
    from contrastive_age.model.weights import read_weights

    for listed in read_weights(weights).files[1:]:
        _copy(listed, target.parent / listed.name)


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
    project: _Project, inputs: Mapping[str, Mapping[str, Any]], staged: Path
) -> list[str]:
    """Write what is to be typed there, from the files that each pipeline is given."""
    commands = ['export PYTHONPATH="$PWD/site:$PWD/src"']
    if (staged / "wheels").is_dir():
        install = "python3 -m pip install --no-index --no-deps --no-compile --target site"
        commands.insert(0, f"{install} wheels/*.whl")
    if (staged / "torch").is_dir():
        commands.append('export TORCH_HOME="$PWD/torch"')
    given = OmegaConf.create({k: v for k, v in project.given.items() if k != "raw_root"})
    for pipeline, own in inputs.items():
        merged: Any = OmegaConf.to_container(OmegaConf.merge(given, dict(own)))
        commands.append(f"python3 -m {project.command(pipeline, given=merged)}")
    return commands


def _flat(given: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Write nested parameters as `--params` takes them."""
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value if isinstance(value, str) else json.dumps(value)


def _write_readme(staged: Path, shared: Mapping[str, Pipeline], commands: Sequence[str]) -> None:
    sources = sorted(
        {own for pipeline in shared.values() for own in _owners(pipeline, "ingestion")}
    )
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


def _megabytes(folder: Path) -> dict[str, float]:
    """Add the files up by kind, in MB."""
    kinds: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            kind = _kind(path.relative_to(folder))
            kinds[kind] = kinds.get(kind, 0) + path.stat().st_size
    kinds["all"] = sum(kinds.values())
    return {kind: size / 1e6 for kind, size in kinds.items()}


def _kind(path: Path) -> str:
    if path.name == "faces.npy":
        return "aligned faces"
    if path.parts[0] == "wheels":
        return "wheels"
    if path.parts[0] == "torch" or path.suffix in {".pth", ".pt"}:
        return "initial weights"
    return "tables" if path.parts[0] == "data" else "code and configuration"
