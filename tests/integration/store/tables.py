"""A table of the template's, made for tests of the store."""

from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["table_of_usage"]


def table_of_usage(client: "DynamoDBClient") -> str:
    """Make a table as usage is kept in."""
    name = f"usage-{uuid4()}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("id", "at", "day", "key")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"by-{each}",
                "KeySchema": [{"AttributeName": each, "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for each in ("day", "key")
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
