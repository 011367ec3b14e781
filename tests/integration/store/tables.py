"""A table of the template's, made for tests of the store."""

from uuid import uuid4

from tests.unit.store.hooks import create_table
from vibe_router.store.dynamodb import DynamoDB

__all__ = ["table_of_alerts", "table_of_states", "table_of_usage"]


def table_of_usage(client: DynamoDB) -> str:
    """Make a table as usage is kept in."""
    name = f"usage-{uuid4()}"
    create_table(
        client,
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


def table_of_states(client: DynamoDB) -> str:
    """Make a table as states are kept in."""
    name = f"state-{uuid4()}"
    create_table(
        client,
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("id", "kind")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "states",
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def table_of_alerts(client: DynamoDB) -> str:
    """Make a table as alerts are kept in."""
    name = f"alerts-{uuid4()}"
    create_table(
        client,
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in ("id", "kind", "at")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-time",
                "KeySchema": [
                    {"AttributeName": "kind", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
