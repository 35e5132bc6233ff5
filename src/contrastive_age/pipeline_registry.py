"""The pipelines by name: one a protocol; the pretraining, the final model and the report."""

from kedro.pipeline import Pipeline

from contrastive_age.parameters.loader import project_parameters, settings_of
from contrastive_age.parameters.setting import Setting
from contrastive_age.pipelines.alignment.pipeline import create_pipeline as alignment
from contrastive_age.pipelines.evaluation.pipeline import create_collection as collection
from contrastive_age.pipelines.evaluation.pipeline import create_pipeline as evaluation
from contrastive_age.pipelines.final_model.pipeline import create_pipeline as final_model
from contrastive_age.pipelines.ingestion.pipeline import create_pipeline as ingestion
from contrastive_age.pipelines.paper_report.pipeline import create_pipeline as paper_report
from contrastive_age.pipelines.pretraining.pipeline import create_pipeline as pretraining
from contrastive_age.pipelines.reporting.pipeline import create_pipeline as reporting
from contrastive_age.pipelines.splitting.pipeline import create_pipeline as splitting
from contrastive_age.pipelines.training.pipeline import create_pipeline as training
from contrastive_age.pipelines.triplets.pipeline import create_pipeline as triplets
from contrastive_age.protocols.namespaces import namespace_of


def fold_pipeline(
    protocol: str, source: str, fold: int | None, learns_from: str | None = None
) -> Pipeline:
    """One fold as a namespace, so that it can be run, resumed or sent to another machine alone.

    samples, looks, faces, folds -> triplets -> model, history -> predictions, outputs

    Where the fold is None all samples train, and nobody is tested. What trains is of the source
    that is tested, unless it `learns_from` another.
    """
    stages = [triplets(fold), training(fold)]
    parameters = {
        "params:effective": f"params:effective.protocols.{protocol}",
        "params:computing": "params:effective.computing",
        "params:sources": "params:effective.sources",
    }
    inputs = {
        **{name: f"{source}.{name}" for name in ("samples", "looks", "faces")},
        **{name: f"{protocol}.{name}" for name in ("folds", "training_folder")},
        **{
            f"training_{name}": f"{learns_from or source}.{name}"
            for name in ("samples", "looks", "faces")
        },
    }
    if fold is not None:
        stages.append(evaluation(fold))
        parameters["params:explanation"] = "params:effective.explanation"
    return Pipeline(
        stages,
        namespace=namespace_of(protocol, fold),
        inputs=inputs,
        parameters=parameters,
    )


def protocol_pipeline(
    protocol: str, source: str, folds: int, learns_from: str | None = None
) -> Pipeline:
    """A protocol from raw photos to figures.

    ingestion -> alignment -> splitting -> fold_0 ... fold_K-1 -> evaluation -> reporting

    A transfer has ingestion and alignment of the source that it `learns_from`, too.
    """
    sources = [source] if learns_from is None else [source, learns_from]
    parts = [part(each) for each in sources for part in (ingestion, alignment)]
    parts += [splitting(protocol, *sources)]
    parts += [fold_pipeline(protocol, source, fold, learns_from) for fold in range(folds)]
    parts += [collection(protocol, source, folds), reporting(protocol, source, folds)]
    return Pipeline(parts)


def final_model_pipeline(protocol: str, source: str, folds: int) -> Pipeline:
    """A protocol's cross-validation, then the network from all of its source, and its file.

    ... -> reporting, <protocol>.final -> assemble
    """
    last = [fold_pipeline(protocol, source, None), final_model(protocol, source)]
    return Pipeline([protocol_pipeline(protocol, source, folds), *last])


def pretrain_pipeline(sources: list[str]) -> Pipeline:
    """Weights from faces: ingestion and alignment of each source -> training -> weights."""
    parts = [part(source) for source in sources for part in (ingestion, alignment)]
    return Pipeline([*parts, pretraining(sources)])


def register_pipelines() -> dict[str, Pipeline]:
    """One pipeline a protocol, and those that go on from protocols or precede them.

    `kedro run` alone runs `synthetic_se`.
    """
    parameters = project_parameters()
    settings = {
        name: each for name, each in settings_of(parameters).items() if isinstance(each, Setting)
    }
    pipelines = {
        name: protocol_pipeline(name, each.source, each.folds, each.plan.trained_on)
        for name, each in settings.items()
    }
    final = settings[parameters["final_model"]["protocol"]]
    return pipelines | {
        "pretrain": pretrain_pipeline(list(parameters["effective"]["pretraining"]["sources"])),
        "final_model": final_model_pipeline(final.protocol, final.source, final.folds),
        "paper_report": paper_report(),
        "__default__": pipelines["synthetic_se"],
    }
