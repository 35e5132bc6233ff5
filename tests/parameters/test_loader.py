"""What the config loader adds to the parameters."""

from pathlib import Path
from typing import Any

import pytest

from contrastive_age import settings
from contrastive_age.errors import DataError
from contrastive_age.parameters.loader import ProjectConfigLoader, own_folders, plain_settings

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


def test_plain_settings_are_those_of_the_environment_whatever_is_given() -> None:
    asked = loader("demo", seed=3, loss={"lambda_c": 2}, setting="mv")
    plain = plain_settings()["fgnet_lopo"]
    assert plain["ternary"]["training"]["epochs"] == 2
    assert plain["ternary"]["loss"]["lambda_c"] == 1
    assert plain["mv"]["seed"] == 0
    assert plain.keys() == asked["parameters"]["effective"]["papers"]["fgnet_lopo"].keys()


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


def test_who_keeps_the_configuration_reads_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProjectConfigLoader, "kept", None)
    first = with_globals(tmp_path, "data_root: before")
    ProjectConfigLoader.keep()
    first["globals"]["data_root"] = "what a caller does to it is its own"
    path = tmp_path / "conf" / "base" / "globals.yml"
    path.write_text("data_root: after", encoding="utf-8")
    second = ProjectConfigLoader(str(path.parents[1]), base_env="base", default_run_env="base")
    assert second["globals"] == {"data_root": "before"}
    ProjectConfigLoader.keep()
    assert second["globals"] == {"data_root": "after"}


def with_globals(root: Path, values: str, name: str = "conf") -> ProjectConfigLoader:
    (root / name / "base").mkdir(parents=True)
    (root / name / "base" / "globals.yml").write_text(values, encoding="utf-8")
    return ProjectConfigLoader(str(root / name), base_env="base", default_run_env="base")


def test_the_home_folder_is_put_into_the_folders_that_runs_write_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    made = with_globals(tmp_path, "data_root: s3://bucket/~a\nlocal_root: ~/faces\nother: 3")
    assert made["globals"] == {
        "data_root": "s3://bucket/~a",
        "local_root": f"{home}/faces",
        "other": 3,
    }
    assert own_folders() == [tmp_path, home / "faces"]


@pytest.mark.parametrize("value", ["007", "null", "true"])
def test_a_folder_that_is_read_as_no_name_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_root: .* in globals\.yml is read as no name"):
        with_globals(tmp_path, f"data_root: {value}")


@pytest.mark.parametrize("name", ["a?b", "a*", "[a]", "{source}", "a${b}"])
def test_a_project_in_a_folder_that_kedro_takes_for_a_pattern_is_refused(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="means something to Kedro; rename that folder"):
        with_globals(tmp_path / name, "data_root: data")
