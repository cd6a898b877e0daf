"""Converts executor inputs and outputs between the launcher's conventions and TFX's.

All functions are pure. They work on the JSON form of the pipeline spec's ExecutorInput and
ExecutorOutput.
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
    """The launcher or the executor produced something that the other side can't process."""


def output_file(executor_input: Json) -> str:
    """Returns the local path of the file for the ExecutorOutput.

    - KFP 2.15 and later use `<local task root>/output_metadata.json` (driver.go,
      provisionOutputs). Earlier versions use `/tmp/kfp_outputs/output_metadata.json`
      (launcher_v2.go, OutputMetadataFilepath).
    - Vertex AI uses `executor_output.json` in the task's folder of the bucket. TFX opens the file
      by its URI (kubeflow_v2_run_executor.py, _run_executor), KFP's SDK by its path in the mount.
    """
    return _staged(executor_input["outputs"]["outputFile"])


def adapt_input(executor_input: Json, inputs_spec: Json) -> Json:
    """Converts the launcher's executor input to one that TFX can run.

    - Input artifacts get their types from the component's inputs spec. KFP passes the type
      `{"instanceSchema": ""}`, which TFX can't parse (client.go, ToRuntimeArtifact and
      GetOutputArtifactsByExecutionId, "figure out how to get schema").
    - Inputs that are marked absent are removed, so TFX receives an empty list.
    - The launcher's output `executor-logs` is removed, because TFX does not have its type,
      system.Artifact (driver.go, provisionOutputs).
    - An output of type system.HTML gets this project's artifact class for HTML as its type, because
      TFX expects an import path in the type's title.
    - URIs are replaced by the local paths of the launcher's copies (launcher_v2.go,
      retrieveArtifactPath). For `gs://` these are also the paths at which Vertex AI mounts Cloud
      Storage. The metadata of inputs keeps the URI as ORIGIN_URI for components that record it.
    - Lists and dictionaries in metadata are unwrapped: StructValueToMLMDValue in converter.go wraps
      them in `{"list": …}` and `{"struct": …}`, and toRuntimeArtifact doesn't unwrap them.
    - `artifactId`, if present, replaces the name, which TFX uses as the identifier. KFP's branch
      without ML Metadata passes both, and its names are not unique.

    Args:
      executor_input: the ExecutorInput that the launcher passes; not modified.
      inputs_spec: the component's ComponentInputsSpec.

    Raises:
      ContractError: an artifact has neither a supported URI scheme nor a custom path.
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
                        _adapt_artifact(artifact) | _tfx_type(artifact)
                        for artifact in _artifacts(listed)
                    ]
                }
                for name, listed in outputs.get("artifacts", {}).items()
                if name != _EXECUTOR_LOGS
            }
        },
    }


def adapt_output(executor_output: Json, executor_input: Json) -> Json:
    """Converts TFX's executor output to one that the launcher can publish.

    - Local paths in strings are replaced by their URIs. The launcher records a local path without
      uploading it (launcher_v2.go, uploadOutputArtifacts), and a local path in metadata, such as
      `current_model` of a blessing, is meaningless after the task.
    - The URI of an output of type system.HTML changes from the directory to the page in it. The UI
      displays the object at the URI (getHtmlViewerConfig in frontend/src/components/viewers/
      MetricsVisualizations.tsx), and the launcher uploads only that object. The page embeds its
      images, so the image files in the directory are not needed.
    - Null metadata values are removed, because they fail the task (converter.go,
      StructValueToMLMDValue).

    Args:
      executor_output: the ExecutorOutput of TFX for the adapted input; not modified.
      executor_input: the ExecutorInput that the launcher passed, before `adapt_input`.

    Raises:
      ContractError: the executor moved an output, so the launcher would not find it.
    """
    uris = _local_uris(executor_input)
    output = _replace(executor_output, uris)
    for name, listed in output.get("artifacts", {}).items():
        requested = _artifacts(executor_input["outputs"]["artifacts"][name])
        expected = [artifact["uri"] for artifact in requested]
        received = [artifact["uri"] for artifact in _artifacts(listed)]
        if received != expected:
            raise ContractError(
                f"output {name!r}: expected artifacts at {expected}, but the executor moved them "
                f"to {received}; write them to the given URIs"
            )
        for artifact, original in zip(_artifacts(listed), requested, strict=True):
            metadata = artifact.get("metadata", {})
            kept = {key: value for key, value in metadata.items() if value is not None}
            artifact.update({"metadata": kept} | _page_location(original))
    return output


def local_path(artifact: Json) -> str:
    """Returns an artifact's path in the container.

    Follows retrieveArtifactPath and LocalPathForURI in launcher_v2.go, except that the scheme
    `oci://` is not supported, because no TFX component produces such artifacts.

    Raises:
      ContractError: the artifact has neither a supported URI scheme nor a custom path.
    """
    path: str = artifact.get("customPath") or _staged(artifact["uri"])
    if path == artifact["uri"]:
        raise ContractError(
            f"expected an artifact URI that starts with one of {', '.join(_STAGING)}, received "
            f"{path!r}; choose another pipeline root"
        )
    return path


def _staged(uri: str) -> str:
    """Returns the local path for a URI; a URI with another scheme is returned unchanged."""
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


def _tfx_type(artifact: Json) -> Json:
    """Overrides the type of an HTML output with this project's TFX class for it."""
    return {"type": {"instanceSchema": f"title: {_HTML_CLASS}"}} if _is_html(artifact) else {}


def _page_location(artifact: Json) -> Json:
    """Overrides the location of an HTML output with the page in its directory."""
    if not _is_html(artifact):
        return {}
    directories = {key: artifact[key] for key in ("uri", "customPath") if artifact.get(key)}
    return {key: f"{directory}/{REPORT_PAGE}" for key, directory in directories.items()}


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
    """Returns a copy in which URIs replace local paths and path prefixes in all strings."""
    if isinstance(value, dict):
        return {key: _replace(item, uris) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, uris) for item in value]
    if isinstance(value, str) and uris:
        paths = "|".join(re.escape(path) for path in sorted(uris, key=len, reverse=True))
        return re.sub(rf"({paths})(?![\w.-])", lambda match: uris[match[1]], value)
    return value
