"""`./deploy.sh` against an AWS account in this process; the SAM CLI, the build and the smoke test write down how they
are called. What AWS itself does is moto's word for it.
"""

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from moto import mock_aws

from tests.infrastructure.expanded import ROOT, told_as_json
from tests.integration.deploy.account import STACK, URL, Account
from vibe_cli.deploy import stack
from vibe_cli.deploy.__main__ import main
from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.seam import Outside

# moto knows neither stages nor domains; it says so and goes on.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse .* not supported by moto")

SECRETS = {"CHAT_AUTO_API_KEY": "sk-layer-one-$ecret", "ARK_API_KEY": "sk-layer-three-secret"}
Deploy = Callable[..., int]


@cache
def _key() -> rsa.RSAPrivateKey:
    """The private key of every account: moto makes one for each, and nothing is signed with it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "MASTER_KEY", "LITELLM_MASTER_KEY", *SECRETS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("PYTHONPATH", "layers/router:cli")
    monkeypatch.setenv("ARK_BASE_URL", "https://ark.example.com/v3")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr(Outside, "answers", lambda *_: True)  # the URL is Amazon's
    told_as_json(monkeypatch)
    key = _key()
    monkeypatch.setattr("moto.kms.utils.rsa.generate_private_key", lambda **_: key)
    with mock_aws():
        account = Account()
        monkeypatch.setattr("vibe_cli.deploy.seam.subprocess.run", account.run)
        yield account


@pytest.fixture
def deploy(account: Account, tmp_path: Path) -> Deploy:
    """Runs the command in the environment dev, with two of three secrets in its file."""
    file = tmp_path / "keys"
    file.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))

    def run(*arguments: str) -> int:
        return main(["dev", "--env-file", str(file), *arguments])

    return run


def _told(capfd: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    out, err = capfd.readouterr()
    return json.loads(out), err


def test_the_first_deployment_goes_step_by_step_and_tells_what_was_tested(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    assert [(each.program, each.arguments[:1]) for each in account.ran] == [
        ("sam", ("--version",)),
        ("scripts.build", ("--architecture",)),
        ("sam", ("deploy",)),
        ("routes", ("--aws",)),
        ("vibe_cli.commands.smoke", ("--url",)),
    ]
    told, progress = _told(capfd)
    assert told["url"] == URL
    assert [call["model"] for call in told["tested"]] == ["auto-chat", "auto-chat"]
    assert "auto-chat" in progress
    assert {row["name"]["S"] for row in account.rows() if row["kind"]["S"] == "model"} >= {"auto-chat", "auto-codex"}
    urls = {row["name"]["S"]: row["base_url"]["S"] for row in account.rows() if row["kind"]["S"] == "provider"}
    assert urls["ark"] == "https://ark.example.com/v3"
    held, _ = account.secret()
    assert {name: held.get(name) for name in SECRETS} == SECRETS
    assert held["MASTER_KEY"] == "generated-by-cloudformation"


def test_what_is_missing_and_what_lambda_cannot_reach_is_told(
    deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    progress = capfd.readouterr().err
    assert "WARNING: NEW_API_KEY is neither in .env nor in the secret" in progress
    assert "WARNING: cliproxyapi is at http://127.0.0.1:8317/v1" in progress
    assert "WARNING: ark" not in progress


def test_no_secret_is_in_an_argument_an_output_or_the_environment_of_a_program_that_needs_none(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEW_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("MASTER_KEY", "sk-master-from-the-environment")
    assert deploy() == 0
    held, _ = account.secret()
    hidden = set(held.values())
    assert hidden == {*SECRETS.values(), "sk-from-the-environment", "sk-master-from-the-environment"}
    out, err = capfd.readouterr()
    for value in hidden:
        assert value not in out + err
        for ran in account.ran:
            assert value not in " ".join(ran.arguments)
    for ran in account.ran:
        shown = {name: value for name, value in ran.environ.items() if value in hidden}
        assert shown == ({"VIBE_ROUTER_KEY": held["MASTER_KEY"]} if ran.program == "vibe_cli.commands.smoke" else {})


def test_a_second_run_changes_nothing(account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]) -> None:
    assert deploy() == 0
    secret, versions, rows = account.secret(), account.versions(), account.rows()
    capfd.readouterr()
    assert deploy() == 0
    assert (account.secret(), account.versions(), account.rows()) == (secret, versions, rows)
    told, _ = _told(capfd)
    assert told["secrets_written"] == []
    assert told["versions_removed"] == {}


def test_entries_that_the_file_does_not_name_stay_in_the_secret(account: Account, deploy: Deploy) -> None:
    assert deploy() == 0
    held, _ = account.secret()
    more = json.dumps({**held, "ANOTHER_PROVIDER": "sk-another", "ARK_API_KEY": "sk-outdated"})
    boto3.client("secretsmanager").put_secret_value(SecretId=account.outputs["SecretArn"], SecretString=more)
    assert deploy() == 0
    assert account.secret()[0] == {**held, "ANOTHER_PROVIDER": "sk-another"}


def test_a_secret_that_is_no_json_object_is_left_alone_and_not_quoted(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    client, arn = boto3.client("secretsmanager"), account.outputs["SecretArn"]
    client.put_secret_value(SecretId=arn, SecretString="sk-written-by-hand")
    assert deploy() == 1
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "sk-written-by-hand"
    assert "sk-written-by-hand" not in capfd.readouterr().err


def test_a_deployment_keeps_the_live_version_and_the_one_before_it(account: Account, deploy: Deploy) -> None:
    for _ in range(3):
        account.change()
        assert deploy() == 0
    assert account.versions() == ([2, 3], 3)


@pytest.mark.parametrize(
    ("program", "message", "never_run"),
    [
        ("scripts.build", "The build failed", ["deploy", "routes", "vibe_cli.commands.smoke"]),
        ("sam", "The deployment failed", ["routes", "vibe_cli.commands.smoke"]),
        ("routes", "The routes could not be written", ["vibe_cli.commands.smoke"]),
        ("vibe_cli.commands.smoke", "The smoke test failed", []),
    ],
)
def test_a_step_that_fails_is_the_last_and_says_so(
    account: Account,
    deploy: Deploy,
    capfd: pytest.CaptureFixture[str],
    program: str,
    message: str,
    never_run: list[str],
) -> None:
    for _ in range(2):
        account.change()
        assert deploy() == 0
    before = len(account.ran)
    capfd.readouterr()
    account.fail(program)
    account.change()
    assert deploy() == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    ran = account.ran[before:]
    assert not {each.arguments[0] if each.program == "sam" else each.program for each in ran} & set(never_run)
    versions, _ = account.versions()
    assert 1 in versions, "nothing was removed"


def test_routes_that_are_wrong_stop_everything_before_it_begins(
    account: Account, deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "routes.yaml").write_text("models:\n  auto-chat: {chain: [{provider: nobody, model: m}]}\n")
    monkeypatch.setenv("ROUTES_FILE", str(tmp_path / "routes.yaml"))
    assert deploy() == 1
    assert "routes.yaml:2" in capfd.readouterr().err
    assert account.ran == []


def test_a_stack_gets_the_log_role_only_where_the_account_has_none(account: Account, deploy: Deploy) -> None:
    boto3.client("apigateway").update_account(
        patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::123456789012:role/log"}]
    )
    assert deploy() == 0
    assert deploy() == 0
    first, second = (each.arguments for each in account.ran if each.arguments[0] == "deploy")
    assert 'CreateApiGatewayLogRole="false"' in first
    assert 'StageName="dev"' in first, "what samconfig.toml says still holds"
    assert second == ("deploy", "--config-env", "dev"), "a stack keeps what it was made with"


def test_a_rollback_lets_the_version_before_serve_and_deploying_again_tells_of_it(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        account.change()
        assert deploy() == 0
    assert deploy("--rollback") == 0
    assert account.versions() == ([1, 2], 1)
    capfd.readouterr()
    assert deploy() == 0
    assert account.versions() == ([1, 2], 1), "nothing was changed, so nothing goes live"
    assert "--rollback dev --to 2" in capfd.readouterr().err
    assert deploy("--rollback", "--to", "2") == 0
    assert account.versions() == ([1, 2], 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--rollback",), "there is none before it"), (("--rollback", "--to", "9"), "has no version 9")],
)
def test_a_rollback_to_what_is_not_there_changes_nothing(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert deploy() == 0
    assert deploy(*arguments) == 1
    assert message in capfd.readouterr().err
    assert account.versions() == ([1], 1)


@pytest.mark.parametrize(
    ("typed", "on_terminal"),
    [("yes\n", True), ("\n", True), ("", True), (f"{STACK}\n", False)],
    ids=["the wrong word", "nothing", "the end of the input", "nobody is there"],
)
def test_without_the_right_answer_nothing_is_taken_away(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, typed: str, on_terminal: bool
) -> None:
    assert deploy() == 0
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: on_terminal)
    monkeypatch.setattr("sys.stdin", terminal)
    assert deploy("--delete") == 1
    assert account.versions() == ([1], 1)


def test_a_deleted_stack_leaves_its_tables_with_their_rows(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    rows = account.rows()
    terminal = io.StringIO(f"{STACK}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    capfd.readouterr()
    assert deploy("--delete") == 0
    told, progress = _told(capfd)
    assert sorted(told["kept"]) == sorted(TABLES.values())
    assert "Lambda::Function" in progress, "what goes is told before it goes"
    assert account.rows() == rows
    assert boto3.client("lambda").list_functions()["Functions"] == []
    assert deploy("--delete") == 1, "there is nothing left to take away"


@pytest.fixture
def adopted(account: Account, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What is imported into a new stack, and it ends there: moto can't import."""
    imported: list[dict[str, str]] = []

    def adopt(_client: object, stack: str, _template: object, tables: dict[str, str]) -> None:
        assert stack == STACK
        assert "deploy" not in [each.arguments[0] for each in account.ran[-2:]], "before the SAM CLI makes the stack"
        imported.append(dict(tables))
        raise DeployError("moto can't import")

    monkeypatch.setattr("vibe_cli.deploy.adoption.adopt", adopt)
    return imported


TABLES = {
    f"{name}Table": f"{STACK}-{name.lower()}"
    for name in ("Routes", "State", "Keys", "Ledger", "Usage", "History", "Responses")
}


def test_deploying_again_begins_by_adopting_the_tables(
    deploy: Deploy, adopted: list[dict[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    assert adopted == [], "a stack that is there has them"
    assert deploy("--delete", "--yes") == 0
    assert deploy() == 1
    assert adopted == [TABLES]
    assert "moto can't import" in capfd.readouterr().err


def _status(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    real = stack.describe
    monkeypatch.setattr(
        "vibe_cli.deploy.stack.describe",
        lambda client, name: (found := real(client, name)) and replace(found, status=status),
    )


def test_what_a_failed_first_deployment_has_left_is_taken_away_but_for_its_tables(
    account: Account, deploy: Deploy, adopted: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy() == 0
    rows = account.rows()
    _status(monkeypatch, "ROLLBACK_COMPLETE")
    assert deploy() == 1
    assert adopted == [TABLES]
    assert account.rows() == rows
    assert boto3.client("lambda").list_functions()["Functions"] == []


def test_a_stack_that_cloudformation_works_on_is_left_alone(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    ran = len(account.ran)
    _status(monkeypatch, "UPDATE_IN_PROGRESS")
    assert deploy() == 1
    assert [each.arguments for each in account.ran[ran:]] == [("--version",)]
    assert "Wait until it is done" in capfd.readouterr().err


def test_a_rollback_during_a_deployment_cancels_it(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        account.change()
        assert deploy() == 0
    cancelled: list[str] = []
    monkeypatch.setattr(
        Outside,
        "cloudformation",
        SimpleNamespace(cancel_update_stack=lambda **said: cancelled.append(said["StackName"])),
    )
    monkeypatch.setattr("vibe_cli.deploy.stack.describe", lambda *_: stack.Stack(STACK, "UPDATE_IN_PROGRESS"))
    assert deploy("--rollback") == 0
    assert cancelled == [STACK]
    assert account.versions() == ([1, 2], 2), "CloudFormation moves the alias by itself"


def test_a_stack_that_would_take_its_tables_along_is_not_deleted(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    monkeypatch.setattr("vibe_cli.deploy.stack.retained", lambda *_: frozenset({"RoutesTable"}))
    assert deploy("--delete", "--yes") == 1
    assert f"{STACK}-state" in capfd.readouterr().err
    assert account.versions() == ([1], 1)


def test_the_master_key_is_shown_when_asked_for_and_nothing_else(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    capfd.readouterr()
    assert deploy("--show-key") == 0
    assert capfd.readouterr().out == f"{account.secret()[0]['MASTER_KEY']}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["staging"], 2, "samconfig.toml has no environment 'staging'. There are: dev, prod."),
        (["--to", "3"], 2, "--to goes with --rollback"),
        (["--env-file", "nowhere"], 2, "There is no file nowhere"),
        (["--rollback", "--delete"], 2, "not allowed with"),
        (["dev"], 1, "No AWS credentials. Run `aws configure`"),
    ],
)
def test_the_script_says_in_a_sentence_what_is_wrong(
    tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    nothing = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run([ROOT / "deploy.sh", *arguments], env=nothing, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
