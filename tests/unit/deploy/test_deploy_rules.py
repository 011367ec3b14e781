import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from samtranslator.yaml_helper import yaml_parse

from vibe_cli.checkout import CHECKOUT
from vibe_cli.deploy.adoption import adopt, import_template, named_tables
from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.secret import Filled, merged, values_from
from vibe_cli.deploy.services import Services
from vibe_cli.deploy.stack import Stack
from vibe_cli.deploy.target import Target, read_target
from vibe_cli.deploy.versions import Published, before, of_last_deployment, superseded
from vibe_router.core.secret_names import OIDC, RESERVED, SECRETS_SET, names_set, select_for_admin

TEMPLATE: Mapping[str, Any] = yaml_parse((CHECKOUT / "template.yaml").read_text(encoding="utf-8"))
TABLES = {
    f"{name}Table": f"router-{name.lower()}"
    for name in ("Routes", "State", "Keys", "Ledger", "Usage", "History", "Responses", "Cache", "Audit", "Alerts")
}


# --- Which stack -----------------------------------------------------------------------------------------------------


def _samconfig(directory: Path, text: str) -> Path:
    file = directory / "samconfig.toml"
    file.write_text(text)
    return file


def test_prod_is_the_default_section(tmp_path: Path) -> None:
    file = _samconfig(tmp_path, '[default.global.parameters]\nstack_name = "router"')
    assert read_target(file, "prod") == Target("prod", "default", "router")
    file = _samconfig(tmp_path, file.read_text() + '\n[prod.deploy.parameters]\nstack_name = "router-prod"')
    assert read_target(file, "prod") == Target("prod", "prod", "router-prod")


@pytest.mark.parametrize(
    "overrides",
    [
        '"StageName=dev  LogLevel=DEBUG AlarmEmail=\\"\\""',
        '["StageName=dev", "LogLevel=DEBUG", "AlarmEmail="]',
        '"ParameterKey=StageName,ParameterValue=dev ParameterKey=LogLevel,ParameterValue=DEBUG AlarmEmail="',
    ],
    ids=["words", "a list", "CloudFormation's way"],
)
def test_parameters_are_read_in_every_syntax_of_the_sam_cli(tmp_path: Path, overrides: str) -> None:
    text = f'[dev.deploy.parameters]\nstack_name = "router"\nregion = "eu-central-1"\nparameter_overrides = {overrides}'
    target = read_target(_samconfig(tmp_path, text), "dev")
    assert target.parameters == {"StageName": "dev", "LogLevel": "DEBUG", "AlarmEmail": ""}
    assert target.region == "eu-central-1"


def test_samconfig_has_two_environments() -> None:
    prod, dev = (read_target(CHECKOUT / "samconfig.toml", name) for name in ("prod", "dev"))
    assert prod.stack != dev.stack
    assert dev.parameters["StageName"] == "dev"
    assert set(dev.parameters) | set(prod.parameters) <= set(TEMPLATE["Parameters"])


# --- The secret ------------------------------------------------------------------------------------------------------

_entries = st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=5)


@hypothesis_given(st.dictionaries(st.text(max_size=8) | st.sampled_from(sorted(RESERVED)), st.text(max_size=8)))
def test_admin_functions_secret_has_only_what_opens_the_router_and_names(values: dict[str, str]) -> None:
    chosen = select_for_admin(values)
    assert chosen.keys() <= {"MASTER_KEY", "UI_USERNAME", "UI_PASSWORD", "METRICS_KEY", *OIDC, SECRETS_SET}
    assert all(chosen[name] == values[name] for name in chosen if name != SECRETS_SET)
    listed = names_set(str(chosen[SECRETS_SET]))
    assert listed == sorted(name for name in values if values[name] and name not in RESERVED)


@pytest.mark.parametrize("text", [None, "", "nonsense", "{}", "1"])
def test_unreadable_list_of_names_counts_as_unknown(text: str | None) -> None:
    assert names_set(text) is None


@hypothesis_given(standing=_entries, values=_entries)
def test_merging_secrets_is_idempotent_and_keeps_other_entries(
    standing: dict[str, str], values: dict[str, str]
) -> None:
    together = merged(standing, values)
    assert together.items() >= values.items()
    assert {name for name in standing if together[name] != standing[name]} <= set(values)
    assert set(together) == {*standing, *values, "MASTER_KEY"}
    assert merged(together, values) == together


def test_master_key_is_generated_only_if_missing() -> None:
    assert merged({"MASTER_KEY": "there"}, {}) == {"MASTER_KEY": "there"}
    assert merged({"MASTER_KEY": "there"}, {"MASTER_KEY": "given"}) == {"MASTER_KEY": "given"}
    first, second = merged({}, {})["MASTER_KEY"], merged({"MASTER_KEY": ""}, {})["MASTER_KEY"]
    assert first != second
    assert len(str(first)) > 40


def test_empty_and_unrelated_variables_are_left_out() -> None:
    environ = {"A": "a", "B": "", "OTHER": "o", "LITELLM_MASTER_KEY": "m"}
    assert values_from(["A", "B", "C"], environ) == {"A": "a", "MASTER_KEY": "m"}


def test_result_of_filling_does_not_print_the_key() -> None:
    assert "hidden" not in repr(Filled("sk-hidden", ("A",), (), ()))


# --- Versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "live", "aliased", "removed"),
    [
        ((1,), 1, (1,), ()),
        ((1, 2), 2, (2,), ()),
        ((1, 2, 3, 4), 4, (4,), (1, 2)),
        ((2, 5, 9), 9, (9,), (2,)),
        ((1, 2, 3, 4), 4, (4, 1), (2,)),
        ((1, 2, 3, 4), 3, (3,), (1,)),
    ],
    ids=[
        "one",
        "two",
        "live and previous version",
        "numbers may have gaps",
        "version with a share of the traffic",
        "newer versions after a rollback",
    ],
)
def test_superseded_versions(
    versions: tuple[int, ...], live: int, aliased: tuple[int, ...], removed: tuple[int, ...]
) -> None:
    assert superseded(Published("gateway", versions, live, frozenset(aliased))) == removed


@hypothesis_given(st.sets(st.integers(1, 50), min_size=1), st.data())
def test_version_for_a_rollback_is_never_removed(numbers: set[int], data: st.DataObject) -> None:
    live = data.draw(st.sampled_from(sorted(numbers)))
    published = Published("gateway", tuple(sorted(numbers)), live, frozenset({live}))
    left = tuple(each for each in published.versions if each not in superseded(published))
    assert live in left
    assert before(published) == before(Published("gateway", left, live))
    assert superseded(Published("gateway", left, live, frozenset({live}))) == ()


# --- Adoption --------------------------------------------------------------------------------------------------------


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (str(key), *_strings(item))]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else [str(value)]


def test_tables_are_retained_and_named_after_the_stack() -> None:
    assert named_tables(TEMPLATE, "router") == TABLES


def test_import_template_has_only_the_tables() -> None:
    template = import_template(TEMPLATE, TABLES)
    assert set(template["Resources"]) == set(TABLES)
    assert {each["DeletionPolicy"] for each in template["Resources"].values()} == {"Retain"}
    assert {each["Properties"]["TableName"] for each in template["Resources"].values()} == set(TABLES.values())
    assert not [text for text in _strings(template["Resources"]) if "${" in text or text.startswith(("Fn::", "Ref"))]
    for name, each in template["Resources"].items():
        declared = TEMPLATE["Resources"][name]["Properties"]
        literal = {"TableName": TABLES[name], "DeletionProtectionEnabled": True}
        assert each["Properties"] == {**declared, **literal}, "so that the update changes nothing"
    assert set(template["Parameters"]) <= set(TEMPLATE["Parameters"])


def _cloudformation() -> Any:
    return boto3.client(
        "cloudformation", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


AT_ONCE = {"Delay": 0, "MaxAttempts": 3}
_NOW = "2026-01-01T00:00:00Z"


def _expect_import(stubber: Stubber, status: str, reason: str = "") -> None:
    class _Expected:
        """Whatever change set's name, and a template of both tables."""

        def __eq__(self, other: object) -> bool:
            return isinstance(other, str) and ("router-state" in other or other.startswith("adopt-tables-"))

        __hash__ = None  # type: ignore[assignment] # compared only

    wanted = _Expected()
    stubber.add_response(
        "create_change_set",
        {},
        {
            "StackName": "router",
            "ChangeSetName": wanted,
            "ChangeSetType": "IMPORT",
            "Description": "Import the tables that an earlier stack of this name left",
            "TemplateBody": wanted,
            "ResourcesToImport": [
                {
                    "ResourceType": "AWS::DynamoDB::Table",
                    "LogicalResourceId": name,
                    "ResourceIdentifier": {"TableName": table},
                }
                for name, table in TABLES.items()
            ],
        },
    )
    stubber.add_response("describe_change_set", {"Status": status, "StatusReason": reason})


def test_new_stack_imports_existing_tables() -> None:
    client = _cloudformation()
    with Stubber(client) as stubber:
        _expect_import(stubber, "CREATE_COMPLETE")
        stubber.add_response("execute_change_set", {})
        stack = {"StackName": "router", "CreationTime": _NOW, "StackStatus": "IMPORT_COMPLETE"}
        stubber.add_response("describe_stacks", {"Stacks": [stack]})
        adopt(client, "router", TEMPLATE, TABLES, AT_ONCE)
        stubber.assert_no_pending_responses()


def test_tables_of_another_stack_are_rejected_with_the_reason() -> None:
    client = _cloudformation()
    with Stubber(client) as stubber:
        _expect_import(stubber, "FAILED", "router-state already exists in stack arn:aws:cloudformation:other")
        with pytest.raises(DeployError, match="already exists in stack arn:aws:cloudformation:other"):
            adopt(client, "router", TEMPLATE, TABLES, AT_ONCE)
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("status", "busy", "failed_to_create"),
    [
        ("UPDATE_COMPLETE", False, False),
        ("UPDATE_IN_PROGRESS", True, False),
        ("UPDATE_ROLLBACK_COMPLETE", False, False),
        ("IMPORT_COMPLETE", False, False),
        ("ROLLBACK_COMPLETE", False, True),
        ("ROLLBACK_IN_PROGRESS", True, False),
    ],
)
def test_failed_creation_is_recognized(status: str, busy: bool, failed_to_create: bool) -> None:
    stack = Stack("router", status)
    assert (stack.is_busy, stack.failed_to_create) == (busy, failed_to_create)


# --- The seam --------------------------------------------------------------------------------------------------------


def test_program_gets_no_secrets_and_writes_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARK_API_KEY", "sk-hidden")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    outside = Services(Target("dev", "dev", "router", region="eu-central-1"))
    program = "import json, os; print(json.dumps(dict(os.environ))); raise SystemExit(4)"
    command = (sys.executable, "-c", program)
    status, printed = outside.run(command, without=["ARK_API_KEY"], also={"VIBE_ROUTER_KEY": "k"}, captured=True)
    got = json.loads(printed)
    assert status == 4
    assert "ARK_API_KEY" not in got
    assert (got["VIBE_ROUTER_KEY"], got["AWS_REGION"]) == ("k", "eu-central-1")
    assert outside.run(command, without=["ARK_API_KEY"]) == (4, "")
    out, err = capfd.readouterr()
    assert out == ""
    assert json.loads(err)["AWS_DEFAULT_REGION"] == "eu-central-1"


def test_missing_program_is_reported() -> None:
    outside = Services(Target("dev", "dev", "router", region="eu-central-1"))
    with pytest.raises(DeployError, match="Try again after: make clean"):
        outside.run(("/nowhere/sam",))


def test_unchanged_function_is_not_rolled_back() -> None:
    gateway, admin = Published("gateway", (1, 2, 3), 3, since=9_000), Published("admin", (1, 2), 2, since=1_000)
    assert of_last_deployment([gateway, admin]) == [gateway]
    together = Published("admin", (1, 2), 2, since=8_940)
    assert of_last_deployment([gateway, together]) == [gateway, together]
    assert of_last_deployment([]) == []
