"""What a run says of itself, and what a user has written below it."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from contrastive_age import settings
from contrastive_age.parameters.loader import ProjectConfigLoader, settings_of
from contrastive_age.parameters.setting import Learning
from contrastive_age.reporting.papers import Papers
from contrastive_age.tracking.descriptions import LINE, broken, of_setting, of_sweep, with_notes

METRICS = {
    **{"mae": 4.5, "mae_interval": [4.0, 5.0], "mae_constant": 9.0, "n": 1002, "subjects": 82},
    **{"leaked_share": 0.0, "mae_lookup": 2.0, "external": None},
}
AUDITS = {"synthetic": {"n": 1002, "identities": 82}, "morph2": {"n": 7, "identities": 3}}


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """All parameters of the demo."""
    conf = Path(__file__).resolve().parents[2] / "conf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProjectConfigLoader, "latest", None)
        arguments = settings.CONFIG_LOADER_ARGS
        return dict(ProjectConfigLoader(str(conf), env="demo", **arguments)["parameters"])


def _said(known: dict[str, Any], protocol: str, metrics: dict[str, Any] | None) -> str:
    setting: Learning = settings_of(known)[protocol]
    papers = Papers(known["effective"]["papers"])
    return of_setting(setting, papers, AUDITS, metrics, drawn=True, command="kedro run")


def test_the_error_comes_first_then_the_command_the_data_and_the_budget(
    known: dict[str, Any],
) -> None:
    error, command, values = _said(known, "synthetic_se", METRICS).split("\n\n")
    assert error == "**MAE 4.50 years** [4.00, 5.00] on **drawn faces**; a constant has 9.00"
    assert command == "```sh\nkedro run\n```"
    for words in (": 1,002 images, 82 subjects", "λ_c 1, λ_t 1", "seed 0"):
        assert words in values


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (METRICS | {"mae": 9.5}, "worse than a constant"),
        (METRICS | {"constant_interval": [-9.0, 0.1]}, "cannot be told from a constant"),
        (METRICS | {"leaked_share": 0.25}, "25.0% of the test images have their subject in"),
        (None, "Not measured yet"),
    ],
)
def test_what_must_not_be_overlooked_is_said(
    known: dict[str, Any], metrics: dict[str, Any] | None, words: str
) -> None:
    assert words in _said(known, "synthetic_se", metrics)
    assert words not in _said(known, "synthetic_se", METRICS)


def test_a_pretraining_says_whose_faces_it_saw(known: dict[str, Any]) -> None:
    first, _, values = _said(known, "pretrain", None).split("\n\n")
    assert first == "Weights from **drawn faces**."
    assert "MORPH II, 7 images, 3 subjects" in values
    assert "2 epochs" in values


@pytest.mark.parametrize(
    "words",
    [
        ["kedro", "run", "--env=demo", "--params=" + ",".join(f"loss.x={n}" for n in range(30))],
        ["kedro", "run", f"--params=raw_root=/a b/{'c' * 50},seed=1", "--pipeline=it's", "x," * 40],
    ],
)
def test_a_command_in_several_lines_is_one_to_a_shell(words: list[str]) -> None:
    text = broken(shlex.join(words))
    assert all(len(line) <= 62 for line in text.split("\n") if "'" not in line)
    command = ["sh", "-c", f"printf '%s\\n' {text}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words


def test_what_a_user_wrote_is_kept_below_the_line() -> None:
    first = with_notes("ours", None)
    assert first.startswith("ours\n")
    assert first.endswith(LINE)
    assert with_notes("ours", first) == first
    noted = with_notes("other", f"{first}\n\nmine, too\n")
    assert noted.startswith("other\n")
    assert noted.endswith(f"{LINE}\n\nmine, too")
    assert with_notes("ours", "all mine").endswith(f"{LINE}\n\nall mine")
    assert len(with_notes("x" * 9000, "mine")) <= 8000


def test_a_sweep_lists_its_settings() -> None:
    rows = [[f"setting {number}", "4.50", "[4.00, 5.00]", "finished"] for number in range(40)]
    said = of_sweep("kedro sweep --preset='a b'", rows)
    assert "| setting 0 | 4.50 | [4.00, 5.00] | finished |" in said
    assert "And 10 more." in said
    assert "```sh\nkedro sweep '--preset=a b'\n```" in said
