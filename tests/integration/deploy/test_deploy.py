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

from tests.infrastructure.expanded import ROOT, read_as_json
from tests.integration.deploy.account import STACK, URL, Account
from vibe_cli.app import main
from vibe_cli.deploy import stack
from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.services import Quotas, Services

# moto knows neither stages nor domains; it says so and goes on.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse .* not supported by moto")

SECRETS = {"CHAT_AUTO_API_KEY": "sk-layer-one-$ecret", "ARK_API_KEY": "sk-layer-three-secret"}
Deploy = Callable[..., int]


@cache
def _key() -> rsa.RSAPrivateKey:
    """The private key of every account: moto makes one for each, and nothing is signed with it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


_make_client = boto3.Session.client
_clients: dict[tuple[object, ...], Any] = {}


def reused_client(session: boto3.Session, service: str, **options: Any) -> Any:
    """Return the same client for the same settings: making one takes longer than most of what it is asked."""
    settings = session.region_name, session.profile_name, session.get_credentials() is None
    key = (
        service,
        *settings,
        repr(options.get("region_name")),
        repr(vars(options["config"]) if "config" in options else ""),
    )
    if key not in _clients:
        _clients[key] = _make_client(session, service, **options)  # type: ignore[call-overload]  # any service's name
    return _clients[key]


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
    monkeypatch.setattr(boto3.Session, "client", reused_client)
    monkeypatch.setattr(Services, "answers", lambda *_: True)  # the URL is Amazon's
    read_as_json(monkeypatch)
    key = _key()
    monkeypatch.setattr("moto.kms.utils.rsa.generate_private_key", lambda **_: key)
    with mock_aws():
        account = Account()
        monkeypatch.setattr("vibe_cli.deploy.services.subprocess.run", account.run)
        yield account


@pytest.fixture
def deploy(account: Account, tmp_path: Path) -> Deploy:
    """Runs the command in the environment dev, with two of three secrets in its file."""
    file = tmp_path / "keys"
    file.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))

    def run(*arguments: str) -> int:
        return main(["deploy", "dev", "--env-file", str(file), *arguments])

    return run


def _report(capfd: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    out, err = capfd.readouterr()
    return json.loads(out), err


def test_first_deployment_runs_every_step_and_reports_the_smoke_test(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    assert [(each.program, each.arguments[:1]) for each in account.ran] == [
        ("sam", ("--version",)),
        ("scripts.build", ()),
        ("sam", ("deploy",)),
        ("routes", ("--aws",)),
        ("smoke", ("--url",)),
    ]
    report, progress = _report(capfd)
    assert report["url"] == URL
    assert [call["model"] for call in report["tested"]] == ["auto-chat", "auto-chat"]
    assert "auto-chat" in progress
    assert {row["name"]["S"] for row in account.rows() if row["kind"]["S"] == "model"} >= {"auto-chat", "auto-codex"}
    urls = {row["name"]["S"]: row["base_url"]["S"] for row in account.rows() if row["kind"]["S"] == "provider"}
    assert urls["ark"] == "https://ark.example.com/v3"
    held, _ = account.secret()
    assert {name: held.get(name) for name in SECRETS} == SECRETS
    assert held["MASTER_KEY"] == "generated-by-cloudformation"


def test_a_deployment_and_its_routes_are_in_the_audit_log(account: Account, deploy: Deploy) -> None:
    assert deploy() == 0
    entries = {each["action"]["S"]: each for each in account.audit_entries()}
    assert entries.keys() == {"deploy", "routes"}
    assert entries["deploy"]["by"]["S"].startswith("arn:aws:")
    assert json.loads(entries["deploy"]["changes"]["S"]) == {"hooks_module": ""}
    assert entries["routes"]["by"]["S"].startswith("vibe routes (")
    assert "+models.auto-chat" in json.loads(entries["routes"]["changes"]["S"])["changed"]
    assert not any(value in str(entries) for value in SECRETS.values())


def test_missing_secrets_and_private_addresses_are_warned_about(
    deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    progress = capfd.readouterr().err
    assert "WARNING: NEW_API_KEY is neither in .env nor in the secret" in progress
    assert "WARNING: cliproxyapi is at http://127.0.0.1:8317/v1" in progress
    assert "WARNING: ark" not in progress


def test_secrets_reach_no_argument_output_or_unrelated_program(
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
        assert shown == ({"VIBE_ROUTER_KEY": held["MASTER_KEY"]} if ran.program == "smoke" else {})


def test_second_run_changes_nothing(account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]) -> None:
    assert deploy() == 0
    secret, versions, rows = account.secret(), account.versions(), account.rows()
    capfd.readouterr()
    assert deploy() == 0
    assert (account.secret(), account.versions(), account.rows()) == (secret, versions, rows)
    report, _ = _report(capfd)
    assert report["secrets_written"] == []
    assert report["versions_removed"] == {}


def test_other_entries_of_the_secret_stay(account: Account, deploy: Deploy) -> None:
    assert deploy() == 0
    held, _ = account.secret()
    more = json.dumps({**held, "ANOTHER_PROVIDER": "sk-another", "ARK_API_KEY": "sk-outdated"})
    boto3.client("secretsmanager").put_secret_value(SecretId=account.outputs["SecretArn"], SecretString=more)
    assert deploy() == 0
    assert account.secret()[0] == {**held, "ANOTHER_PROVIDER": "sk-another"}


def test_admin_functions_secret_has_the_sign_in_and_names_but_no_providers_key(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UI_PASSWORD", "a password of the page")
    assert deploy() == 0
    assert account.admin_secret() == {
        "MASTER_KEY": "generated-by-cloudformation",
        "UI_PASSWORD": "a password of the page",
        "SECRETS_SET": json.dumps(sorted(SECRETS)),
    }


def test_secrets_alone_are_filled_after_an_edit_by_hand(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--secrets") == 1
    assert "There is no stack" in capfd.readouterr().err
    assert deploy() == 0
    client, ran = boto3.client("secretsmanager"), len(account.ran)
    held, _ = account.secret()
    by_hand = json.dumps({**held, "MASTER_KEY": "sk-rotated-by-hand", "NEW_API_KEY": "sk-new"})
    client.put_secret_value(SecretId=account.outputs["SecretArn"], SecretString=by_hand)
    client.put_secret_value(SecretId=account.outputs["AdminSecretArn"], SecretString="no copy")
    capfd.readouterr()
    assert deploy("--secrets") == 0
    assert account.admin_secret() == {
        "MASTER_KEY": "sk-rotated-by-hand",
        "SECRETS_SET": json.dumps(sorted([*SECRETS, "NEW_API_KEY"])),
    }
    assert len(account.ran) == ran, "nothing is built or deployed"
    report, progress = _report(capfd)
    assert report["written"] == []
    assert "sk-rotated-by-hand" not in progress


def test_invalid_secret_is_neither_overwritten_nor_quoted(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    client, arn = boto3.client("secretsmanager"), account.outputs["SecretArn"]
    client.put_secret_value(SecretId=arn, SecretString="sk-written-by-hand")
    assert deploy() == 1
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "sk-written-by-hand"
    assert "sk-written-by-hand" not in capfd.readouterr().err


def test_live_and_previous_version_are_retained(account: Account, deploy: Deploy) -> None:
    for _ in range(3):
        account.change()
        assert deploy() == 0
    assert account.versions() == ([2, 3], 3)


@pytest.mark.parametrize(
    ("program", "message", "never_run"),
    [
        ("scripts.build", "The build failed", ["deploy", "routes", "smoke"]),
        ("sam", "The deployment failed", ["routes", "smoke"]),
        ("routes", "The routes could not be written", ["smoke"]),
        ("smoke", "The smoke test failed", []),
    ],
)
def test_failed_step_stops_the_deployment(
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


def test_invalid_routes_stop_the_deployment_before_any_step(
    account: Account, deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "routes.yaml").write_text("models:\n  auto-chat: {chain: [{provider: nobody, model: m}]}\n")
    monkeypatch.setenv("ROUTES_FILE", str(tmp_path / "routes.yaml"))
    assert deploy() == 1
    assert "routes.yaml:2" in capfd.readouterr().err
    assert account.ran == []


def test_account_keeps_its_log_role(account: Account, deploy: Deploy) -> None:
    boto3.client("apigateway").update_account(
        patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::123456789012:role/log"}]
    )
    assert deploy() == 0
    (arguments,) = (each.arguments for each in account.ran if each.arguments[:1] == ("deploy",))
    assert 'AccessLog="on"' in arguments
    assert not any("CreateApiGatewayLogRole" in word for word in arguments)
    assert 'StageName="dev"' in arguments, "the parameters in samconfig.toml still hold"


def test_log_role_is_created_in_an_account_without_one(account: Account, deploy: Deploy) -> None:
    assert deploy() == 0
    assert deploy() == 0
    first, second = (each.arguments for each in account.ran if each.arguments[:1] == ("deploy",))
    assert 'CreateApiGatewayLogRole="true"' in first
    assert second == ("deploy", "--config-env", "dev"), "an existing stack keeps its parameters"


def test_tables_are_protected_once_the_stack_exists(deploy: Deploy, capfd: pytest.CaptureFixture[str]) -> None:
    assert deploy() == 0
    client = boto3.client("dynamodb")
    described = [client.describe_table(TableName=name)["Table"] for name in TABLES.values()]
    assert all(each["DeletionProtectionEnabled"] for each in described)
    assert f"Protected from deletion: {STACK}-" in capfd.readouterr().err
    assert deploy() == 0
    assert "Protected" not in capfd.readouterr().err


@pytest.mark.parametrize(("concurrency", "warned"), [(10, True), (1000, False), (None, False)])
def test_account_that_serves_few_calls_at_once_is_warned_of(
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    concurrency: int | None,
    warned: bool,
) -> None:
    monkeypatch.setattr(Services, "quotas", lambda _: Quotas(concurrency, 10_000.0, 5000, None))
    assert deploy() == 0
    assert ("WARNING: this account may run only 10 functions at once" in capfd.readouterr().err) is warned


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        (Quotas(1000, 10_000.0, 50, None), "ThrottleBurst is 100, and this account's quota in this region is 50"),
        (Quotas(1000, 20.0, 5000, None), "ThrottleRate is 50, and this account's quota in this region is 20"),
    ],
    ids=["burst", "rate"],
)
def test_throttle_above_the_accounts_quota_is_rejected(
    account: Account,
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    quotas: Quotas,
    message: str,
) -> None:
    monkeypatch.setattr(Services, "quotas", lambda _: quotas)
    assert deploy() == 1
    assert message in capfd.readouterr().err
    assert [each.arguments for each in account.ran] == [("--version",)]


def test_rollback_serves_the_previous_version_and_the_next_deployment_warns(
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
    [(("--rollback",), "there is no earlier one"), (("--rollback", "--to", "9"), "has no version 9")],
)
def test_rollback_to_a_missing_version_changes_nothing(
    account: Account, deploy: Deploy, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert deploy() == 0
    assert deploy(*arguments) == 1
    assert message in capfd.readouterr().err
    assert account.versions() == ([1], 1)


@pytest.mark.parametrize(
    ("typed", "on_terminal"),
    [("yes\n", True), ("\n", True), ("", True), (f"{STACK}\n", False)],
    ids=["wrong name", "empty line", "end of input", "no terminal"],
)
def test_unconfirmed_deletion_deletes_nothing(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, typed: str, on_terminal: bool
) -> None:
    assert deploy() == 0
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: on_terminal)
    monkeypatch.setattr("sys.stdin", terminal)
    assert deploy("--delete") == 1
    assert account.versions() == ([1], 1)


def test_deleted_stack_leaves_its_tables(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    rows = account.rows()
    terminal = io.StringIO(f"{STACK}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    capfd.readouterr()
    assert deploy("--delete") == 0
    report, progress = _report(capfd)
    assert sorted(report["kept"]) == sorted(TABLES.values())
    assert "Lambda::Function" in progress, "deletions are announced"
    assert account.rows() == rows
    assert boto3.client("lambda").list_functions()["Functions"] == []
    assert deploy("--delete") == 1, "there is nothing left to take away"


@pytest.fixture
def adopted(account: Account, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The resources imported into a new stack. The test ends there: moto can't import."""
    imported: list[dict[str, str]] = []

    def adopt(_client: object, stack: str, _template: object, tables: dict[str, str]) -> None:
        assert stack == STACK
        ran = [each.arguments[:1] for each in account.ran[-2:]]
        assert ("deploy",) not in ran, "before the SAM CLI makes the stack"
        imported.append(dict(tables))
        raise DeployError("moto can't import")

    monkeypatch.setattr("vibe_cli.deploy.adoption.adopt", adopt)
    return imported


TABLES = {
    f"{name}Table": f"{STACK}-{name.lower()}"
    for name in ("Routes", "State", "Keys", "Ledger", "Usage", "History", "Responses", "Cache", "Audit", "Alerts")
}


def test_next_deployment_imports_the_remaining_tables(
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


def test_failed_first_deployment_is_deleted_except_its_tables(
    account: Account, deploy: Deploy, adopted: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy() == 0
    rows = account.rows()
    _status(monkeypatch, "ROLLBACK_COMPLETE")
    assert deploy() == 1
    assert adopted == [TABLES]
    assert account.rows() == rows
    assert boto3.client("lambda").list_functions()["Functions"] == []


def test_busy_stack_is_not_touched(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    ran = len(account.ran)
    _status(monkeypatch, "UPDATE_IN_PROGRESS")
    assert deploy() == 1
    assert [each.arguments for each in account.ran[ran:]] == [("--version",)]
    assert "Wait until it has finished" in capfd.readouterr().err


def test_rollback_during_a_deployment_cancels_it(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        account.change()
        assert deploy() == 0
    cancelled: list[str] = []
    monkeypatch.setattr(
        Services,
        "cloudformation",
        SimpleNamespace(cancel_update_stack=lambda **options: cancelled.append(options["StackName"])),
    )
    monkeypatch.setattr("vibe_cli.deploy.stack.describe", lambda *_: stack.Stack(STACK, "UPDATE_IN_PROGRESS"))
    assert deploy("--rollback") == 0
    assert cancelled == [STACK]
    assert account.versions() == ([1, 2], 2), "CloudFormation moves the alias by itself"


def test_stack_that_does_not_retain_its_tables_is_not_deleted(
    account: Account, deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deploy() == 0
    monkeypatch.setattr("vibe_cli.deploy.stack.retained", lambda *_: frozenset({"RoutesTable"}))
    assert deploy("--delete", "--yes") == 1
    assert f"{STACK}-state" in capfd.readouterr().err
    assert account.versions() == ([1], 1)


def test_show_key_prints_only_the_master_key(
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
        (["--to", "3"], 2, "--to requires --rollback"),
        (["--env-file", "nowhere"], 2, "There is no file nowhere"),
        (["--rollback", "--delete"], 2, "exclude each other"),
        (["dev"], 1, "No AWS credentials. Run `aws configure`"),
    ],
)
def test_script_explains_wrong_usage(tmp_path: Path, arguments: list[str], status: int, message: str) -> None:
    nothing = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run([ROOT / "deploy.sh", *arguments], env=nothing, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
