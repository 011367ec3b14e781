"""`vibe logs` against moto's CloudWatch Logs, and `vibe smoke` against stand-ins."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from local.standin import Standin
from vibe_cli import boto
from vibe_cli.app import main
from vibe_cli.checkout import CHECKOUT as ROOT
from vibe_cli.cloudwatch import follow_log

GROUP = "/aws/lambda/mine-gateway"
L1, L2 = "cliproxyapi/claude-sonnet-4-6", "new-api/gpt-5"


def _line(request: str, **changed: object) -> str:
    at = datetime.now(UTC).isoformat()
    return json.dumps(
        {"message": "ROUTING DECISION", "timestamp": at, "request_id": request, "deployment": L1, "fallbacks": 0}
        | {"selected_model": "auto-chat", "status": 200, "error": None, "attempts": []}
        | changed
    )


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("STACK", raising=False)
    boto.session.cache_clear()
    yield moto
    boto.session.cache_clear()


@pytest.fixture
def log(cloud: str) -> Iterator[Callable[..., None]]:
    client: Any = boto3.client("logs")
    client.create_log_group(logGroupName=GROUP)

    def put(stream: str, *lines: str, age: float = 0) -> None:
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        at = int((time.time() - age) * 1000)
        client.put_log_events(
            logGroupName=GROUP, logStreamName=stream, logEvents=[{"timestamp": at, "message": line} for line in lines]
        )

    yield put
    client.delete_log_group(logGroupName=GROUP)


def test_logs_of_a_deployed_stack(log: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    log("a", _line("1"), '{"message": "FAULT"}', "START RequestId", age=60)
    log("b", _line("2", fallbacks=1, deployment=L2), _line("3", status=502, error="all_deployments_failed"))
    log("c", _line("old"), age=3600)

    def shown(*arguments: str) -> list[str]:
        assert main(["logs", "--stack", "mine", "--once", *arguments]) == 0
        return [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]

    assert sorted(shown()) == ["1", "2", "3"]
    assert shown("--failed") == ["3"]
    assert shown("--fallbacks") == ["2"]
    assert shown("--model", "auto-codex") == []
    assert "old" in shown("--since", "120")


def test_following_shows_each_decision_once_including_late_ones(log: Callable[..., None]) -> None:
    log("a", _line("1"))
    late = iter([("b", 0.0), ("c", 30.0), None])

    class EndedError(Exception):
        pass

    def sleep(_: float) -> None:
        if (due := next(late)) is None:
            raise EndedError
        log(due[0], _line(due[0]), age=due[1])

    client: Any = boto3.client("logs")
    seen: list[str] = []
    with pytest.raises(EndedError):
        # Extended item by item: what came before the end stays.
        seen.extend(
            json.loads(line)["request_id"]
            for line in follow_log(client, GROUP, int((time.time() - 60) * 1000), sleep=sleep)
        )
    assert seen == ["1", "b", "c"]


def test_missing_log_group_is_reported(cloud: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--stack", "nobody", "--once"]) == 2
    assert "/aws/lambda/nobody-gateway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "why"),
    [("503", "503"), ("cut", ""), ("html", "")],
    ids=["an error", "a cut stream", "no completion"],
)
def test_smoke_reports_failed_calls(
    fault: str, why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_THIS_TEST", "sk-unmistakable")
    with Standin() as standin:
        standin.fault("ark", fault)
        where = ["--url", standin.base_url("ark"), "--key-env", "KEY_OF_THIS_TEST", "--models", "glm-4.7"]
        assert main(["smoke", *where]) == 1
    out, err = capsys.readouterr()
    calls = json.loads(out)["calls"]
    assert [call["ok"] for call in calls] == [False, False]
    assert all(call["why"] and why in call["why"] for call in calls)
    assert "sk-unmistakable" not in out + err


def test_smoke_rejects_another_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    with Standin() as standin:
        assert main(["smoke", "--url", standin.base_url("ark"), "--key", "x", "--models", "glm-4.7"]) == 1
    calls = json.loads(capsys.readouterr().out)["calls"]
    assert all("x-vibe-deployment" in call["why"] for call in calls)
    assert [call["completion_tokens"] > 0 for call in calls] == [True, True]


def test_logs_of_standard_input_are_printed_as_they_arrive() -> None:
    program = [sys.executable, "-m", "vibe_cli", "logs", "--stdin"]
    with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(f"not a decision\n{_line('1')}\n")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["request_id"] == "1"  # while the log goes on
        running.stdin.close()
        assert running.wait(30) == 0
