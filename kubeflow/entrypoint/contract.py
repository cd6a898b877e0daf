"""The executor input that the launcher hands over, in TFX's terms, and the output, in its own.

All functions are pure, on the JSON form of the pipeline spec's ExecutorInput and ExecutorOutput.
"""

from __future__ import annotations

import re
from typing import Any

from components.common.properties import ABSENT, ORIGIN_URI
from components.report.content import REPORT_PAGE

Json = dict[str, Any]

_EXECUTOR_LOGS = "executor-logs"
_HTML = "system.HTML"
_HTML_CLASS = "components.report.artifact.HtmlReport"
_STAGING = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


class ContractError(ValueError):
    """The launcher, or the executor, did what the other side can't deal with."""


def output_file(executor_input: Json) -> str:
    """Path of the file for the ExecutorOutput.

    KFP's is `<local task root>/output_metadata.json` since 2.15 (driver.go, provisionOutputs), and
    was `/tmp/kfp_outputs/output_metadata.json` before (launcher_v2.go, OutputMetadataFilepath).
    Vertex AI's is `executor_output.json` in the task's folder of the bucket; TFX opens it by its
    address (kubeflow_v2_run_executor.py, _run_executor), KFP's SDK by its path in the mount.
    """
    return _staged(executor_input["outputs"]["outputFile"])


def adapt_input(executor_input: Json, inputs_spec: Json) -> Json:
    """Makes an executor input that TFX can run from the one that the launcher hands over.

    - Input artifacts get their types from the component's inputs spec: on KFP they arrive as
      `{"instanceSchema": ""}` (client.go, ToRuntimeArtifact and GetOutputArtifactsByExecutionId,
      "figure out how to get schema"), which TFX can't read.
    - Inputs that are marked absent are left out; TFX gets an empty list.
    - The output `executor-logs`, which is the launcher's own (driver.go, provisionOutputs), is left
      out; its type, system.Artifact, is not one of TFX's.
    - An output of the type system.HTML gets that of the class that stands for it, which is what TFX
      looks for in a type's title.
    - URIs become the local paths at which KFP's launcher has put the inputs, and from which it will
      take the outputs (launcher_v2.go, retrieveArtifactPath); for `gs://` they are those at which
      Vertex AI mounts Cloud Storage. The URIs of inputs are kept in the metadata as ORIGIN_URI, for
      components that write down where something came from.
    - Lists and dictionaries in metadata are unwrapped (converter.go, StructValueToMLMDValue wraps
      them in `{"list": …}` and `{"struct": …}`, and toRuntimeArtifact doesn't unwrap them).
    - `artifactId`, where there is one, becomes the name, which is what TFX tells artifacts by:
      KFP's branch without ML Metadata hands over both, and names may repeat there.

    Args:
      executor_input: as it was received; it is not changed.
      inputs_spec: the component's ComponentInputsSpec.

    Raises:
      ContractError: an artifact has neither a known scheme nor a path of its own.
    """
    inputs, outputs = executor_input.get("inputs", {}), executor_input.get("outputs", {})
    specs = inputs_spec.get("artifacts", {})
    return executor_input | {
        "inputs": inputs
        | {
            "artifacts": {
                name: {
                    "artifacts": [
                        _with_origin(_adapt_artifact(artifact), artifact["uri"])
                        | _type_of(specs.get(name, {}))
                        for artifact in _artifacts(listed)
                        if not artifact.get("metadata", {}).get(ABSENT)
                    ]
                }
                for name, listed in inputs.get("artifacts", {}).items()
            }
        },
        "outputs": outputs
        | {
            "artifacts": {
                name: {
                    "artifacts": [
                        _adapt_artifact(artifact) | _class_of(artifact)
                        for artifact in _artifacts(listed)
                    ]
                }
                for name, listed in outputs.get("artifacts", {}).items()
                if name != _EXECUTOR_LOGS
            }
        },
    }


def adapt_output(executor_output: Json, executor_input: Json) -> Json:
    """Makes an executor output that the launcher can take from the one that TFX made.

    - Local paths become the URIs that they stand for, wherever they are in strings: the launcher
      would record a local path and upload nothing (launcher_v2.go, uploadOutputArtifacts), and in
      metadata, such as a blessing's `current_model`, it would mean nothing after the task.
    - An output of the type system.HTML becomes the page in its directory: what the UI shows is the
      object that the URI names (getHtmlViewerConfig in frontend/src/components/viewers/
      MetricsVisualizations.tsx), and the launcher uploads what it names. The pictures beside it
      are in the page as well, and not uploaded.
    - Metadata that is null is left out: it would fail the task (converter.go,
      StructValueToMLMDValue).

    Args:
      executor_output: of the execution with the adapted input; it is not changed.
      executor_input: as it was received, not adapted.

    Raises:
      ContractError: the executor put an output elsewhere than it was told to, where the launcher
        would not find it.
    """
    uris = _local_uris(executor_input)
    output = _replace(executor_output, uris)
    for name, listed in output.get("artifacts", {}).items():
        told = _artifacts(executor_input["outputs"]["artifacts"][name])
        expected = [artifact["uri"] for artifact in told]
        received = [artifact["uri"] for artifact in _artifacts(listed)]
        if received != expected:
            raise ContractError(
                f"output {name!r}: its artifacts must stay at {expected}, where the launcher "
                f"looks for them, but the executor moved them to {received}"
            )
        for artifact, place in zip(_artifacts(listed), told, strict=True):
            metadata = artifact.get("metadata", {})
            kept = {key: value for key, value in metadata.items() if value is not None}
            artifact.update({"metadata": kept} | _page_of(place))
    return output


def local_path(artifact: Json) -> str:
    """Where an artifact is in the container.

    As launcher_v2.go does, in retrieveArtifactPath and LocalPathForURI; but for `oci://`, which it
    accepts for inputs that no TFX component makes.

    Raises:
      ContractError: it keeps it nowhere.
    """
    path: str = artifact.get("customPath") or _staged(artifact["uri"])
    if path == artifact["uri"]:
        raise ContractError(
            f"a pipeline root must begin with one of {', '.join(_STAGING)}, "
            f"received an artifact at {path!r}"
        )
    return path


def _staged(uri: str) -> str:
    """The local path that stands for a URI; what has none of the schemes stays."""
    for scheme, directory in _STAGING.items():
        if uri.startswith(scheme):
            return directory + uri.removeprefix(scheme)
    return uri


def _artifacts(listed: Json) -> list[Json]:
    return listed.get("artifacts", [])


def _type_of(artifact_spec: Json) -> Json:
    return {"type": artifact_spec["artifactType"]} if "artifactType" in artifact_spec else {}


def _is_html(artifact: Json) -> bool:
    return artifact.get("type", {}).get("schemaTitle") == _HTML


def _class_of(artifact: Json) -> Json:
    """The type of an output in TFX's terms, where it has to be another."""
    return {"type": {"instanceSchema": f"title: {_HTML_CLASS}"}} if _is_html(artifact) else {}


def _page_of(artifact: Json) -> Json:
    """Where the page of a report is, from where its directory is."""
    if not _is_html(artifact):
        return {}
    places = {key: artifact[key] for key in ("uri", "customPath") if artifact.get(key)}
    return {key: f"{place}/{REPORT_PAGE}" for key, place in places.items()}


def _adapt_artifact(artifact: Json) -> Json:
    metadata = {key: _unwrap(value) for key, value in artifact.get("metadata", {}).items()}
    adapted = artifact | {"uri": local_path(artifact), "metadata": metadata}
    if artifact.get("artifactId"):
        adapted["name"] = artifact["artifactId"]
    return adapted


def _with_origin(artifact: Json, uri: str) -> Json:
    return artifact | {"metadata": artifact["metadata"] | {ORIGIN_URI: uri}}


def _unwrap(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        if isinstance(value.get("list"), list):
            return value["list"]
        if isinstance(value.get("struct"), dict):
            return value["struct"]
    return value


def _local_uris(executor_input: Json) -> dict[str, str]:
    return {
        local_path(artifact): artifact["uri"]
        for side in ("inputs", "outputs")
        for listed in executor_input.get(side, {}).get("artifacts", {}).values()
        for artifact in _artifacts(listed)
    }


def _replace(value: Any, uris: dict[str, str]) -> Any:
    """A copy, with the local paths replaced in all strings; what goes on after one is kept."""
    if isinstance(value, dict):
        return {key: _replace(item, uris) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, uris) for item in value]
    if isinstance(value, str) and uris:
        paths = "|".join(re.escape(path) for path in sorted(uris, key=len, reverse=True))
        return re.sub(rf"({paths})(?![\w.-])", lambda match: uris[match[1]], value)
    return value
