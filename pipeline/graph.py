"""The pipeline's graph: which components there are, and what flows between them."""

from __future__ import annotations

import json
from pathlib import Path

from tfx.components.evaluator.component import Evaluator
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel, Channel, standard_artifacts

from components.baseline.component import PushedBaseline
from components.baseline.resolver import NewestOtherBlessedModel
from components.data_gate.component import DataGate
from components.example_gen.component import ImageExampleGen
from components.model_gate.component import ModelGate
from components.model_gate.eval_config import make_eval_config
from components.pusher.component import Pusher
from components.report.component import RunReport
from pipeline.settings import Settings

PIPELINE_NAME = "mnist"
SCHEMA_FILE = Path(__file__).with_name("schema.pbtxt")


def create_pipeline(settings: Settings) -> Pipeline:
    """Wires the components; reads and writes nothing.

    Args:
      settings: with a concrete data source, `tfds` or `bundled`.

    Returns:
      The pipeline, with ML Metadata in `metadata.sqlite` below the pipeline root.
    """
    example_gen = ImageExampleGen(
        source=settings.data, data_dir=str(settings.data_dir or ""), limit=settings.limit
    )
    examples = example_gen.outputs["examples"]
    schema_gen = ImportSchemaGen(schema_file=str((settings.schema_file or SCHEMA_FILE).absolute()))
    schema = schema_gen.outputs["schema"]
    statistics_gen = StatisticsGen(examples=examples, schema=schema)
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema
    )
    data_gate = DataGate(anomalies=example_validator.outputs["anomalies"])

    # Raw examples are small and decode fast, so all that is written here is the graph.
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="models.preprocessing.preprocessing_fn",
        materialize=False,
        disable_statistics=True,
    )
    transform.add_upstream_node(data_gate)
    trainer = Trainer(
        run_fn="models.trainer.run_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["validation"]),
        custom_config=_hyperparameters(settings),
    )
    model = trainer.outputs["model"]

    baseline = _baseline(settings, model)
    baseline_model = baseline.outputs["model"] if baseline else None
    evaluator = Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline_model,
        eval_config=make_eval_config(),
        example_splits=["test"],
    )
    model_gate = ModelGate(
        evaluation=evaluator.outputs["evaluation"],
        model=model,
        baseline_model=baseline_model,
        thresholds=_thresholds(settings),
    )
    report = RunReport(
        examples=examples,
        model=model,
        model_run=trainer.outputs["model_run"],
        blessing=model_gate.outputs["blessing"],
        hyperparameters=json.dumps(_shown_hyperparameters(settings)),
    )
    pusher = Pusher(
        model=model,
        blessing=model_gate.outputs["blessing"],
        examples=examples,
        serving_dir=str(settings.serving_dir.absolute()),
        model_name=PIPELINE_NAME,
    )
    # It fails on a model that is not blessed, which ends the run.
    pusher.add_upstream_node(report)
    components: list[BaseNode] = [
        example_gen,
        schema_gen,
        statistics_gen,
        example_validator,
        data_gate,
        transform,
        trainer,
        *([baseline] if baseline else []),
        evaluator,
        model_gate,
        report,
        pusher,
    ]
    root = settings.pipeline_root.absolute()
    return Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=str(root),
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
        beam_pipeline_args=list(settings.beam_args),
    )


def _baseline(settings: Settings, model: BaseChannel) -> BaseNode | None:
    """What finds the model to compare with, as its output `model`; which may hold none."""
    if settings.baseline == "newest":
        return Resolver(
            strategy_class=NewestOtherBlessedModel,
            model=Channel(type=standard_artifacts.Model),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
            candidate=model,
        ).with_id("Baseline")
    if settings.baseline == "pushed":
        return PushedBaseline(
            candidate=model,
            serving_dir=str(settings.serving_dir.absolute()),
            model_name=PIPELINE_NAME,
        )
    return None


def _hyperparameters(settings: Settings) -> dict[str, str | int | float]:
    backup_dir = settings.backup_dir
    if backup_dir is None:
        backup_dir = str(settings.pipeline_root.absolute() / "backups")
    return {
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "early_stopping_patience": settings.early_stopping_patience,
        "reduce_lr_patience": settings.reduce_lr_patience,
        "reduce_lr_factor": settings.reduce_lr_factor,
        "backup_dir": backup_dir,
    }


def _shown_hyperparameters(settings: Settings) -> dict[str, str | int | float]:
    """Without a place on this machine, which says nothing of the model."""
    hyperparameters = _hyperparameters(settings)
    del hyperparameters["backup_dir"]
    return hyperparameters


def _thresholds(settings: Settings) -> str:
    return json.dumps(
        {
            "accuracy_threshold": str(settings.accuracy_threshold),
            "class_recall_threshold": str(settings.class_recall_threshold),
            "max_loss": str(settings.max_loss),
            "min_test_examples": settings.min_test_examples,
            "baseline_tolerance": str(settings.baseline_tolerance),
        }
    )
