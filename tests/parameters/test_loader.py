"""What the config loader adds to the parameters."""

from pathlib import Path
from typing import Any

import pytest

from contrastive_age import settings
from contrastive_age.parameters.loader import ProjectConfigLoader

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectConfigLoader, "latest", None)


def loader(env: str | None = None, **given: Any) -> ProjectConfigLoader:
    return ProjectConfigLoader(
        str(ROOT / "conf"), env=env, runtime_params=given, **settings.CONFIG_LOADER_ARGS
    )


def test_the_papers_values_are_those_of_the_base_environment_whatever_is_given() -> None:
    plain = loader()["parameters"]["effective"]
    small = loader("demo", seed=3, loss={"lambda_c": 2}, setting="mv")["parameters"]["effective"]
    assert small["protocols"]["fgnet_lopo"]["training"]["epochs"] == 2
    papers = small["papers"]
    assert papers == plain["papers"]
    assert set(papers) == set(plain["protocols"])
    assert papers["fgnet_lopo"]["ternary"]["training"]["epochs"] == 100
    assert papers["fgnet_lopo"]["ternary"]["loss"]["lambda_c"] == 1
    assert papers["morph_se"]["ternary"]["loss"]["lambda_c"] == 10
    assert [name for name, own in papers.items() if not own["mv"]["splitting"]["group_copies"]] == [
        "morph_rs"
    ]


def test_the_papers_values_leave_the_environments_globals_alone() -> None:
    asked = loader("demo")
    assert asked["parameters"]["effective"]["papers"]
    assert asked["catalog"]["report.page"]["filepath"].startswith("data/demo/")


def test_the_papers_values_are_one_entry_of_the_catalog() -> None:
    def names(value: Any, name: str) -> list[str]:
        # As `KedroContext` does it.
        inner = value.items() if isinstance(value, dict) else []
        return [name, *(leaf for key, own in inner for leaf in names(own, f"{name}.{key}"))]

    found = names(loader()["parameters"], "params")
    assert [name for name in found if ".papers" in name] == ["params.effective.papers"]
