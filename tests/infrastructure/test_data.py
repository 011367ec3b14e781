"""Retained data: tables, the secret, logs."""

import json

import pytest

from tests.infrastructure.expanded import expand, of_type

STACK = expand()
TABLES = of_type(STACK, "AWS::DynamoDB::Table")

KEYS = {
    "RoutesTable": [("kind", "HASH"), ("name", "RANGE")],
    "StateTable": [("id", "HASH")],
    "KeysTable": [("id", "HASH")],
    "LedgerTable": [("id", "HASH")],
    "UsageTable": [("id", "HASH"), ("at", "RANGE")],
    "ResponsesTable": [("id", "HASH"), ("part", "RANGE")],
    "CacheTable": [("id", "HASH")],
    "HistoryTable": [("id", "HASH"), ("version", "RANGE")],
    "AuditTable": [("day", "HASH"), ("position", "RANGE")],
    "AlertsTable": [("id", "HASH")],
}
INDEXES = {
    "UsageTable": {"by-day": "day", "by-key": "key"},
    "StateTable": {"states": "kind"},
    "AlertsTable": {"by-time": "kind"},
}
BY_TIME = {"UsageTable", "AlertsTable"}
WITH_CONTENT = {"ResponsesTable", "CacheTable"}
KEPT_FOR_EVER = {"HistoryTable"}


def test_the_tables_are_these() -> None:
    assert set(TABLES) == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_a_table_is_keyed_on_demand_encrypted_expiring_and_recoverable(name: str) -> None:
    table = TABLES[name]["Properties"]
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == KEYS[name]
    assert {item["AttributeName"]: item["AttributeType"] for item in table["AttributeDefinitions"]} == {
        attribute: "N" if attribute in ("part", "version") else "S"
        for attribute in (
            *(attribute for attribute, _ in KEYS[name]),
            *INDEXES.get(name, {}).values(),
            *(("at",) if name in BY_TIME else ()),
        )
    }
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    # The others are encrypted with a key that DynamoDB owns; prompts and answers with the account's managed key.
    assert ("SSESpecification" in table) is (name in WITH_CONTENT)
    expiry = None if name in KEPT_FOR_EVER else {"AttributeName": "expires_at", "Enabled": True}
    assert table.get("TimeToLiveSpecification") == expiry
    # What is cached is not worth a copy, which would outlive its expiry by 35 days.
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": name != "CacheTable"}


@pytest.mark.parametrize("name", KEYS)
def test_an_index_holds_whole_rows(name: str) -> None:
    indexes = TABLES[name]["Properties"].get("GlobalSecondaryIndexes", [])
    assert {index["IndexName"]: index["KeySchema"][0]["AttributeName"] for index in indexes} == INDEXES.get(name, {})
    for index in indexes:
        ranges = [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]][1:]
        assert ranges == ([("at", "RANGE")] if name in BY_TIME else [])
        assert index["Projection"] == {"ProjectionType": "ALL"}


def test_usage_and_alerts_have_streams_of_new_rows() -> None:
    streams = {name: table["Properties"].get("StreamSpecification") for name, table in TABLES.items()}
    with_stream = {name: stream for name, stream in streams.items() if stream}
    assert with_stream == {name: {"StreamViewType": "NEW_IMAGE"} for name in ("UsageTable", "AlertsTable")}


@pytest.mark.parametrize("name", KEYS)
def test_a_failed_first_creation_can_delete_a_table(name: str) -> None:
    assert TABLES[name]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("name", KEYS)
def test_a_table_outlives_its_stack_under_a_name_that_the_next_one_adopts(name: str) -> None:
    assert TABLES[name]["UpdateReplacePolicy"] == "Retain"
    named = TABLES[name]["Properties"]["TableName"]["Fn::Sub"]
    assert named.startswith("${AWS::StackName}-")


def test_the_secret_makes_up_a_master_key_and_leaves_the_rest_to_be_filled_in() -> None:
    secrets = of_type(STACK, "AWS::SecretsManager::Secret")
    assert set(secrets) == {"Secret", "AdminSecret"}
    secret = secrets["Secret"]
    generate = secret["Properties"]["GenerateSecretString"]
    assert generate["GenerateStringKey"] == "MASTER_KEY"
    assert generate["SecretStringTemplate"] == "{}"
    assert generate["PasswordLength"] >= 32
    assert generate["ExcludePunctuation"] is True  # it travels in a header and in shell commands
    # A value here would be written again with every change of it, over what an operator has filled in.
    assert "SecretString" not in secret["Properties"]
    assert (secret["DeletionPolicy"], secret["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    # A deleted secret's name is blocked until it is really gone.
    assert "Name" not in secret["Properties"]


def test_the_admin_functions_secret_starts_with_the_master_key_alone() -> None:
    properties = STACK["Resources"]["AdminSecret"]["Properties"]
    copied = json.loads(properties["SecretString"]["Fn::Sub"])
    assert copied == {"MASTER_KEY": "{{resolve:secretsmanager:${Secret}:SecretString:MASTER_KEY}}"}
    assert "Name" not in properties


def test_every_log_group_forgets() -> None:
    groups = of_type(STACK, "AWS::Logs::LogGroup")
    assert set(groups) == {
        "AccessLogGroup",
        "GatewayLogGroup",
        "AdminLogGroup",
        "SecretsLogGroup",
        "AggregatorLogGroup",
        "NotifierLogGroup",
    }
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", KEYS)
def test_a_table_is_protected_from_deletion_by_default(name: str) -> None:
    protected = TABLES[name]["Properties"]["DeletionProtectionEnabled"]
    assert protected == {"Fn::If": ["HasProtectedTables", True, False]}
    assert STACK["Parameters"]["ProtectTables"]["Default"] == "true"
