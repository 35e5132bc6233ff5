"""What the pages of runs say in words: MLflow shows a tag of theirs as Markdown.

Users write there, too: what stands below a line of ours is theirs, and is kept.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from contrastive_age.evaluation.metrics import no_better
from contrastive_age.parameters.setting import Learning, Setting
from contrastive_age.reporting.papers import SOURCES, Papers
from contrastive_age.reporting.wording import counted, interval, number, percent, protocol_name

LINE = "*What stands below this line is yours: it is kept when the run is logged again.*"

_LONGEST = 8000
"""Characters that MLflow keeps of a tag."""
_MOST_ROWS = 30
_WIDTH = 60
"""Characters of a line of a command: a longer one pushes half of MLflow's page out of sight."""


def with_notes(text: str, before: str | None) -> str:
    """Put what a user has written below a text that replaces an earlier one.

    Args:
        text: What is to be said.
        before: The whole description as it is; without our line, all of it is the user's.
    """
    earlier, line, notes = (before or "").partition(LINE)
    tail = f"\n\n---\n\n{LINE}\n\n{(notes if line else earlier).strip()}".rstrip()
    return text[: max(0, _LONGEST - len(tail))] + tail


def of_setting(
    setting: Learning,
    papers: Papers,
    audits: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any] | None,
    *,
    drawn: bool,
    command: str | None,
) -> str:
    """Describe a setting: its error, on what data, within what budget, and how to repeat it.

    Args:
        setting: A protocol's values, or those of a pretraining.
        papers: What budgets and losses are called by.
        audits: Of each source that is known, `n` and `identities`.
        metrics: `metrics.json`; None where nothing is measured yet.
        drawn: Whether nobody is on its photos.
        command: What repeats it, if anything does.
    """
    faces = "**drawn faces**" if drawn else "photos"
    values = {"protocol": setting.protocol} | setting.model_dump(mode="json", exclude={"sources"})
    budget = papers.describe(values, (metrics or {}).get("external"))
    if "batch size" not in budget:
        budget += f", batch size {setting.training.batch_size}"
    folds = f"{counted(setting.folds, 'fold')}, " if isinstance(setting, Setting) else ""
    lines = [
        f"- **Data**: {_data(setting, audits, metrics)}",
        f"- **Losses**: {papers.name(values['loss'])}",
        f"- **Budget**: {budget}",
        f"- **Networks**: {folds}seed {setting.seed}",
    ]
    # A page shows the first lines, and the rest when it is asked to.
    first = f"Weights from {faces}."
    if isinstance(setting, Setting):
        first = _error(setting, faces, metrics)
    return "\n\n".join([first, _repeating(command), "\n".join(lines)])


def _error(setting: Setting, faces: str, metrics: Mapping[str, Any] | None) -> str:
    """Such as "**MAE 4.95 years** [4.50, 5.41] on photos; a constant has 10.36"."""
    if metrics is None:
        return f"Not measured yet, on {faces}."
    ends = metrics.get("mae_interval") or (None, None)
    on = f"on {faces}" + (" of validation parts" if setting.part == "validation" else "")
    spread = f" {interval(*ends)}" if ends[0] is not None else ""
    words = [f"**MAE {number(metrics['mae'])} years**{spread} {on}"]
    words.append(f"a constant has {number(metrics['mae_constant'])}")
    if said := no_better(metrics):
        words.append(f"**{said}**")
    if metrics.get("leaked_share"):
        words.append(
            f"{percent(100 * metrics['leaked_share'])} of the test images have their subject in "
            f"training, whose ages alone give {number(metrics['mae_lookup'])}"
        )
    return "; ".join(words)


def _data(
    setting: Learning,
    audits: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Any] | None,
) -> str:
    """Such as "FG-NET, one subject left out: 1,002 images, 82 subjects"."""
    if not isinstance(setting, Setting):
        return "; ".join(
            ", ".join([SOURCES.get(source, source), *_counts(audits.get(source), "identities")])
            for source in setting.sources
        )
    counts = _counts(metrics, "subjects") or _counts(audits.get(setting.source), "identities")
    return ": ".join([protocol_name(setting.protocol), *filter(None, [", ".join(counts)])])


def _counts(known: Mapping[str, Any] | None, people: str) -> list[str]:
    return [f"{known['n']:,} images", f"{known[people]:,} subjects"] if known else []


def _repeating(command: str | None) -> str:
    if command is None:
        return (
            "No `kedro run` repeats it with the configuration and the files as they are now; all "
            "its values are among the parameters."
        )
    return f"```sh\n{broken(command)}\n```"


def broken(command: str) -> str:
    """Break a command into lines that a shell joins: between words, and after commas within one."""
    lines = [""]
    for word in map(shlex.quote, shlex.split(command)):
        # Within quotes a shell joins no lines.
        for part in [word] if "'" in word else re.findall(r"[^,]+,?|,", word):
            between = " " if lines[-1] and not lines[-1].endswith(",") else ""
            if lines[-1] and len(lines[-1] + between + part) > _WIDTH:
                lines.append(f"  {part}" if between else part)
            else:
                lines[-1] += between + part
    return "\n".join(
        [f"{line}{'' if line.endswith(',') else ' '}\\" for line in lines[:-1]] + lines[-1:]
    )


def of_sweep(command: str, rows: Sequence[Sequence[str]]) -> str:
    """Describe a sweep: its settings with their errors, and the command that repeats it.

    Args:
        command: As it was given.
        rows: Of each setting, the best first: its name, error, interval and status.
    """
    table = [
        "| setting | MAE (years) | 95% interval | status |",
        "|---|---|---|---|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows[:_MOST_ROWS]),
    ]
    more = [f"And {len(rows) - _MOST_ROWS} more."] if len(rows) > _MOST_ROWS else []
    return "\n\n".join(["\n".join(table), *more, _repeating(command)])


def error_cells(metrics: Mapping[str, float]) -> list[str]:
    """The cells of a setting's error and its interval, by the metrics of its run."""
    mae, low, high = (metrics.get(name) for name in ("mae", "mae_low", "mae_high"))
    return [number(mae), interval(low, high)]
