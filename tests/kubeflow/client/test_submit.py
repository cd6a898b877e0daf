"""Tests `mnist-pipeline submit` against a fake Kubeflow Pipelines API server."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from support.fake_kfp_server import FakeKfpServer, Frame, RequestError, fake_kfp_server

from mnist_kubeflow.client import command, rest
from mnist_kubeflow.client.command import submit
from mnist_kubeflow.client.run_outcome import REJECTIONS
from mnist_kubeflow.compiler.run_parameters import RUN_PARAMETERS
from pipeline import stages

EXAMPLE_GEN, DATA_GATE, PUSHER = stages.EXAMPLE_GEN, stages.DATA_GATE, stages.PUSHER
TASKS = [EXAMPLE_GEN, DATA_GATE, "Trainer", "Evaluator", "ModelGate", PUSHER]
DONE = dict.fromkeys(TASKS, "SUCCEEDED")
REJECTED_MODEL = DONE | {PUSHER: "FAILED"}
REJECTED_DATA = {EXAMPLE_GEN: "SUCCEEDED", DATA_GATE: "FAILED"}
# The path under which Kubernetes' API server proxies the Kubeflow Pipelines API server.
PROXY = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
SPEC = {
    "pipelineInfo": {"name": "mnist"},
    "schemaVersion": "2.1.0",
    "root": {
        "dag": {"tasks": {task: {"taskInfo": {"name": task}} for task in TASKS}},
        "inputDefinitions": {
            "parameters": {
                "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 10},
                "accuracy_threshold": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.95},
                "data": {"parameterType": "STRING", "defaultValue": "tfds"},
            }
        },
    },
}


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("KF_PIPELINES_", "KUBERNETES_SERVICE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[FakeKfpServer]:
    with fake_kfp_server() as fake:
        yield fake


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "mnist.yaml"
    platform: dict[str, object] = {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}
    }
    path.write_text(yaml.safe_dump_all([SPEC, platform]))
    return path


def last_line(result: Result) -> str:
    return result.output.splitlines(keepends=True)[-1]


def run_submit(server: FakeKfpServer, pipeline: Path, *options: str) -> Result:
    arguments = [str(pipeline), "--host", server.url, "--interval", "0.01", *options]
    return CliRunner().invoke(submit, arguments)


def test_pushed_model_exits_with_0_and_prints_each_task(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [
        Frame("PENDING"),
        Frame("RUNNING", {EXAMPLE_GEN: "RUNNING"}),
        Frame("RUNNING", {EXAMPLE_GEN: "SUCCEEDED", DATA_GATE: "RUNNING"}),
        Frame("SUCCEEDED", DONE),
    ]
    result = run_submit(server, pipeline)
    assert result.exit_code == 0, result.output
    lines = re.findall(r"^\d\d:\d\d:\d\d  (\w+) +done +\d+ s$", result.output, re.MULTILINE)
    assert lines == TASKS
    assert "model pushed" in result.output.splitlines()[-1]


def test_rejected_model_exits_with_3_and_prints_the_reason(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("FAILED", REJECTED_MODEL)]
    server.logs = {
        "Pusher": "Traceback (most recent call last):\n  File ...\n"
        "components.common.errors.ModelRejectedError: accuracy 0.93 is below 0.95\n"
        "F0301 main.go:55] failed to execute component: exit status 3\n"
    }
    result = run_submit(server, pipeline)
    assert result.exit_code == 3, result.output
    assert result.output.endswith("Model rejected: accuracy 0.93 is below 0.95\n")


@pytest.mark.parametrize(
    ("task", "rejected", "status"), [("Trainer", "Data", 4), ("Evaluator", "Model", 3)]
)
def test_trainer_and_evaluator_can_reject(
    server: FakeKfpServer, pipeline: Path, task: str, rejected: str, status: int
) -> None:
    server.frames = [Frame("FAILED", {task: "FAILED"})]
    server.logs = {
        task: f"components.common.errors.{rejected}RejectedError: the files of split test differ\n"
    }
    result = run_submit(server, pipeline)
    assert result.exit_code == status, result.output
    assert result.output.endswith(f"{rejected} rejected: the files of split test differ\n")


def test_reason_comes_from_the_last_attempt_of_a_retried_task(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("FAILED", REJECTED_DATA)]
    server.retried = {"DataGate"}
    # The log of the first attempt can't be read.
    server.outages = [200, 200, 403]
    server.logs = {"DataGate": "components.common.errors.DataRejectedError: label: out of domain\n"}
    result = run_submit(server, pipeline)
    assert result.exit_code == 4, result.output
    assert "Data rejected: label: out of domain" in result.output
    assert sum("retry-system-container-impl" in request for request in server.requests) == 2


@pytest.mark.parametrize(
    ("container", "statuses"), [("", []), ("main: ", []), ("main: ", [200, 200, 403])]
)
def test_pod_message_proves_a_rejection_when_the_log_is_gone_or_forbidden(
    server: FakeKfpServer, pipeline: Path, container: str, statuses: list[int]
) -> None:
    server.outages = statuses
    server.frames = [Frame("FAILED", {EXAMPLE_GEN: "FAILED"})]
    message = f"{container}Error (exit code 1): DataRejectedError: truncated"
    server.messages = {EXAMPLE_GEN: message}
    result = run_submit(server, pipeline)
    assert result.exit_code == 4, result.output
    assert "Data rejected: truncated" in result.output


@pytest.mark.parametrize(
    ("frame", "logs", "reason"),
    [
        (Frame("FAILED", REJECTED_MODEL), {}, "Pusher failed; can't read the log of Pusher"),
        (Frame("FAILED", REJECTED_MODEL), {"Pusher": "OSError: disk full"}, "Pusher failed"),
        (Frame("FAILED", REJECTED_DATA), {"DataGate": "Killed"}, "DataGate failed"),
        (
            Frame("FAILED", REJECTED_DATA),
            {"DataGate": "WARNING no DataRejectedError: yet"},
            "DataGate failed",
        ),
        (
            Frame("FAILED", {"Trainer": "FAILED"}),
            {"Trainer": "components.common.errors.ModelRejectedError: from another task"},
            "Trainer failed",
        ),
        (Frame("FAILED", {"Pusher-driver": "FAILED"}), {}, "Pusher-driver failed"),
        (Frame("FAILED"), {}, "the run is FAILED, but none of its tasks failed"),
        (Frame("CANCELED", {"Trainer": "RUNNING"}), {}, "the run was canceled"),
        (
            Frame("SUCCEEDED", DONE | {"Pusher": "SKIPPED"}),
            {},
            "the run succeeded, but its task Pusher is SKIPPED",
        ),
        (Frame("SUCCEEDED"), {}, "the run succeeded, but its task Pusher is missing"),
    ],
)
def test_any_other_outcome_exits_with_1(
    server: FakeKfpServer, pipeline: Path, frame: Frame, logs: dict[str, str], reason: str
) -> None:
    server.frames = [frame]
    server.logs = logs
    result = run_submit(server, pipeline)
    assert result.exit_code == 1, result.output
    assert result.output.splitlines()[-1].startswith(f"Error: {reason}")


@pytest.mark.parametrize("last", [REJECTED_MODEL, DONE])
def test_waits_for_task_states_that_lag_behind_the_run(
    server: FakeKfpServer, pipeline: Path, last: dict[str, str]
) -> None:
    state = "FAILED" if last is REJECTED_MODEL else "SUCCEEDED"
    server.frames = [Frame(state, DONE | {"Pusher": "RUNNING"}), Frame(state, last)]
    server.logs = {"Pusher": "components.common.errors.ModelRejectedError: loss"}
    result = run_submit(server, pipeline)
    assert result.exit_code == (3 if state == "FAILED" else 0), result.output


def test_run_uses_the_uploaded_version_and_typed_parameters(
    server: FakeKfpServer, pipeline: Path
) -> None:
    result = run_submit(
        server,
        pipeline,
        "--no-wait",
        *("--epochs", "3", "--accuracy-threshold", "1", "-p", "data=bundled"),
        *("--experiment", "nightly", "--run-name", "try", "--pipeline-root", "s3://b/r"),
        *("--service-account", "pipeline-runner"),
    )
    assert result.exit_code == 0, result.output
    (run,) = server.runs.values()
    assert run["runtime_config"] == {
        "parameters": {"epochs": 3, "accuracy_threshold": 1.0, "data": "bundled"},
        "pipeline_root": "s3://b/r",
    }
    assert (run["display_name"], run["service_account"]) == ("try", "pipeline-runner")
    assert server.experiments[run["experiment_id"]]["display_name"] == "nightly"
    version = server.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["pipeline_spec"] == SPEC
    assert not any(request.startswith("GET /apis/v2beta1/runs/") for request in server.requests)


def test_same_content_is_uploaded_once_and_changed_content_is_a_new_version(
    server: FakeKfpServer, pipeline: Path
) -> None:
    for _ in range(2):
        assert run_submit(server, pipeline, "--no-wait").exit_code == 0
    before = len(server.versions)
    pipeline.write_text(pipeline.read_text() + "# changed\n")
    assert run_submit(server, pipeline, "--no-wait").exit_code == 0
    used = [
        run["pipeline_version_reference"]["pipeline_version_id"] for run in server.runs.values()
    ]
    assert used[0] == used[1] != used[2]
    assert (len(server.pipelines), len(server.versions)) == (1, before + 1)
    assert len(server.experiments) == 1


def test_schedule_replaces_only_the_one_with_the_same_name_and_experiment(
    server: FakeKfpServer, pipeline: Path
) -> None:
    nightly = ("--cron", "0 0 3 * * *", "-p", "epochs=5")
    assert run_submit(server, pipeline, *nightly, "--run-name", "other").exit_code == 0
    assert run_submit(server, pipeline, *nightly, "--experiment", "elsewhere").exit_code == 0
    assert run_submit(server, pipeline, *nightly).exit_code == 0
    result = run_submit(server, pipeline, *nightly)
    assert result.exit_code == 0, result.output
    assert "at '0 0 3 * * *'; replaced 1 with the same name" in result.output
    names = sorted(one["display_name"] for one in server.recurring.values())
    assert names == ["mnist", "mnist", "other"]
    schedule = list(server.recurring.values())[-1]
    assert schedule["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert schedule["runtime_config"]["parameters"] == {"epochs": 5}
    assert (schedule["max_concurrency"], schedule["no_catchup"]) == (1, True)
    assert not server.runs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["-p", "epoch=5"],
            "unknown parameters epoch; choose from accuracy_threshold, data",
        ),
        (["--epochs", "five"], "expected an integer for epochs, received 'five'"),
        (["--epochs", "true"], "expected an integer for epochs, received 'true'"),
        (["-p", "accuracy_threshold=high"], "expected a number for accuracy_threshold"),
        (["-p", "epochs"], "expected NAME=VALUE, received 'epochs'"),
        (["--cron", "0 3 * * *"], "expected six fields with seconds first"),
        (["--interval", "0"], "0.0 is not in the range x>0"),
        (["--token-file", "/absent"], "File '/absent' does not exist"),
    ],
)
def test_invalid_usage_exits_with_2_and_sends_no_request(
    server: FakeKfpServer, pipeline: Path, options: list[str], message: str
) -> None:
    result = run_submit(server, pipeline, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not server.requests


@pytest.mark.parametrize("content", ["", "a: [", "a: 1", "- 1", "root: 1"])
def test_file_that_is_not_a_compiled_pipeline_is_rejected(
    server: FakeKfpServer, pipeline: Path, content: str
) -> None:
    pipeline.write_text(content)
    result = run_submit(server, pipeline)
    assert result.exit_code == 2
    assert "expected a pipeline compiled by `mnist-pipeline compile`" in result.output


def test_pipeline_without_a_stage_that_can_reject_is_rejected(
    server: FakeKfpServer, pipeline: Path
) -> None:
    pipeline.write_text(pipeline.read_text().replace(DATA_GATE, "OldGate"))
    result = run_submit(server, pipeline)
    assert result.exit_code == 2
    assert f"without {DATA_GATE}; compile the pipeline again" in " ".join(result.output.split())
    assert not server.requests


def test_stages_that_can_reject_are_stages_of_the_pipeline() -> None:
    assert REJECTIONS.keys() <= set(stages.STAGES)


def test_each_run_parameter_has_an_option() -> None:
    names = {option.name for option in submit.params}
    assert names >= RUN_PARAMETERS.keys()


def test_error_from_the_server_is_one_line(server: FakeKfpServer, pipeline: Path) -> None:
    pipeline.write_text(pipeline.read_text().replace("2.1.0", "2.0.0"))
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        "Error: the API server returned HTTP status 400: "
        "invalid v2 pipeline spec: root component is empty\n"
    )


def test_unreachable_server_is_one_line(pipeline: Path) -> None:
    with fake_kfp_server() as stopped:
        pass
    result = run_submit(stopped, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: can't reach {stopped.url}: [Errno 111] Connection refused; "
        "check --host, --ca-cert and the network; nothing was started\n"
    )


@pytest.mark.parametrize(
    ("phase", "ending"),
    [
        ("upload", "nothing was started"),
        ("create", "the run may have been created; check the UI"),
    ],
)
def test_server_that_never_responds_times_out(
    server: FakeKfpServer,
    pipeline: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    ending: str,
) -> None:
    monkeypatch.setattr(rest, "TIMEOUT", (5.0, 0.2))
    released = threading.Event()
    setattr(server, f"on_{phase}", lambda: released.wait(60))
    try:
        result = run_submit(server, pipeline)
    finally:
        released.set()
    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: can't reach .*: timed out; .*; {ending}\n", last_line(result))


def test_error_while_following_names_the_run_that_continues(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.outages = [403]
    result = run_submit(server, pipeline)
    (run_id,) = server.runs
    assert last_line(result).endswith(f"check the token's permissions; run {run_id} continues\n")


def test_redirect_to_a_login_page_is_an_error_with_its_url(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.login_page = "https://login.example/"
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        "Error: the API server returned HTTP status 302: Found to https://login.example/; "
        "check --host, the token and the cookie\n"
    )


def test_response_of_another_kind_of_server_is_an_error(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.web_page = b"<!doctype html>"
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: expected a JSON object from {server.url}, received '<!doctype html>'; "
        "check --host\n"
    )


def test_submit_does_not_disable_logging(server: FakeKfpServer, pipeline: Path) -> None:
    levels = []
    server.on_create = lambda: levels.append(logging.root.manager.disable)
    assert run_submit(server, pipeline, "--no-wait").exit_code == 0
    assert levels == [logging.NOTSET]


def test_transient_errors_are_retried_and_permanent_ones_are_not(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("SUCCEEDED", DONE)]
    server.outages = [503, 429]
    result = run_submit(server, pipeline)
    assert result.exit_code == 0, result.output
    assert result.output.count("; retrying") == 2
    server.outages = [403, 503]
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert "HTTP status 403: upstream connect error; check the token's permissions" in result.output


@pytest.mark.parametrize(
    ("pusher", "statuses"),
    [
        ("RUNNING", [503, 503]),
        ("FAILED", [503, 503]),
        # The first request reads the workflow, the next one the log.
        ("FAILED", [200, 503, 503]),
    ],
)
def test_transient_errors_after_the_end_of_the_run_are_retried(
    server: FakeKfpServer, pipeline: Path, pusher: str, statuses: list[int]
) -> None:
    server.frames = [
        Frame("FAILED", DONE | {"Pusher": pusher}),
        Frame("FAILED", REJECTED_MODEL),
    ]
    server.logs = {"Pusher": "components.common.errors.ModelRejectedError: loss"}
    outages = iter([statuses])
    server.on_get_run = lambda: server.outages.extend(next(outages, []))
    result = run_submit(server, pipeline)
    assert result.exit_code == 3, result.output
    assert result.output.count("; retrying") == 2


def test_token_file_is_reread_for_each_request(
    server: FakeKfpServer, pipeline: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server.token = "first"
    server.frames = [Frame("RUNNING"), Frame("SUCCEEDED", DONE)]

    def rotate() -> None:
        token.write_text("second\n")
        server.token = "second"

    server.on_get_run = rotate
    result = run_submit(server, pipeline, "--token-file", str(token))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("variable", ["KF_PIPELINES_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"])
def test_token_and_host_come_from_the_environment(
    server: FakeKfpServer,
    pipeline: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    server.token = "secret"
    (tmp_path / "token").write_text("secret")
    from_file = variable.endswith("PATH")
    monkeypatch.setenv(variable, str(tmp_path / "token") if from_file else "secret")
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url)
    result = CliRunner().invoke(submit, [str(pipeline), "--no-wait"])
    assert result.exit_code == 0, result.output
    assert "secret" not in result.output


def test_host_is_required_outside_a_cluster(pipeline: Path) -> None:
    result = CliRunner().invoke(submit, [str(pipeline)])
    assert result.exit_code == 2
    assert "Missing option '--host' (env var: 'KF_PIPELINES_ENDPOINT')" in result.output


def test_host_must_be_a_url(pipeline: Path) -> None:
    result = CliRunner().invoke(submit, [str(pipeline), "--host", "localhost:8888"])
    assert result.exit_code == 2
    expected = "expected a URL that starts with http:// or https://, received 'localhost:8888'"
    assert expected in result.output


def test_host_in_a_pod_defaults_to_the_cluster(
    server: FakeKfpServer, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("secret")
    server.token = "secret"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(command, "IN_CLUSTER_HOST", server.url)
    result = CliRunner().invoke(submit, [str(pipeline), "--no-wait"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("content", ["", "two\nlines", "tokén"])
def test_invalid_token_file_is_an_error_that_does_not_show_the_content(
    server: FakeKfpServer, pipeline: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "token").write_text(content)
    result = run_submit(server, pipeline, "--token-file", str(tmp_path / "token"))
    assert result.exit_code == 1
    assert result.output == (
        f"Error: expected one line of ASCII in {tmp_path}/token, received other characters\n"
    )


@pytest.mark.parametrize("name", ["KF_PIPELINES_TOKEN", "KF_PIPELINES_COOKIE"])
def test_secret_that_is_not_a_valid_header_is_not_shown(
    server: FakeKfpServer, pipeline: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "secret\n")
    result = run_submit(server, pipeline)
    assert (result.exit_code, "secret" in result.output, name in result.output) == (1, False, True)


def test_error_for_a_wrong_token_has_a_hint(
    server: FakeKfpServer, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "secret"
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "wrong")
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: .* HTTP status 401: .*; check the token\n", result.output)


def test_each_namespace_has_its_own_pipeline_and_experiment(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.multi_user = True
    for namespace in ("team", "other", "team"):
        result = run_submit(server, pipeline, "--namespace", namespace, "--no-wait")
        assert result.exit_code == 0, result.output
    assert [one["namespace"] for one in server.pipelines.values()] == ["team", "other"]
    assert [one["namespace"] for one in server.experiments.values()] == ["team", "other"]
    assert len({run["experiment_id"] for run in server.runs.values()}) == 2


def test_run_uses_a_version_of_its_own_pipeline(server: FakeKfpServer, pipeline: Path) -> None:
    server.multi_user = True
    for namespace in ("team", "other"):
        assert run_submit(server, pipeline, "--namespace", namespace, "--no-wait").exit_code == 0
    for run in server.runs.values():
        source = run["pipeline_version_reference"]
        version = server.versions[source["pipeline_version_id"]]
        assert version["pipeline_id"] == source["pipeline_id"]


def test_private_certificate_authority_must_be_trusted(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "certificate.pem")
    options = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=cluster"
    command = ["openssl", "req", "-x509", *options.split(), "-keyout", path, "-out", path]
    subprocess.run(
        [*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "secret")
    with fake_kfp_server(Path(path)) as server:
        server.prefix, server.token = PROXY, "secret"
        arguments = [str(pipeline), "--host", f"{server.url}{PROXY}", "--no-wait"]
        untrusted = CliRunner().invoke(submit, arguments)
        assert untrusted.exit_code == 1
        assert re.search(r"certificate verify failed.*; check --host, --ca-cert", untrusted.output)
        assert not server.requests
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/absent")
        result = CliRunner().invoke(submit, [*arguments, "--ca-cert", path])
        assert result.exit_code == 0, result.output


def test_cookie_comes_from_the_environment(
    server: FakeKfpServer, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.cookie = "authservice_session=secret"
    assert run_submit(server, pipeline, "--no-wait").exit_code == 1
    monkeypatch.setenv("KF_PIPELINES_COOKIE", server.cookie)
    assert run_submit(server, pipeline, "--no-wait").exit_code == 0


def test_multi_user_mode_requires_a_namespace(server: FakeKfpServer, pipeline: Path) -> None:
    server.multi_user = True
    result = run_submit(server, pipeline, "--no-wait")
    assert result.exit_code == 1
    assert "An experiment cannot have an empty namespace" in result.output


def interruptible_submit(
    server: FakeKfpServer, pipeline: Path, *options: str
) -> "subprocess.Popen[str]":
    code = "from mnist_kubeflow.client.command import submit; submit()"
    arguments = [str(pipeline), "--host", server.url, "--interval", "0.1", *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def interrupt(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)


def test_interruption_stops_the_run_and_exits_with_130(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("RUNNING", {"Trainer": "RUNNING"})]
    process = interruptible_submit(server, pipeline)
    server.on_get_run = lambda: process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert server.terminated == list(server.runs)
    assert re.search(r"Error: interrupted; stopping run \S+\n$", output)


def test_interruption_while_the_run_is_created_stops_the_run(
    server: FakeKfpServer, pipeline: Path
) -> None:
    process = interruptible_submit(server, pipeline)
    server.on_create = lambda: process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(server.runs) == 1
    assert server.terminated == list(server.runs)
    assert re.search(r"Interrupted: waiting for the run's id.*\n", output)
    assert re.search(r"Error: interrupted; stopping run \S+\n$", output)


def test_second_interruption_does_not_wait_for_the_run_id(
    server: FakeKfpServer, pipeline: Path
) -> None:
    process = interruptible_submit(server, pipeline)
    assert process.stdout is not None
    lines = iter(process.stdout)

    def interrupt_twice() -> None:
        process.send_signal(signal.SIGINT)
        assert any(line.startswith("Interrupted: waiting") for line in lines)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)

    server.on_create = interrupt_twice
    assert process.wait(timeout=60) == 130
    assert list(lines) == ["Error: interrupted; the run may have been created; check the UI\n"]
    assert not server.terminated


def test_interruption_followed_by_a_server_error_warns_that_the_run_may_exist(
    server: FakeKfpServer, pipeline: Path
) -> None:
    process = interruptible_submit(server, pipeline)
    assert process.stdout is not None
    lines = iter(process.stdout)

    def interrupt_and_fail() -> None:
        process.send_signal(signal.SIGINT)
        assert any(line.startswith("Interrupted: waiting") for line in lines)
        raise RequestError(503, 14, "upstream connect error")

    server.on_create = interrupt_and_fail
    assert process.wait(timeout=60) == 130
    assert list(lines) == ["Error: interrupted; the run may have been created; check the UI\n"]


def test_interrupted_schedule_warns_that_two_schedules_may_exist(
    server: FakeKfpServer, pipeline: Path
) -> None:
    nightly = ("--cron", "0 0 3 * * *")
    assert run_submit(server, pipeline, *nightly).exit_code == 0
    process = interruptible_submit(server, pipeline, *nightly)
    server.on_delete = lambda: interrupt(process)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.splitlines()[-1] == (
        "Error: interrupted; the recurring run may exist beside the one it replaces; check the UI"
    )


def test_interruption_during_the_upload_reports_that_nothing_was_started(
    server: FakeKfpServer, pipeline: Path
) -> None:
    process = interruptible_submit(server, pipeline)
    server.on_upload = lambda: interrupt(process)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "Error: interrupted; nothing was started\n")


def test_interruption_during_an_import_exits_with_130(
    server: FakeKfpServer, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import time\nprint('importing', flush=True)\ntime.sleep(60)"
    (tmp_path / "requests.py").write_text(slow)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    process = interruptible_submit(server, pipeline)
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "Error: interrupted\n")
