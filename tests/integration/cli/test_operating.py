"""The operator's commands, against moto's CloudWatch Logs and DynamoDB, and a router that stand-ins play."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto.server import ThreadedMotoServer

from local.standin import Standin
from vibe_cli.checkout import CHECKOUT as ROOT
from vibe_cli.cloudwatch import follow, traffic
from vibe_cli.commands import logs, smoke, status
from vibe_cli.routes_file import load_file
from vibe_router.store import aws
from vibe_router.store.dynamodb import to_item
from vibe_router.store.routes import RoutesStore, rows_of

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
    aws.session.cache_clear()
    yield moto
    aws.session.cache_clear()


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


@pytest.fixture
def tables(cloud: str) -> Iterator[Any]:
    client: Any = boto3.client("dynamodb")
    for table, keys in (("mine-routes", ["kind", "name"]), ("mine-state", ["id"])):
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )
    RoutesStore(client, "mine-routes").write(rows_of(load_file(Path("routes.yaml"), {})), {})
    yield client
    for table in ("mine-routes", "mine-state"):
        client.delete_table(TableName=table)


def _cool(client: Any, state_id: str, until: float, **more: Any) -> None:
    values: dict[str, Any] = {
        "id": state_id,
        "version": 1,
        "until": until,
        "strikes": 2,
        "since": until - 60,
        "expires_at": 0,
    }
    client.put_item(
        TableName="mine-state", Item=to_item(values | {"verdict": "quota", "evidence": "429 used up"} | more)
    )


def test_the_decisions_of_a_deployed_stack_are_shown(
    log: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    log("a", _line("1"), '{"message": "FAULT"}', "START RequestId", age=60)
    log("b", _line("2", fallbacks=1, deployment=L2), _line("3", status=502, error="all_deployments_failed"))
    log("c", _line("old"), age=3600)

    def shown(*arguments: str) -> list[str]:
        assert logs.main(["--stack", "mine", "--once", *arguments]) == 0
        return [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]

    assert sorted(shown()) == ["1", "2", "3"]
    assert shown("--failed") == ["3"]
    assert shown("--fallbacks") == ["2"]
    assert shown("--model", "auto-codex") == []
    assert "old" in shown("--since", "120")


def test_following_shows_each_decision_once_and_late_ones_too(log: Callable[..., None]) -> None:
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
            for line in follow(client, GROUP, int((time.time() - 60) * 1000), sleep=sleep)
        )
    assert seen == ["1", "b", "c"]


def test_a_log_group_that_is_not_there_is_said_so(cloud: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs.main(["--stack", "nobody", "--once"]) == 2
    assert "/aws/lambda/nobody-gateway" in capsys.readouterr().err


def test_traffic_is_counted_by_logs_insights(cloud: str) -> None:
    client: Any = boto3.client("logs")
    failure = _line("1", attempts=[{"deployment": L1, "verdict": "transient", "status": 503}])
    counts = [
        [{"field": "deployment", "value": L2}, {"field": "requests", "value": "3"}],
        [{"field": "requests", "value": "1"}],
    ]
    with Stubber(client) as stub:
        stub.add_response("start_query", {"queryId": "q1"})
        stub.add_response("get_query_results", {"status": "Running", "results": []})
        stub.add_response("get_query_results", {"status": "Complete", "results": counts})
        stub.add_response("start_query", {"queryId": "q2"})
        message = [[{"field": "@message", "value": failure}, {"field": "@ptr", "value": "p"}]]
        stub.add_response("get_query_results", {"status": "Complete", "results": message})
        today = traffic(client, GROUP, 1.0, 2.0, sleep=lambda _: None)
        stub.assert_no_pending_responses()
    assert (today.requests, today.served) == (4, {L2: 3})
    assert today.last_failures[L1].status == 503


def _status(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    assert status.main(["--stack", "mine", *arguments]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    return told, {each["deployment"]: each for each in told["deployments"]}, err


def test_status_tells_cooldowns_and_traffic(tables: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    until = time.time() + 600
    _cool(tables, f"deployment#{L1}", until)
    _cool(tables, "credential#ark", until, verdict="auth")
    saved = tmp_path / "saved.log"
    failed = [{"deployment": L1, "verdict": "quota", "status": 429}]
    yesterday = "2020-01-01T00:00:00+00:00"
    lines = [
        _line("1", deployment=L2, attempts=failed),
        _line("2"),
        _line("3"),
        _line("4"),
        _line("5", deployment=None),
    ]
    saved.write_text("\n".join([*lines, _line("6", timestamp=yesterday)]))
    told, found, _ = _status(capsys, "--log", str(saved))
    assert told["requests_today"] == 5
    first = found[L1]
    assert (first["state"], first["verdict"], first["strikes"], first["evidence"]) == (
        "cooling",
        "quota",
        2,
        "429 used up",
    )
    assert datetime.fromisoformat(first["until"]).timestamp() == pytest.approx(until, abs=0.01)
    assert (first["requests"], first["share"], first["last_error"]["status"]) == (3, 0.75, 429)
    assert (found["ark/glm-4.7"]["state"], found["ark/glm-4.7"]["scope"]) == ("cooling", "credential")
    assert (found[L2]["state"], found[L2]["share"], found[L2]["last_error"]) == ("healthy", 0.25, None)
    assert set(found["ark/glm-4.7"]["models"]) == {"auto-chat", "auto-claude", "auto-claude-mini"}


def test_what_cannot_be_known_is_unknown(tables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told, found, err = _status(capsys)  # there is no log group
    assert told["requests_today"] is None
    assert (found[L1]["state"], found[L1]["requests"], found[L1]["share"]) == ("healthy", None, None)
    assert GROUP in err


def test_a_stack_that_is_not_there_is_said_so(cloud: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--stack", "nobody"]) == 2
    assert "nobody-routes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "why"),
    [("503", "503"), ("cut", ""), ("html", "")],
    ids=["an error", "a cut stream", "no completion"],
)
def test_smoke_fails_and_says_why(
    fault: str, why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_THIS_TEST", "sk-unmistakable")
    with Standin() as standin:
        standin.fault("ark", fault)
        where = ["--url", standin.base_url("ark"), "--key-env", "KEY_OF_THIS_TEST", "--models", "glm-4.7"]
        assert smoke.main(where) == 1
    out, err = capsys.readouterr()
    calls = json.loads(out)["calls"]
    assert [call["ok"] for call in calls] == [False, False]
    assert all(call["why"] and why in call["why"] for call in calls)
    assert "sk-unmistakable" not in out + err


def test_smoke_is_not_content_with_another_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    with Standin() as standin:
        assert smoke.main(["--url", standin.base_url("ark"), "--key", "x", "--models", "glm-4.7"]) == 1
    calls = json.loads(capsys.readouterr().out)["calls"]
    assert all("x-vibe-deployment" in call["why"] for call in calls)
    assert [call["completion_tokens"] > 0 for call in calls] == [True, True]


def test_a_person_gets_a_table(tables: Any) -> None:
    _cool(tables, f"deployment#{L1}", time.time() + 600)
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        [sys.executable, "-m", "vibe_cli.commands.status", "--stack", "mine"],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
        check=False,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(theirs)
    told = os.read(ours, 65536).decode()
    os.close(ours)
    assert ran.returncode == 0, ran.stderr
    line = next(line for line in told.splitlines() if L1 in line)
    assert "\x1b[31m" in line
    assert "quota, 2 strikes" in line
    assert "429 used up" in line
    assert line.count("unknown") == 1
    assert "Requests today: unknown" in told


def test_logs_of_standard_input_are_followed_as_they_come() -> None:
    program = [sys.executable, "-m", "vibe_cli.commands.logs", "--stdin"]
    with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(f"not a decision\n{_line('1')}\n")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["request_id"] == "1"  # while the log goes on
        running.stdin.close()
        assert running.wait(30) == 0
