"""`mnist-pipeline submit` against a server with the REST contract of Kubeflow Pipelines."""

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
from support.fake_kfp_server import FakeKfpServer, Frame, RefusedError, fake_kfp_server

from mnist_kubeflow.client import command, rest
from mnist_kubeflow.client.command import submit
from mnist_kubeflow.client.run_outcome import REJECTIONS
from mnist_kubeflow.compiler.run_parameters import RUN_PARAMETERS
from pipeline import stages

EXAMPLE_GEN, DATA_GATE, PUSHER = stages.EXAMPLE_GEN, stages.DATA_GATE, stages.PUSHER
TASKS = [EXAMPLE_GEN, DATA_GATE, "Trainer", "ModelGate", PUSHER]
DONE = dict.fromkeys(TASKS, "SUCCEEDED")
REJECTED_MODEL = DONE | {PUSHER: "FAILED"}
REJECTED_DATA = {EXAMPLE_GEN: "SUCCEEDED", DATA_GATE: "FAILED"}
# Where Kubernetes' API server hands on what is for that of Kubeflow Pipelines.
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


def test_pushed_model_is_exit_status_0_with_a_line_for_each_task(
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
    assert "the model is pushed" in result.output.splitlines()[-1]


def test_rejected_model_is_exit_status_3_with_the_reason(
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
    assert result.output.endswith("Error: model rejected: accuracy 0.93 is below 0.95\n")


def test_reason_comes_from_the_last_attempt_of_a_retried_task(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("FAILED", REJECTED_DATA)]
    server.retried = {"DataGate"}
    # The log of the attempt before may be refused.
    server.outages = [200, 200, 403]
    server.logs = {"DataGate": "components.common.errors.DataRejectedError: label: out of domain\n"}
    result = run_submit(server, pipeline)
    assert result.exit_code == 4, result.output
    assert "Error: data rejected: label: out of domain" in result.output
    assert sum("retry-system-container-impl" in request for request in server.requests) == 2


@pytest.mark.parametrize(
    ("container", "answers"), [("", []), ("main: ", []), ("main: ", [200, 200, 403])]
)
def test_message_of_the_pod_proves_a_rejection_when_its_log_is_gone_or_refused(
    server: FakeKfpServer, pipeline: Path, container: str, answers: list[int]
) -> None:
    server.outages = answers
    server.frames = [Frame("FAILED", {EXAMPLE_GEN: "FAILED"})]
    message = f"{container}Error (exit code 1): DataRejectedError: truncated"
    server.messages = {EXAMPLE_GEN: message}
    result = run_submit(server, pipeline)
    assert result.exit_code == 4, result.output
    assert "Error: data rejected: truncated" in result.output


@pytest.mark.parametrize(
    ("frame", "words", "reason"),
    [
        (Frame("FAILED", REJECTED_MODEL), {}, "Pusher failed; no log of Pusher can be read"),
        (Frame("FAILED", REJECTED_MODEL), {"Pusher": "OSError: disk full"}, "Pusher failed"),
        (Frame("FAILED", REJECTED_DATA), {"DataGate": "Killed"}, "DataGate failed"),
        (
            Frame("FAILED", REJECTED_DATA),
            {"DataGate": "WARNING no DataRejectedError: yet"},
            "DataGate failed",
        ),
        (
            Frame("FAILED", {"Trainer": "FAILED"}),
            {"Trainer": "components.common.errors.ModelRejectedError: not the Trainer's to say"},
            "Trainer failed",
        ),
        (Frame("FAILED", {"Pusher-driver": "FAILED"}), {}, "Pusher-driver failed"),
        (Frame("FAILED"), {}, "the run is FAILED, and none of its tasks FAILED"),
        (Frame("CANCELED", {"Trainer": "RUNNING"}), {}, "the run was canceled"),
        (
            Frame("SUCCEEDED", DONE | {"Pusher": "SKIPPED"}),
            {},
            "the run succeeded, but its task Pusher is SKIPPED",
        ),
        (Frame("SUCCEEDED"), {}, "the run succeeded, but its task Pusher is missing"),
    ],
)
def test_anything_else_is_exit_status_1(
    server: FakeKfpServer, pipeline: Path, frame: Frame, words: dict[str, str], reason: str
) -> None:
    server.frames = [frame]
    server.logs = words
    result = run_submit(server, pipeline)
    assert result.exit_code == 1, result.output
    assert result.output.splitlines()[-1].startswith(f"Error: {reason}")


@pytest.mark.parametrize("last", [REJECTED_MODEL, DONE])
def test_tasks_may_be_reported_after_the_run(
    server: FakeKfpServer, pipeline: Path, last: dict[str, str]
) -> None:
    state = "FAILED" if last is REJECTED_MODEL else "SUCCEEDED"
    server.frames = [Frame(state, DONE | {"Pusher": "RUNNING"}), Frame(state, last)]
    server.logs = {"Pusher": "components.common.errors.ModelRejectedError: loss"}
    result = run_submit(server, pipeline)
    assert result.exit_code == (3 if state == "FAILED" else 0), result.output


def test_run_gets_typed_parameters_of_the_uploaded_version(
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


def test_same_content_is_uploaded_once_and_a_change_is_a_new_version(
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


def test_schedule_replaces_its_predecessor_and_nothing_else(
    server: FakeKfpServer, pipeline: Path
) -> None:
    nightly = ("--cron", "0 0 3 * * *", "-p", "epochs=5")
    assert run_submit(server, pipeline, *nightly, "--run-name", "other").exit_code == 0
    assert run_submit(server, pipeline, *nightly, "--experiment", "elsewhere").exit_code == 0
    assert run_submit(server, pipeline, *nightly).exit_code == 0
    result = run_submit(server, pipeline, *nightly)
    assert result.exit_code == 0, result.output
    assert "at '0 0 3 * * *', instead of 1 of the same name" in result.output
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
        (["-p", "epoch=5"], "expected parameters among accuracy_threshold, data, epochs, received"),
        (["--epochs", "five"], "expected an integer for epochs, received 'five'"),
        (["--epochs", "true"], "expected an integer for epochs, received 'true'"),
        (["-p", "accuracy_threshold=high"], "expected a number for accuracy_threshold"),
        (["-p", "epochs"], "expected NAME=VALUE, received 'epochs'"),
        (["--cron", "0 3 * * *"], "expected six fields, seconds first"),
        (["--interval", "0"], "0.0 is not in the range x>0"),
        (["--token-file", "/absent"], "File '/absent' does not exist"),
    ],
)
def test_wrong_usage_is_exit_status_2_before_anything_is_asked(
    server: FakeKfpServer, pipeline: Path, options: list[str], message: str
) -> None:
    result = run_submit(server, pipeline, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not server.requests


@pytest.mark.parametrize("content", ["", "a: [", "a: 1", "- 1", "root: 1"])
def test_file_that_is_no_compiled_pipeline_is_refused(
    server: FakeKfpServer, pipeline: Path, content: str
) -> None:
    pipeline.write_text(content)
    result = run_submit(server, pipeline)
    assert result.exit_code == 2
    assert "expected a pipeline compiled by `mnist-pipeline compile`" in result.output


def test_pipeline_without_a_stage_that_may_reject_is_refused(
    server: FakeKfpServer, pipeline: Path
) -> None:
    pipeline.write_text(pipeline.read_text().replace(DATA_GATE, "OldGate"))
    result = run_submit(server, pipeline)
    assert result.exit_code == 2
    assert f"without {DATA_GATE}; compile it again" in " ".join(result.output.split())
    assert not server.requests


def test_stages_that_may_reject_are_stages_of_the_pipeline() -> None:
    assert REJECTIONS.keys() <= set(stages.STAGES)


def test_each_run_parameter_has_an_option() -> None:
    names = {option.name for option in submit.params}
    assert names >= RUN_PARAMETERS.keys()


def test_refusal_of_the_server_is_one_line(server: FakeKfpServer, pipeline: Path) -> None:
    pipeline.write_text(pipeline.read_text().replace("2.1.0", "2.0.0"))
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        "Error: the API server refused with HTTP status 400: "
        "invalid v2 pipeline spec: root component is empty\n"
    )


def test_unreachable_server_is_one_line(pipeline: Path) -> None:
    with fake_kfp_server() as gone:
        pass
    result = run_submit(gone, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: can't reach {gone.url}: [Errno 111] Connection refused; "
        "check --host, --ca-cert and the network; nothing was started\n"
    )


@pytest.mark.parametrize(
    ("phase", "ending"),
    [
        ("upload", "nothing was started"),
        ("create", "the run may have been created; look in the UI"),
    ],
)
def test_server_that_never_answers_is_given_up(
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


def test_lost_run_is_named_because_it_continues(server: FakeKfpServer, pipeline: Path) -> None:
    server.outages = [403]
    result = run_submit(server, pipeline)
    (run_id,) = server.runs
    assert last_line(result).endswith(f"check the token's rights; run {run_id} continues\n")


def test_login_page_is_refused_with_its_address(server: FakeKfpServer, pipeline: Path) -> None:
    server.login_page = "https://login.example/"
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        "Error: the API server refused with HTTP status 302: Found to https://login.example/; "
        "check --host, the token and the cookie\n"
    )


def test_other_server_is_recognized_by_its_answer(server: FakeKfpServer, pipeline: Path) -> None:
    server.web_page = b"<!doctype html>"
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert result.output == (
        f"Error: expected a JSON object from {server.url}, received '<!doctype html>'; "
        "check --host\n"
    )


def test_logging_of_the_process_stays_as_it_was(server: FakeKfpServer, pipeline: Path) -> None:
    levels = []
    server.on_create = lambda: levels.append(logging.root.manager.disable)
    assert run_submit(server, pipeline, "--no-wait").exit_code == 0
    assert levels == [logging.NOTSET]


def test_short_outage_is_waited_out_and_a_lasting_refusal_is_not(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("SUCCEEDED", DONE)]
    server.outages = [503, 429]
    result = run_submit(server, pipeline)
    assert result.exit_code == 0, result.output
    assert result.output.count("; trying again") == 2
    server.outages = [403, 503]
    result = run_submit(server, pipeline)
    assert result.exit_code == 1
    assert "HTTP status 403: upstream connect error; check the token's rights" in result.output


@pytest.mark.parametrize(
    ("pusher", "answers"),
    [
        ("RUNNING", [503, 503]),
        ("FAILED", [503, 503]),
        # The second is that of the log.
        ("FAILED", [200, 503, 503]),
    ],
)
def test_outage_after_the_end_of_the_run_is_waited_out(
    server: FakeKfpServer, pipeline: Path, pusher: str, answers: list[int]
) -> None:
    server.frames = [
        Frame("FAILED", DONE | {"Pusher": pusher}),
        Frame("FAILED", REJECTED_MODEL),
    ]
    server.logs = {"Pusher": "components.common.errors.ModelRejectedError: loss"}
    outages = iter([answers])
    server.on_look = lambda: server.outages.extend(next(outages, []))
    result = run_submit(server, pipeline)
    assert result.exit_code == 3, result.output
    assert result.output.count("; trying again") == 2


def test_token_file_is_read_for_each_request(
    server: FakeKfpServer, pipeline: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    server.token = "first"
    server.frames = [Frame("RUNNING"), Frame("SUCCEEDED", DONE)]

    def rotate() -> None:
        token.write_text("second\n")
        server.token = "second"

    server.on_look = rotate
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


def test_host_must_be_given_outside_a_cluster(pipeline: Path) -> None:
    result = CliRunner().invoke(submit, [str(pipeline)])
    assert result.exit_code == 2
    assert "Missing option '--host' (env var: 'KF_PIPELINES_ENDPOINT')" in result.output


def test_host_must_be_a_url(pipeline: Path) -> None:
    result = CliRunner().invoke(submit, [str(pipeline), "--host", "localhost:8888"])
    assert result.exit_code == 2
    assert "expected a URL, http://... or https://..., received 'localhost:8888'" in result.output


def test_in_a_cluster_its_own_server_is_asked(
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
def test_token_file_with_anything_else_is_refused_without_showing_it(
    server: FakeKfpServer, pipeline: Path, tmp_path: Path, content: str
) -> None:
    (tmp_path / "token").write_text(content)
    result = run_submit(server, pipeline, "--token-file", str(tmp_path / "token"))
    assert result.exit_code == 1
    assert result.output == (
        f"Error: expected one line of ASCII in {tmp_path}/token, received something else\n"
    )


@pytest.mark.parametrize("name", ["KF_PIPELINES_TOKEN", "KF_PIPELINES_COOKIE"])
def test_secret_that_a_header_can_not_carry_is_not_shown(
    server: FakeKfpServer, pipeline: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "secret\n")
    result = run_submit(server, pipeline)
    assert (result.exit_code, "secret" in result.output, name in result.output) == (1, False, True)


def test_wrong_token_is_refused_with_a_hint(
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


def test_version_of_another_pipeline_is_not_taken_for_ours(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.multi_user = True
    for namespace in ("team", "other"):
        assert run_submit(server, pipeline, "--namespace", namespace, "--no-wait").exit_code == 0
    for run in server.runs.values():
        source = run["pipeline_version_reference"]
        version = server.versions[source["pipeline_version_id"]]
        assert version["pipeline_id"] == source["pipeline_id"]


def test_host_with_its_own_authority_is_asked_with_a_token_once_that_is_trusted(
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
        refused = CliRunner().invoke(submit, arguments)
        assert refused.exit_code == 1
        assert re.search(r"certificate verify failed.*; check --host, --ca-cert", refused.output)
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


def test_multi_user_mode_needs_a_namespace(server: FakeKfpServer, pipeline: Path) -> None:
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


def test_interruption_stops_the_run_and_is_exit_status_130(
    server: FakeKfpServer, pipeline: Path
) -> None:
    server.frames = [Frame("RUNNING", {"Trainer": "RUNNING"})]
    process = interruptible_submit(server, pipeline)
    server.on_look = lambda: process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert server.terminated == list(server.runs)
    assert re.search(r"Error: interrupted; run \S+ was asked to stop\n$", output)


def test_interruption_while_the_run_is_made_stops_it(server: FakeKfpServer, pipeline: Path) -> None:
    process = interruptible_submit(server, pipeline)
    server.on_create = lambda: process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(server.runs) == 1
    assert server.terminated == list(server.runs)
    assert re.search(r"Interrupted: waiting for the run's id.*\n", output)
    assert re.search(r"Error: interrupted; run \S+ was asked to stop\n$", output)


def test_second_interruption_does_not_wait_for_the_run(
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
    assert list(lines) == ["Error: interrupted; the run may have been created; look in the UI\n"]
    assert not server.terminated


def test_interruption_before_a_run_that_is_then_refused_says_that_it_may_be_there(
    server: FakeKfpServer, pipeline: Path
) -> None:
    process = interruptible_submit(server, pipeline)
    assert process.stdout is not None
    lines = iter(process.stdout)

    def interrupt_and_refuse() -> None:
        process.send_signal(signal.SIGINT)
        assert any(line.startswith("Interrupted: waiting") for line in lines)
        raise RefusedError(503, 14, "upstream connect error")

    server.on_create = interrupt_and_refuse
    assert process.wait(timeout=60) == 130
    assert list(lines) == ["Error: interrupted; the run may have been created; look in the UI\n"]


def test_interrupted_schedule_says_that_it_may_be_there_beside_an_older_one(
    server: FakeKfpServer, pipeline: Path
) -> None:
    nightly = ("--cron", "0 0 3 * * *")
    assert run_submit(server, pipeline, *nightly).exit_code == 0
    process = interruptible_submit(server, pipeline, *nightly)
    server.on_delete = lambda: interrupt(process)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.splitlines()[-1] == (
        "Error: interrupted; the recurring run may have been created, beside an older one; "
        "look in the UI"
    )


def test_interruption_during_the_upload_says_that_nothing_was_started(
    server: FakeKfpServer, pipeline: Path
) -> None:
    process = interruptible_submit(server, pipeline)
    server.on_upload = lambda: interrupt(process)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "Error: interrupted; nothing was started\n")


def test_interruption_of_an_import_is_exit_status_130(
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
