"""Servers of a team, started by tests on loopback and stopped by them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PATIENCE = 300  # seconds after which whatever does not happen on a busy machine is given up
PORTS = 5  # how many are tried


@contextmanager
def system_folder() -> Iterator[Path]:
    """A fresh folder in the system's own temporary directory, whatever TMPDIR says.

    Its name is short, as those of sockets must be, and other users can reach it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TMPDIR", "TEMP", "TMP"):
            patch.delenv(name, raising=False)
        patch.setattr(tempfile, "tempdir", None)
        folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that nobody else can take and on which nothing answers."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def listening(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[psutil.Popen, int]:
    """Start a server, and wait until it listens on the port that it was given by `--port`.

    Another process may take a free port before the server does; it is then started with another.
    What it says goes into `said.txt` in the folder in which it runs.
    """
    said = folder / "said.txt"
    for _ in range(PORTS):
        with silent_port() as port:
            pass
        with said.open("wb") as output:
            server = psutil.Popen(
                [*command, "--port", str(port)],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        while server.poll() is None:
            if _listens(server, port):
                return server, port
            with suppress(psutil.TimeoutExpired):
                server.wait(0.1)
    pytest.fail(f"the server ended:\n{said.read_text(errors='replace')}")


def _listens(server: psutil.Process, port: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        for process in (server, *server.children(recursive=True)):
            for own in process.net_connections("inet"):
                if own.status == psutil.CONN_LISTEN and own.laddr.port == port:
                    return True
    return False


@contextmanager
def postgresql() -> Iterator[str]:
    """A fresh PostgreSQL cluster; gives the address of its database."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    with system_folder() as folder:
        yield from _postgresql_in(folder)


def _postgresql_in(folder: Path) -> Iterator[str]:
    as_user: list[str] = []
    if os.getuid() == 0:  # which PostgreSQL refuses
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
        as_user = ["setpriv", *ids, "--clear-groups"]

    def call(name: str, *arguments: str) -> None:
        # To a file: the server would keep a pipe open.
        with (folder / "said.txt").open("ab") as said:
            done = subprocess.run(
                [*as_user, str(BINARIES[-1] / name), "-D", str(folder / "data"), *arguments],
                cwd=folder,
                env=os.environ | {"PGCTLTIMEOUT": str(PATIENCE)},
                stdout=said,
                stderr=said,
                check=False,
            )
        if done.returncode:
            pytest.fail(f"{name} failed:\n{(folder / 'said.txt').read_text(encoding='utf-8')}")

    options = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
    call("initdb", "--username=postgres", *options)
    # A socket in its folder, and no port.
    call("pg_ctl", "start", "--wait", "-o", f"-h '' -k {folder} -F")
    try:
        # SQLAlchemy's own choice of a driver changes with its version.
        yield f"postgresql+psycopg2://postgres@/postgres?host={folder}"
    finally:
        call("pg_ctl", "stop", "--wait", "--mode=immediate")


@contextmanager
def mlflow_server(backend: str, folder: Path) -> Iterator[str]:
    """A tracking server over a database; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"),
        *("--backend-store-uri", backend, "--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server, address = _started(command, folder, environment)
    try:
        yield address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


@contextmanager
def model_server(model: str, folder: Path) -> Iterator[str]:
    """`mlflow models serve` for a model's folder or URI; gives the address of its invocations.

    At the end it alone is told to stop, and all that it started has to end with it.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model),
        *("--env-manager", "local", "--host", "127.0.0.1", "--timeout", "600"),
    ]
    environment = {
        # Its uvicorn is looked for there.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    server, address = _started(command, folder, environment)
    try:
        yield f"{address}/invocations"
    finally:
        if server.poll() is None:
            started = [server, *server.children(recursive=True)]
            server.terminate()
            _, left = psutil.wait_procs(started, timeout=PATIENCE)
            for process in left:
                process.kill()
            assert not left, f"the server left running: {left}"


def _started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[psutil.Popen, str]:
    """One of MLflow's servers, and its address once it answers."""
    ours = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    server, port = listening(command, folder, ours | environment)
    address = f"http://127.0.0.1:{port}"
    try:
        requests.get(f"{address}/health", timeout=PATIENCE).raise_for_status()
    except requests.RequestException:
        os.killpg(server.pid, signal.SIGKILL)
        said = (folder / "said.txt").read_text(errors="replace")
        pytest.fail(f"the server does not answer:\n{said}")
    return server, address
