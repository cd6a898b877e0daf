"""Ids of the pipeline's components, in execution order.

ML Metadata, Kubeflow Pipelines, the console and the report use these ids. The id of a standard TFX
component is its class name.
"""

EXAMPLE_GEN = "ImageExampleGen"
SCHEMA_GEN = "ImportSchemaGen"
IMAGE_VALIDATOR = "ImageValidator"
STATISTICS_GEN = "StatisticsGen"
EXAMPLE_VALIDATOR = "ExampleValidator"
DATA_GATE = "DataGate"
TRANSFORM = "Transform"
TRAINER = "Trainer"
BASELINE = "Baseline"
EVALUATOR = "Evaluator"
MODEL_GATE = "ModelGate"
REPORT = "RunReport"
PUSHER = "Pusher"

STAGES = (
    EXAMPLE_GEN,
    SCHEMA_GEN,
    IMAGE_VALIDATOR,
    STATISTICS_GEN,
    EXAMPLE_VALIDATOR,
    DATA_GATE,
    TRANSFORM,
    TRAINER,
    BASELINE,
    EVALUATOR,
    MODEL_GATE,
    REPORT,
    PUSHER,
)
