"""Choosing the router and the key, and errors of the connection."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.unit.cli.conftest import Done
from tests.unit.cli.fake_router import KEY, FakeRouter, RefusalError
from vibe_cli.api import Api
from vibe_cli.errors import CommandError

Command = Callable[..., Done]


def stack_runs(folder: Path, url: str, pid: int | None = None) -> None:
    (folder / ".data").mkdir()
    (folder / ".data/local.json").write_text(json.dumps({"pid": pid or os.getpid(), "url": url, "endpoint": "x"}))


def test_local_stack_is_called_with_its_stored_key(
    command: Command, router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIBE_ROUTER_URL")
    monkeypatch.delenv("MASTER_KEY")
    stack_runs(tmp_path, router.url)
    (tmp_path / ".data/master-key").write_text(f"{KEY}\n")
    assert command("keys", "list").status == 0


def test_local_stack_is_the_default(
    command: Command, router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIBE_ROUTER_URL")
    stack_runs(tmp_path, router.url)
    assert command("keys", "list").status == 0


def test_local_option_overrides_the_environment(
    command: Command, router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIBE_ROUTER_URL", "https://elsewhere.example/v1")
    stack_runs(tmp_path, router.url)
    assert command("keys", "list", "--local").status == 0


@pytest.mark.parametrize("written", [None, "{}", "nonsense", '{"pid": 1999999999, "url": "http://127.0.0.1:1"}'])
def test_stopped_local_stack_is_reported(
    command: Command, router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    monkeypatch.delenv("VIBE_ROUTER_URL")
    (tmp_path / ".data").mkdir()
    if written:
        (tmp_path / ".data/local.json").write_text(written)
    done = command("keys", "list")
    assert done.status == 2
    assert "No router to call" in done.err
    assert "make start" in done.err


def test_local_key_is_never_sent_elsewhere(
    command: Command, router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_KEY")
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data/master-key").write_text("sk-local\n")
    done = command("keys", "list", "--url", "https://router.example/v1")
    assert done.status == 2
    assert "No key for" in done.err


def test_key_from_env_file_or_named_variable(
    command: Command, router: FakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_KEY")
    (tmp_path / ".env").write_text(f"LITELLM_MASTER_KEY={KEY}\n")
    assert command("keys", "list").status == 0
    (tmp_path / ".env").write_text(f"OTHER={KEY}\n")
    assert command("keys", "list").status == 2
    assert command("keys", "list", "--key-env", "OTHER").status == 0
    missing = command("keys", "list", "--key-env", "MISSING")
    assert (missing.status, missing.err) == (
        2,
        "MISSING, which should contain the master key, is not set.\n",
    )


@pytest.mark.parametrize("url", ["{url}", "{url}/", "{url}/v1", "{url}/v1/"])
def test_url_with_and_without_v1(command: Command, router: FakeRouter, url: str) -> None:
    assert command("keys", "list", "--url", url.format(url=router.url)).status == 0


@pytest.mark.parametrize("url", ["router.example", "ftp://x", "https://", "http://router.example/v1"])
def test_unsafe_url_is_rejected(command: Command, router: FakeRouter, url: str) -> None:
    done = command("keys", "list", "--url", url)
    assert done.status == 2
    assert "URL" in done.err or "encrypted" in done.err


def test_rejected_key_is_reported_but_not_shown(
    command: Command, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER_KEY", "sk-wrong-key")
    done = command("keys", "list")
    assert done.status == 2
    assert "MASTER_KEY" in done.err
    assert "sk-wrong-key" not in done.err + done.out


def test_unreachable_router_is_reported(command: Command, router: FakeRouter) -> None:
    done = command("keys", "list", "--url", "http://127.0.0.1:9")
    assert done.status == 2
    assert "cannot be reached" in done.err
    assert "make start" in done.err


ERRORS = [
    (RefusalError(404, "There is no key."), 1, "There is no key."),
    (RefusalError(409, "Others keep changing it."), 1, "Others keep changing it."),
    (RefusalError(403, "Not with this key."), 2, "MASTER_KEY"),
    (RefusalError(503, "No table."), 2, "Its log has details: request-1"),
    (RefusalError(429, "Slowly.", {"retry-after": "60"}), 2, "Try again in 60 s."),
    (RefusalError(404, "Nothing answers /key/list.", code="not_found"), 2, "as new as this command"),
    (b"<html>", 2, "not like a Vibe Router"),
    (b"[1]", 2, "answered without keys"),
]


@pytest.mark.parametrize(("answer", "status", "reported"), ERRORS, ids=[str(each[0]) for each in ERRORS])
def test_error_becomes_a_plain_sentence(
    command: Command, router: FakeRouter, answer: object, status: int, reported: str
) -> None:
    router.answers["/key/list"] = answer
    done = command("keys", "list")
    assert (done.status, done.out) == (status, "")
    assert reported in done.err
    assert "Traceback" not in done.err


def test_rate_limited_call_is_retried_after_a_short_wait(router: FakeRouter) -> None:
    waited: list[float] = []
    answers = iter([RefusalError(429, "Slowly.", {"retry-after": "2"}), RefusalError(429, "Slowly."), None])

    def answer(_sent: object) -> dict[str, object]:
        error = next(answers)
        if error:
            raise error
        return {"team_id": "t"}

    router.answers["/team/info"] = answer
    with Api(router.url, KEY, sleep=waited.append) as api:
        assert api.get("/team/info") == {"team_id": "t"}
    assert waited == [2.0, 1.0]


def test_permanently_busy_router_is_reported(router: FakeRouter) -> None:
    waited: list[float] = []
    router.answers["/team/info"] = RefusalError(429, "Slowly.")
    with Api(router.url, KEY, sleep=waited.append) as api, pytest.raises(CommandError, match="Slowly"):
        api.get("/team/info")
    assert waited == [1.0, 1.0]


def test_help_imports_no_library_of_a_command() -> None:
    program = (
        "import sys; from vibe_cli.app import main\n"
        "for name in ('httpx', 'rich', 'yaml', 'boto3', 'botocore', 'dotenv'): sys.modules[name] = None\n"
        "main(['keys', 'create', '--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--budget" in done.stdout


class Aws:
    """Stands for AWS: CloudFormation that knows one stack, and its secret, which may be closed."""

    def __init__(self, url: str, secret: str | None = json.dumps({"MASTER_KEY": KEY})) -> None:
        self.outputs = [
            {"OutputKey": "BaseUrl", "OutputValue": f"{url}/v1"},
            {"OutputKey": "SecretArn", "OutputValue": "arn:of:the:secret"},
        ]
        self.secret = secret
        self.asked: list[str] = []

    def client(self, service: str, config: object) -> "Aws":
        return self

    def describe_stacks(self, StackName: str) -> dict[str, object]:  # noqa: N803 - boto3's names
        self.asked.append(StackName)
        if StackName != "mine":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "DescribeStacks")
        return {"Stacks": [{"Outputs": self.outputs}]}

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's names
        self.asked.append(SecretId)
        if self.secret is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")
        return {"SecretString": self.secret}


@pytest.fixture
def aws(router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws(router.url)
    monkeypatch.setattr("vibe_cli.boto.session", lambda: made)
    for name in ("MASTER_KEY", "VIBE_ROUTER_URL"):
        monkeypatch.delenv(name)
    return made


def test_deployed_stack_is_found_by_name(command: Command, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("keys", "list", "--stack", "mine").status == 0
    assert aws.asked == ["mine", "arn:of:the:secret"]
    monkeypatch.setenv("STACK", "mine")
    assert command("keys", "list").status == 0


def test_key_is_read_from_the_secret_without_providers_keys(command: Command, aws: Aws) -> None:
    aws.outputs.append({"OutputKey": "AdminSecretArn", "OutputValue": "arn:of:the:admins"})
    assert command("keys", "list", "--stack", "mine").status == 0
    assert aws.asked == ["mine", "arn:of:the:admins"]


def test_key_of_a_stack_from_the_environment(command: Command, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.secret = None
    rejected = command("keys", "list", "--stack", "mine")
    assert rejected.status == 2
    assert "Set MASTER_KEY in the environment" in rejected.err
    monkeypatch.setenv("MASTER_KEY", KEY)
    assert command("keys", "list", "--stack", "mine").status == 0
    aws.asked.clear()
    assert command("keys", "list", "--stack", "mine", "--key-env", "MASTER_KEY").status == 0
    assert aws.asked == ["mine"]


@pytest.mark.parametrize("secret", ["{}", "nonsense", "[]"])
def test_secret_without_master_key_is_reported_but_not_shown(command: Command, aws: Aws, secret: str) -> None:
    aws.secret = secret
    done = command("keys", "list", "--stack", "mine")
    assert done.status == 2
    assert "cannot be read" in done.err
    assert secret not in done.err


def test_missing_stack_is_reported(command: Command, aws: Aws) -> None:
    done = command("keys", "list", "--stack", "other")
    assert (done.status, done.out) == (2, "")
    assert "There is no stack 'other'" in done.err
    aws.outputs = []
    assert "Is it a Vibe Router?" in command("keys", "list", "--stack", "mine").err
