"""A setting is named by what was asked for, and its command gets the very same again."""

import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from contrastive_age import settings
from contrastive_age.parameters.asked import LONGEST, Asked
from contrastive_age.parameters.effective import effective, pretraining
from contrastive_age.parameters.loader import ProjectConfigLoader, settings_of
from contrastive_age.parameters.setting import Learning
from contrastive_age.parameters.written import parameters

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose users have said something in `conf/local`."""
    root = tmp_path_factory.mktemp("it's a project")
    local = root / "conf" / "local"
    local.mkdir(parents=True)
    for environment in ("base", "demo"):
        (local.parent / environment).symlink_to(CONF / environment)
    said = {"training": {"epochs": 7}, "raw_root": "photos", "validation": 0.25}
    (local / "parameters.yml").write_text(yaml.safe_dump(said))
    (root / "best one.pth").write_text("weights")
    (root / "007").write_text("path,age,identity\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProjectConfigLoader, "latest", None)
        yield root
    _plain.cache_clear()


def _loader(root: Path, env: str | None, text: str = "") -> ProjectConfigLoader:
    given = parameters(text)
    arguments = settings.CONFIG_LOADER_ARGS
    return ProjectConfigLoader(str(root / "conf"), env=env, runtime_params=given, **arguments)


@cache
def _plain(root: Path, env: str | None) -> list[dict[str, Any]]:
    return _loader(root, env).plain


def _merged(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """As a loader merges what is given, which takes OmegaConf much longer."""
    return known | {
        name: _merged(known[name], value) if isinstance(value, dict) else value
        for name, value in given.items()
    }


def _given(root: Path, env: str | None, text: str) -> dict[str, Any]:
    """The parameters of a session."""
    return _merged(_plain(root, env)[0], parameters(text))


def _asked(root: Path, env: str | None, text: str) -> Asked:
    return Asked(env or "local", _given(root, env, text), _plain(root, env), root)


def _setting(root: Path, env: str | None, text: str, protocol: str) -> Learning:
    given = _given(root, env, text)
    if protocol == "pretrain":
        return pretraining(given, root)
    return effective(given, protocol, root)


GIVEN = {
    "fgnet_se": "",
    "fgnet_lopo": "setting=mv,seed=3,training.epochs=100,validation=null,testing.mirrored=true",
    "morph_se": "loss.lambda_c=4,loss.margin=0.3,model.weights=best one.pth,alignment.coverage=1.2",
    "morph_rs": "setting=ce,max_samples=100,detection.min_face=30,splitting.seed=2,age=round",
    "synthetic_se": "training.average=0.99,training.watch_test=true,validation=null",
    "utkface_rs": "augmentation.flip=none,acceleration.precision=bfloat16,gradcam.at_most=3",
    "custom_se": "manifest=007,raw_root=~/a b,triplets.mode=shared,protocols.custom_se.folds=3",
    "pretrain": "pretrain.sources=utkface+morph2,training.image_size=64,sources.utkface.folder=x",
    "custom_rs": "manifest=007,splitting.folds_file=best one.pth,splitting.allow_leaks=true",
}


def _options(command: str | None) -> dict[str, str]:
    """The options of a `kedro run`, as a shell hands them over."""
    kedro, run, *words = shlex.split(str(command))
    assert (kedro, run) == ("kedro", "run")
    return dict(word.removeprefix("--").split("=", 1) for word in words)


@pytest.mark.parametrize("env", [None, "demo"])
@pytest.mark.parametrize("protocol", GIVEN)
def test_the_command_gets_the_very_setting(project: Path, protocol: str, env: str | None) -> None:
    setting = _setting(project, env, GIVEN[protocol], protocol)
    asked = _asked(project, env, GIVEN[protocol])
    options = _options(asked.command(setting))
    assert options["pipeline"] == protocol
    assert options["env"] == (env or "local")
    assert _setting(project, env, options["params"], protocol).key == setting.key
    again = _given(project, env, options["params"])
    for name in ("raw_root", "manifest", "age", "gradcam", "sources"):
        assert again[name] == asked.parameters[name]


def test_a_session_with_the_command_has_the_same_key(project: Path) -> None:
    keys = []
    params = "model.weights=best one.pth,seed=3"
    for _ in range(2):
        loader = _loader(project, "demo", params)
        setting = settings_of(loader["parameters"])["morph_se"]
        keys.append(setting.key)
        params = _options(Asked.of(loader).command(setting))["params"]
    assert keys[0] == keys[1]


def test_the_command_needs_nothing_of_this_machines_own_configuration(project: Path) -> None:
    setting = _setting(project, None, "", "fgnet_se")
    params = _options(_asked(project, None, "").command(setting))["params"]
    assert "training.epochs=7" in params.split(",")
    assert "photos" not in params
    base = _merged(_plain(project, None)[-1], parameters(params))
    assert effective(base, "fgnet_se", project).key == setting.key


def test_what_this_machine_alone_has_is_named_and_has_no_command(project: Path) -> None:
    here, everywhere = _plain(project, None)
    mine = here["protocols"] | {"mine_se": here["protocols"]["fgnet_se"]}
    protocols = mine | {"fgnet_se": mine["fgnet_se"] | {"ages": [0, 100]}}
    known = here | {"protocols": protocols}
    asked = Asked("local", known, [known, everywhere], project)
    for protocol in ("mine_se", "fgnet_se"):
        setting = effective(known, protocol, project)
        assert asked.title(setting)
        assert asked.command(setting) is None


def test_another_sessions_setting_has_a_command_only_where_it_is_known(project: Path) -> None:
    asked = _asked(project, "demo", "")
    small = _setting(project, "demo", "training.epochs=1", "fgnet_se")
    assert "training.epochs=1" in str(asked.command(small))
    # Where the manifest lies is not in the setting.
    assert asked.command(_setting(project, "demo", "manifest=007", "custom_se")) is None
    unknown = small.model_copy(update={"setting": "of_old"})
    assert asked.command(unknown) is None
    assert asked.title(unknown) == unknown.key


@pytest.mark.parametrize(
    ("protocol", "given", "title"),
    [
        ("fgnet_se", "", "ternary λc=1 λt=1 seed 0"),
        ("morph_se", "loss.lambda_c=4", "ternary λc=4 λt=1 seed 0"),
        ("morph_se", "loss.lambda_c=0", "ternary λc=0 λt=1 seed 0"),
        ("morph_se", "setting=mv,seed=2", "mv seed 2"),
        ("morph_se", "setting=mv,loss.lambda_v=0", "mv λv=0 seed 0"),
        ("fgnet_se", "setting=conr,loss.conr_window=2", "conr λconr=4 conr_window=2 seed 0"),
        ("fgnet_se", "setting=dldl", "dldl λdldl=1 seed 0"),
        ("fgnet_se", "training.image_size=64,seed=1", "ternary λc=1 λt=1 seed 1, 64 px"),
        ("fgnet_se", "setting=ce,validation=0.2", "ce seed 0, validation 0.2"),
        ("fgnet_se", "setting=ce,model.weights=imagenet", "ce seed 0, from ImageNet"),
        ("pretrain", "setting=ce,pretrain.sources=utkface+morph2", "ce on utkface+morph2 seed 0"),
    ],
)
def test_a_setting_is_named_by_its_losses_and_what_is_not_its_protocols_own(
    project: Path, protocol: str, given: str, title: str
) -> None:
    asked = _asked(project, "demo", given)
    assert asked.title(_setting(project, "demo", given, protocol)) == title


def test_settings_that_differ_have_titles_that_differ(project: Path) -> None:
    (project / "elsewhere").mkdir()
    (project / "elsewhere" / "best one.pth").write_text("other weights")
    long = "training.epochs=1,training.image_size=64,splitting.seed=4,alignment.coverage=1.2"
    given = [
        *("", "loss.lambda_c=4", "loss.lambda_c=4.0001", "seed=1", "training.lr=0.01"),
        *("model.weights=best one.pth", "model.weights=elsewhere/best one.pth"),
        *(long, f"{long},augmentation.degrees=3", f"{long},augmentation.degrees=4"),
    ]
    asked = _asked(project, "demo", "")
    titles = {asked.title(_setting(project, "demo", text, "fgnet_se")) for text in given}
    assert len(titles) == len(given)
    assert max(map(len, titles)) <= LONGEST
