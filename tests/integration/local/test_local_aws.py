"""The embedded AWS as botocore sees it, and what is left of it on the disk."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import httpx
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws import EmbeddedAws
from local.template import Template, read_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

TEMPLATE = """
Resources:
  Function: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler}}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: kind, AttributeType: S}, {AttributeName: number, AttributeType: N}]
      KeySchema: [{AttributeName: kind, KeyType: HASH}, {AttributeName: number, KeyType: RANGE}]
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
  Others:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: others
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Keys: {Type: AWS::SecretsManager::Secret}
  AdminSecret: {Type: AWS::SecretsManager::Secret}
"""

SECRET = {"MASTER_KEY": "sk-1", "ARK_API_KEY": "sk-of-a-provider"}


@pytest.fixture
def template(tmp_path: Path) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return read_template(path)


def client(aws: EmbeddedAws, service: str) -> Any:
    session = botocore.session.Session()
    session.set_config_variable("config_file", os.devnull)
    return session.create_client(
        service,
        region_name="us-east-1",
        endpoint_url=aws.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


def dynamodb(aws: EmbeddedAws) -> "DynamoDBClient":
    return cast("DynamoDBClient", client(aws, "dynamodb"))


def key(number: int) -> dict[str, Any]:
    return {"kind": {"S": "a"}, "number": {"N": str(number)}}


def serving(template: Template, data_dir: Path, use: Callable[[EmbeddedAws], None]) -> EmbeddedAws:
    """Run an embedded AWS on the directory while `use` uses it; whatever happens, its process ends."""

    async def run() -> EmbeddedAws:
        aws = EmbeddedAws(template, data_dir)
        await aws.start()
        try:
            await aws.ready(SECRET)
            await asyncio.to_thread(use, aws)
        finally:
            await aws.stop()
        return aws

    return asyncio.run(asyncio.wait_for(run(), 20))


def items(aws: EmbeddedAws, table: str = "things") -> list[dict[str, Any]]:
    found = dynamodb(aws).scan(TableName=table, ConsistentRead=True)["Items"]
    return sorted(cast("list[dict[str, Any]]", found), key=json.dumps)


def test_tables_and_secret_are_the_templates(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        described = dynamodb(aws).describe_table(TableName="things")["Table"]
        assert described["KeySchema"] == [
            {"AttributeName": "kind", "KeyType": "HASH"},
            {"AttributeName": "number", "KeyType": "RANGE"},
        ]
        expiry = dynamodb(aws).describe_time_to_live(TableName="things")["TimeToLiveDescription"]
        assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
        secrets = cast("SecretsManagerClient", client(aws, "secretsmanager"))
        assert json.loads(secrets.get_secret_value(SecretId="Keys")["SecretString"]) == SECRET
        admins = secrets.get_secret_value(SecretId="AdminSecret")["SecretString"]
        assert json.loads(admins) == {"MASTER_KEY": "sk-1", "SECRETS_SET": '["ARK_API_KEY"]'}, "no provider's key"

    aws = serving(template, tmp_path / "data", use)
    assert (aws.restored, aws.set_aside) == (frozenset(), ())


def test_an_unknown_operation_is_an_error_for_one_caller_only(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        with pytest.raises(ClientError, match="no operation ExecuteStatement"):
            dynamodb(aws).execute_statement(Statement="DELETE FROM things WHERE kind = 'a' AND number = 6")
        assert items(aws) == []

    serving(template, tmp_path / "data", use)


def test_only_the_endpoint_with_its_token_is_served(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        root = aws.endpoint.rpartition("/")[0]
        headers = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Origin": "https://evil.example"}
        for url in (f"{root}/", f"{root}/guess", f"{root}/moto-api/data.json"):
            answer = httpx.post(url, json={"SecretId": "Keys"}, headers=headers)
            assert answer.status_code == 403
            assert "sk-1" not in answer.text
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "sk-1" in httpx.post(aws.endpoint, json={"SecretId": "Keys"}, headers=headers).text

    serving(template, tmp_path / "data", use)


def test_tables_of_an_earlier_version_are_imported_once(template: Template, tmp_path: Path) -> None:
    old = tmp_path / "data" / "tables"
    old.mkdir(parents=True)
    (old / "things.json").write_text(json.dumps({"items": [key(2), key(1)]}))
    (old / "others.json").write_text('{"items": [')

    def use(aws: EmbeddedAws) -> None:
        assert aws.restored == {"things"}
        assert "others.json cannot be read" in "".join(aws.set_aside)
        assert items(aws) == [key(1), key(2)]
        dynamodb(aws).delete_item(TableName="things", Key=key(1))

    serving(template, tmp_path / "data", use)
    serving(template, tmp_path / "data", lambda aws: _equal(items(aws), [key(2)]))


def test_an_unreadable_database_is_renamed_and_the_tables_are_empty(template: Template, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "tables.sqlite").write_bytes(b"not a database" * 1000)

    def use(aws: EmbeddedAws) -> None:
        assert "tables.sqlite cannot be read" in "".join(aws.set_aside)
        assert items(aws) == []

    serving(template, data, use)
    assert [path.read_bytes()[:14] for path in data.glob("tables.sqlite.unreadable-*")] == [b"not a database"]


def test_memory_does_not_grow_with_the_items(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        table, process = dynamodb(aws), psutil.Process(aws.pid)

        def fill(first: int) -> int:
            for start in range(first, first + 5_000, 25):
                puts: Any = [
                    {"PutRequest": {"Item": {**key(start + each), "text": {"S": "x" * 2000}}}} for each in range(25)
                ]
                table.batch_write_item(RequestItems={"things": puts})
            return process.memory_info().rss

        warm = fill(0)
        assert fill(5_000) - warm < 5_000 * 1024, "less than 1 KB an item"

    serving(template, tmp_path / "data", use)


def test_expired_items_are_deleted_at_the_start(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        for number, expires in ((1, "1"), (2, "99999999999")):
            dynamodb(aws).put_item(TableName="things", Item={**key(number), "expires_at": {"N": expires}})

    serving(template, tmp_path / "data", use)
    serving(template, tmp_path / "data", lambda aws: _equal([item["number"]["N"] for item in items(aws)], ["2"]))


def _equal(found: object, wanted: object) -> None:
    assert found == wanted


def test_of_many_conditional_writes_at_once_exactly_one_succeeds(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        table = dynamodb(aws)

        def take(_: int) -> bool:
            try:
                table.put_item(
                    TableName="others", Item={"id": {"S": "lease"}}, ConditionExpression="attribute_not_exists(id)"
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(take, range(64))) == 1

        def add(_: int) -> None:
            table.update_item(
                TableName="others",
                Key={"id": {"S": "count"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(add, range(64)))
        assert table.get_item(TableName="others", Key={"id": {"S": "count"}})["Item"]["n"] == {"N": "64"}

    serving(template, tmp_path / "data", use)


def test_a_write_survives_a_kill(template: Template, tmp_path: Path) -> None:

    async def run() -> None:
        aws = EmbeddedAws(template, tmp_path / "data")
        await aws.start()
        try:
            await aws.ready({})
            await asyncio.to_thread(dynamodb(aws).put_item, TableName="things", Item=key(1))
        finally:
            assert aws.pid is not None
            os.kill(aws.pid, signal.SIGKILL)
            await aws.stop()

    asyncio.run(run())
    serving(template, tmp_path / "data", lambda aws: _equal(items(aws), [key(1)]))


def test_secrets_are_in_no_argument_and_no_variable_of_the_process(template: Template, tmp_path: Path) -> None:
    def use(aws: EmbeddedAws) -> None:
        for name in ("cmdline", "environ"):
            path = Path(f"/proc/{aws.pid}/{name}")
            if path.exists():
                assert b"sk-1" not in path.read_bytes()

    serving(template, tmp_path / "data", use)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-1" in path.read_bytes()]
