"""The container image: the content of its Dockerfile and, with Docker, its behavior.

The slow tests read the environment: DOCKER, a client with BuildKit; BASE_IMAGE and IMAGE_ARGS, for
BASE_IMAGE and ARGS of `make image`; or IMAGE, an existing image.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import requests
import yaml
from PIL import Image
from support import documentation
from support.kfp_backend import KfpBackend
from support.kfp_object_store import MemoryStore
from support.pipeline_runs import LOOSE_GATES
from support.running_server import free_port

from components.common.provenance import COMMIT_VARIABLE
from mnist_kubeflow.compiler.compile import SCHEMA_IN_IMAGE, compile_pipeline
from mnist_kubeflow.compiler.settings import KubeflowSettings
from models.definition import DATASET
from pipeline.settings import make_settings
from pipeline.stages import STAGES

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "kubeflow" / "Dockerfile"
USER = 10001
NEEDS_SAMPLE = pytest.mark.skipif(not DATASET.bundled_sample, reason="no bundled sample")
SMALL = {"data": "bundled", "limit": 1500, "epochs": 3, "batch_size": 16, **LOOSE_GATES}


def instructions() -> list[tuple[str, str]]:
    """Returns keyword and text of each instruction of the Dockerfile."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def stages() -> list[list[tuple[str, str]]]:
    """Returns the instructions of each stage."""
    found: list[list[tuple[str, str]]] = []
    for keyword, text in instructions():
        if keyword == "FROM":
            found.append([])
        if found:
            found[-1].append((keyword, text))
    return found


def texts(keyword: str, stage: Sequence[tuple[str, str]] | None = None) -> list[str]:
    return [text for key, text in stage or instructions() if key == keyword]


def test_each_stage_begins_with_the_base_image_or_another_stage() -> None:
    bases = [text.split() for text in texts("FROM")]
    names = {words[2] for words in bases if len(words) == 3}
    assert len(bases) > 1
    assert {words[0] for words in bases} <= {"${BASE_IMAGE}", *names}
    keyword, text = instructions()[0]
    assert (keyword, text) == ("ARG", "BASE_IMAGE=python:3.13-slim-trixie")


def test_no_frontend_comes_from_a_registry() -> None:
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE.read_text(), re.M | re.I)


def test_each_build_argument_is_explained() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    arguments = [i for i, line in enumerate(lines) if line.startswith("ARG ")]
    assert len(arguments) == 4
    assert all(lines[i - 1].startswith("# ") for i in arguments)


def test_only_locked_packages_and_the_project_are_installed() -> None:
    found = re.findall(r"pip --python \S+ install (.*?)(?:&&|;|$)", "\n".join(texts("RUN")), re.M)
    assert len(found) == 2
    locked, project = sorted(found, key=lambda text: "/source" in text)
    assert {"--require-hashes", "--no-deps"} <= set(locked.split())
    assert {"--no-index", "--no-deps"} <= set(project.split())


def test_the_last_stage_installs_nothing_and_copies_from_stages_only() -> None:
    *_, last = stages()
    assert not re.search(r"\b(pip|apt|apt-get|curl|wget)\b", " ".join(texts("RUN", last)))
    copies = texts("COPY", last)
    assert copies
    assert all(text.startswith("--from=") for text in copies)


def test_the_user_can_write_to_the_volume() -> None:
    *_, last = stages()
    assert texts("USER", last) == [f"{USER}:{USER}"]
    volume = (REPOSITORY / "kubeflow/manifests/serving-volume.yaml").read_text()
    contexts = [
        document["spec"]["template"]["spec"]["securityContext"]
        for document in yaml.safe_load_all(volume)
        if document["kind"] == "Job"
    ]
    assert [context["fsGroup"] for context in contexts] == [USER]


def test_the_build_context_has_the_packages_and_nothing_else() -> None:
    copied = [path for text in texts("COPY", stages()[1]) for path in text.split()[:-1]]
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert {"components", "kubeflow", "models", "pipeline"} <= packages
    assert packages <= set(copied)
    locks = texts("COPY", stages()[0])[0].split()[:-1]
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {f"!{path}" for path in [*copied, *locks]} == {
        line for line in ignored if line.startswith("!")
    }


def test_the_schema_is_at_the_path_in_compiled_pipelines() -> None:
    assert f" /project{SCHEMA_IN_IMAGE}" in texts("RUN", stages()[1])[0]


def test_the_commit_is_in_the_environment_and_in_a_label() -> None:
    *_, last = stages()
    assert f"{COMMIT_VARIABLE}=$GIT_COMMIT" in texts("ENV", last)
    assert 'org.opencontainers.image.revision="$GIT_COMMIT"' in texts("LABEL", last)[0]


def make_image(*variables: str) -> list[str]:
    """Returns the words of the commands of `make image`."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "image", *variables],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return shlex.split(done.stdout.replace("\\\n", " "))


def test_make_image_passes_its_variables_to_the_build() -> None:
    words = make_image("IMAGE=r.example/m:1", "BASE_IMAGE=base:2", "DOCKER=podman", "ARGS=--pull")
    assert words[words.index("podman") + 1] == "build"
    assert words[words.index("--tag") + 1] == "r.example/m:1"
    assert "BASE_IMAGE=base:2" in words
    assert words[-2:] == ["--pull", "."]


def test_make_image_without_variables_uses_the_default_base_image() -> None:
    words = make_image()
    assert words[words.index("build") - 1] == "docker"
    assert not any(word.startswith("BASE_IMAGE=") for word in words)


def docker(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [os.environ.get("DOCKER", "docker"), *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options
    )


def in_container(image: str, *command: str, options: Sequence[str] = ()) -> str:
    """Runs a command in a container without network access and returns its output."""
    done = docker("run", "--rm", "--network", "none", *options, image, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image() -> str:
    """Returns the name of the image, which is built unless IMAGE is set."""
    if not shutil.which(os.environ.get("DOCKER", "docker")) or docker("info").returncode:
        pytest.skip("no Docker engine is available")
    if name := os.environ.get("IMAGE"):
        return name
    base = os.environ.get("BASE_IMAGE") or texts("ARG")[0].split("=")[1]
    if docker("image", "inspect", base).returncode and docker("pull", base).returncode:
        pytest.skip(f"base image {base} is not available and can't be pulled: set BASE_IMAGE")
    variables = {"IMAGE": "mnist-pipeline:test", "BASE_IMAGE": base, "ARGS": ""}
    variables |= {"ARGS": os.environ.get("IMAGE_ARGS", "")}
    words = [f"{name}={value}" for name, value in variables.items()]
    if client := os.environ.get("DOCKER"):
        words.append(f"DOCKER={client}")
    subprocess.run(["make", "image", *words], cwd=REPOSITORY, check=True)
    return variables["IMAGE"]


@pytest.mark.slow
def test_the_image_is_healthy_and_has_no_rights_and_no_build_tools(image: str) -> None:
    (inspected,) = json.loads(docker("image", "inspect", image).stdout)
    command, *arguments = inspected["Config"]["Healthcheck"]["Test"]
    assert command == "CMD"
    assert in_container(image, *arguments).startswith("mnist-pipeline, version")
    assert in_container(image, "id", "-u").strip() == in_container(image, "id", "-g").strip()
    assert in_container(image, "id", "-u").strip() == str(USER)
    writable = "find / -xdev -writable -type f -not -path '/proc/*' -not -path '/sys/*'"
    assert in_container(image, "sh", "-c", f"{writable} 2>/dev/null || true") == ""
    tools = "for tool in cc gcc g++ make git uv; do command -v $tool || true; done"
    assert in_container(image, "sh", "-c", tools) == ""
    assert in_container(image, "sh", "-c", "ls /opt; ls -A /home/pipeline").split() == [
        *("venv", "output", "tensorflow_datasets"),
    ]


@pytest.mark.slow
def test_modules_have_bytecode_and_the_schema_is_the_reviewed_one(image: str) -> None:
    script = """
import importlib.util, os
for name in ("tensorflow", "tfx", "models.trainer", "mnist_kubeflow.entrypoint.contract"):
    cached = importlib.util.find_spec(name).cached
    print(name, os.path.exists(cached))
"""
    lines = in_container(image, "python", "-c", script).splitlines()
    assert len(lines) == 4
    assert all(line.endswith(" True") for line in lines)
    schema = in_container(image, "cat", str(SCHEMA_IN_IMAGE))
    assert schema == (REPOSITORY / "pipeline/schema.pbtxt").read_text()


@NEEDS_SAMPLE
@pytest.mark.slow
def test_a_whole_run_in_one_container_pushes_a_model(image: str) -> None:
    volumes = [f"mnist-test-{uuid4().hex}" for _ in range(2)]
    options = ["-v", f"{volumes[0]}:/home/pipeline/output", "-v", f"{volumes[1]}:/serving"]
    settings = {name.replace("_", "-"): str(value) for name, value in SMALL.items()}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    try:
        in_container(
            image, "mnist-pipeline", "run", "--serving-dir=/serving", *flags, options=options
        )
        (release,) = in_container(
            image, "sh", "-c", f"cat /serving/{DATASET.name}/*/release.json", options=options
        ).split("\n}\n{")
    finally:
        docker("volume", "rm", "--force", *volumes)
    (inspected,) = json.loads(docker("image", "inspect", image).stdout)
    revision = inspected["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert re.match(r"[0-9a-f]{40}", revision)
    assert json.loads(release)["git"]["commit"] == revision


PLATFORMS = Path("docs/platforms.md")
SOMEONE = 1234
"""A user id without an account in the image."""


class Laptop:
    """A directory in which a user runs the documented commands.

    Attributes:
      directory: contains `output/`, which belongs to SOMEONE, and `photo.jpg`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "output").mkdir()
        os.chown(directory / "output", SOMEONE, SOMEONE)
        digit = np.zeros((60, 60), np.uint8)
        digit[15:45, 28:32] = 255
        Image.fromarray(255 - digit).save(directory / "photo.jpg")

    def command(self, last_words: str) -> str:
        """Returns the documented command that ends with these words, adapted to run as SOMEONE."""
        blocks = (block for block in documentation.blocks(PLATFORMS) if block.marker == "docker")
        commands = "".join(block.text for block in blocks).replace("\\\n", "").splitlines()
        (found,) = (line for line in commands if line.endswith(f" mnist-pipeline {last_words}"))
        assert found.startswith("docker run ")
        return found.replace('"$(id -u):$(id -g)"', f"{SOMEONE}:{SOMEONE}")

    def start(self, command: str) -> subprocess.Popen[str]:
        """Starts a command without a terminal."""
        client = shlex.quote(os.environ.get("DOCKER", "docker"))
        return subprocess.Popen(
            ["bash", "-c", command.replace("docker ", f"exec {client} ", 1)],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Runs a command, which must succeed, and returns its output."""
        process = self.start(command)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output


@NEEDS_SAMPLE
@pytest.mark.slow
def test_documented_commands_work_for_any_user_and_without_a_terminal(
    image: str, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    laptop = Laptop(tmp_path)
    assert not docker("tag", image, "mnist-pipeline").returncode
    flags = " ".join(f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items())
    output = laptop.run(f"{laptop.command('run --data bundled')} {flags}")
    assert "\x1b" not in output
    made = list((tmp_path / "output").rglob("*"))
    assert {path.stat().st_uid for path in made} == {SOMEONE}
    assert list(tmp_path.glob(f"output/serving/{DATASET.name}/*/release.json"))
    assert list(tmp_path.glob("output/pipeline/reports/*/report.html"))

    assert " live" in laptop.run(laptop.command("releases"))
    assert "- " in laptop.run(laptop.command("predict - < photo.jpg"))

    port = free_port()
    command = laptop.command("serve --host 0.0.0.0").replace(":8501:", f":{port}:")
    serving = laptop.start(command)
    try:
        ready = f"http://127.0.0.1:{port}/readyz"
        wait_until(lambda: responds(ready), serving)
    finally:
        serving.terminate()
        assert serving.wait(60) == 0


def responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.5)


def run_container(volumes: Sequence[str], command: Sequence[str], image: str, log: Path) -> int:
    """Runs a task like KFP: in its own container, with scratch volumes only.

    Args:
      volumes: volumes to mount, each as `<host directory>:<container directory>`.
      command: command to run in the container.
      image: image of the container.
      log: file for the output.
    """
    mounted = [word for volume in volumes for word in ("-v", volume)]
    places = [volume.split(":")[1] for volume in volumes]
    # World-writable, like emptyDir and the serving volume after its setup job.
    open_all = ["--user=0", *mounted, image, "chmod", "-R", "a+rwX", *places]
    start = ["run", "--rm", "--network=none"]
    assert not docker(*start, *open_all).returncode
    done = docker(*start, *mounted, image, *command)
    assert not docker(*start, *open_all).returncode
    log.write_text(done.stdout + done.stderr)
    return done.returncode


@NEEDS_SAMPLE
@pytest.mark.slow
def test_every_task_runs_in_its_own_container(image: str, tmp_path: Path) -> None:
    serving = tmp_path / "volume"
    serving.mkdir()
    package = compile_pipeline(make_settings(SMALL), KubeflowSettings(image=image))
    bucket = f"mnist-{uuid4().hex}"
    images = []

    def run_task(command: Sequence[str], image: str, log: Path) -> int:
        images.append(image)
        staging = backend.place(f"/minio/{bucket}")
        return run_container([f"{staging}:{staging}", f"{serving}:/serving"], command, image, log)

    backend = KfpBackend(f"minio://{bucket}/artifacts", MemoryStore({}), tmp_path, run_task)
    run = backend.run(package)
    assert run.succeeded, list(run.logs.values())[-1]
    assert run.states.keys() == set(STAGES)
    assert images == [image] * len(STAGES)
    (version,) = serving.glob(f"{DATASET.name}/[0-9]*")
    metadata = run.outputs["Pusher"]["pushed_model"]["metadata"]
    assert metadata["pushed_version"] == version.name
    assert version.joinpath("release.json").stat().st_uid == USER
