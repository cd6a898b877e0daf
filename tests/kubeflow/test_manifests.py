"""Validates the manifests against the models of Kubernetes' Python client and each other."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kubernetes import client

from mnist_kubeflow.compiler.settings import KubeflowSettings
from models.definition import DATASET
from pipeline.cli.releases import releases

MANIFESTS = Path(__file__).parents[2] / "kubeflow" / "manifests"
FILES = sorted(path.name for path in MANIFESTS.glob("*.yaml") if path.name != "kustomization.yaml")
SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str}


class InvalidManifestError(Exception):
    """A manifest does not match Kubernetes' API."""


def read(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text(encoding="utf-8")))


def validate(document: dict[str, Any]) -> None:
    """Checks fields, types and required fields, like `kubectl --validate=strict`."""
    version = document["apiVersion"].rpartition("/")[2].capitalize()
    model = getattr(client, f"{version}{document['kind']}", None)
    if model is None:
        raise InvalidManifestError(f"no {document['kind']} in {document['apiVersion']}")
    build(document, model.__name__, document["kind"])


def build(value: Any, kind: str, path: str) -> Any:
    """Converts a value to the client's model `kind`.

    Raises:
      InvalidManifestError: the value does not match the model; the message starts with `path`.
    """
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        check(value, list, path)
        return [build(item, match[1], f"{path}[{n}]") for n, item in enumerate(value)]
    if match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        check(value, dict, path)
        return {key: build(item, match[1], f"{path}.{key}") for key, item in value.items()}
    if kind == "object":
        return value
    if kind in SCALARS:
        check(value, SCALARS[kind], path)
        return value
    model = getattr(client, kind)
    check(value, dict, path)
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    unknown = set(value) - set(names)
    if unknown:
        raise InvalidManifestError(f"{path} has no field {sorted(unknown)}")
    fields = {
        names[key]: build(item, model.openapi_types[names[key]], f"{path}.{key}")
        for key, item in value.items()
    }
    try:
        return model(**fields)
    except ValueError as error:
        raise InvalidManifestError(f"{path}: {error}") from error


def check(value: Any, kind: Any, path: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InvalidManifestError(f"{path} is a {type(value).__name__}: {value!r}")


def name_of_manifests() -> str:
    (labels,) = read("kustomization.yaml")[0]["labels"]
    name: str = labels["pairs"]["app.kubernetes.io/part-of"]
    return name


def applied() -> dict[tuple[str, str], dict[str, Any]]:
    names = read("kustomization.yaml")[0]["resources"]
    documents = [document for name in names for document in read(name)]
    found = {(one["kind"], one["metadata"]["name"]): one for one in documents}
    assert len(found) == len(documents)
    return found


SERVING = f"{name_of_manifests()}-serving"


def pods() -> dict[str, dict[str, Any]]:
    return {
        f"{kind}/{name}": document["spec"]["template"]["spec"]
        for (kind, name), document in applied().items()
        if kind in ("Deployment", "Job")
    }


@pytest.mark.parametrize("name", FILES)
def test_manifest_is_valid(name: str) -> None:
    documents = read(name)
    assert documents
    for document in documents:
        validate(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["spec", "template", "spec", "container"], [], "Deployment.spec.template.spec has no"),
        (["spec", "revisionHistoryLimit"], "3", "revisionHistoryLimit is a str: '3'"),
        (["spec", "revisionHistoryLimit"], True, "revisionHistoryLimit is a bool: True"),
        (["spec", "selector"], None, "Deployment.spec.selector is a NoneType"),
        (["metadata", "labels"], {"a": 1}, "Deployment.metadata.labels.a is a int: 1"),
        (["kind"], "Deploiment", "no Deploiment in apps/v1"),
        (["spec"], {"selector": {}}, "Invalid value for `template`, must not be `None`"),
    ],
)
def test_validation_is_strict(path: list[str], value: Any, message: str) -> None:
    document = read("serving.yaml")[0]
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    with pytest.raises(InvalidManifestError, match=re.escape(message)):
        validate(document)


def test_kustomization_lists_all_files_except_the_optional_one() -> None:
    (kustomization,) = read("kustomization.yaml")
    assert sorted([*kustomization["resources"], "kfp-launcher-s3.yaml"]) == FILES
    assert kustomization["namespace"] == "kubeflow"


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_have_least_privilege_and_limits(name: str) -> None:
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert ("ServiceAccount", pod["serviceAccountName"]) in applied()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert re.search(r":\d+\.\d+\.\d+$|@sha256:[0-9a-f]{64}$", container["image"])
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}


def test_referenced_names_exist() -> None:
    documents = applied()
    for pod in pods().values():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claims = [
            one["persistentVolumeClaim"]
            for one in volumes.values()
            if "persistentVolumeClaim" in one
        ]
        assert [claim["claimName"] for claim in claims] == [SERVING]
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert ("PersistentVolumeClaim", SERVING) in documents
    target = documents["HorizontalPodAutoscaler", SERVING]["spec"]["scaleTargetRef"]
    assert documents[target["kind"], target["name"]]["apiVersion"] == target["apiVersion"]
    for (kind, _), document in documents.items():
        if kind == "RoleBinding":
            assert ("Role", document["roleRef"]["name"]) in documents
            for subject in document["subjects"]:
                assert (subject["kind"], subject["name"]) in documents


def readme_blocks() -> list[dict[str, Any]]:
    text = (MANIFESTS.parent / "README.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def readme_patches() -> list[dict[str, Any]]:
    overlays = [block for block in readme_blocks() if "patches" in block]
    for overlay in overlays:
        assert overlay["resources"] == ["../kubeflow/manifests"]
    return [patch for overlay in overlays for patch in overlay["patches"]]


def test_readme_patches_apply() -> None:
    patches = readme_patches()
    assert patches
    for patch in patches:
        document = applied()[patch["target"]["kind"], patch["target"]["name"]]
        (operation,) = yaml.safe_load(patch["patch"])
        *above, field = operation["path"].split("/")[1:]
        parent = document
        for key in above:
            parent = parent[key]
        assert operation["op"] == ("replace" if field in parent else "add")
        parent[field] = operation["value"]
        validate(document)


def test_readme_token_belongs_to_the_submitter() -> None:
    (secret,) = (block for block in readme_blocks() if block.get("kind") == "Secret")
    validate(secret)
    account = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"]
    assert ("ServiceAccount", account) in applied()
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert not {"data", "stringData"} & set(secret)


def test_readme_job_rolls_back_on_the_volume(tmp_path: Path) -> None:
    (job,) = (block for block in readme_blocks() if block.get("kind") == "Job")
    validate(job)
    pod = job["spec"]["template"]["spec"]
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert ("PersistentVolumeClaim", claim) in applied()
    (container,) = pod["containers"]
    program, command, *arguments = container["command"]
    assert (program, command) == ("mnist-pipeline", "releases")
    mount = container["volumeMounts"][0]["mountPath"]
    local = [str(tmp_path) if argument == mount else argument for argument in arguments]
    result = CliRunner().invoke(releases, local)
    assert result.exit_code == 1, "the directory has no release to roll back to"
    assert f"{tmp_path}/{DATASET.name}" in result.output


def test_service_budget_and_policy_match_the_server_labels_and_ports() -> None:
    documents = applied()
    deployment = documents["Deployment", SERVING]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    service = documents["Service", SERVING]["spec"]
    assert service["selector"] == labels
    budget = documents["PodDisruptionBudget", SERVING]["spec"]
    assert budget["selector"]["matchLabels"] == labels
    policy = documents["NetworkPolicy", SERVING]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    (container,) = deployment["template"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["ports"]} == ports
    assert {port["port"] for port in policy["ingress"][0]["ports"]} == ports
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (action,) = (
            container[probe][key] for key in ("httpGet", "tcpSocket") if key in container[probe]
        )
        assert action["port"] in ports


def test_server_mounts_the_models_read_only() -> None:
    (container,) = pods()[f"Deployment/{SERVING}"]["containers"]
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "serving")
    assert mount == {"name": "serving", "mountPath": "/serving", "readOnly": True}


@pytest.mark.skipif(DATASET.name != "mnist", reason="about MNIST")
def test_server_reads_from_the_directory_of_the_pusher() -> None:
    defaults = KubeflowSettings(image="mnist:1")
    assert ("PersistentVolumeClaim", defaults.pvc) in applied()
    (container,) = pods()[f"Deployment/{SERVING}"]["containers"]
    assert f"--model_name={DATASET.name}" in container["args"]
    assert f"--model_base_path={defaults.mount_path}/{DATASET.name}" in container["args"]
    assert container["readinessProbe"]["httpGet"]["path"] == f"/v1/models/{DATASET.name}"


def test_readme_command_renames_everything(tmp_path: Path) -> None:
    text = (MANIFESTS.parent / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^perl .*$", text, re.MULTILINE)
    shutil.copytree(MANIFESTS.parent, tmp_path / "kubeflow")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    renamed = [*tmp_path.glob("kubeflow/manifests/*.yaml"), tmp_path / "kubeflow" / "README.md"]
    for path in renamed:
        content = path.read_text(encoding="utf-8")
        assert "garments" in content
        assert not re.search(r"mnist(?!-pipeline)", content)


def test_autoscaler_minimum_exceeds_the_disruption_budget() -> None:
    documents = applied()
    replicas = documents["HorizontalPodAutoscaler", SERVING]["spec"]
    budget = documents["PodDisruptionBudget", SERVING]["spec"]
    assert budget["minAvailable"] < replicas["minReplicas"] < replicas["maxReplicas"]
    assert "replicas" not in documents["Deployment", SERVING]["spec"]


def test_roles_have_no_wildcards_and_name_their_secrets() -> None:
    rules = [
        rule
        for (kind, _), document in applied().items()
        if kind == "Role"
        for rule in document["rules"]
    ]
    assert rules
    for rule in rules:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "secrets" not in rule["resources"] or rule["resourceNames"]


def test_manifests_contain_no_secret() -> None:
    assert not any(document["kind"] == "Secret" for name in FILES for document in read(name))


def test_launcher_reads_credentials_from_the_secret() -> None:
    (config,) = read("kfp-launcher-s3.yaml")
    default = yaml.safe_load(config["data"]["providers"])["s3"]["default"]
    assert default["credentials"] == {
        "fromEnv": False,
        "secretRef": {
            "secretName": f"{name_of_manifests()}-object-store",
            "accessKeyKey": "AWS_ACCESS_KEY_ID",
            "secretKeyKey": "AWS_SECRET_ACCESS_KEY",
        },
    }
    assert config["data"]["defaultPipelineRoot"].startswith("s3://")
