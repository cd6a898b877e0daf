from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from support.gate_models import GateModel, Workbench, export
from support.second_architecture import build_second
from tensorflow.python.framework import op_def_registry

from components.model_gate import saved_model
from models.architectures import ARCHITECTURES
from models.hyperparameters import Hyperparameters


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("build", [ARCHITECTURES["cnn"], build_second])
def test_exported_networks_have_no_problems(bench: Workbench, tmp_path: Path, build) -> None:  # type: ignore[no-untyped-def]
    model = GateModel(build(Hyperparameters()), bench.tft_output, {})
    directory = export(model, tmp_path / "model")
    graph = saved_model.read_graph(directory)
    assert saved_model.file_problems(directory) == []
    assert saved_model.operation_problems(graph) == []
    assert saved_model.signature_problems(graph) == []
    assert saved_model.size_in_bytes(directory) > 100_000


def test_allowed_operations_exist() -> None:
    names = saved_model.ALLOWED_OPERATIONS
    assert [name for name in sorted(names) if op_def_registry.get(name) is None] == []


def test_an_operation_of_a_function_that_is_not_a_signature_is_found(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[])
        def hidden(self) -> tf.Tensor:
            return tf.io.read_file("/etc/hostname")

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": tf.strings.to_number(examples)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    graph = saved_model.read_graph(tmp_path)
    assert saved_model.operation_problems(graph) == ["ReadFile"]
    assert saved_model.signature_problems(graph) == [
        "serving_images is missing",
        "predict_images is missing",
        "transform_features is missing",
    ]


def test_no_signature_may_change_a_variable(tmp_path: Path) -> None:
    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = tf.Variable(0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            self.calls.assign(self.calls + 1)
            return {"probabilities": tf.strings.to_number(examples)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    graph = saved_model.read_graph(tmp_path)
    assert saved_model.operation_problems(graph) == ["AssignVariableOp"]


def test_no_signature_may_call_the_saver(tmp_path: Path) -> None:
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path))
    graph = saved_model.read_graph(tmp_path)
    assert saved_model.operation_problems(graph) == []
    node, _, _ = graph.saver_def.restore_op_name.partition(":")
    graph.signature_def["serving_default"].outputs["probabilities"].name = f"{node}:0"
    (problem,) = saved_model.operation_problems(graph)
    assert problem.startswith("__inference__traced_restore")
