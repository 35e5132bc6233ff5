"""Wheels of the Python packages that a machine without a network lacks."""

import logging
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from contrastive_age.errors import DataError
from contrastive_age.sources.delimited import decoded

logger = logging.getLogger(__name__)

NOT_NEEDED = frozenset({"kedro-viz", "mtcnn"})
"""Nothing is drawn there, and no face is looked for."""

OF_THE_DEVICE = frozenset({"torch", "torchvision"})
"""They have to suit the machine's GPU and driver, so they are expected there."""

ALWAYS = frozenset({"click", "packaging", "pluggy", "rich"})
"""Taken along where `--have` does not say their version: `kedro run` fails with old ones."""

SOURCE_ONLY = frozenset({"antlr4-python3-runtime"})
"""Published without a wheel; one is built here, of Python alone."""

GLIBC = (17, 27, 28, 34)
"""The wheels' minor versions of glibc 2 that a machine of today runs."""


@dataclass(frozen=True)
class Machine:
    """The Linux machine that the wheels are for.

    Attributes:
        have: A file with the packages that are there, one a line, as `pip list --format=freeze`
            or their bare names; None where nothing is.
        python: Its version of Python, such as 3.12.
        processor: As `uname -m` says.
        extras: Of this project, which is used there with them.
    """

    have: Path | None
    python: str
    processor: str
    extras: frozenset[str] = frozenset()


def download(project: Path, machine: Machine, folder: Path) -> None:
    """Download the wheels that the machine lacks, in the versions that are installed here.

    pip goes where it is configured to go.

    Args:
        project: The project's root.
        machine: For which they are.
        folder: Where they are put; made when missing.

    Raises:
        DataError: The list of packages cannot be read, or pip finds no wheel for one.
    """
    requirements = missing(project, machine)
    built = [one for one in requirements if Requirement(one).name in SOURCE_ONLY]
    ready = [one for one in requirements if one not in built]
    platforms = [f"manylinux_2_{minor}_{machine.processor}" for minor in GLIBC]
    platforms += [f"manylinux2014_{machine.processor}", f"manylinux1_{machine.processor}"]
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={machine.python}"]
    target += [f"--platform={platform}" for platform in platforms]
    folder.mkdir(parents=True, exist_ok=True)
    if ready:
        _pip("download", f"--dest={folder}", *target, *ready)
    if built:
        _pip("wheel", f"--wheel-dir={folder}", *built)
    logger.info("%d wheels for Python %s", len(requirements), machine.python)


def missing(project: Path, machine: Machine) -> list[str]:
    """List what the project needs and the machine lacks, as pip takes it.

    Args:
        project: The project's root, whose pyproject.toml names what it needs.
        machine: What is there.
    """
    have = _versions(machine.have)
    stated = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*stated["dependencies"]]
    for extra in machine.extras:
        needed += stated["optional-dependencies"][extra]
    specifiers: dict[str, SpecifierSet] = {}
    _collect(map(Requirement, needed), machine, specifiers)
    return sorted(
        _pinned(name, allowed)
        for name, allowed in specifiers.items()
        if name not in have or not _suits(name, have[name], allowed)
    )


def _suits(name: str, there: str | None, allowed: SpecifierSet) -> bool:
    """Whether what is there will do; of a version that is not known, it is believed of most."""
    return name not in ALWAYS if there is None else allowed.contains(there, prereleases=True)


def _installed(name: str) -> Distribution | None:
    """The package here; None where the Python of this machine does not need it."""
    return next(iter(distributions(name=name)), None)


def _pinned(name: str, allowed: SpecifierSet) -> str:
    here = _installed(name)
    return f"{name}{allowed}" if here is None else f"{name}=={here.version}"


def _versions(have: Path | None) -> dict[str, str | None]:
    """The packages of a list, with their versions where it says them as `name==version`."""
    if have is None:
        return {}
    try:
        # PowerShell writes UTF-16.
        lines = decoded(have.read_bytes()).splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"{have} cannot be read ({error}); make it there: python3 -m pip list --format=freeze"
        ) from error
    named = (re.match(r"([\w.-]+)(?:==([\w.+!-]+))?", line.strip()) for line in lines)
    return {canonicalize_name(match[1]): match[2] for match in named if match is not None}


def _collect(
    needed: Iterable[Requirement], machine: Machine, specifiers: dict[str, SpecifierSet]
) -> None:
    """Add requirements and all that they need, with the versions that all of them allow.

    Extras are left out: those of kedro-datasets bring clients of databases, and what this project
    uses of them it names itself.
    """
    for requirement in needed:
        name = canonicalize_name(requirement.name)
        if name in NOT_NEEDED | OF_THE_DEVICE:
            continue
        is_new = name not in specifiers
        specifiers[name] = specifiers.get(name, SpecifierSet()) & requirement.specifier
        if is_new:
            here = _installed(name)
            further = map(Requirement, (here.requires if here else None) or [])
            _collect((one for one in further if _applies(one, machine)), machine, specifiers)


def _applies(requirement: Requirement, machine: Machine) -> bool:
    there = {
        "python_version": machine.python,
        "python_full_version": f"{machine.python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine.processor,
        "extra": "",
    }
    return requirement.marker is None or requirement.marker.evaluate(there)


def _pip(command: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - pip of this very Python
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DataError(
            f"pip {command} failed: {' '.join(said) or done.stderr.strip()[-300:]}. Name packages "
            "that are there already in --have, or give another --python"
        )
