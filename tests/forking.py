"""Kedro commands in forks of one process that has imported everything, killed when told to.

As a script it serves: each line of its input is a command as JSON, each line of its output what
became of it. As a module it holds `Forks`, by which tests use that.
"""

import gc
import json
import os
import resource
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENOUGH = 240  # seconds after which a command, or a process that it left behind, is given up


@dataclass(frozen=True)
class Moment:
    """When a command is stopped, and how.

    Attributes:
        node: Where the clock starts: at a node's beginning, or "" for that of the command.
        delay: In seconds of the command's own processor time, which other programs do not change.
        signal: KILL, or INT as Control-C sends it.
    """

    node: str
    delay: float
    signal: str = "KILL"


@dataclass(frozen=True)
class Ended:
    """What became of a command.

    Attributes:
        status: As `os.waitstatus_to_exitcode` gives it: negative when it was killed.
        said: Its stdout and stderr.
        nodes: Seconds of its processor time at which it ("") and each node began, and at its end.
        left_behind: Whether a process of it was still there when it was given up.
    """

    status: int
    said: str
    nodes: list[tuple[str, float]]
    left_behind: bool

    @property
    def killed(self) -> bool:
        return self.status < 0

    def seconds(self, node: str) -> float:
        """What a node took, with what came between it and the next."""
        (own,) = (place for place, (name, _) in enumerate(self.nodes[:-1]) if name == node)
        return self.nodes[own + 1][1] - self.nodes[own][1]


class Forks:
    """The serving process, as tests see it."""

    def __init__(self) -> None:
        environment = os.environ | {
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def kedro(self, root: Path, *arguments: str, stop: Moment | None = None) -> Ended:
        """Run a kedro command in a project, and stop it at a moment."""
        order = {"root": str(root), "arguments": arguments, "stop": vars(stop) if stop else None}
        print(json.dumps(order), file=self._server.stdin, flush=True)
        return Ended(**json.loads(self._server.stdout.readline()))

    def end(self) -> None:
        self._server.communicate()


def serve() -> None:
    """Import what a run needs, then fork for each command."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed is no answer
    _import_all()
    gc.collect()
    gc.freeze()  # so that forks need not copy what they only look through
    for line in sys.stdin:
        print(json.dumps(_run(**json.loads(line))), file=answers, flush=True)


def _import_all() -> None:
    import importlib
    import pkgutil

    import contrastive_age

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    names = ["kedro.framework.cli.cli", "kedro_viz.integrations.kedro.hooks", "matplotlib.pyplot"]
    names += ["mlflow.store.tracking.sqlalchemy_store", "kedro_datasets.pandas", "sklearn.svm"]
    names += ["kedro_datasets.json", "kedro_datasets.matplotlib", "torchvision", "skimage"]
    names += ["kedro_datasets.partitions", "kedro_mlflow.framework.hooks", "captum.attr"]
    names += ["pandera.pandas", "fairlearn.metrics", "git", "opentelemetry.sdk.trace"]
    names += ["mpl_toolkits.axes_grid1", "mlflow.tracking"]
    names += [
        own.name for own in pkgutil.walk_packages(contrastive_age.__path__, "contrastive_age.")
    ]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def _run(root: str, arguments: list[str], stop: dict[str, Any] | None) -> dict[str, Any]:
    output, said = os.pipe()
    times = Path(root) / ".nodes.json"
    times.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.closerange(3, 100)
            _command(root, arguments, stop, times)
        finally:
            os._exit(99)
    os.close(said)
    # What a command starts writes to its output, too: at its end, all of them have ended.
    found, left_behind = b"", False
    while True:
        if not select.select([output], [], [], ENOUGH)[0]:
            left_behind = True
            os.killpg(child, signal.SIGKILL)
        part = os.read(output, 65536)
        if not part:
            break
        found += part
    os.close(output)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    nodes = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else []
    times.unlink(missing_ok=True)
    words = found.decode(errors="replace")
    return {"status": status, "said": words, "nodes": nodes, "left_behind": left_behind}


def _command(root: str, arguments: list[str], stop: dict[str, Any] | None, times: Path) -> None:
    """Be the command."""
    from kedro.framework.cli.cli import main
    from kedro.pipeline.node import Node

    started, run = _processor_time(), Node.run
    began = [("", 0.0)]

    def observed(self: Node, *inputs: Any, **named: Any) -> Any:
        began.append((self.name, _processor_time() - started))
        if stop is not None and stop["node"] == self.name:
            _start_clock(stop)
        return run(self, *inputs, **named)

    Node.run = observed  # type: ignore[method-assign]
    # Where tests run in the background, Control-C may be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(root)
    sys.argv = ["kedro", *arguments]
    if stop is not None and stop["node"] == "":
        _start_clock(stop)
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    # As the interpreter does at its end.
    import atexit

    atexit._run_exitfuncs()
    times.write_text(json.dumps([*began, ("end", _processor_time() - started)]))
    os._exit(status or 0)


def _start_clock(stop: dict[str, Any]) -> None:
    if stop["signal"] == "INT":
        signal.signal(signal.SIGPROF, lambda *_: os.killpg(0, signal.SIGINT))
    else:
        # What a signal does by default is what KILL does: the process is no more.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, max(stop["delay"], 1e-4))


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    serve()
