"""The pipeline's graph of components, connected by artifacts."""

from __future__ import annotations

from typing import Any

from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel

from components.baseline.component import LiveBaseline
from components.data_gate.component import DataGate
from components.example_gen.component import ImageExampleGen
from components.image_validator.component import ImageValidator
from components.model_gate.component import ModelGate
from components.model_gate.eval_config import make_eval_config
from components.pusher.component import Pusher
from components.report.component import RunReport
from components.verified_inputs.evaluator import Evaluator
from components.verified_inputs.trainer import Trainer
from models.definition import DATASET
from pipeline.settings import SCHEMA_FILE, Settings
from pipeline.stages import BASELINE


def create_pipeline(settings: Settings) -> Pipeline:
    """Builds the pipeline without any I/O.

    Args:
      settings: settings of the run. The data source must be `tfds` or `bundled`, not `auto`.

    Returns:
      The pipeline. Its component ids are `pipeline.stages.STAGES`, without BASELINE if
      `settings.baseline` is `none`. Its ML Metadata is `metadata.sqlite` in the pipeline root.
    """
    example_gen = ImageExampleGen(
        source=settings.data, data_dir=str(settings.data_dir or ""), limit=settings.limit
    )
    examples = example_gen.outputs["examples"]
    schema_gen = ImportSchemaGen(schema_file=str((settings.schema_file or SCHEMA_FILE).absolute()))
    schema = schema_gen.outputs["schema"]
    image_validator = ImageValidator(examples=examples, schema=schema)
    statistics_gen = StatisticsGen(examples=examples, schema=schema)
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema
    )
    data_gate = DataGate(
        anomalies=example_validator.outputs["anomalies"],
        image_anomalies=image_validator.outputs["anomalies"],
    )

    # Transforming raw examples during training is cheap, so transformed examples are not stored.
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
        custom_config=_trainer_config(settings),
    )
    model, model_run = trainer.outputs["model"], trainer.outputs["model_run"]
    hyperparameters = settings.training.model_dump_json()

    baseline = _baseline(settings, model, examples)
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
        examples=examples,
        model=model,
        baseline_model=baseline_model,
        thresholds=settings.gate.model_dump_json(),
    )
    report = RunReport(
        examples=examples,
        model=model,
        model_run=model_run,
        blessing=model_gate.outputs["blessing"],
        hyperparameters=hyperparameters,
    )
    pusher = Pusher(
        model=model,
        model_run=model_run,
        blessing=model_gate.outputs["blessing"],
        examples=examples,
        serving_dir=str(settings.serving_dir.absolute()),
        model_name=DATASET.name,
        hyperparameters=hyperparameters,
    )
    # The Pusher fails if the model is not blessed, so RunReport must run first.
    pusher.add_upstream_node(report)
    components: list[BaseNode] = [
        example_gen,
        schema_gen,
        image_validator,
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
        pipeline_name=DATASET.name,
        pipeline_root=str(root),
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(root / "metadata.sqlite")
        ),
        beam_pipeline_args=list(settings.beam_args),
    )


def _baseline(settings: Settings, model: BaseChannel, examples: BaseChannel) -> BaseNode | None:
    """Creates the component whose output `model` is the baseline; None without a baseline."""
    if settings.baseline == "none":
        return None
    return LiveBaseline(
        candidate=model,
        examples=examples,
        serving_dir=str(settings.serving_dir.absolute()),
        model_name=DATASET.name,
    ).with_id(BASELINE)


def _trainer_config(settings: Settings) -> dict[str, Any]:
    """Returns the Trainer's `custom_config`, a `models.hyperparameters.TrainerConfig`."""
    backup_dir = settings.backup_dir
    if backup_dir is None:
        backup_dir = str(settings.pipeline_root.absolute() / "backups")
    return {**settings.training.model_dump(), "backup_dir": backup_dir}
