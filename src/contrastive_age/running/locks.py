"""Locks: no two runs write the same files at once.

A run of a whole setting takes all of its folds and what puts them together; a fold that is run
alone takes only itself, so folds can be spread over processes and machines. Where another run has
one of them, this one refuses. What settings share (the source's photos, the protocol's folds) is
waited for, and given free as soon as it is written.

A lock is a file beside what it guards, `.<name>.lock`, held by `flock`: the system gives it free
when its process ends, however it ends.
"""

import atexit
import json
import logging
import os
import socket
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from contrastive_age.errors import DataError
from contrastive_age.files import DAY, named, remove_unfinished
from contrastive_age.io.files import path_of
from contrastive_age.processes import command_line
from contrastive_age.protocols.namespaces import is_fold, parted
from contrastive_age.tracking.tracker import tracker

logger = logging.getLogger(__name__)

Catalog = CatalogProtocol[Any, Any]


@dataclass(eq=False)
class Lock:
    """What is written under one lock, which is not held yet.

    Attributes:
        name: What a message calls it.
        folder: The lock lies beside it; it need not exist.
        shared: Whether runs of several settings need it, one after the other.
        outputs: The datasets still to be written; a shared lock is free when there are none.
        folders: Where nobody else writes while the lock is held.
    """

    name: str
    folder: Path
    shared: bool = False
    outputs: set[str] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)

    @property
    def path(self) -> Path:
        """The lock's file."""
        return self.folder.with_name(f".{self.folder.name}.lock")

    @cached_property
    def _lock(self) -> BaseFileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path, thread_local=False, poll_interval=0.2)

    def take(self, *, wait: bool = False) -> None:
        """Take the lock, say who holds it, and clear away what killed writers have left.

        Args:
            wait: Whether to wait where another process holds it.

        Raises:
            DataError: Another process holds it, and it is not to be waited for.
        """
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            holder = _holder(self.path)
            if not wait:
                raise DataError(
                    f"{self.name} is being run by {holder}: wait until it has ended, or stop it "
                    "and run again; what is done is kept"
                ) from None
            logger.info("Waiting for %s, %s", self.name, holder)
            self._lock.acquire()
        signature = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": f"{datetime.now():%H:%M on %d %b}",
            "command": command_line(),
        }
        with named(self.path):
            self.path.write_text(json.dumps(signature), encoding="utf-8")
        for folder in self.folders:
            remove_unfinished(folder)

    def release(self) -> None:
        """Give the lock free and remove its file; the process that took it alone can do so."""
        if self._lock.is_locked:  # which it is not in forks
            # Others who wait for this very file notice that it has gone, and make it again.
            self.path.unlink(missing_ok=True)
            self._lock.release()


class Locks:
    """Kedro's hook: takes what a run is going to write, and gives it free at its end.

    Worker processes that run folds for another process work under its locks.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self._held: list[Lock] = []
        atexit.register(self._release)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Take the locks of all folds and settings in the pipeline, then those of shared stages.

        Raises:
            DataError: Another process runs the same.
        """
        self._release()  # what an interrupted run in this process has left
        if tracker.is_worker:
            return
        try:
            for lock in chain(
                locks_of_settings(pipeline, catalog), shared_locks(pipeline, catalog)
            ):
                self._held.append(lock)
                lock.take(wait=lock.shared)
                self._release_written()
        except BaseException:
            self._release()
            raise

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Give shared stages free when all that they write is written."""
        for lock in self._held:
            lock.outputs.discard(dataset_name)
        self._release_written()

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Give everything free."""
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Give everything free."""
        self._release()

    def _release_written(self) -> None:
        for lock in [lock for lock in self._held if lock.shared and not lock.outputs]:
            self._held.remove(lock)
            lock.release()

    def _release(self) -> None:
        while self._held:
            self._held.pop().release()


def locks_of_settings(pipeline: Pipeline, catalog: Catalog) -> Iterator[Lock]:
    """Give a lock for each fold in the pipeline, and one for what needs all folds of a setting."""
    inside = [node for node in pipeline.nodes if is_fold(node.namespace)]
    for namespace, outputs in _written(inside, lambda node: str(node.namespace)).items():
        protocol, fold = parted(namespace)
        folder = path_of(catalog, f"{protocol}.training_folder") / fold
        # All settings share the triplets, and all folds the list of photos; each writes the same.
        shared = {output for output in outputs if output.endswith((".triplets", ".photos"))}
        for parent in _parents(catalog, shared):
            remove_unfinished(parent, older_than=DAY)
        folders = {folder, *_parents(catalog, outputs - shared)}
        yield Lock(f"{fold} of {protocol}, {folder.parent.name},", folder, folders=folders)
    rest = (node for node in pipeline.nodes if not is_fold(node.namespace))
    last = (node for node in rest if {"evaluation", "reporting"} & node.tags)
    for protocol, outputs in _written(last).items():
        folder = path_of(catalog, f"{protocol}.training_folder")
        name = f"The collection of {protocol}, {folder.name},"
        yield Lock(name, folder, folders=_parents(catalog, outputs))


def shared_locks(pipeline: Pipeline, catalog: Catalog) -> Iterator[Lock]:
    """Give a lock for each source and each protocol's folds that the pipeline writes or reads.

    What is only read has no outputs: then it is enough that nobody is writing just now.
    """
    sources = _read(pipeline, {"samples", "files", "landmarks", "faces"}) | _written(
        node for node in pipeline.nodes if {"ingestion", "detection", "alignment"} & node.tags
    )
    protocols = _read(pipeline, {"folds", "leakage"}) | _written(
        node for node in pipeline.nodes if "splitting" in node.tags
    )
    # In this order everywhere, so that no two runs wait for each other.
    for source, outputs in sorted(sources.items()):
        folder = path_of(catalog, f"{source}.alignment_folder")
        cache = (path for path in folder.glob("detections/*") if outputs and path.is_dir())
        folders = {*_parents(catalog, outputs), *cache}
        yield Lock(f"the photos of {source}", folder, True, outputs, folders)
    for protocol, outputs in sorted(protocols.items()):
        folder = path_of(catalog, f"{protocol}.training_folder").parent
        folders = _parents(catalog, outputs)
        yield Lock(f"the folds of {protocol}", folder, True, outputs, folders)


def _read(pipeline: Pipeline, kinds: Container[str]) -> dict[str, set[str]]:
    """The sources or protocols of which the pipeline is given something of these kinds."""
    names = (name.partition(".") for name in pipeline.inputs())
    return {owner: set() for owner, _, kind in names if kind in kinds}


def _written(
    nodes: Iterable[Node], owner: Callable[[Node], str] = lambda node: node.name.partition(".")[0]
) -> dict[str, set[str]]:
    """The outputs of nodes by their owner: the source, or the protocol."""
    outputs: dict[str, set[str]] = {}
    for node in nodes:
        outputs.setdefault(owner(node), set()).update(node.outputs)
    return outputs


def _parents(catalog: Catalog, outputs: Iterable[str]) -> set[Path]:
    """The folders into which outputs are written."""
    return {path_of(catalog, output).parent for output in outputs}


def _holder(path: Path) -> str:
    """Say who holds a lock, as its file tells."""
    try:
        signature = json.loads(path.read_text(encoding="utf-8"))
        return "process {pid} on {host} since {since} ({command})".format(**signature)
    except (OSError, ValueError, KeyError, TypeError):
        # It was taken this very moment, or has just been given free.
        return "another process"
